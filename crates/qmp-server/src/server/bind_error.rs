//! Why a listener can't be bound.

use std::fmt;
use std::io;

/// Why a listener couldn't be bound.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else listens there.
    InUse {
        /// `unix:PATH` or `tcp:ADDR`
        address: String,
    },
    /// There is a file of another kind at the path of a unix socket; it is left alone.
    NotASocket {
        /// `unix:PATH`
        address: String,
    },
    /// What the system said.
    Io {
        /// `unix:PATH` or `tcp:ADDR`
        address: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl BindError {
    pub(super) fn new(address: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            _ => Self::Io { address, source },
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { address } => write!(f, "{address}: somebody else listens there"),
            Self::NotASocket { address } => write!(f, "{address}: expected a socket or nothing, there is another file"),
            Self::Io { address, source } => write!(f, "{address}: {source}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::InUse { .. } | Self::NotASocket { .. } => None,
        }
    }
}
