//! Sockets that a service manager has bound and passed to this process (`sd_listen_fds(3)`).

use std::{
    env, fmt, fs,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
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
            let failed = |what: &dyn fmt::Display| {
                format!(
                    "the service manager passed a descriptor ({name}) that is no listening stream socket of TCP or unix: {what}"
                )
            };
            let socket = match passed.take_unix_listener(index) {
                Ok(Some(listener)) => {
                    let local = listener.local_addr().map_err(|error| failed(&error))?;
                    let path = local.as_pathname().ok_or_else(|| failed(&"it has no path"))?;
                    let address = NetAddress::Unix(path.to_owned());
                    Socket::Unix(listener, address)
                }
                _ => match passed.take_tcp_listener(index) {
                    Ok(Some(listener)) => {
                        let local = listener.local_addr().map_err(|error| failed(&error))?;
                        Socket::Tcp(listener, local)
                    }
                    Ok(None) => continue,
                    Err(error) => return Err(failed(&error)),
                },
            };
            sockets.push(PassedSocket { socket, name });
        }
        Ok(Self(sockets))
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
            listener.map_err(|error| error.to_string())
        };
        self.of(address).map(listener).collect()
    }

    /// The listeners of this address for QMP clients. Empty: none was passed. Must be called inside a tokio runtime.
    pub(super) fn qmp_listeners(&self, address: &NetAddress) -> Result<Vec<qmp_server::Listener>, String> {
        let listener = |passed: &PassedSocket| match &passed.socket {
            Socket::Tcp(listener, _) => listener.try_clone().and_then(qmp_server::Listener::from_tcp),
            Socket::Unix(listener, _) => listener.try_clone().and_then(qmp_server::Listener::from_unix),
        };
        let failed = |error| format!("can't serve QMP on {address}: {error}");
        self.of(address).map(|passed| listener(passed).map_err(failed)).collect()
    }

    /// The listener of a unix socket.
    pub(super) fn unix_listener(&self, path: &Path) -> Option<UnixListener> {
        let address = NetAddress::Unix(path.to_owned());
        self.of(&address).find_map(|passed| match &passed.socket {
            Socket::Unix(listener, _) => listener.try_clone().ok(),
            Socket::Tcp(..) => None,
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
    fn is_for(&self, address: &NetAddress) -> bool {
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
