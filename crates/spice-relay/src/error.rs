use std::{error, fmt, io, path::PathBuf};

use crate::net::NetAddress;

/// Why a relay could not be configured or started. Its text is one line that names the value and what was expected.
///
/// Faults of a connection are no errors of the library: they are logged, and the observer learns that the connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A text does not have the expected form.
    Parse {
        /// The expected form.
        expected: &'static str,
        /// The text.
        found: String,
    },
    /// An address could not be resolved or bound.
    Listen {
        /// The address.
        address: NetAddress,
        /// The reason.
        source: io::Error,
    },
    /// The folder of a unix socket does not exist, or this process may not create a file in it.
    Folder {
        /// The socket's path.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file that is not a socket has the path of a unix socket.
    NotASocket(PathBuf),
    /// Another process listens on a unix socket of this path.
    SocketInUse(PathBuf),
    /// A unix socket could not be connected to, or a file could not be read.
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A PEM file does not contain what was expected.
    Pem {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
    },
    /// A private key has an algorithm or a size that is not supported.
    UnsupportedKey(PathBuf),
    /// A private key does not belong to the certificate.
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// A certificate or a PEM file could not be read or used.
    Certificate {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<dyn error::Error + Send + Sync>,
    },
}

impl Error {
    pub(crate) fn parse(expected: &'static str, found: impl Into<String>) -> Self {
        Self::Parse { expected, found: found.into() }
    }

    pub(crate) fn certificate(
        path: impl Into<PathBuf>,
        source: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> Self {
        Self::Certificate { path: path.into(), source: source.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse { expected, found } => write!(f, "expected {expected}, found `{found}`"),
            Self::Listen { address, source } => write!(f, "can't listen on {address}: {source}"),
            Self::Folder { path, folder, source } => {
                let (path, folder) = (path.display(), folder.display());
                match source.kind() {
                    io::ErrorKind::NotFound => write!(f, "{path}: there is no folder {folder}"),
                    io::ErrorKind::NotADirectory => write!(f, "{path}: expected {folder} to be a folder, found a file"),
                    _ => write!(f, "{path}: the folder {folder}: {source}"),
                }
            }
            Self::NotASocket(path) => {
                write!(f, "{}: expected a stale socket or no file at all, found a file", path.display())
            }
            Self::SocketInUse(path) => write!(f, "{}: another process is listening on this socket", path.display()),
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Pem { path, expected } => write!(f, "{}: expected {expected}, found none", path.display()),
            Self::UnsupportedKey(path) => write!(
                f,
                "{}: expected a key of RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519",
                path.display()
            ),
            Self::KeyMismatch { key, certificate } => {
                write!(f, "{}: the key does not belong to the certificate {}", key.display(), certificate.display())
            }
            Self::Certificate { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Folder { source, .. } | Self::File { source, .. } => Some(source),
            Self::Certificate { source, .. } => Some(&**source),
            _ => None,
        }
    }
}
