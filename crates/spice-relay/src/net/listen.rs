use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{fs::MetadataExt, net::UnixListener},
    },
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use socket2::{Domain, SockRef, Type};
use spice_events::{Address, Endpoints, Family};

use super::{
    accept_failures::AcceptFailures,
    address::{NetAddress, check_socket_path, remove_stale_socket},
    socket::{Socket, tune},
};
use crate::Error;

/// How many connections the kernel queues until they are accepted. The kernel's own limit may be lower (`somaxconn`).
const BACKLOG: i32 = 4096;
/// How long a task waits after an accept failed because the kernel lacks resources.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens. Dropping it closes the socket and removes the file of a unix socket.
#[derive(Debug)]
pub struct Listener {
    socket: Kind,
    address: NetAddress,
    configured: NetAddress,
    failures: Arc<AcceptFailures>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    /// The second field is the device and inode of the file that this process created and may remove.
    Unix(UnixListener, Option<(u64, u64)>),
}

impl Listener {
    /// Binds every address that `address` names.
    ///
    /// Of a host name, that is each of its addresses that this machine has. `*` needs one socket, for both families. A stale
    /// unix socket is replaced.
    pub fn bind(address: &NetAddress) -> Result<Vec<Self>, Error> {
        let failed = |source| Error::Listen { address: address.clone(), source };
        match address {
            NetAddress::Unix(path) => {
                check_socket_path(path)?;
                remove_stale_socket(path)?;
                let listener = UnixListener::bind(path).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                let file = std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
                let socket = Kind::Unix(listener, file);
                Ok(vec![Self {
                    socket,
                    address: address.clone(),
                    configured: address.clone(),
                    failures: Arc::default(),
                }])
            }
            NetAddress::Tcp(..) => {
                let bind = |resolved| {
                    let mut listener = bind_tcp(resolved)?;
                    listener.configured = address.clone();
                    Ok(listener)
                };
                bind_each(address, bind).map_err(failed)
            }
        }
    }

    /// Takes over a TCP socket that listens already, because a service manager has passed it for example. `configured` is the address
    /// that an operator wrote for it.
    ///
    /// # Errors
    ///
    /// It does not listen.
    pub fn from_tcp(listener: TcpListener, configured: &NetAddress) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: configured.clone(), source };
        check_listens(&listener).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        // Accepted connections inherit the options.
        tune(&SockRef::from(&listener));
        let address = NetAddress::from(listener.local_addr().map_err(failed)?);
        Ok(Self { socket: Kind::Tcp(listener), address, configured: configured.clone(), failures: Arc::default() })
    }

    /// Takes over a unix socket that listens already. Its file is the caller's: dropping the listener does not remove it.
    ///
    /// # Errors
    ///
    /// It does not listen.
    pub fn from_unix(listener: UnixListener, configured: &NetAddress) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: configured.clone(), source };
        check_listens(&listener).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let (address, configured) = (configured.clone(), configured.clone());
        Ok(Self { socket: Kind::Unix(listener, None), address, configured, failures: Arc::default() })
    }

    /// The bound address, with the port that the system picked.
    pub fn address(&self) -> &NetAddress {
        &self.address
    }

    /// The address that was given to [`bind`](Self::bind).
    pub fn configured(&self) -> &NetAddress {
        &self.configured
    }

    /// Removes the file of a unix socket when it is dropped, if it is still the socket's file then.
    pub fn own_file(&mut self) {
        if let (Kind::Unix(_, file), NetAddress::Unix(path)) = (&mut self.socket, &self.address) {
            *file = std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()));
        }
    }

    /// Leaves the file of a unix socket where it is: another process listens on the same socket.
    pub fn leave_file(&mut self) {
        if let Kind::Unix(_, file) = &mut self.socket {
            *file = None;
        }
    }

    /// Whether dropping it removes a file.
    pub fn owns_file(&self) -> bool {
        matches!(self.socket, Kind::Unix(_, Some(_)))
    }

    /// Another handle of the same socket, for one more task that accepts.
    pub(crate) fn acceptor(&self) -> io::Result<Acceptor> {
        let socket = match &self.socket {
            Kind::Tcp(listener) => Ok(listener.try_clone()?),
            Kind::Unix(listener, _) => Err(listener.try_clone()?),
        };
        Ok(Acceptor { socket, address: self.address.clone(), failures: Arc::clone(&self.failures) })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Kind::Tcp(listener) => listener.as_fd(),
            Kind::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (Kind::Unix(_, file), NetAddress::Unix(path)) = (&self.socket, &self.address)
            && file.is_some()
            && *file == std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Binds the addresses that a TCP address names, with a function of the caller.
///
/// For `*` the first address that can be bound is enough: `[::]` accepts IPv4 too, and `0.0.0.0` is for machines without IPv6.
/// Of a host name's addresses, those that this machine lacks are logged and left out: `localhost` names `::1` too, which
/// does not exist where IPv6 is off.
pub fn bind_each<T>(address: &NetAddress, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<Vec<T>> {
    let addresses = address.resolve()?;
    let first_only = address.host() == Some("*");
    bind_available(address, &addresses, first_only, bind)
}

fn bind_available<T>(
    address: &NetAddress,
    resolved: &[SocketAddr],
    first_only: bool,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<Vec<T>> {
    let (mut bound, mut absent) = (Vec::new(), Vec::new());
    for &resolved in resolved {
        match bind(resolved) {
            Ok(one) => bound.push(one),
            Err(error) if is_absent(&error) => absent.push((resolved, error)),
            Err(error) => return Err(error),
        }
        if first_only && !bound.is_empty() {
            return Ok(bound);
        }
    }
    if !bound.is_empty() {
        for (resolved, error) in absent {
            tracing::warn!(endpoint = %address, address = %resolved, %error, "not listening on an address that this machine does not have");
        }
        return Ok(bound);
    }
    let error = absent.pop().map(|(_, error)| error);
    Err(error.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
}

/// Fails for a socket that is bound and does not listen, or is connected.
fn check_listens(socket: impl AsFd) -> io::Result<()> {
    if rustix::net::sockopt::socket_acceptconn(socket)? {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a socket that listens"))
}

/// Whether this machine does not have the address or its family.
fn is_absent(error: &io::Error) -> bool {
    let absent = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT];
    absent.into_iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // spice-server does the same: `[::]` accepts IPv4 too.
        socket.set_only_v6(false)?;
    }
    // Linux copies these options to every connection that the socket accepts.
    tune(&socket);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let address = NetAddress::from(listener.local_addr()?);
    Ok(Listener { socket: Kind::Tcp(listener), configured: address.clone(), address, failures: Arc::default() })
}

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Accepted {
    pub(crate) socket: Socket,
    /// The addresses of a TCP connection.
    pub(crate) tcp: Option<Endpoints<SocketAddr>>,
    /// The paths of a unix connection. Empty for an end without a path.
    unix: Endpoints<PathBuf>,
}

impl Accepted {
    /// The client's IP address. `None` for a unix socket.
    pub fn source(&self) -> Option<IpAddr> {
        self.tcp.map(|tcp| tcp.client.ip())
    }

    /// Both ends in QEMU's form.
    pub(crate) fn endpoints(&self) -> Endpoints {
        match self.tcp {
            Some(tcp) => tcp.map(|address| self.address(address)),
            None => self.unix.as_ref().map(|path| Address::unix(&path.to_string_lossy())),
        }
    }

    /// A socket address as `getnameinfo` shows it: a link-local one with the name of its interface.
    fn address(&self, address: SocketAddr) -> Address {
        let mut shown = Address::from(address);
        if let SocketAddr::V6(v6) = address
            && v6.scope_id() != 0
            && shown.family == Family::Ipv6
            && let Ok(name) = rustix::net::netdevice::index_to_name(self.socket.as_fd(), v6.scope_id())
            && let Some((ip, _)) = shown.host.split_once('%')
        {
            shown.host = format!("{ip}%{name}").into();
        }
        shown
    }
}

/// A listener's socket in the hands of one task that accepts. The socket's file stays with the [`Listener`].
#[derive(Debug)]
pub(crate) struct Acceptor {
    /// TCP, or else unix.
    socket: Result<TcpListener, UnixListener>,
    address: NetAddress,
    failures: Arc<AcceptFailures>,
}

impl Acceptor {
    /// Accepts until the task ends, and hands each connection to `take`.
    pub(crate) async fn run(self, take: impl Fn(Accepted)) {
        let Self { socket, address, failures } = self;
        let listener = match AsyncListener::new(socket) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%address, %error, "can't accept connections"),
        };
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    if failures.succeeded(Instant::now()) {
                        tracing::info!(%address, "accepting again");
                    }
                    take(accepted);
                    // A flood of connections is accepted in turns with all other tasks.
                    tokio::task::yield_now().await;
                }
                // The client was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // The kernel is out of descriptors or memory until other connections end.
                Err(error) => {
                    if failures.failed(Instant::now()) {
                        tracing::error!(%address, %error, "can't accept for now; trying again");
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

enum AsyncListener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl AsyncListener {
    fn new(socket: Result<TcpListener, UnixListener>) -> io::Result<Self> {
        match socket {
            Ok(listener) => tokio::net::TcpListener::from_std(listener).map(Self::Tcp),
            Err(listener) => tokio::net::UnixListener::from_std(listener).map(Self::Unix),
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                let tcp = stream.local_addr().ok().map(|server| Endpoints { server, client: peer });
                Accepted { socket: stream.into(), tcp, unix: Endpoints::default() }
            }),
            Self::Unix(listener) => listener.accept().await.map(|(stream, peer)| {
                let local = stream.local_addr().ok();
                let path = |address: Option<&tokio::net::unix::SocketAddr>| {
                    address.and_then(|address| address.as_pathname()).map(PathBuf::from).unwrap_or_default()
                };
                let unix = Endpoints { server: path(local.as_ref()), client: path(Some(&peer)) };
                Accepted { socket: stream.into(), tcp: None, unix }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_addresses_those_of_this_machine_are_bound() {
        let name: NetAddress = "name:0".parse().unwrap();
        // The first is reserved for documentation.
        let [absent, here] = [[192, 0, 2, 99], [127, 0, 0, 1]].map(|ip| SocketAddr::from((ip, 0)));
        let bind = |addresses: &[SocketAddr]| bind_available(&name, addresses, false, bind_tcp);
        let bound = bind(&[absent, here]).unwrap();
        assert_eq!(bound.len(), 1);
        assert_eq!(bind(&[absent]).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        let NetAddress::Tcp(_, taken) = bound[0].address else { panic!("{bound:?}") };
        let taken = SocketAddr::from(([127, 0, 0, 1], taken));
        let error = bind(&[here, taken]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "this machine has the second address, and it is taken");
    }
}
