use std::{
    fmt, fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use rustix::fs::{Access, access};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::Error;

/// The longest path of a unix socket, in bytes: `sun_path` has 108 (unix(7)), and the last of them is NUL.
const MAX_UNIX_PATH: usize = 107;

/// An address to listen on or to connect to, in the form that an operator writes: `HOST:PORT`, `tcp:HOST:PORT`, `:PORT` or
/// `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetAddress {
    /// A host and a port. The host `*` means every address of both families.
    Tcp(String, u16),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl NetAddress {
    /// The form that [`FromStr`] expects.
    const FORM: &str = "HOST:PORT, tcp:HOST:PORT or unix:PATH";

    /// The addresses to bind. For the host `*`, only the first of them that can be bound is needed.
    ///
    /// Blocks while a name server is asked.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Unix(_) => Ok(Vec::new()),
            Self::Tcp(host, port) if host == "*" => {
                Ok(vec![(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()])
            }
            Self::Tcp(host, port) => (host.as_str(), *port).to_socket_addrs().map(Iterator::collect),
        }
    }

    /// Whether the system picks the port.
    pub fn is_any_port(&self) -> bool {
        matches!(self, Self::Tcp(_, 0))
    }

    /// The host of a TCP address.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp(host, _) => Some(host),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for NetAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        let tcp = text.strip_prefix("tcp:").unwrap_or(text);
        let (host, port) = tcp.rsplit_once(':').ok_or_else(|| Error::parse(Self::FORM, text))?;
        let port = decimal(port).ok_or_else(|| Error::parse("a port from 0 to 65535", port))?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(v6)) => v6,
            Some(None) => return Err(Error::parse("`]` after the IPv6 address", text)),
            None if host.contains('/') => return Err(Error::parse(Self::FORM, text)),
            None if host.contains(':') => return Err(Error::parse("brackets around the IPv6 address", text)),
            None if host.is_empty() => "*",
            None => host,
        };
        Ok(Self::Tcp(host.to_owned(), port))
    }
}

/// A number in digits. Rust's own parser accepts a sign, too.
pub(super) fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn unix(path: &str) -> Result<NetAddress, Error> {
    match path.len() {
        0 => Err(Error::parse("a path after `unix:`", "")),
        1..=MAX_UNIX_PATH => Ok(NetAddress::Unix(path.into())),
        _ => Err(Error::parse("a path of at most 107 bytes after `unix:`", path)),
    }
}

impl fmt::Display for NetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for NetAddress {
    /// An IPv6 scope id is kept as a number.
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            address => address.ip().to_string(),
        };
        Self::Tcp(host, address.port())
    }
}

/// Checks that a unix socket can be created at this path: this process may create files in its folder, and the path is free or
/// belongs to a socket on which no process listens.
pub fn check_socket_path(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let in_folder = |source| Error::Folder { path: path.into(), folder: folder.into(), source };
    if !fs::metadata(folder).map_err(in_folder)?.is_dir() {
        return Err(in_folder(io::ErrorKind::NotADirectory.into()));
    }
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| in_folder(error.into()))?;
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(Error::NotASocket(path.into()));
    }
    refuse_if_alive(path, path)
}

/// Removes a socket on which no process listens.
///
/// It is moved aside first, and looked at again there: of two processes that start at once, neither removes the other's socket.
pub(super) fn remove_stale_socket(path: &Path) -> Result<(), Error> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.stale", std::process::id()));
    let aside = PathBuf::from(aside);
    let failed = |source| Error::File { path: path.into(), source };
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        moved => moved.map_err(failed)?,
    }
    if let Err(error) = refuse_if_alive(&aside, path) {
        // A process began to listen in between. Its socket goes back, unless another one has come meanwhile.
        let _ = fs::hard_link(&aside, path);
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    fs::remove_file(&aside).map_err(failed)
}

/// Fails if a process listens on the socket `file`, which an error calls `path`.
fn refuse_if_alive(file: &Path, path: &Path) -> Result<(), Error> {
    match try_connect(file).map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, _)) => Ok(()),
        // A full backlog means that someone is listening.
        Ok(()) | Err((io::ErrorKind::WouldBlock, _)) => Err(Error::SocketInUse(path.into())),
        Err((_, source)) => Err(Error::File { path: path.into(), source }),
    }
}

/// Connects and closes, without waiting for the listener to accept.
fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_shown() {
        for (text, shown) in [
            ("127.0.0.1:5900", "127.0.0.1:5900"),
            ("tcp:localhost:1", "localhost:1"),
            ("[::1]:5900", "[::1]:5900"),
            (":5900", "*:5900"),
            ("*:0", "*:0"),
            ("unix:/run/vm.sock", "unix:/run/vm.sock"),
        ] {
            assert_eq!(text.parse::<NetAddress>().unwrap().to_string(), shown);
        }
        let long = format!("unix:{}", "x".repeat(108));
        for text in [
            "5900",
            "localhost",
            "::1:5900",
            "[::1:5900",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:",
            "spice://a:5900",
            "unix:",
            &long,
        ] {
            assert!(text.parse::<NetAddress>().is_err(), "{text}");
        }
    }

    /// Another process has replaced a stale socket after it was looked at.
    #[test]
    fn socket_of_another_process_is_not_removed() {
        let folder = std::env::temp_dir().join(format!("spice-relay-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        remove_stale_socket(&path).unwrap();
        assert!(!path.exists());
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(remove_stale_socket(&path), Err(Error::SocketInUse(_))));
        listener.set_nonblocking(true).unwrap();
        try_connect(&path).unwrap();
        assert!(listener.accept().is_ok(), "clients still reach it");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
