//! Sockets that a service manager has bound and passed to this process (`sd_listen_fds(3)`).

use std::{
    env, fmt, fs,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::Path,
};

use listenfd::ListenFd;
use spice_relay::net::{Listener, NetAddress};

use super::config::Config;

/// The name that a socket has without `LISTEN_FDNAMES`, as in `sd_listen_fds_with_names(3)`.
const UNNAMED: &str = "unknown";

/// The sockets that were passed.
///
/// The service manager keeps them open as long as its socket unit is active. So they are kept here too: a VM that a reload removes and
/// another one adds again gets the same sockets.
#[derive(Debug, Default)]
pub(super) struct PassedSockets(Vec<PassedSocket>);

#[derive(Debug)]
struct PassedSocket {
    socket: Socket,
    name: String,
    /// Of a socket that the process before this one has bound: its configured address, and whether its file goes at the end.
    taken_over: Option<(String, bool)>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, NetAddress),
}

impl PassedSockets {
    /// Takes the sockets that `LISTEN_FDS` counts, if `LISTEN_PID` names this process. An error is one line.
    ///
    /// Must be called once, while the process has a single thread: it removes the variables, which children must not see.
    pub(super) fn from_environment() -> Result<Self, String> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            let name = names.next().unwrap_or(UNNAMED).to_owned();
            let socket = match passed.take_unix_listener(index) {
                Ok(Some(listener)) => Socket::unix(listener),
                _ => match passed.take_tcp_listener(index) {
                    Ok(Some(listener)) => Socket::tcp(listener),
                    Ok(None) => continue,
                    Err(error) => Err(error.to_string()),
                },
            };
            let socket = socket.map_err(|error| {
                format!("the service manager passed a descriptor ({name}) that is no listening stream socket of TCP or unix: {error}")
            })?;
            sockets.push(PassedSocket { socket, name, taken_over: None });
        }
        Ok(Self(sockets))
    }

    /// Takes the sockets of the process before this one: the configured address of each, whether its file goes at the end, and whether a
    /// service manager had passed it.
    pub(super) fn from_predecessor(
        sockets: impl Iterator<Item = (String, bool, bool, OwnedFd)>,
    ) -> Result<Self, String> {
        let mut taken = Vec::new();
        for (address, owns_file, is_kept, descriptor) in sockets {
            let unix = UnixListener::from(descriptor);
            let is_unix = unix.local_addr().is_ok();
            let socket = if is_unix { Socket::unix(unix) } else { Socket::tcp(TcpListener::from(OwnedFd::from(unix))) };
            let socket = socket.map_err(|error| format!("can't take over the socket of {address}: {error}"))?;
            let taken_over = (!is_kept).then_some((address, owns_file));
            taken.push(PassedSocket { socket, name: UNNAMED.to_owned(), taken_over });
        }
        Ok(Self(taken))
    }

    /// Forgets the sockets of the process before this one, which have a VM now. Those of a service manager stay.
    pub(super) fn forget_taken_over(&mut self) {
        self.0.retain(|passed| passed.taken_over.is_none());
    }

    /// The sockets, with the addresses that they are bound to.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (String, BorrowedFd<'_>)> {
        self.0.iter().map(|passed| match &passed.socket {
            Socket::Tcp(listener, _) => (passed.socket.to_string(), listener.as_fd()),
            Socket::Unix(listener, _) => (passed.socket.to_string(), listener.as_fd()),
        })
    }

    /// Whether a socket of this address was passed.
    pub(super) fn has(&self, address: &NetAddress) -> bool {
        self.of(address).next().is_some()
    }

    /// The listeners of this address for SPICE clients. Empty: none was passed.
    pub(super) fn listeners(&self, address: &NetAddress) -> Result<Vec<Listener>, String> {
        let listener = |passed: &PassedSocket| {
            let system = |error: std::io::Error| format!("{address}: {error}");
            let listener = match &passed.socket {
                Socket::Tcp(listener, _) => Listener::from_tcp(listener.try_clone().map_err(system)?, address),
                Socket::Unix(listener, _) => Listener::from_unix(listener.try_clone().map_err(system)?, address),
            };
            let mut listener = listener.map_err(|error| error.to_string())?;
            if passed.owns_file() {
                listener.own_file();
            }
            Ok(listener)
        };
        self.of(address).map(listener).collect()
    }

    /// The listeners of this address for QMP clients. Empty: none was passed. Must be called inside a tokio runtime.
    pub(super) fn qmp_listeners(&self, address: &NetAddress) -> Result<Vec<qmp_server::Listener>, String> {
        let listener = |passed: &PassedSocket| match &passed.socket {
            Socket::Tcp(listener, _) => listener.try_clone().and_then(qmp_server::Listener::from_tcp),
            Socket::Unix(listener, _) => {
                let listener = listener.try_clone().and_then(qmp_server::Listener::from_unix)?;
                Ok(if passed.owns_file() { listener.own_file() } else { listener })
            }
        };
        let failed = |error| format!("can't serve QMP on {address}: {error}");
        self.of(address).map(|passed| listener(passed).map_err(failed)).collect()
    }

    /// The listener of a unix socket, and whether its file goes at the end.
    pub(super) fn unix_listener(&self, path: &Path) -> Option<(UnixListener, bool)> {
        let address = NetAddress::Unix(path.to_owned());
        self.of(&address).find_map(|passed| match &passed.socket {
            Socket::Unix(listener, _) => Some((listener.try_clone().ok()?, passed.owns_file())),
            Socket::Tcp(..) => None,
        })
    }

    /// The TCP socket that the process before this one has bound for this address.
    #[cfg(feature = "http")]
    pub(super) fn tcp_listener(&self, address: &str) -> Option<TcpListener> {
        self.0.iter().find_map(|passed| match (&passed.socket, &passed.taken_over) {
            (Socket::Tcp(listener, _), Some((configured, _))) if configured == address => listener.try_clone().ok(),
            _ => None,
        })
    }

    /// Warns of each socket that the configuration does not use: its clients wait in the backlog.
    pub(super) fn warn_of_unused(&self, config: &Config) {
        for passed in &self.0 {
            let vms = config.vm.iter().flat_map(|vm| vm.listen.iter().chain(&vm.tls_listen).chain(&vm.qmp));
            let control = config.control.iter().map(|path| NetAddress::Unix(path.clone()));
            #[cfg(feature = "http")]
            let control =
                control.chain(config.http.iter().filter_map(|http| Some(NetAddress::Unix(http.path()?.into()))));
            if !vms.chain(&config.connect_listen).cloned().chain(control).any(|address| passed.is_for(&address)) {
                let (socket, name) = (&passed.socket, &passed.name);
                tracing::warn!(
                    %socket,
                    name,
                    "the service manager passed a socket that the configuration does not have; its clients wait. Add it to `listen`, `tls-listen`, `connect-listen`, `qmp`, `control` or `http`, or remove it from the socket unit"
                );
            }
        }
    }

    fn of(&self, address: &NetAddress) -> impl Iterator<Item = &PassedSocket> {
        self.0.iter().filter(move |passed| passed.is_for(address))
    }
}

impl PassedSocket {
    fn owns_file(&self) -> bool {
        self.taken_over.as_ref().is_some_and(|(_, owns_file)| *owns_file)
    }

    fn is_for(&self, address: &NetAddress) -> bool {
        if let Some((configured, _)) = &self.taken_over {
            return *configured == address.to_string();
        }
        match (&self.socket, address) {
            (Socket::Unix(_, NetAddress::Unix(bound)), NetAddress::Unix(path)) => is_same_path(bound, path),
            // Port 0 is any port, and names no socket.
            (Socket::Tcp(_, bound), NetAddress::Tcp(host, port)) if *port == bound.port() && *port != 0 => {
                if host == "*" { bound.ip().is_unspecified() } else { has_address(address, *bound) }
            }
            _ => false,
        }
    }
}

impl Socket {
    fn unix(listener: UnixListener) -> Result<Self, String> {
        let local = listener.local_addr().map_err(|error| error.to_string())?;
        let path = local.as_pathname().ok_or("it has no path")?;
        let address = NetAddress::Unix(path.to_owned());
        Ok(Self::Unix(listener, address))
    }

    fn tcp(listener: TcpListener) -> Result<Self, String> {
        let local = listener.local_addr().map_err(|error| error.to_string())?;
        Ok(Self::Tcp(listener, local))
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, address) => address.fmt(f),
            Self::Unix(_, address) => address.fmt(f),
        }
    }
}

fn has_address(address: &NetAddress, bound: SocketAddr) -> bool {
    address.resolve().is_ok_and(|resolved| resolved.contains(&bound))
}

/// Whether both are paths of one file: `/run` may be `/var/run`.
fn is_same_path(one: &Path, other: &Path) -> bool {
    let canonical = |path| fs::canonicalize(path).ok();
    one == other || canonical(one).is_some_and(|one| Some(one) == canonical(other))
}
