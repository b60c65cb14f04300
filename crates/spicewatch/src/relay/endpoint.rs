//! Where to listen and whom to connect to: `HOST:PORT`, `tcp:HOST:PORT` or `unix:PATH`.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    str::FromStr,
};

use rustix::fs::{Access, access};
use serde_derive::Deserialize;
use socket2::{Domain, SockAddr, Socket, Type};

/// A path in `sun_path` has 108 bytes, the last of which is NUL.
const MAX_UNIX_PATH: usize = 107;

/// An address as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Endpoint {
    /// Host, or `*` for every address of both families, and port.
    Tcp(String, u16),
    /// A socket file.
    Unix(PathBuf),
}

impl Endpoint {
    /// The addresses to bind, of which the first that can be bound is meant where the host is `*`, and all otherwise.
    pub(crate) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Unix(_) => Ok(Vec::new()),
            Self::Tcp(host, port) if host == "*" => {
                Ok(vec![(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()])
            }
            Self::Tcp(host, port) => (host.as_str(), *port).to_socket_addrs().map(Iterator::collect),
        }
    }

    /// Whether it is for the system to pick the port.
    pub(crate) fn is_any_port(&self) -> bool {
        matches!(self, Self::Tcp(_, 0))
    }

    /// The host of a TCP address.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp(host, _) => Some(host),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        let (host, port) = text
            .strip_prefix("tcp:")
            .unwrap_or(text)
            .rsplit_once(':')
            .ok_or_else(|| format!("expected HOST:PORT, tcp:HOST:PORT or unix:PATH, found `{text}`"))?;
        let port = port.parse().map_err(|_| format!("expected a port from 0 to 65535 in `{text}`, found `{port}`"))?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(v6)) => v6,
            Some(None) => return Err(format!("expected `]` in `{text}`")),
            None if host.contains('/') => {
                return Err(format!("expected HOST:PORT, tcp:HOST:PORT or unix:PATH, found `{text}`"));
            }
            None if host.contains(':') => return Err(format!("expected brackets around the IPv6 address of `{text}`")),
            None if host.is_empty() => "*",
            None => host,
        };
        Ok(Self::Tcp(host.to_owned(), port))
    }
}

fn unix(path: &str) -> Result<Endpoint, String> {
    match path.len() {
        0 => Err("expected a path after `unix:`".to_owned()),
        1..=MAX_UNIX_PATH => Ok(Endpoint::Unix(path.into())),
        len => Err(format!("expected a path of at most {MAX_UNIX_PATH} bytes after `unix:`, found {len}")),
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Whether a socket can be made here: its folder is there and ours to write to, and nothing else than a socket that nobody listens on is in its place.
pub(crate) fn check_socket_path(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::FileTypeExt;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let in_folder = |what: &dyn fmt::Display| format!("{}: the folder {}: {what}", path.display(), folder.display());
    match std::fs::metadata(folder) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return Err(in_folder(&"expected a folder, found a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("{}: there is no folder {}", path.display(), folder.display()));
        }
        Err(error) => return Err(in_folder(&error)),
    }
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| in_folder(&io::Error::from(error)))?;
    let Ok(there) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !there.file_type().is_socket() {
        return Err(format!("{}: expected nothing or a stale socket, found a file", path.display()));
    }
    match knock(path).map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, _)) => Ok(()),
        // Who has a full backlog listens, too.
        Ok(()) | Err((io::ErrorKind::WouldBlock, _)) => {
            Err(format!("{}: somebody listens there already", path.display()))
        }
        Err((_, error)) => Err(format!("{}: {error}", path.display())),
    }
}

/// Connects and leaves, without waiting for somebody who does not accept.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("127.0.0.1:5900", "127.0.0.1:5900"),
            ("tcp:localhost:1", "localhost:1"),
            ("[::1]:5900", "[::1]:5900"),
            (":5900", "*:5900"),
            ("*:0", "*:0"),
            ("unix:/run/vm.sock", "unix:/run/vm.sock"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        let long = format!("unix:{}", "x".repeat(108));
        for text in
            ["5900", "localhost", "::1:5900", "[::1:5900", "a:65536", "a:-1", "a:", "spice://a:5900", "unix:", &long]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
