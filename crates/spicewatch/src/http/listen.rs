//! The listening socket.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
};

use super::{DEFAULT_PATH, HttpAddress};
use crate::{
    control::{ControlSocket, SocketMode},
    outputs::{self, Failure},
};

/// A bound socket. A unix socket's file is removed on drop.
#[derive(Debug)]
pub(crate) enum HttpListener {
    Unix(ControlSocket),
    Tcp(TcpListener, SocketAddr),
}

impl HttpListener {
    /// Binds the address. Without one, binds the default one if its folder is there and it can be bound. `Off` binds nothing.
    pub(crate) fn bind(
        address: Option<&HttpAddress>,
        mode: Option<SocketMode>,
        group: Option<&str>,
    ) -> Result<Option<Self>, Failure> {
        Self::try_bind(address, mode, group).map_err(|error| {
            let address = address.map(ToString::to_string).unwrap_or_default();
            Failure::Listen(format!("can't serve HTTP at {address}: {error}"))
        })
    }

    fn try_bind(
        address: Option<&HttpAddress>,
        mode: Option<SocketMode>,
        group: Option<&str>,
    ) -> io::Result<Option<Self>> {
        match address {
            Some(HttpAddress::Off) => Ok(None),
            Some(HttpAddress::Unix(path)) => Ok(Some(Self::Unix(ControlSocket::bind(path, mode, group)?))),
            Some(HttpAddress::Tcp(address)) => {
                let listener = TcpListener::bind(address)?;
                let address = listener.local_addr()?;
                Ok(Some(Self::Tcp(listener, address)))
            }
            None => {
                let path = Path::new(DEFAULT_PATH);
                if !outputs::is_in_writable_folder(path) {
                    return Ok(None);
                }
                let bound = ControlSocket::bind(path, mode, group).inspect_err(
                    |error| tracing::warn!(path = DEFAULT_PATH, %error, "no HTTP; --http sets another address"),
                );
                Ok(bound.ok().map(Self::Unix))
            }
        }
    }

    /// Another process serves it from now on. The file of a unix socket stays.
    pub(crate) fn leave(self) {
        if let Self::Unix(socket) = self {
            socket.leave();
        }
    }

    /// The socket, for another process, and whether a file goes with it.
    pub(crate) fn descriptor(&self) -> (BorrowedFd<'_>, bool) {
        match self {
            Self::Unix(socket) => (socket.as_fd(), socket.owns_file()),
            Self::Tcp(listener, _) => (listener.as_fd(), false),
        }
    }

    /// For the log.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Unix(socket) => HttpAddress::Unix(socket.path().to_owned()).to_string(),
            Self::Tcp(_, address) => address.to_string(),
        }
    }

    /// Whether a browser can be made to connect under any host name.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(..))
    }
}
