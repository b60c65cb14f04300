//! Sockets that clients connect to.

use std::{
    future::poll_fn,
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
        Endpoint::Tcp(host, _) => {
            let addresses = endpoint.resolve().map_err(failed)?;
            if host == "*" {
                // The first takes both families; the second is for machines without IPv6.
                let mut result = Err(String::new());
                for address in addresses {
                    result = bind_tcp(address).map(|bound| vec![bound]).map_err(failed);
                    if result.is_ok() || !address.is_ipv6() {
                        break;
                    }
                }
                return result;
            }
            addresses.into_iter().map(|address| bind_tcp(address).map_err(failed)).collect()
        }
    }
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
    let address = Endpoint::Tcp(local.ip().to_string(), local.port());
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
    count: u64,
    said: bool,
    last_said: Option<Instant>,
}

impl Failing {
    fn state(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many have failed.
    fn count(&self) -> u64 {
        self.state().count
    }

    /// One has failed. Whether that is to be said.
    fn failed(&self) -> bool {
        let mut state = self.state();
        state.count += 1;
        if state.said || state.last_said.is_some_and(|last| last.elapsed() < SAID_EVERY) {
            return false;
        }
        (state.said, state.last_said) = (true, Some(Instant::now()));
        true
    }

    /// One was accepted that began when so many had failed. Whether it had been said that they fail.
    ///
    /// Another task may have failed since: then this one got the last descriptor, and no news.
    fn succeeded(&self, count: u64) -> bool {
        let mut state = self.state();
        state.count == count && std::mem::take(&mut state.said)
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
        let mut failed_before = 0;
        let accepted = poll_fn(|cx| {
            failed_before = failing.count();
            match &listener {
                Listener::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, peer)| {
                    let ends = stream.local_addr().ok().map(|local| (local, peer));
                    Accepted { raw: Raw::Tcp(stream), ends, paths: Default::default() }
                }),
                Listener::Unix(listener) => listener.poll_accept(cx).map_ok(|(stream, peer)| {
                    let local = stream.local_addr().ok();
                    let path = |address: Option<&tokio::net::unix::SocketAddr>| {
                        address.and_then(|address| address.as_pathname()).map(PathBuf::from).unwrap_or_default()
                    };
                    let paths = (path(local.as_ref()), path(Some(&peer)));
                    Accepted { raw: Raw::Unix(stream), ends: None, paths }
                }),
            }
        });
        match accepted.await {
            Ok(accepted) => {
                if failing.succeeded(failed_before) {
                    tracing::info!(%address, "accepting again");
                }
                take(accepted);
            }
            // The peer was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Out of descriptors or memory: it passes when connections end.
            Err(error) => {
                if failing.failed() {
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
    fn failing_ends_with_an_accept_that_began_after_it() {
        let failing = Failing::default();
        let before = failing.count();
        assert!(failing.failed());
        assert!(!failing.failed(), "once is enough");
        assert!(!failing.succeeded(before), "it took the last descriptor");
        assert!(failing.succeeded(failing.count()));
        assert!(!failing.succeeded(failing.count()), "nothing had been said since");
        assert!(!failing.failed(), "too soon to be said again");
    }
}
