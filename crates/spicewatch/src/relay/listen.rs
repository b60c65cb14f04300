//! Sockets that clients connect to.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::{
        fd::AsFd,
        unix::{fs::MetadataExt, net::UnixListener},
    },
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use spice_events::{Address, Family};

use super::{
    endpoint::{Endpoint, check_socket_path},
    leg::{Raw, tune},
};

/// Connections that the kernel holds until they are accepted; it may have a lower limit itself (`somaxconn`).
const BACKLOG: i32 = 4096;
/// How long to leave a listener alone that the kernel has no resources for.
const BREAK: Duration = Duration::from_millis(100);
/// How often that is said, at most.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// How long no accept may have failed before that is said to be over: between failures a single descriptor may come free.
const RECOVERED: Duration = Duration::from_secs(1);

/// A bound socket.
#[derive(Debug)]
pub(super) struct Bound {
    socket: Kind,
    /// Where it is, with the port that the system picked.
    pub(super) address: Endpoint,
    failing: Arc<Failing>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    /// And which file is ours to remove: device and inode.
    Unix(UnixListener, Option<(u64, u64)>),
}

/// Binds all that an address stands for.
pub(super) fn bind(endpoint: &Endpoint) -> Result<Vec<Bound>, String> {
    let failed = |error: io::Error| format!("can't listen on {endpoint}: {error}");
    match endpoint {
        Endpoint::Unix(path) => {
            check_socket_path(path)?;
            // Nobody listens on it, as was just made sure.
            let _ = std::fs::remove_file(path);
            let listener = UnixListener::bind(path).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let file = std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
            Ok(vec![Bound { socket: Kind::Unix(listener, file), address: endpoint.clone(), failing: Arc::default() }])
        }
        Endpoint::Tcp(..) => bind_each(endpoint, bind_tcp).map_err(failed),
    }
}

/// Binds the addresses of a host; of `*` the first that can be, as it takes both families, and the second is for machines
/// without IPv6. Of a name that stands for several, those count that this machine has: `localhost` is `::1` too, which is
/// not there where IPv6 is off.
pub(super) fn bind_each<T>(endpoint: &Endpoint, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<Vec<T>> {
    let addresses = endpoint.resolve()?;
    let one_does = endpoint.host() == Some("*");
    bind_those_here(endpoint, &addresses, one_does, bind)
}

fn bind_those_here<T>(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    one_does: bool,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<Vec<T>> {
    let (mut bound, mut absent) = (Vec::new(), Vec::new());
    for &address in addresses {
        match bind(address) {
            Ok(one) => bound.push(one),
            Err(error) if is_absent(&error) => absent.push((address, error)),
            Err(error) => return Err(error),
        }
        if one_does && !bound.is_empty() {
            return Ok(bound);
        }
    }
    if !bound.is_empty() {
        for (address, error) in absent {
            tracing::warn!(%endpoint, %address, %error, "not listened on, as this machine does not have it");
        }
        return Ok(bound);
    }
    let error = absent.pop().map(|(_, error)| error);
    Err(error.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
}

/// Whether this machine has no such address, or no such family.
fn is_absent(error: &io::Error) -> bool {
    let absent = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT];
    absent.into_iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn bind_tcp(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // As spice-server does: `[::]` takes IPv4 as well.
        socket.set_only_v6(false)?;
    }
    // For every connection that it accepts: Linux hands them on.
    tune(&socket);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let local = listener.local_addr()?;
    let host = match local {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        local => local.ip().to_string(),
    };
    let address = Endpoint::Tcp(host, local.port());
    Ok(Bound { socket: Kind::Tcp(listener), address, failing: Arc::default() })
}

/// The same socket once more, for a task that accepts; its file stays with the original.
#[derive(Debug)]
pub(super) struct Acceptor {
    /// TCP, or else unix.
    socket: Result<TcpListener, UnixListener>,
    address: Endpoint,
    failing: Arc<Failing>,
}

/// Whether a listener's accepts fail, and since when somebody knows: one for all tasks that accept from it.
#[derive(Debug, Default)]
struct Failing(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    last: Option<Instant>,
    said: bool,
    last_said: Option<Instant>,
}

impl Failing {
    fn state(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One has failed. Whether that is to be said.
    fn failed(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.last = Some(now);
        if state.said || state.last_said.is_some_and(|last| now.duration_since(last) < SAID_EVERY) {
            return false;
        }
        (state.said, state.last_said) = (true, Some(now));
        true
    }

    /// One was accepted. Whether that is to be said: that they fail was, and none has for a while. Until then it may be that
    /// this one got the last descriptor.
    fn succeeded(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.last.is_none_or(|last| now.duration_since(last) >= RECOVERED) && std::mem::take(&mut state.said)
    }
}

impl Bound {
    pub(super) fn acceptor(&self) -> io::Result<Acceptor> {
        let socket = match &self.socket {
            Kind::Tcp(listener) => Ok(listener.try_clone()?),
            Kind::Unix(listener, _) => Err(listener.try_clone()?),
        };
        Ok(Acceptor { socket, address: self.address.clone(), failing: Arc::clone(&self.failing) })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let (Kind::Unix(_, file), Endpoint::Unix(path)) = (&self.socket, &self.address)
            && file.is_some()
            && *file == std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A connection just accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) raw: Raw,
    /// Our end and the peer's, of TCP.
    pub(super) ends: Option<(SocketAddr, SocketAddr)>,
    /// The same, of a unix socket: paths, empty where there is none.
    paths: (PathBuf, PathBuf),
}

impl Accepted {
    /// The peer's IP address; none of a unix socket.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.ends.map(|(_, peer)| peer.ip())
    }

    /// Both ends as QEMU shows them, the server's first.
    pub(super) fn addresses(&self) -> (Address, Address) {
        match self.ends {
            Some((local, peer)) => (self.address(local), self.address(peer)),
            None => (Address::unix(&self.paths.0.to_string_lossy()), Address::unix(&self.paths.1.to_string_lossy())),
        }
    }

    /// A socket address as `getnameinfo` shows it: a link-local one with its interface's name.
    pub(super) fn address(&self, address: SocketAddr) -> Address {
        let mut shown = Address::from(address);
        if let SocketAddr::V6(v6) = address
            && v6.scope_id() != 0
            && shown.family == Family::Ipv6
            && let Ok(name) = rustix::net::netdevice::index_to_name(self.raw.as_fd(), v6.scope_id())
            && let Some((ip, _)) = shown.host.split_once('%')
        {
            shown.host = format!("{ip}%{name}").into();
        }
        shown
    }
}

/// Accepts, and hands each connection to `take`, for ever.
pub(super) async fn accept(Acceptor { socket, address, failing }: Acceptor, take: impl Fn(Accepted)) {
    enum Listener {
        Tcp(tokio::net::TcpListener),
        Unix(tokio::net::UnixListener),
    }
    let listener = match socket {
        Ok(listener) => tokio::net::TcpListener::from_std(listener).map(Listener::Tcp),
        Err(listener) => tokio::net::UnixListener::from_std(listener).map(Listener::Unix),
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%address, %error, "can't accept"),
    };
    loop {
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                let ends = stream.local_addr().ok().map(|local| (local, peer));
                Accepted { raw: Raw::Tcp(stream), ends, paths: Default::default() }
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, peer)| {
                let local = stream.local_addr().ok();
                let path = |address: Option<&tokio::net::unix::SocketAddr>| {
                    address.and_then(|address| address.as_pathname()).map(PathBuf::from).unwrap_or_default()
                };
                let paths = (path(local.as_ref()), path(Some(&peer)));
                Accepted { raw: Raw::Unix(stream), ends: None, paths }
            }),
        };
        match accepted {
            Ok(accepted) => {
                if failing.succeeded(Instant::now()) {
                    tracing::info!(%address, "accepting again");
                }
                take(accepted);
            }
            // The peer was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Out of descriptors or memory: it passes when connections end.
            Err(error) => {
                if failing.failed(Instant::now()) {
                    tracing::error!(%address, %error, "can't accept for now; trying again");
                }
                tokio::time::sleep(BREAK).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_addresses_those_count_that_are_here() {
        let endpoint: Endpoint = "name:0".parse().unwrap();
        // The first is for documentation.
        let [absent, here] = [[192, 0, 2, 99], [127, 0, 0, 1]].map(|ip| SocketAddr::from((ip, 0)));
        let bind = |addresses: &[SocketAddr]| bind_those_here(&endpoint, addresses, false, bind_tcp);
        let bound = bind(&[absent, here]).unwrap();
        assert_eq!(bound.len(), 1);
        assert_eq!(bind(&[absent]).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        let Endpoint::Tcp(_, taken) = bound[0].address else { panic!("{bound:?}") };
        let taken = SocketAddr::from(([127, 0, 0, 1], taken));
        assert_eq!(bind(&[here, taken]).unwrap_err().kind(), io::ErrorKind::AddrInUse, "one that is here and can't be");
    }

    #[test]
    fn failing_is_over_when_none_has_failed_for_a_while() {
        let (failing, start) = (Failing::default(), Instant::now());
        assert!(!failing.succeeded(start), "nothing had been said");
        assert!(failing.failed(start));
        assert!(!failing.failed(start), "once is enough");
        assert!(!failing.succeeded(start + RECOVERED / 2), "it took the last descriptor");
        assert!(!failing.failed(start + RECOVERED / 2));
        assert!(!failing.succeeded(start + RECOVERED));
        assert!(failing.succeeded(start + RECOVERED * 2));
        assert!(!failing.succeeded(start + RECOVERED * 2), "once is enough");
        assert!(!failing.failed(start + RECOVERED * 2), "too soon to be said again");
        assert!(failing.failed(start + SAID_EVERY));
    }
}
