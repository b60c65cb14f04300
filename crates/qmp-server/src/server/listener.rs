//! Bound sockets, unix and TCP.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    unix::net::UnixListener as StdUnixListener,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::bind_error::BindError;
#[cfg(unix)]
use super::unix_socket::{Socket, UnixOptions};
use super::{Inner, Server};

/// How long a listener rests after an accept that failed, for want of descriptors for example.
const REST: Duration = Duration::from_millis(100);
/// The shortest time between two log lines about failed accepts, or about a full server.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// A socket that is bound and doesn't serve yet: see [`Server::listen`].
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    /// Its own places, besides the server's.
    places: Option<Arc<Semaphore>>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(Socket),
}

/// A second hold on a listener's socket: see [`Listener::handle`]. Clients can connect until it is dropped too.
#[cfg(unix)]
#[derive(Debug)]
pub struct ListenerHandle {
    descriptor: OwnedFd,
    left: Option<Arc<AtomicBool>>,
}

#[cfg(unix)]
impl ListenerHandle {
    /// Whether the listener removes a file at its end.
    pub fn owns_file(&self) -> bool {
        self.left.is_some()
    }

    /// Lets the listener leave its file at its end: another process has the socket.
    pub fn leave_file(&self) {
        if let Some(left) = &self.left {
            left.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(unix)]
impl AsFd for ListenerHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// What a client of a listener takes from the limits until it leaves.
pub(super) struct Place {
    _permits: [Option<OwnedSemaphorePermit>; 3],
}

impl Listener {
    fn new(kind: Kind) -> Self {
        Self { kind, places: None }
    }

    /// Binds a TCP address; port 0 lets the system pick one. Anyone who can reach it can run every command.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        let bind = || Self::from_tcp(std::net::TcpListener::bind(address)?);
        bind().map_err(|source| BindError::new(format!("tcp:{address}"), source))
    }

    /// Binds a unix socket of mode 0600. Replaces a socket file without a listener. Leaves any other file alone.
    /// The file is removed when the listener goes, if it is still this one's.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<std::path::Path>) -> Result<Self, BindError> {
        Self::unix_with(path, UnixOptions::default())
    }

    /// As [`unix`](Self::unix), with another mode or group. They are set before any client can connect.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[cfg(unix)]
    pub fn unix_with(path: impl AsRef<std::path::Path>, options: UnixOptions) -> Result<Self, BindError> {
        Socket::bind(path.as_ref(), options).map(|socket| Self::new(Kind::Unix(socket)))
    }

    /// Takes over a TCP socket that listens already.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(|listener| Self::new(Kind::Tcp(listener)))
    }

    /// Takes over a unix socket that listens already. Its file, mode and group are the caller's: it is not removed at the end.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[cfg(unix)]
    pub fn from_unix(listener: StdUnixListener) -> io::Result<Self> {
        Socket::bound(listener).map(|socket| Self::new(Kind::Unix(socket)))
    }

    /// Takes over the descriptor of a unix or TCP socket that listens already: one that a service manager or a parent process has
    /// bound. Another descriptor is an error of kind `InvalidInput`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[cfg(unix)]
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        let unix = StdUnixListener::from(descriptor);
        if unix.local_addr().is_ok() {
            return Self::from_unix(unix);
        }
        let tcp = std::net::TcpListener::from(OwnedFd::from(unix));
        match tcp.local_addr() {
            Ok(_) => Self::from_tcp(tcp),
            Err(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a unix or TCP socket that listens")),
        }
    }

    /// Removes the file of a unix socket at the end, although it came with [`from_unix`](Self::from_unix).
    #[cfg(unix)]
    #[must_use]
    pub fn own_file(mut self) -> Self {
        if let Kind::Unix(socket) = &mut self.kind {
            socket.own_file();
        }
        self
    }

    /// A second hold on the socket, for a process that hands it over to another one while it is served.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn handle(&self) -> io::Result<ListenerHandle> {
        let (descriptor, left) = match &self.kind {
            Kind::Tcp(listener) => (listener.as_fd().try_clone_to_owned()?, None),
            Kind::Unix(socket) => (socket.descriptor().try_clone_to_owned()?, socket.left()),
        };
        Ok(ListenerHandle { descriptor, left })
    }

    /// Clients of this listener at a time, besides the limit of the server
    /// ([`ServerBuilder::max_clients`](super::ServerBuilder::max_clients)); more wait. QEMU's own listeners serve one.
    #[must_use]
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.places = Some(Arc::new(Semaphore::new(clients.min(Semaphore::MAX_PERMITS))));
        self
    }

    /// Where clients connect: `unix:PATH` or `tcp:ADDR:PORT`.
    pub fn address(&self) -> String {
        match &self.kind {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("tcp:{address}"),
                Err(error) => format!("tcp:({error})"),
            },
            #[cfg(unix)]
            Kind::Unix(socket) => socket.address(),
        }
    }

    /// The address of a TCP listener, with the port that the system picked.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    /// Accepts clients until the server shuts down. Nothing else ends it.
    pub(super) async fn run(self, server: &Server) {
        let address = self.address();
        tracing::info!(listener = address, "listening");
        if self.local_addr().is_some_and(|address| !address.ip().to_canonical().is_loopback()) {
            tracing::warn!(
                listener = address,
                "QMP has no authentication: every client that can reach this address can run every command"
            );
        }
        server.inner.until_shutdown(self.accept_all(server, &address)).await;
        tracing::debug!(listener = address, "closed");
    }

    async fn accept_all(&self, server: &Server, address: &str) {
        let (mut said_failing, mut said_full) = (None, None);
        loop {
            if let Err(error) = self.accept(server, address, &mut said_full).await {
                if is_news(&mut said_failing) {
                    tracing::warn!(listener = address, "accept failed, trying on: {error}");
                }
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// Accepts a client and waits for its place. Further clients wait in the socket's backlog.
    async fn accept(&self, server: &Server, address: &str, said_full: &mut Option<Instant>) -> io::Result<()> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Writes are whole batches of lines already.
                _ = stream.set_nodelay(true);
                let place = self.place(&server.inner, address, said_full).await;
                server.spawn(stream, format!("tcp:{peer}"), Some(place));
            }
            #[cfg(unix)]
            Kind::Unix(socket) => {
                let (stream, name) = socket.accept().await?;
                let place = self.place(&server.inner, address, said_full).await;
                server.spawn(stream, name, Some(place));
            }
        }
        Ok(())
    }

    /// Waits for a place for a client. Logs the wait, because a waiting client gets no greeting.
    async fn place(&self, server: &Inner, address: &str, said: &mut Option<Instant>) -> Place {
        let of_tcp = matches!(self.kind, Kind::Tcp(_)).then_some(&server.tcp_places);
        let mut permits = [None, None, None];
        for (permit, places) in permits.iter_mut().zip([self.places.as_ref(), of_tcp, Some(&server.places)]) {
            let Some(places) = places else { continue };
            *permit = Arc::clone(places).try_acquire_owned().ok();
            if permit.is_some() {
                continue;
            }
            if is_news(said) {
                let clients = server.connected.load(Ordering::Relaxed);
                tracing::warn!(
                    listener = address,
                    clients,
                    "as many clients as there may be; others wait until one leaves"
                );
            }
            *permit = Arc::clone(places).acquire_owned().await.ok();
        }
        Place { _permits: permits }
    }
}

/// Tells whether a line may be logged again, and notes the time if so.
fn is_news(said: &mut Option<Instant>) -> bool {
    let is_news = said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
    if is_news {
        *said = Some(Instant::now());
    }
    is_news
}
