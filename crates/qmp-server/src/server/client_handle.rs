//! One client of a server, as its caller sees it.

use std::fmt;
use std::io;

use tokio::task::JoinHandle;

/// A client that is served: see [`Server::serve`](super::Server::serve). Dropping it changes nothing.
#[derive(Debug)]
pub struct ClientHandle {
    task: JoinHandle<CloseReason>,
}

impl ClientHandle {
    pub(super) fn new(task: JoinHandle<CloseReason>) -> Self {
        Self { task }
    }

    /// Waits until the connection has ended.
    pub async fn closed(self) -> CloseReason {
        self.task.await.unwrap_or(CloseReason::Panicked)
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.task.is_finished()
    }
}

/// Why a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed it.
    Left,
    /// The client did not negotiate in time.
    NotNegotiated,
    /// The client read too slowly.
    FellBehind,
    /// The connection failed.
    Failed(io::Error),
    /// The server shut down, and the client has been sent everything.
    Flushed,
    /// The server shut down, and the client had not read everything by the deadline.
    CutOff,
    /// A command panicked, or the runtime was shut down.
    Panicked,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the client closed the connection"),
            Self::NotNegotiated => f.write_str("the client did not negotiate in time"),
            Self::FellBehind => f.write_str("the client fell too far behind the events"),
            Self::Failed(error) => write!(f, "{error}"),
            Self::Flushed => f.write_str("the server shuts down"),
            Self::CutOff => f.write_str("the client did not read the last events before the shutdown deadline"),
            Self::Panicked => f.write_str("a command panicked"),
        }
    }
}
