//! What all VMs share.

use super::{config::Config, status::Status};
use crate::outputs::{SessionHub, stdout::Stdout};

/// What all VMs share.
#[derive(Debug)]
pub(super) struct Common {
    /// The settings of the process.
    pub(super) process: Config,
    pub(super) status: Status,
    pub(super) stdout: Stdout,
    pub(super) sessions: Option<SessionHub>,
    /// How many threads forward bytes.
    pub(super) workers: usize,
}
