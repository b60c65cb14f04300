//! One connection's life: accepted, reported, connected to the upstream, forwarded, ended.
//!
//! Nothing here knows about sockets: a client and an upstream can be any [`Transport`]. [`Relay`](crate::Relay) puts TCP and unix
//! sockets around it; call [`serve`] to put something else around it.
//!
//! ```text
//!  ConnectionLimit ─▶ serve ─▶ set_up: PROXY header, TLS, upstream
//!                        └───▶ Duplex ─┬─ HalfDuplex to the server ── Stream: transport, TLS
//!                                      └─ HalfDuplex to the client ── splice(2), coalescing
//! ```

mod choose;
mod coalesce;
mod connect;
mod connection_limit;
mod connector;
mod duplex;
mod half_duplex;
mod lookup;
mod proxy_header;
mod set_up;
mod splice;
mod stream;
mod timeouts;
mod turns;
mod upstream;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use spice_events::Endpoints;
use tokio::time::Instant;

use crate::{
    PEER_LOG_TARGET,
    net::{Accepted, Network, Socket, TcpOptions, Transport, tls::ServerTls},
    observe::{EndWatch, Ending, Observe},
};
pub(crate) use choose::{Choice, Shared, Target, Targets, serve_shared};
pub use connect::Connect;
pub use connection_limit::{ConnectionLimit, Permit, SourceLimit};
pub use connector::Connector;
use duplex::{Duplex, End};
pub use splice::MAX_PIPES;
pub use stream::Stream;
pub use timeouts::Timeouts;
pub(crate) use turns::Turns;
pub use upstream::Upstream;

/// What all connections of one relay share.
pub struct Route<A = Connector> {
    pub(crate) name: Arc<str>,
    pub(crate) upstream: Upstream<A>,
    pub(crate) observer: Arc<dyn Observe>,
    pub(crate) ends: Arc<EndWatch>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) proxy_from: Vec<Network>,
    pub(crate) timeouts: Timeouts,
    pub(crate) tcp: TcpOptions,
}

impl<A: Connect> Route<A> {
    /// A route to this upstream, with default timeouts, whose connections are reported to this observer.
    pub fn new(upstream: impl Into<Upstream<A>>, observer: Arc<dyn Observe>) -> Self {
        let upstream = upstream.into();
        let name = upstream.address().to_string().into();
        let ends = Arc::new(EndWatch::new());
        let (turns, proxy_from) = (Arc::default(), Vec::new());
        let (timeouts, tcp) = (Timeouts::new(), TcpOptions::new());
        Self { name, upstream, observer, ends, turns, proxy_from, timeouts, tcp }
    }

    /// Sets the name that log lines show as `vm`. Default: the upstream's address.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the timeouts.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how dead peers of both sides are found. Other transports than [`Socket`] have no such options.
    #[must_use]
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// Requires a PROXY protocol header from this network's clients, and takes the client's address from it.
    ///
    /// Other clients must not send one: a header is never detected, because every client could send one.
    #[must_use]
    pub fn proxy_from(mut self, network: Network) -> Self {
        self.proxy_from.push(network);
        self
    }

    /// Whether connections from this source begin with a PROXY header. `None` is a client of a unix socket.
    pub(crate) fn expects_proxy(&self, source: Option<IpAddr>) -> bool {
        self.proxy_from.iter().any(|network| network.contains(source))
    }
}

impl<A: std::fmt::Debug> std::fmt::Debug for Route<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, upstream, proxy_from, timeouts, .. } = self;
        f.debug_struct("Route")
            .field("name", name)
            .field("upstream", upstream)
            .field("proxy_from", proxy_from)
            .field("timeouts", timeouts)
            .finish_non_exhaustive()
    }
}

/// A client's connection that was just accepted.
#[derive(Debug)]
pub struct Incoming<T> {
    pub(crate) transport: T,
    pub(crate) endpoints: Endpoints,
    /// The socket addresses, if the connection has them.
    pub(crate) tcp: Option<Endpoints<SocketAddr>>,
}

impl<T: Transport> Incoming<T> {
    /// A connection with the two addresses that the observer sees.
    pub fn new(transport: T, endpoints: Endpoints) -> Self {
        Self { transport, endpoints, tcp: None }
    }

    /// The client's IP address.
    fn source(&self) -> Option<IpAddr> {
        self.tcp.map(|tcp| tcp.client.ip())
    }
}

impl From<Accepted> for Incoming<Socket> {
    fn from(accepted: Accepted) -> Self {
        Self { endpoints: accepted.endpoints(), tcp: accepted.tcp, transport: accepted.socket }
    }
}

/// Serves one connection until it ends. Dropping the future ends the connection; the observer learns that in any case.
///
/// With `tls`, the client speaks TLS.
pub async fn serve<T: Transport, A: Connect>(
    route: Arc<Route<A>>,
    incoming: impl Into<Incoming<T>>,
    tls: Option<ServerTls>,
    mut permit: Permit,
) {
    let deadline = route.timeouts.link.map(|limit| Instant::now() + limit);
    let set_up = set_up::set_up(&route, incoming.into(), tls, &mut permit, deadline);
    if let Some(connected) = route.turns.run(set_up).await {
        forward(route, connected, deadline, permit).await;
    }
}

/// Forwards until both sides have ended.
async fn forward<T: Transport, A: Connect>(
    route: Arc<Route<A>>,
    (client, upstream, observed): set_up::Connected<T, A>,
    deadline: Option<Instant>,
    permit: Permit,
) {
    let handle = Arc::clone(observed.handle());
    let mut duplex = Duplex::new(client, upstream, observed, deadline, route.timeouts);
    let vm = Arc::clone(&route.name);
    drop(route);
    let end = tokio::select! {
        biased;
        end = &mut duplex => end,
        () = handle.terminated() => {
            duplex.observed().because(Ending::Terminated);
            End::Terminated
        }
    };
    let (from_client, from_server) = duplex.moved();
    let flow = duplex.observed().id();
    match end {
        End::Closed => tracing::debug!(vm = &*vm, flow, from_client, from_server, "closed"),
        End::HttpProxy => tracing::debug!(vm = &*vm, flow, "closed: the client took the relay for an HTTP proxy"),
        End::Terminated => tracing::info!(vm = &*vm, flow, from_client, from_server, "terminated"),
        End::Broken(side, error) => {
            tracing::debug!(vm = &*vm, flow, from_client, from_server, %side, %error, "broken");
        }
        End::TimedOut(what, limit) => {
            tracing::info!(target: PEER_LOG_TARGET, vm = &*vm, flow, from_client, from_server, "closed after waiting {limit:?} for {what}");
        }
    }
    drop(duplex);
    drop(permit);
}
