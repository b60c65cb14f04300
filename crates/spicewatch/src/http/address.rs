//! Where HTTP is served.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// `unix:PATH`, or an address and a port of this machine's loopback interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HttpAddress {
    /// HTTP is off.
    Off,
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl HttpAddress {
    /// The path of a unix socket.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Off | Self::Tcp(_) => None,
        }
    }
}

impl FromStr for HttpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        let host_and_port = text.strip_prefix("tcp:").unwrap_or(text);
        let address = match host_and_port.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}").parse(),
            None => host_and_port.parse::<SocketAddr>(),
        };
        match address {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            // Every client that can connect can read who is connected, and who was.
            Ok(_) => Err(format!(
                "expected a loopback address or unix:PATH, found `{text}`: HTTP has no authentication; a reverse proxy in front of it can add it"
            )),
            Err(_) => Err(format!("expected unix:PATH or 127.0.0.1:PORT, found `{text}`")),
        }
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => Ok(()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_a_unix_socket_or_loopback() {
        for (text, expected) in [
            ("", Some("")),
            ("unix:/run/a.sock", Some("unix:/run/a.sock")),
            ("/run/a.sock", Some("unix:/run/a.sock")),
            ("127.0.0.1:9180", Some("127.0.0.1:9180")),
            ("tcp:127.0.0.2:9180", Some("127.0.0.2:9180")),
            ("localhost:9180", Some("127.0.0.1:9180")),
            ("[::1]:0", Some("[::1]:0")),
            ("0.0.0.0:9180", None),
            ("[::]:9180", None),
            ("10.0.0.1:9180", None),
            (":9180", None),
            ("9180", None),
            ("unix:", None),
            ("example.org:80", None),
            ("127.0.0.1", None),
        ] {
            let seen = text.parse::<HttpAddress>();
            assert_eq!(seen.as_ref().ok().map(ToString::to_string).as_deref(), expected, "{text}: {seen:?}");
        }
    }
}
