use std::{fmt, io, net::IpAddr};

use spice_link::websocket::UpgradeResponse;

/// Why there is no connection to a server.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The address is not HOST:PORT or the host has no address.
    Address(io::Error),
    /// The host has this address, which is not of this machine's loopback, and only that was allowed.
    NotLoopback(IpAddr),
    /// A socket failed.
    Io(io::Error),
    /// The server did not upgrade to WebSocket.
    Upgrade(UpgradeResponse),
    /// There is no TLS in this build: the feature `tls` is off.
    NoTls,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) | Self::Io(error) => error.fmt(f),
            Self::NotLoopback(address) => write!(f, "expected an address of this machine's loopback, found {address}"),
            Self::Upgrade(UpgradeResponse::WrongAccept) => {
                f.write_str("expected a Sec-WebSocket-Accept for the request's key, found another one or none")
            }
            Self::Upgrade(_) => f.write_str("the server does not upgrade to WebSocket"),
            Self::NoTls => f.write_str("this build has no TLS"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) | Self::Io(error) => Some(error),
            Self::NotLoopback(_) | Self::Upgrade(_) | Self::NoTls => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Address(error) | Error::Io(error) => error,
            Error::NotLoopback(_) => Self::new(io::ErrorKind::InvalidInput, error),
            Error::Upgrade(_) | Error::NoTls => Self::other(error),
        }
    }
}
