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
    /// What clients of each VM are shown, for the metrics.
    #[cfg(feature = "http")]
    pub(super) certificates: crate::http::Certificates,
    /// How many threads forward bytes.
    pub(super) workers: usize,
}
