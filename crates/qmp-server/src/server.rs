//! The tokio front: listeners, clients, events.
#![expect(clippy::todo, clippy::unused_async, clippy::missing_panics_doc, reason = "the shape, to build against; the body follows")]

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::Service;

/// A bound socket that doesn't serve yet.
#[derive(Debug)]
pub struct Listener {}

impl Listener {
    /// Binds a unix socket with mode 0600. A stale socket file is replaced if nobody listens on it. The file is removed at the end.
    pub fn unix(_path: impl AsRef<Path>) -> io::Result<Self> {
        todo!()
    }

    /// Binds a TCP address.
    pub fn tcp(_addr: SocketAddr) -> io::Result<Self> {
        todo!()
    }

    /// Where clients connect: `unix:PATH` or `tcp:ADDR`, with the port that the system picked.
    pub fn address(&self) -> String {
        todo!()
    }
}

/// What a server is made of besides its service.
#[derive(Debug)]
pub struct ServerBuilder {}

impl ServerBuilder {
    /// Bytes of events that a client may be behind before it is disconnected.
    #[must_use]
    pub fn max_behind(self, _bytes: usize) -> Self {
        self
    }

    /// Clients at a time; more wait in the sockets' backlog.
    #[must_use]
    pub fn max_clients(self, _clients: usize) -> Self {
        self
    }

    /// The server, without a listener yet.
    pub fn build(self) -> Server {
        Server {}
    }
}

/// A QMP server. Cheap to clone; all clones are the same server.
#[derive(Clone, Debug)]
pub struct Server {}

impl Server {
    /// A server with default limits.
    pub fn new(service: Service) -> Self {
        Self::builder(service).build()
    }

    /// A server whose limits are to be set.
    pub fn builder(_service: Service) -> ServerBuilder {
        ServerBuilder {}
    }

    /// Serves a listener from now on, in a task on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen(&self, _listener: Listener) {
        todo!()
    }

    /// Sends an event to every client that has negotiated: one JSON object, with or without a line end. Never blocks, from any thread.
    pub fn publish(&self, _event: &[u8]) {
        todo!()
    }

    /// Stops accepting, flushes what was published to every client, closes; after `deadline` clients that don't read are cut off.
    pub async fn shutdown(&self, _deadline: Duration) -> Shutdown {
        todo!()
    }
}

/// How the clients of a server that was shut down went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Clients that got everything.
    pub flushed: usize,
    /// Clients that the deadline cut off.
    pub cut_off: usize,
}
