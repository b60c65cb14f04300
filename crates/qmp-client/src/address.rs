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
/// assert_eq!("[::1]:4444".parse::<Address>()?.to_string(), "tcp:[::1]:4444");
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
    /// The text is neither `unix:PATH`, nor `tcp:HOST:PORT`, nor `HOST:PORT`, nor a path.
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
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", address)) if is_host_and_port(address) => Ok(Self::Tcp(address.to_owned())),
            Some(("unix" | "tcp", _)) => Err(AddressError::Unknown(text.to_owned())),
            _ if is_host_and_port(text) => Ok(Self::Tcp(text.to_owned())),
            _ if text.contains('/') => Ok(Self::Unix(text.into())),
            None if !text.is_empty() => Ok(Self::Unix(text.into())),
            _ => Err(AddressError::Unknown(text.to_owned())),
        }
    }
}

/// Whether this is `HOST:PORT`, with an IPv6 address in brackets.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| !host.is_empty());
    let is_host = is_v6 || !host.is_empty() && !host.contains([':', '/', '[', ']']);
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_shown() {
        for (text, expected) in [
            ("unix:/run/vm.qmp", Some("unix:/run/vm.qmp")),
            ("/run/vm.qmp", Some("unix:/run/vm.qmp")),
            ("vm.qmp", Some("unix:vm.qmp")),
            ("./odd:1/name", Some("unix:./odd:1/name")),
            ("/run/a,b", Some("unix:/run/a,b")),
            ("tcp:localhost:4444", Some("tcp:localhost:4444")),
            ("192.0.2.1:4444", Some("tcp:192.0.2.1:4444")),
            ("[::1]:4444", Some("tcp:[::1]:4444")),
            ("::1:4444", None),
            (":4444", None),
            ("host:0", None),
            ("host:port", None),
            ("tcp:host", None),
            ("unix:", None),
            ("", None),
            ("unix:/run/vm.qmp,server=on,wait=off", None),
            ("/run/vm.qmp,server,nowait", None),
            ("tcp:localhost:4444,server=on", None),
        ] {
            let parsed = text.parse::<Address>().map(|address| address.to_string()).ok();
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }
}
