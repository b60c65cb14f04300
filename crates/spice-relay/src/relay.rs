use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    Error,
    connection::{self, ConnectionLimit, Route, Timeouts, Turns, Upstream},
    net::{Listener, NetAddress, Network, Socket, TcpOptions, tls::ServerTls},
    observe::{EndWatch, Observe},
};

/// The limit on concurrent connections that a relay has by default.
const MAX_CONNECTIONS: usize = 10_000;

/// A running relay: it accepts connections and forwards them to one upstream.
///
/// Dropping it stops accepting, and removes the files of its unix sockets. Connections that were accepted go on until they end
/// or their runtime is shut down.
#[derive(Debug)]
pub struct Relay {
    accepting: Vec<JoinHandle<()>>,
    listeners: Vec<Listener>,
    limit: Arc<ConnectionLimit>,
    route: Arc<Route>,
}

/// What puts a VM's connections in order, which relays of one VM share.
#[derive(Debug)]
struct Order {
    ends: Arc<EndWatch>,
    turns: Arc<Turns>,
}

/// Where a relay is to listen.
#[derive(Debug)]
enum Listen {
    At(NetAddress),
    Bound(Listener),
}

/// The configuration of a [`Relay`].
#[derive(Debug)]
#[must_use = "a relay listens after `bind`"]
pub struct RelayBuilder {
    upstream: Upstream,
    name: Option<String>,
    listen: Vec<(Listen, Option<ServerTls>)>,
    order: Option<Order>,
    proxy_from: Vec<Network>,
    timeouts: Timeouts,
    tcp: TcpOptions,
    limit: Option<Arc<ConnectionLimit>>,
    accept_tasks: usize,
}

/// A relay that listens and does not accept yet. The kernel queues connections until it is started.
#[derive(Debug)]
pub struct BoundRelay {
    config: RelayBuilder,
    listeners: Vec<(Listener, Option<ServerTls>)>,
}

impl Relay {
    /// Starts the configuration of a relay to this upstream.
    pub fn builder(upstream: impl Into<Upstream>) -> RelayBuilder {
        RelayBuilder {
            upstream: upstream.into(),
            name: None,
            listen: Vec::new(),
            order: None,
            proxy_from: Vec::new(),
            timeouts: Timeouts::new(),
            tcp: TcpOptions::new(),
            limit: None,
            accept_tasks: 1,
        }
    }

    /// The addresses on which it listens, with the ports that the system picked.
    pub fn addresses(&self) -> impl Iterator<Item = &NetAddress> {
        self.listeners.iter().map(Listener::address)
    }

    /// Its listeners.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter()
    }

    /// The limit on its connections, which counts them too.
    pub fn connection_limit(&self) -> &Arc<ConnectionLimit> {
        &self.limit
    }

    /// What its connections share.
    pub(crate) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Stops accepting: closes its listeners and removes their files. Open connections go on.
    pub async fn stop_accepting(&mut self) {
        self.release().await;
    }

    /// Stops accepting, and returns its listeners. Clients wait in their backlogs until another relay accepts them. Open connections
    /// go on.
    pub async fn release(&mut self) -> Vec<Listener> {
        for task in &self.accepting {
            task.abort();
        }
        for task in self.accepting.drain(..) {
            let _ = task.await;
        }
        std::mem::take(&mut self.listeners)
    }

    /// Shuts down gracefully: stops accepting, and waits until all connections of its [`ConnectionLimit`] have ended, but no longer
    /// than `patience`. Returns how many are still open.
    pub async fn drain(&mut self, patience: Duration) -> usize {
        self.stop_accepting().await;
        self.limit.drain(patience).await
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
    }
}

impl RelayBuilder {
    /// Accepts plain connections at this address.
    pub fn listen(mut self, address: NetAddress) -> Self {
        self.listen.push((Listen::At(address), None));
        self
    }

    /// Accepts TLS connections at this address.
    pub fn listen_tls(mut self, address: NetAddress, tls: ServerTls) -> Self {
        self.listen.push((Listen::At(address), Some(tls)));
        self
    }

    /// Accepts connections of a socket that is bound already, with TLS if `tls` is given.
    pub fn listener(mut self, listener: Listener, tls: Option<ServerTls>) -> Self {
        self.listen.push((Listen::Bound(listener), tls));
        self
    }

    /// Takes the place of an earlier relay of the same VM, whose connections go on: ends of those are reported before a new session
    /// that replaces them. Both need the same observer.
    pub fn after(mut self, earlier: &Relay) -> Self {
        let route = &earlier.route;
        self.order = Some(Order { ends: Arc::clone(&route.ends), turns: Arc::clone(&route.turns) });
        self
    }

    /// Sets the name that log lines show as `vm`. Default: the upstream's address.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Requires a PROXY protocol header from this network's clients. See [`Route::proxy_from`].
    pub fn proxy_from(mut self, network: Network) -> Self {
        self.proxy_from.push(network);
        self
    }

    /// Sets the timeouts of its connections.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how dead peers of TCP connections are found, of clients and of the upstream.
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// Sets the limit on concurrent connections. Several relays can share one. Default: 10,000 of its own.
    pub fn connection_limit(mut self, limit: Arc<ConnectionLimit>) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets how many tasks accept connections of each listener. Default: 1. A multi-threaded runtime spreads a burst of
    /// connections better if it has one for each thread. Each takes a descriptor.
    pub fn accept_tasks(mut self, tasks: usize) -> Self {
        self.accept_tasks = tasks.max(1);
        self
    }

    /// Binds all addresses. After an error, none stays bound.
    ///
    /// Blocks while a name server is asked for a host name.
    pub fn bind(mut self) -> Result<BoundRelay, Error> {
        let mut listeners = Vec::new();
        for (listen, tls) in std::mem::take(&mut self.listen) {
            let bound = match listen {
                Listen::At(address) => Listener::bind(&address)?,
                Listen::Bound(listener) => vec![listener],
            };
            listeners.extend(bound.into_iter().map(|listener| (listener, tls.clone())));
        }
        Ok(BoundRelay { config: self, listeners })
    }
}

impl BoundRelay {
    /// The addresses on which it listens, with the ports that the system picked, and whether clients speak TLS there.
    pub fn addresses(&self) -> impl Iterator<Item = (&NetAddress, bool)> {
        self.listeners.iter().map(|(listener, tls)| (listener.address(), tls.is_some()))
    }

    /// Starts to accept, and reports every connection to the observer.
    ///
    /// # Errors
    ///
    /// The system has no descriptor for one more task that accepts.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. It must have IO and time enabled.
    pub fn start(self, observer: Arc<dyn Observe>) -> Result<Relay, Error> {
        self.start_on(&Handle::current(), observer)
    }

    /// Starts to accept on another runtime.
    ///
    /// # Errors
    ///
    /// The system has no descriptor for one more task that accepts.
    pub fn start_on(self, runtime: &Handle, observer: Arc<dyn Observe>) -> Result<Relay, Error> {
        let Self {
            config: RelayBuilder { upstream, name, order, proxy_from, timeouts, tcp, limit, accept_tasks, .. },
            listeners,
        } = self;
        let mut route = Route::new(upstream, observer).timeouts(timeouts).tcp_options(tcp);
        route.proxy_from = proxy_from;
        if let Some(name) = name {
            route = route.name(&name);
        }
        if let Some(Order { ends, turns }) = order {
            (route.ends, route.turns) = (ends, turns);
        }
        let route = Arc::new(route);
        let limit = limit.unwrap_or_else(|| ConnectionLimit::new(MAX_CONNECTIONS, None));
        let mut relay = Relay { accepting: Vec::new(), listeners: Vec::new(), limit, route: Arc::clone(&route) };
        for (listener, tls) in listeners {
            let address = listener.address();
            tracing::info!(vm = &*route.name, %address, tls = tls.is_some(), upstream = %route.upstream.address(), "accepting");
            for _ in 0..accept_tasks {
                let acceptor =
                    listener.acceptor().map_err(|source| Error::Listen { address: address.clone(), source })?;
                let (route, limit, tls) = (Arc::clone(&route), Arc::clone(&relay.limit), tls.clone());
                relay.accepting.push(runtime.spawn(acceptor.run(move |accepted| {
                    // With a PROXY header, the client that it names counts, not the proxy.
                    let source = accepted.source().filter(|_| !route.expects_proxy(accepted.source()));
                    if let Some(permit) = limit.acquire(source) {
                        let route = Arc::clone(&route);
                        tokio::spawn(connection::serve::<Socket, _>(route, accepted, tls.clone(), permit));
                    }
                })));
            }
            relay.listeners.push(listener);
        }
        Ok(relay)
    }
}
