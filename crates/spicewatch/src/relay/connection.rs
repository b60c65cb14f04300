//! One connection's life: accepted, told, connected on, pumped, over.

use std::{fmt, io, sync::Arc, time::Duration};

use spice_events::{Address, Side};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream},
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use super::{
    config::{ProxyVersion, Timing},
    endpoint::Endpoint,
    gate::Pass,
    leg::{Leg, Raw},
    listen::Accepted,
    proxy_protocol::{self, Network},
    pump::{End, Pump},
    tls::Connector,
    vm::Upstream,
    watch::{Flow, Watch},
};

/// All that a connection of one VM needs to know.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) watch: Arc<Watch>,
    pub(super) upstream: Upstream,
    pub(super) connector: Option<Connector>,
    pub(super) proxy_from: Vec<Network>,
    pub(super) send_proxy: Option<ProxyVersion>,
    pub(super) timing: Timing,
}

/// Serves a connection until it is over. Dropping the future ends it at once; the tracker is told in any case.
pub(super) async fn serve(way: Arc<Way>, accepted: Accepted, tls: Option<TlsAcceptor>, pass: Pass) {
    let deadline = way.timing.link.map(|limit| Instant::now() + limit);
    // Boxed: what it takes to set up a connection is freed when that is done.
    let Some((client, upstream, flow)) = Box::pin(set_up(&way, accepted, tls, deadline)).await else { return };
    let mut pump = Pump::new(client, upstream, flow, deadline, way.timing);
    drop(way);
    let end = (&mut pump).await;
    let (from_client, from_server) = pump.moved();
    let (flow, vm) = (pump.flow().id(), pump.flow().vm());
    match end {
        End::Closed => tracing::debug!(vm, flow, from_client, from_server, "closed"),
        End::Broken(side, error) => tracing::debug!(vm, flow, from_client, from_server, %side, %error, "broken"),
        End::TimedOut(what, limit) => {
            tracing::info!(vm, flow, from_client, from_server, "closed after waiting {limit:?} for {what}");
        }
    }
    drop(pump);
    drop(pass);
}

/// From accept to both legs. `None` where that failed: the log says why, and the tracker knows that it is over.
async fn set_up(
    way: &Way,
    mut accepted: Accepted,
    tls: Option<TlsAcceptor>,
    deadline: Option<Instant>,
) -> Option<(Leg, Leg, Flow)> {
    let (server, mut client) = accepted.addresses();
    let mut ends = accepted.ends;
    if way.proxy_from.iter().any(|network| network.contains(accepted.source())) {
        match before(deadline, proxy_protocol::read(&mut accepted.raw)).await {
            Ok(Some(original)) => {
                client = Address::from(original);
                ends = ends.map(|(local, _)| (local, original));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(source = %Shown(&client), %error, "closed: no PROXY header");
                return None;
            }
        }
    }
    let shown = Shown(&client).to_string();
    let mut flow = Flow::opened(&way.watch, server, client, tls.is_some());
    let client = match tls {
        None => Leg::Plain(accepted.raw),
        Some(acceptor) => match before(deadline, acceptor.accept(accepted.raw)).await {
            Ok(stream) => Leg::Accepted(Box::new(stream)),
            Err(error) => {
                tracing::info!(vm = flow.vm(), flow = flow.id(), client = shown, %error, "TLS handshake failed");
                flow.closed(Some(Side::Client));
                return None;
            }
        },
    };
    match timed(way.timing.connect, connect_on(way, ends, &flow, &shown)).await {
        Ok(upstream) => Some((client, upstream, flow)),
        Err(error) => {
            tracing::warn!(vm = flow.vm(), flow = flow.id(), client = shown, upstream = %way.upstream, %error, "can't reach the upstream");
            way.upstream.is_down();
            flow.closed(Some(Side::Server));
            None
        }
    }
}

/// The upstream's leg, TLS and PROXY header included.
async fn connect_on(
    way: &Way,
    ends: Option<(std::net::SocketAddr, std::net::SocketAddr)>,
    flow: &Flow,
    client: &str,
) -> io::Result<Leg> {
    let mut raw = match way.upstream.address() {
        Endpoint::Tcp(host, port) => Raw::Tcp(TcpStream::connect((host.as_str(), *port)).await?),
        Endpoint::Unix(path) => Raw::Unix(UnixStream::connect(path).await?),
    };
    raw.tune();
    way.upstream.is_up();
    // The address is a system call that only the log wants.
    if let Raw::Tcp(stream) = &raw
        && tracing::enabled!(tracing::Level::DEBUG)
    {
        let local = stream.local_addr().map(|local| local.to_string()).unwrap_or_default();
        tracing::debug!(vm = flow.vm(), flow = flow.id(), client, local, "connected to the upstream");
    } else {
        tracing::debug!(vm = flow.vm(), flow = flow.id(), client, "connected to the upstream");
    }
    if let Some(version) = way.send_proxy {
        let header = proxy_protocol::write(version, ends.map(|(local, peer)| (peer, local)));
        raw.write_all(&header).await?;
    }
    match &way.connector {
        None => Ok(Leg::Plain(raw)),
        Some(connector) => {
            let (connector, name) = connector.connector();
            Ok(Leg::Connected(Box::new(connector.connect(name, raw).await?)))
        }
    }
}

async fn before<T>(deadline: Option<Instant>, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match deadline {
        None => work.await,
        Some(deadline) => timeout_at(deadline, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}

async fn timed<T>(limit: Option<Duration>, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}

/// An address for the log.
struct Shown<'a>(&'a Address);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { host, port, .. } = self.0;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
