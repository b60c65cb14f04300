//! What a hunt needs of the thing that it sends: see [`Messages`](super::messages::Messages) and
//! [`Conversations`](super::conversations::Conversations).

use std::io;

use super::finding::{Finding, FindingKind};
use crate::choices::plainest;

/// Sends to one server what choices make, and judges the answers.
pub(super) trait Probe {
    /// Bytes of choices for one case.
    const CHOICES: usize;

    /// Sends what these choices make.
    fn take(&mut self, choices: &[u8]) -> Taken;

    /// Sends several cases at the same time, if the server can be asked so; otherwise one after the other.
    fn take_all(&mut self, cases: &[Vec<u8>]) -> Vec<Taken> {
        cases.iter().map(|choices| self.take(choices)).collect()
    }

    /// Whether the server still answers a plain client.
    fn health(&mut self) -> Health;

    /// The finding that the server is gone, hangs or has panicked after what these choices make.
    fn lost(&self, kind: FindingKind, choices: &[u8], seen: &str) -> Finding;

    /// The most cases that are sent to shorten a finding of this kind.
    fn most_to_shorten(kind: FindingKind) -> usize;

    /// Shortens choices while `still` holds of them. It calls `still` at most `most` times, and ends at its first error.
    fn shorten<E>(choices: &[u8], most: usize, still: impl FnMut(&[u8]) -> Result<bool, E>) -> Result<Vec<u8>, E> {
        plainest(choices, most, still)
    }
}

impl Taken {
    /// Whether the server may be lost, and with it the answers to cases that were sent at the same time.
    pub(super) fn is_loss(&self) -> bool {
        match self {
            Self::Right => false,
            Self::Wrong(finding) => matches!(finding.kind, FindingKind::Gone | FindingKind::Hung),
            Self::NoConnection(_) => true,
        }
    }
}

/// How a server takes one case.
pub(super) enum Taken {
    Right,
    Wrong(Box<Finding>),
    /// There was no connection: the server was gone before.
    NoConnection(io::Error),
}

/// How a server takes a plain client.
pub(super) enum Health {
    Fine,
    Gone(String),
    Hung,
}
