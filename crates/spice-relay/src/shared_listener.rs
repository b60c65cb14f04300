use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    Error, Relay,
    connection::{self, Choice, ConnectionLimit, Shared, Target, Targets, Timeouts, Turns},
    net::{Listener, NetAddress, Network, Socket, tls::ServerTls},
};

/// Listeners that several relays share: the first bytes of a connection choose its relay.
///
/// With [`by_server_name`](Self::by_server_name), clients speak TLS, and the server name of their ClientHello (SNI) chooses. With
/// [`by_http_connect`](Self::by_http_connect), clients send an HTTP CONNECT, and its host and port choose.
///
/// A connection is reported to its relay's observer when it is chosen, with the address of this listener as the server. Other connections are
/// closed, and the log says why. Dropping it stops accepting; connections that were accepted go on.
#[derive(Debug)]
pub struct SharedListener {
    accepting: Vec<JoinHandle<()>>,
    listeners: Vec<Listener>,
    shared: Arc<Shared>,
}

/// The configuration of a [`SharedListener`].
#[must_use = "it accepts after `start_on`"]
pub struct SharedListenerBuilder {
    listeners: Vec<Listener>,
    choice: Choice,
    name: String,
    proxy_from: Vec<Network>,
    timeouts: Timeouts,
    limit: Arc<ConnectionLimit>,
    accept_tasks: usize,
}

/// The relays of a [`SharedListener`], by the names that clients give. Names are compared without regard to case.
#[derive(Default)]
pub struct SharedRoutes(Targets);

impl SharedListener {
    /// Starts the configuration of listeners whose clients speak TLS: the server name of the ClientHello chooses.
    pub fn by_server_name(listeners: Vec<Listener>, limit: Arc<ConnectionLimit>) -> SharedListenerBuilder {
        SharedListenerBuilder::new(listeners, Choice::ServerName, limit)
    }

    /// Starts the configuration of listeners whose clients send an HTTP CONNECT: its host and port choose.
    pub fn by_http_connect(listeners: Vec<Listener>, limit: Arc<ConnectionLimit>) -> SharedListenerBuilder {
        SharedListenerBuilder::new(listeners, Choice::HttpConnect, limit)
    }

    /// The addresses on which it listens, with the ports that the system picked.
    pub fn addresses(&self) -> impl Iterator<Item = &NetAddress> {
        self.listeners.iter().map(Listener::address)
    }

    /// Its listeners.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter()
    }

    /// Sets the relays for connections from now on. Before the first call, every connection is refused.
    pub fn set_routes(&self, routes: SharedRoutes) {
        *self.shared.targets.write().unwrap_or_else(PoisonError::into_inner) = routes.0;
    }

    /// Stops accepting, and returns its listeners. Clients wait in their backlogs until they are accepted again. Open connections go on.
    pub async fn release(&mut self) -> Vec<Listener> {
        for task in &self.accepting {
            task.abort();
        }
        for task in self.accepting.drain(..) {
            let _ = task.await;
        }
        std::mem::take(&mut self.listeners)
    }
}

impl Drop for SharedListener {
    fn drop(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
    }
}

impl SharedListenerBuilder {
    fn new(listeners: Vec<Listener>, choice: Choice, limit: Arc<ConnectionLimit>) -> Self {
        let name = listeners.first().map(|listener| listener.address().to_string()).unwrap_or_default();
        let (proxy_from, timeouts) = (Vec::new(), Timeouts::new());
        Self { listeners, choice, name, proxy_from, timeouts, limit, accept_tasks: 1 }
    }

    /// Sets the name that log lines show as `vm` until a connection's VM is known. Default: the first address.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Requires a PROXY protocol header from this network's clients, before anything else.
    pub fn proxy_from(mut self, network: Network) -> Self {
        self.proxy_from.push(network);
        self
    }

    /// Sets the timeouts. The one of the link stage counts from accept, also after the choice.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how many tasks accept connections of each listener. Default: 1. Each takes a descriptor.
    pub fn accept_tasks(mut self, tasks: usize) -> Self {
        self.accept_tasks = tasks.max(1);
        self
    }

    /// Starts to accept on a runtime, with these relays.
    ///
    /// # Errors
    ///
    /// The system has no descriptor for one more task that accepts.
    pub fn start_on(self, runtime: &Handle, routes: SharedRoutes) -> Result<SharedListener, Error> {
        let Self { listeners, choice, name, proxy_from, timeouts, limit, accept_tasks } = self;
        let (turns, targets) = (Turns::default(), RwLock::new(routes.0));
        let shared = Arc::new(Shared { name, choice, proxy_from, timeouts, turns, targets });
        let mut accepting = Vec::new();
        for listener in &listeners {
            let address = listener.address();
            let vm = &*shared.name;
            tracing::info!(vm, %address, tls = choice == Choice::ServerName, "accepting");
            for _ in 0..accept_tasks {
                let acceptor =
                    listener.acceptor().map_err(|source| Error::Listen { address: address.clone(), source })?;
                let (shared, limit) = (Arc::clone(&shared), Arc::clone(&limit));
                accepting.push(runtime.spawn(acceptor.run(move |accepted| {
                    // With a PROXY header, the client that it names counts, not the proxy.
                    let is_proxy = shared.proxy_from.iter().any(|network| network.contains(accepted.source()));
                    let source = accepted.source().filter(|_| !is_proxy);
                    if let Some(permit) = limit.acquire(source) {
                        let shared = Arc::clone(&shared);
                        tokio::spawn(connection::serve_shared::<Socket, _>(shared, accepted, permit));
                    }
                })));
            }
        }
        Ok(SharedListener { accepting, listeners, shared })
    }
}

impl fmt::Debug for SharedListenerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, choice, .. } = self;
        f.debug_struct("SharedListenerBuilder").field("name", name).field("choice", choice).finish_non_exhaustive()
    }
}

impl SharedRoutes {
    /// No relay.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a relay for a host name, or for `HOST:PORT` of a CONNECT. With `tls`, its clients speak TLS; a choice by server name needs it.
    #[must_use]
    pub fn with(mut self, name: &str, relay: &Relay, tls: Option<ServerTls>) -> Self {
        self.0.names.insert(name.to_ascii_lowercase(), target(relay, tls));
        self
    }

    /// Sets the relay for every other server name, and for clients without one.
    #[must_use]
    pub fn with_default(mut self, relay: &Relay, tls: ServerTls) -> Self {
        self.0.default = Some(target(relay, Some(tls)));
        self
    }
}

impl fmt::Debug for SharedRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.names.keys()).finish()
    }
}

fn target(relay: &Relay, tls: Option<ServerTls>) -> Target {
    Target { route: Arc::clone(relay.route()), tls }
}
