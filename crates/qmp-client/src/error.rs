//! What can go wrong.

use std::{fmt, io, time::Duration};

use qmp_schema::ErrorReply;

/// Why an operation of a client failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The command failed. The connection can be used further.
    Command(ErrorReply<'static>),
    /// The connection failed.
    Io(io::Error),
    /// The server closed the connection.
    Closed,
    /// There was no answer within this time. Another client may occupy QEMU's socket.
    Timeout(Duration),
    /// The server sent something that is not QMP, or a reply of another type than expected.
    Invalid(qmp_schema::Error),
    /// The first message of the server is not a greeting.
    NoGreeting,
    /// More events wait for the caller than this limit allows.
    TooManyEvents(usize),
    /// More commands have no reply than this limit allows.
    TooManyCommands(usize),
    /// The address cannot be used.
    #[cfg(feature = "tokio")]
    Address(crate::AddressError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(reply) => write!(f, "{reply}"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Timeout(time) => {
                write!(
                    f,
                    "no answer in {time:?}; QEMU serves one client per QMP socket, and another one may be connected"
                )
            }
            Self::Invalid(error) => write!(f, "{error}"),
            Self::NoGreeting => f.write_str("expected a QMP greeting, found another message"),
            Self::TooManyEvents(limit) => write!(f, "more than {limit} events wait to be read"),
            Self::TooManyCommands(limit) => write!(f, "more than {limit} commands wait for a reply"),
            #[cfg(feature = "tokio")]
            Self::Address(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Command(reply) => Some(reply),
            Self::Io(error) => Some(error),
            Self::Invalid(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<qmp_schema::Error> for Error {
    fn from(error: qmp_schema::Error) -> Self {
        Self::Invalid(error)
    }
}

#[cfg(feature = "tokio")]
impl From<crate::AddressError> for Error {
    fn from(error: crate::AddressError) -> Self {
        Self::Address(error)
    }
}
