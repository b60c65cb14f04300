use std::io;

use spice_events::Side;

/// Why a connection ends. The first reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// This side ended its stream.
    Ended(Side),
    /// This side reset the connection, or broke its TLS.
    Reset(Side),
    /// This side's machine stopped answering.
    Vanished(Side),
    /// The TLS handshake with the client failed.
    TlsFailed,
    /// The relay could not connect to the server.
    UpstreamUnreachable,
    /// The link stage took longer than [`Timeouts::link`](crate::connection::Timeouts::link).
    LinkTimeout,
    /// No byte came for [`Timeouts::idle`](crate::connection::Timeouts::idle).
    IdleTimeout,
    /// [`ConnectionHandle::terminate`](super::ConnectionHandle::terminate) was called.
    Terminated,
    /// The relay ended the connection by itself: it shuts down.
    Aborted,
}

impl Ending {
    /// What it means that bytes from this side can't be read any more, or bytes to it can't be written.
    pub(crate) fn of_error(side: Side, error: &io::Error) -> Self {
        match error.kind() {
            // Unanswered keepalive probes, and unacknowledged data (tcp(7), ETIMEDOUT); a router that knows of no way.
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Self::Vanished(side)
            }
            _ => Self::Reset(side),
        }
    }
}
