//! The tokio front: listeners, clients, events.

mod connection;
mod listener;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

pub use self::listener::{BindError, Listener};

use self::connection::{Any, Ending, Transport};
use crate::fanout::Fanout;
use crate::{Encode as _, EventMessage, Service};

/// Bytes of events that a client may be behind, unless [`ServerBuilder::max_behind`] says otherwise: some 60 000 SPICE events.
pub const DEFAULT_MAX_BEHIND: usize = 16 << 20;

/// Clients at a time, unless [`ServerBuilder::max_clients`] says otherwise.
pub const DEFAULT_MAX_CLIENTS: usize = 4096;

/// A QMP server on the caller's tokio runtime. Cheap to clone; all clones are the same server.
///
/// QEMU serves one client at a time on a socket, and a second one waits without a greeting. This serves them all at once:
/// each has its own session, and each gets every event. Replies go only to who asked.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    service: Service,
    events: Fanout,
    max_behind: usize,
    places: Arc<Semaphore>,
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

    /// Clients at a time, [`DEFAULT_MAX_CLIENTS`] otherwise; more wait in the sockets' backlog.
    #[must_use]
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.max_clients = clients.min(Semaphore::MAX_PERMITS);
        self
    }

    /// The server, without a listener yet.
    pub fn build(self) -> Server {
        Server {
            inner: Arc::new(Inner {
                service: self.service,
                events: Fanout::new(self.max_behind),
                max_behind: self.max_behind,
                places: Arc::new(Semaphore::new(self.max_clients)),
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
        ServerBuilder { service, max_behind: DEFAULT_MAX_BEHIND, max_clients: DEFAULT_MAX_CLIENTS }
    }

    /// Serves a listener from now on, in a task on the current tokio runtime. After [`shutdown`](Self::shutdown) it is closed at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen(&self, listener: Listener) {
        let (server, alive) = (self.clone(), self.inner.alive.subscribe());
        tokio::spawn(async move {
            listener.run(&server).await;
            drop(alive);
        });
    }

    /// Serves one client on a stream of any kind (vsock, TLS, a pair of pipes), in a task on the current tokio runtime.
    /// `name` is what the log calls it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve<S>(&self, stream: S, name: impl fmt::Display)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.spawn(Any(stream), name.to_string(), None);
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

    fn spawn(&self, stream: impl Transport + Send + 'static, name: String, place: Option<OwnedSemaphorePermit>) {
        let server = self.clone();
        let client = Client::new(server.clone(), place);
        tokio::spawn(async move {
            tracing::debug!(client = name, "connected");
            let ending = connection::run(stream, &server.inner).await;
            match &ending {
                Ending::Flushed => _ = server.inner.flushed.fetch_add(1, Ordering::Relaxed),
                Ending::CutOff => _ = server.inner.cut_off.fetch_add(1, Ordering::Relaxed),
                Ending::FellBehind | Ending::Left | Ending::Failed(_) => {}
            }
            match ending {
                Ending::FellBehind => {
                    tracing::warn!(client = name, max_behind = server.inner.max_behind, "disconnected: {ending}");
                }
                Ending::CutOff => tracing::warn!(client = name, "disconnected: {ending}"),
                Ending::Left | Ending::Failed(_) | Ending::Flushed => {
                    tracing::debug!(client = name, "disconnected: {ending}");
                }
            }
            drop(client);
        });
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
    _place: Option<OwnedSemaphorePermit>,
    _alive: watch::Receiver<()>,
}

impl Client {
    fn new(server: Server, place: Option<OwnedSemaphorePermit>) -> Self {
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
