//! One connection's life: accepted, told, connected on, pumped, over.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use spice_events::{Address, Side};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream, lookup_host},
    time::{Instant, sleep, timeout, timeout_at},
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
    seldom::PEER,
    tls::{Connector, plainly},
    vm::Upstream,
    watch::{Flow, Watch},
};

/// Between tries to connect to a unix socket whose backlog is full.
const AGAIN: Duration = Duration::from_millis(20);

/// All that a connection of one VM needs to know.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) watch: Arc<Watch>,
    pub(super) upstream: Upstream,
    pub(super) connector: Option<Arc<Connector>>,
    pub(super) proxy_from: Vec<Network>,
    pub(super) send_proxy: Option<ProxyVersion>,
    pub(super) timing: Timing,
}

impl Way {
    /// Whether connections from there begin with a PROXY header.
    pub(super) fn expects_proxy(&self, source: Option<IpAddr>) -> bool {
        self.proxy_from.iter().any(|network| network.contains(source))
    }
}

/// Serves a connection until it is over. Dropping the future ends it at once; the tracker is told in any case.
pub(super) async fn serve(way: Arc<Way>, accepted: Accepted, tls: Option<TlsAcceptor>, mut pass: Pass) {
    let deadline = way.timing.link.map(|limit| Instant::now() + limit);
    // Boxed: what it takes to set up a connection is freed when that is done.
    let Some((client, upstream, flow)) = Box::pin(set_up(&way, accepted, tls, &mut pass, deadline)).await else {
        return;
    };
    let mut pump = Pump::new(client, upstream, flow, deadline, way.timing);
    drop(way);
    let end = (&mut pump).await;
    let (from_client, from_server) = pump.moved();
    let (flow, vm) = (pump.flow().id(), pump.flow().vm());
    match end {
        End::Closed => tracing::debug!(vm, flow, from_client, from_server, "closed"),
        End::Broken(side, error) => tracing::debug!(vm, flow, from_client, from_server, %side, %error, "broken"),
        End::TimedOut(what, limit) => {
            tracing::info!(target: PEER, vm, flow, from_client, from_server, "closed after waiting {limit:?} for {what}");
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
    pass: &mut Pass,
    deadline: Option<Instant>,
) -> Option<(Leg, Leg, Flow)> {
    let (server, mut client) = accepted.addresses();
    let mut ends = accepted.ends;
    if way.expects_proxy(accepted.source()) {
        match before(deadline, proxy_protocol::read(&mut accepted.raw)).await {
            Ok(Some((original, destination))) => {
                if !pass.count(original.ip()) {
                    return None;
                }
                client = Address::from(original);
                // A unix socket has no address to name; what the header says is as good.
                ends = Some((ends.map_or(destination, |(local, _)| local), original));
            }
            // A health check of the proxy's own says the same as a client without an address, but for the first byte.
            Ok(None) if before(deadline, accepted.raw.has_byte()).await.unwrap_or(false) => {}
            Ok(None) => {
                tracing::debug!(vm = way.watch.vm(), source = %client, "left without a byte after its PROXY header");
                return None;
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::ConnectionAborted {
                    tracing::debug!(vm = way.watch.vm(), source = %client, "left without a byte");
                } else {
                    tracing::warn!(target: PEER, vm = way.watch.vm(), source = %client, %error, "closed: no PROXY header");
                }
                return None;
            }
        }
    }
    let shown = client.to_string();
    let mut flow = Flow::opened(&way.watch, server, client, tls.is_some());
    let client = match tls {
        None => Leg::Plain(accepted.raw),
        Some(acceptor) => match before(deadline, acceptor.accept(accepted.raw)).await {
            Ok(stream) => Leg::Accepted(Box::new(stream)),
            Err(error) => {
                let error = plainly(error);
                tracing::info!(target: PEER, vm = flow.vm(), flow = flow.id(), client = shown, %error, "TLS handshake failed");
                flow.closed(Some(Side::Client));
                return None;
            }
        },
    };
    match timed(way.timing.connect, connect_on(way, ends, &flow, &shown)).await {
        Ok(upstream) => {
            way.upstream.is_up(flow.vm());
            Some((client, upstream, flow))
        }
        Err(error) => {
            tracing::warn!(target: PEER, vm = flow.vm(), flow = flow.id(), client = shown, upstream = %way.upstream, %error, "can't reach the upstream");
            way.upstream.is_down();
            flow.closed(Some(Side::Server));
            None
        }
    }
}

/// The upstream's leg, TLS and PROXY header included.
async fn connect_on(way: &Way, ends: Option<(SocketAddr, SocketAddr)>, flow: &Flow, client: &str) -> io::Result<Leg> {
    let mut raw = match way.upstream.address() {
        Endpoint::Tcp(host, port) => {
            let addresses: Vec<_> = lookup_host((host.as_str(), *port)).await?.collect();
            Raw::Tcp(connect_tcp(&addresses, way.timing.connect).await?)
        }
        Endpoint::Unix(path) => Raw::Unix(connect_unix(path).await?),
    };
    raw.tune();
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
            Ok(Leg::Connected(Box::new(connector.connect(name, raw).await.map_err(plainly)?)))
        }
    }
}

/// Connects to the first of a host's addresses that answers. Each has its share of the time that is left, lest one that
/// says nothing takes it all.
async fn connect_tcp(addresses: &[SocketAddr], limit: Option<Duration>) -> io::Result<TcpStream> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()) / left);
        match timed(share, TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) if addresses.len() == 1 => failed = error,
            Err(error) => failed = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(failed)
}

/// Connects to a unix socket. Where as many wait as may, TCP would try again; here that is ours to do.
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(AGAIN).await,
            connected => return connected,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream as StdStream};

    /// A listener that answers no more: its backlog is full.
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
    async fn an_address_that_says_nothing_leaves_time_for_the_others() {
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
