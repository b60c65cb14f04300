use std::{fmt, io, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream, lookup_host},
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    connect::{Connect, within},
    lookup::Lookup,
};
use crate::net::{NetAddress, Socket};

/// Pauses between attempts to connect to a unix socket whose backlog is full: the first, and the longest after doubling.
const BACKLOG_PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// Connects to an address over TCP or a unix socket.
///
/// A host name has one look-up at a time. Its addresses are kept for 5 seconds. At a unix socket with a full backlog, connections
/// wait in a queue.
#[derive(Debug)]
pub struct Connector {
    address: NetAddress,
    lookup: Lookup,
    backlog: Backlog,
}

impl Connector {
    /// Connects to this address.
    pub fn new(address: NetAddress) -> Self {
        Self { address, lookup: Lookup::default(), backlog: Backlog::default() }
    }
}

impl From<NetAddress> for Connector {
    fn from(address: NetAddress) -> Self {
        Self::new(address)
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Connect for Connector {
    type Transport = Socket;

    async fn connect(&self, limit: Option<Duration>) -> io::Result<Socket> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let socket = match &self.address {
            NetAddress::Tcp(host, port) => {
                let addresses = match host.parse() {
                    Ok(ip) => vec![SocketAddr::new(ip, *port)],
                    Err(_) => self.lookup.addresses(|| look_up(host.clone(), *port)).await?,
                };
                Socket::Tcp(connect_tcp(&addresses, deadline).await?)
            }
            NetAddress::Unix(path) => Socket::Unix(connect_unix(&self.backlog, path).await?),
        };
        socket.tune();
        Ok(socket)
    }
}

async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    lookup_host((host.as_str(), port)).await.map(Iterator::collect)
}

/// Connects to the first of a host's addresses that answers. Each gets its share of the time that is left, so that an address
/// that does not answer can't use all of it.
async fn connect_tcp(addresses: &[SocketAddr], deadline: Option<Instant>) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()) / left);
        match within(share, TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) if addresses.len() == 1 => failed = error,
            Err(error) => failed = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(failed)
}

/// Connects to a unix socket. Waits while its backlog is full, like the kernel does for TCP.
async fn connect_unix(backlog: &Backlog, path: &Path) -> io::Result<UnixStream> {
    backlog.connect(|| UnixStream::connect(path)).await
}

/// The queue of connections to a unix socket. Only the first of them tries again while the socket's backlog is full.
#[derive(Debug, Default)]
struct Backlog(Mutex<()>);

impl Backlog {
    /// Makes attempts in turn with all others, until one does not fail because of a full backlog.
    async fn connect<T, F: Future<Output = io::Result<T>>>(&self, mut attempt: impl FnMut() -> F) -> io::Result<T> {
        let _turn = self.0.lock().await;
        let (mut pause, longest) = BACKLOG_PAUSES;
        loop {
            match attempt().await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(pause).await,
                outcome => return outcome,
            }
            pause = (pause * 2).min(longest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream as StdStream},
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
    };

    /// A listener that does not answer, because its backlog is full.
    fn silent() -> (TcpListener, Vec<StdStream>) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let waiting = std::iter::from_fn(|| StdStream::connect_timeout(&address, Duration::from_millis(300)).ok());
        let waiting = waiting.take(100).collect();
        (listener, waiting)
    }

    #[tokio::test]
    async fn silent_address_leaves_time_for_the_others() {
        let ((silent, _waiting), answering) = (silent(), TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [&silent, &answering].map(|listener| listener.local_addr().unwrap());
        let start = Instant::now();
        let stream = connect_tcp(&addresses, Some(start + Duration::from_secs(4))).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert!(start.elapsed() >= Duration::from_secs(1), "the first was silent");
        let soon = Instant::now() + Duration::from_millis(100);
        let error = connect_tcp(&addresses[..1], Some(soon)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(connect_tcp(&[], None).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn many_connections_that_wait_for_a_backlog_make_few_attempts() {
        const CONNECTIONS: usize = 2000;
        let (backlog, is_full) = (Arc::new(Backlog::default()), Arc::new(AtomicBool::new(true)));
        let attempts = Arc::<AtomicUsize>::default();
        let start = |patience: Duration| {
            let (backlog, is_full, attempts) = (Arc::clone(&backlog), Arc::clone(&is_full), Arc::clone(&attempts));
            tokio::spawn(async move {
                let attempt = || {
                    attempts.fetch_add(1, Ordering::Relaxed);
                    let is_full = is_full.load(Ordering::Relaxed);
                    async move { if is_full { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) } }
                };
                within(Some(patience), backlog.connect(attempt)).await.is_ok()
            })
        };
        // The first gives up, and the next one takes its place.
        let first = start(Duration::from_secs(5));
        let waiting: Vec<_> = (1..CONNECTIONS).map(|_| start(Duration::from_secs(60))).collect();
        sleep(Duration::from_secs(10)).await;
        assert!(!first.await.unwrap());
        let made = attempts.load(Ordering::Relaxed);
        assert!((50..=70).contains(&made), "{made} attempts in 10 seconds");
        is_full.store(false, Ordering::Relaxed);
        for waiting in waiting {
            assert!(waiting.await.unwrap());
        }
        assert!(attempts.load(Ordering::Relaxed) < made + CONNECTIONS);
    }
}
