//! Where a QMP server listens.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where a QMP server listens.
///
/// ```
/// use qmp_client::Address;
///
/// for text in ["unix:/run/vm.qmp", "tcp:127.0.0.1:4444"] {
///     assert_eq!(text.parse::<Address>()?.to_string(), text);
/// }
/// assert_eq!("/run/vm.qmp".parse::<Address>()?.to_string(), "unix:/run/vm.qmp");
/// assert!("unix:/run/vm.qmp,server=on,wait=off".parse::<Address>().is_err());
/// # Ok::<(), qmp_client::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// The path of a unix socket.
    Unix(PathBuf),
    /// A host, name or number, and a port.
    Tcp(String),
}

/// Why a text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// The text has options of QEMU's `-qmp` after the address.
    Options(String),
    /// The text is neither `unix:PATH`, nor `tcp:HOST:PORT`, nor a path.
    Unknown(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let plain = text.strip_prefix("unix:").or_else(|| text.strip_prefix("tcp:")).unwrap_or(text);
        if let Some((_, options)) = plain.split_once(',')
            && options.split(',').all(|option| option.contains('=') || matches!(option, "server" | "nowait"))
        {
            return Err(AddressError::Options(text.to_owned()));
        }
        let has_port = |address: &str| address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", address)) if has_port(address) => Ok(Self::Tcp(address.to_owned())),
            _ if text.contains('/') => Ok(Self::Unix(text.into())),
            _ => Err(AddressError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(text) => write!(f, "expected unix:PATH or tcp:HOST:PORT without options, found `{text}`"),
            Self::Unknown(text) => write!(f, "expected unix:PATH or tcp:HOST:PORT, found `{text}`"),
        }
    }
}

impl std::error::Error for AddressError {}
