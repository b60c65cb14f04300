use std::{
    fmt, io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use spice_events::Endpoints;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream, lookup_host},
    time::{Instant, sleep, timeout},
};

use super::stream::Stream;
use crate::net::{
    NetAddress, Socket, Transport,
    proxy_protocol::{self, ProxyVersion},
    tls::UpstreamTls,
};

/// The pause between two attempts to connect to a unix socket whose backlog is full.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Connects to a SPICE server. [`NetAddress`] is the usual implementation. `Display` is the address that log lines show.
pub trait Connect: fmt::Display + Send + Sync + 'static {
    /// What it connects with.
    type Transport: Transport + 'static;

    /// Connects. `limit` is the time for it; the caller enforces it too.
    fn connect(&self, limit: Option<Duration>) -> impl Future<Output = io::Result<Self::Transport>> + Send;
}

impl Connect for NetAddress {
    type Transport = Socket;

    async fn connect(&self, limit: Option<Duration>) -> io::Result<Socket> {
        let socket = match self {
            Self::Tcp(host, port) => {
                let addresses: Vec<_> = lookup_host((host.as_str(), *port)).await?.collect();
                Socket::Tcp(connect_tcp(&addresses, limit).await?)
            }
            Self::Unix(path) => Socket::Unix(connect_unix(path).await?),
        };
        socket.tune();
        Ok(socket)
    }
}

/// The SPICE server behind a relay.
#[derive(Debug)]
pub struct Upstream<A = NetAddress> {
    address: A,
    tls: Option<Arc<UpstreamTls>>,
    send_proxy: Option<ProxyVersion>,
    is_down: AtomicBool,
}

impl<A: Connect> Upstream<A> {
    /// A server that speaks plain SPICE at this address.
    pub fn new(address: A) -> Self {
        Self { address, tls: None, send_proxy: None, is_down: AtomicBool::new(false) }
    }

    /// Speaks TLS to the server.
    #[must_use]
    pub fn tls(mut self, tls: Arc<UpstreamTls>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sends a PROXY protocol header first. spice-server itself does not understand it; a proxy before it may.
    #[must_use]
    pub fn send_proxy(mut self, version: ProxyVersion) -> Self {
        self.send_proxy = Some(version);
        self
    }

    /// The server's address.
    pub fn address(&self) -> &A {
        &self.address
    }

    /// Takes note that connecting failed.
    pub(super) fn failed(&self) {
        self.is_down.store(true, Ordering::Relaxed);
    }

    /// Takes note that connecting succeeded. Returns whether it had failed before.
    pub(super) fn recovered(&self) -> bool {
        self.is_down.load(Ordering::Relaxed) && self.is_down.swap(false, Ordering::Relaxed)
    }

    /// Connects, with the PROXY header and the TLS handshake. `accepted` are the addresses of the client's connection.
    pub(super) async fn connect(
        &self,
        accepted: Option<Endpoints<SocketAddr>>,
        limit: Option<Duration>,
        connected: impl FnOnce(&A::Transport),
    ) -> io::Result<Stream<A::Transport>> {
        let mut transport = self.address.connect(limit).await?;
        connected(&transport);
        if let Some(version) = self.send_proxy {
            transport.write_all(&proxy_protocol::write(version, accepted)).await?;
        }
        match &self.tls {
            None => Ok(Stream::plain(transport)),
            Some(tls) => Ok(Stream::tls_client(tls.connect(transport).await?)),
        }
    }
}

impl<A: Connect> From<A> for Upstream<A> {
    fn from(address: A) -> Self {
        Self::new(address)
    }
}

/// Connects to the first of a host's addresses that answers. Each gets its share of the time that is left, so that an address
/// that does not answer can't use all of it.
async fn connect_tcp(addresses: &[SocketAddr], limit: Option<Duration>) -> io::Result<TcpStream> {
    let deadline = limit.map(|limit| Instant::now() + limit);
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

/// Connects to a unix socket. Waits while its backlog is full, as the kernel does for TCP.
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(RETRY_PAUSE).await,
            connected => return connected,
        }
    }
}

pub(super) async fn within<T>(limit: Option<Duration>, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream as StdStream};

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
        let stream = connect_tcp(&addresses, Some(Duration::from_secs(4))).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert!(start.elapsed() >= Duration::from_secs(1), "the first was silent");
        let error = connect_tcp(&addresses[..1], Some(Duration::from_millis(100))).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(connect_tcp(&[], None).await.is_err());
    }
}
