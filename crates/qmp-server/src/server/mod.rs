//! The tokio front: listeners, clients, events.

mod bind_error;
mod client_handle;
mod connection;
mod dialer;
mod listener;
#[cfg(unix)]
mod unix_socket;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use self::bind_error::BindError;
pub use self::client_handle::{ClientHandle, CloseReason};
pub use self::dialer::{DEFAULT_RECONNECT, Dialer};
pub use self::listener::Listener;
#[cfg(unix)]
pub use self::listener::ListenerHandle;
#[cfg(unix)]
pub use self::unix_socket::UnixOptions;

use self::connection::{Any, Transport};
use self::listener::Place;
use crate::fanout::Fanout;
use crate::{Encode as _, EventMessage, Service};

/// Bytes of events that a client may be behind, unless [`ServerBuilder::max_behind`] says otherwise: some 60 000 SPICE events.
pub const DEFAULT_MAX_BEHIND: usize = 16 << 20;

/// Clients at a time, unless [`ServerBuilder::max_clients`] says otherwise.
pub const DEFAULT_MAX_CLIENTS: usize = 4096;

/// Of these, the places that TCP clients can't take, unless [`ServerBuilder::reserved_for_unix`] says otherwise. A server with few
/// places reserves an eighth.
pub const DEFAULT_RESERVED_FOR_UNIX: usize = 64;

/// How long a client may take for the negotiation, unless [`ServerBuilder::negotiation_timeout`] says otherwise. QEMU waits forever.
pub const DEFAULT_NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(60);

/// A QMP server on the caller's tokio runtime. Cheap to clone; all clones are the same server.
///
/// QEMU serves one client at a time on a socket, and a second one waits without a greeting. This serves them all at once:
/// each has its own session, and each gets every event. Replies go only to who asked.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    /// What the next client is offered.
    service: Mutex<Service>,
    events: Fanout,
    max_behind: usize,
    negotiation_timeout: Option<Duration>,
    places: Arc<Semaphore>,
    /// Those that TCP clients may take.
    tcp_places: Arc<Semaphore>,
    /// When it is set, everyone finishes by that time.
    deadline: watch::Sender<Option<Instant>>,
    /// One receiver for each client and listener; closed when all are gone.
    alive: watch::Sender<()>,
    connected: AtomicUsize,
    flushed: AtomicUsize,
    cut_off: AtomicUsize,
}

/// Builds a [`Server`].
#[derive(Debug)]
pub struct ServerBuilder {
    service: Service,
    max_behind: usize,
    max_clients: usize,
    reserved_for_unix: Option<usize>,
    negotiation_timeout: Option<Duration>,
}

impl ServerBuilder {
    /// Bytes of events that a client may be behind before it is disconnected, [`DEFAULT_MAX_BEHIND`] otherwise.
    ///
    /// All clients share one log, so this is also the most memory that events take, however many clients are slow.
    #[must_use]
    pub fn max_behind(mut self, bytes: usize) -> Self {
        self.max_behind = bytes;
        self
    }

    /// Clients at a time, [`DEFAULT_MAX_CLIENTS`] otherwise; more wait without a greeting until a client leaves. Clients that are
    /// [served](Server::serve) on a stream or [dialled](Server::dial) don't count.
    #[must_use]
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.max_clients = clients.min(Semaphore::MAX_PERMITS);
        self
    }

    /// The number of [these clients](Self::max_clients) that must be clients of unix sockets, [`DEFAULT_RESERVED_FOR_UNIX`]
    /// otherwise: idle TCP clients can't lock out the clients of this machine.
    #[must_use]
    pub fn reserved_for_unix(mut self, clients: usize) -> Self {
        self.reserved_for_unix = Some(clients);
        self
    }

    /// How long a client may take for the negotiation, [`DEFAULT_NEGOTIATION_TIMEOUT`] otherwise. Then it is disconnected. `None`
    /// waits forever, as QEMU does.
    #[must_use]
    pub fn negotiation_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.negotiation_timeout = timeout;
        self
    }

    /// The server, without a listener yet.
    pub fn build(self) -> Server {
        let reserved = self.reserved_for_unix.unwrap_or(DEFAULT_RESERVED_FOR_UNIX.min(self.max_clients / 8));
        Server {
            inner: Arc::new(Inner {
                service: Mutex::new(self.service),
                events: Fanout::new(self.max_behind),
                max_behind: self.max_behind,
                negotiation_timeout: self.negotiation_timeout,
                places: Arc::new(Semaphore::new(self.max_clients)),
                tcp_places: Arc::new(Semaphore::new(self.max_clients.saturating_sub(reserved))),
                deadline: watch::Sender::new(None),
                alive: watch::Sender::new(()),
                connected: AtomicUsize::new(0),
                flushed: AtomicUsize::new(0),
                cut_off: AtomicUsize::new(0),
            }),
        }
    }
}

impl Server {
    /// A server with default limits.
    pub fn new(service: Service) -> Self {
        Self::builder(service).build()
    }

    /// A server whose limits are to be set.
    pub fn builder(service: Service) -> ServerBuilder {
        ServerBuilder {
            service,
            max_behind: DEFAULT_MAX_BEHIND,
            max_clients: DEFAULT_MAX_CLIENTS,
            reserved_for_unix: None,
            negotiation_timeout: Some(DEFAULT_NEGOTIATION_TIMEOUT),
        }
    }

    /// Serves a listener from now on, in a task on the current tokio runtime. After [`shutdown`](Self::shutdown) it is closed at once.
    ///
    /// Aborting the handle closes the listener. Its clients stay.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen(&self, listener: Listener) -> AbortHandle {
        let (server, alive) = (self.clone(), self.inner.alive.subscribe());
        let task = tokio::spawn(async move {
            listener.run(&server).await;
            drop(alive);
        });
        task.abort_handle()
    }

    /// Connects to a client that waits for its server, in a task on the current tokio runtime, and connects again whenever the
    /// connection has ended. It ends with [`shutdown`](Self::shutdown), or when the handle is aborted.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn dial(&self, dialer: Dialer) -> AbortHandle {
        let (server, alive) = (self.clone(), self.inner.alive.subscribe());
        let task = tokio::spawn(async move {
            dialer.run(&server).await;
            drop(alive);
        });
        task.abort_handle()
    }

    /// Offers something else to clients that connect from now on, a version that has become known for example.
    pub fn set_service(&self, service: Service) {
        *self.inner.service.lock().unwrap_or_else(PoisonError::into_inner) = service;
    }

    /// Serves one client on a stream of any kind (vsock, TLS, a pair of pipes), in a task on the current tokio runtime.
    /// `name` is what the log calls it. The handle tells when and why the connection has ended.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve<S>(&self, stream: S, name: impl fmt::Display) -> ClientHandle
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.spawn(Any(stream), name.to_string(), None)
    }

    /// Sends an event to every client that has negotiated: one JSON object on one line, with or without a line end.
    ///
    /// It is copied once, whatever the number of clients, and waits for none of them. Any thread may call it.
    ///
    /// A client that sees an event before the reply to a command can rely on the reply knowing of it, if what the command reads
    /// is brought up to date before the event is published. The reverse doesn't hold, in QEMU neither: a reply may
    /// know of an event that comes after it.
    pub fn publish(&self, event: &[u8]) {
        self.inner.events.publish(event.trim_ascii_end());
    }

    /// [Publishes](Self::publish) an event of `qmp-schema`'s.
    pub fn publish_event(&self, event: &EventMessage<'_>) {
        self.inner.events.publish(&event.to_vec());
    }

    /// How many clients are connected.
    pub fn clients(&self) -> usize {
        self.inner.connected.load(Ordering::Relaxed)
    }

    /// Ends the service: listeners close and their socket files go, what was published goes out to each client, and the
    /// connections are closed. Clients that don't take it within `deadline` are cut off.
    pub async fn shutdown(&self, deadline: Duration) -> Shutdown {
        let now = Instant::now();
        let until = now.checked_add(deadline).unwrap_or(now);
        self.inner.deadline.send_if_modified(|old| {
            let first = old.is_none();
            old.get_or_insert(until);
            first
        });
        self.inner.alive.closed().await;
        Shutdown {
            flushed: self.inner.flushed.load(Ordering::Relaxed),
            cut_off: self.inner.cut_off.load(Ordering::Relaxed),
        }
    }

    fn spawn(&self, stream: impl Transport + Send + 'static, name: String, place: Option<Place>) -> ClientHandle {
        let server = self.clone();
        let client = Client::new(server.clone(), place);
        ClientHandle::new(tokio::spawn(async move {
            tracing::debug!(client = name, "connected");
            let reason = connection::run(stream, &server.inner).await;
            match &reason {
                CloseReason::Flushed => _ = server.inner.flushed.fetch_add(1, Ordering::Relaxed),
                CloseReason::CutOff => _ = server.inner.cut_off.fetch_add(1, Ordering::Relaxed),
                _ => {}
            }
            match &reason {
                CloseReason::FellBehind => {
                    tracing::warn!(client = name, max_behind = server.inner.max_behind, "disconnected: {reason}");
                }
                CloseReason::CutOff => tracing::warn!(client = name, "disconnected: {reason}"),
                CloseReason::NotNegotiated => tracing::info!(client = name, "disconnected: {reason}"),
                _ => tracing::debug!(client = name, "disconnected: {reason}"),
            }
            drop(client);
            reason
        }))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("clients", &self.clients()).finish_non_exhaustive()
    }
}

/// How the clients of a server that was shut down went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Clients that were sent everything.
    pub flushed: usize,
    /// Clients that the deadline cut off.
    pub cut_off: usize,
}

/// A client's place in the counts, given back even if a command panics.
struct Client {
    server: Server,
    _place: Option<Place>,
    _alive: watch::Receiver<()>,
}

impl Client {
    fn new(server: Server, place: Option<Place>) -> Self {
        server.inner.connected.fetch_add(1, Ordering::Relaxed);
        let alive = server.inner.alive.subscribe();
        Self { server, _place: place, _alive: alive }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.server.inner.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn service(&self) -> Service {
        self.service.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does `work` unless the server shuts down first.
    async fn until_shutdown<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut deadline = self.deadline.subscribe();
        let (mut stop, mut work) = (pin!(deadline.wait_for(Option::is_some)), pin!(work));
        poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            stop.as_mut().poll(context).map(|_| None)
        })
        .await
    }
}
