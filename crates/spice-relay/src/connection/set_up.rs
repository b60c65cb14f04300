//! From an accepted connection to two streams.

use std::{io, net::SocketAddr};

use spice_events::{Endpoints, Side};
use tokio::time::{Instant, sleep};
use tokio_rustls::{StartHandshake, server::TlsStream};

use super::{
    Incoming, Permit, Route,
    connect::{Connect, before, within},
    proxy_header::read_proxy_header,
    stream::Stream,
};
use crate::{
    PEER_LOG_TARGET,
    net::{
        Socket, Transport,
        tls::{ServerTls, explain_client, hint},
    },
    observe::{Ending, ObservedConnection, Opened},
};

/// Two streams that are connected, and the observer's side of them.
pub(super) type Connected<T, A> = (Stream<T>, Stream<<A as Connect>::Transport>, ObservedConnection);

/// A client of one route, before its TLS handshake.
pub(super) struct Client<T> {
    pub(super) handshake: Handshake<T>,
    pub(super) endpoints: Endpoints,
    /// The socket addresses, if the connection has them.
    pub(super) tcp: Option<Endpoints<SocketAddr>>,
}

/// What has been read of a client's TLS handshake.
pub(super) enum Handshake<T> {
    /// The client speaks plain SPICE.
    Plain(T),
    /// Nothing.
    Tls(T, ServerTls),
    /// The ClientHello, whose server name has chosen the route.
    Begun(Box<StartHandshake<T>>, ServerTls),
    /// Something else than a ClientHello, on a listener of several routes.
    Failed(io::Error),
}

impl<T: Transport> Handshake<T> {
    fn is_tls(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    fn transport(&self) -> Option<&T> {
        match self {
            Self::Plain(transport) | Self::Tls(transport, _) => Some(transport),
            Self::Begun(begun, _) => Some(&begun.io),
            Self::Failed(_) => None,
        }
    }

    async fn finish(self, deadline: Option<Instant>) -> io::Result<Stream<T>> {
        let stream: TlsStream<T> = match self {
            Self::Plain(transport) => return Ok(Stream::plain(transport)),
            Self::Tls(transport, tls) => before(deadline, tls.accept(transport)).await?,
            Self::Begun(begun, tls) => before(deadline, begun.into_stream(tls.config())).await?,
            Self::Failed(error) => return Err(error),
        };
        Ok(Stream::tls_server(stream))
    }
}

/// Reads the PROXY header, reports the connection, shakes hands and connects to the upstream.
///
/// `None`: that failed. The log says why, and the observer knows that the connection has ended.
pub(super) async fn set_up<T: Transport, A: Connect>(
    route: &Route<A>,
    mut incoming: Incoming<T>,
    tls: Option<ServerTls>,
    permit: &mut Permit,
    deadline: Option<Instant>,
) -> Option<Connected<T, A>> {
    if route.expects_proxy(incoming.source()) {
        read_proxy_header(&route.name, &mut incoming, permit, deadline).await?;
    }
    let Incoming { transport, endpoints, tcp } = incoming;
    let handshake = match tls {
        None => Handshake::Plain(transport),
        Some(tls) => Handshake::Tls(transport, tls),
    };
    open(route, Client { handshake, endpoints, tcp }, deadline).await
}

/// Reports the connection, shakes hands and connects to the upstream. `None`: as for [`set_up`].
pub(super) async fn open<T: Transport, A: Connect>(
    route: &Route<A>,
    client: Client<T>,
    deadline: Option<Instant>,
) -> Option<Connected<T, A>> {
    let Client { handshake, endpoints, tcp } = client;
    if let Some(socket) = handshake.transport().and_then(T::socket) {
        route.tcp.apply(socket);
    }
    let vm = &*route.name;
    let (shown, from, has_tls) = (endpoints.client.to_string(), endpoints.client.clone(), handshake.is_tls());
    let observed = ObservedConnection::open(&route.observer, &route.ends, Opened { endpoints, tls: has_tls });
    let flow = observed.id();
    let client = match handshake.finish(deadline).await {
        Ok(stream) => {
            if let Some((version, suite)) = stream.negotiated() {
                observed.secured(tls_version(version), &cipher_name(suite));
            }
            stream
        }
        Err(error) => {
            let error = explain_client(error);
            tracing::info!(target: PEER_LOG_TARGET, vm, flow, client = shown, %error, hint = hint(&error), "TLS handshake failed");
            observed.because(Ending::TlsFailed);
            observed.closed(Some(Side::Client));
            return None;
        }
    };
    let pause = route.observer.pause(&from, has_tls);
    if !pause.is_zero() {
        sleep(pause).await;
    }
    let limit = route.timeouts.connect;
    let connected = |transport: &A::Transport| {
        if let Some(socket) = transport.socket() {
            route.tcp.apply(socket);
        }
        log_connected(vm, flow, &shown, transport.socket());
    };
    match within(limit, route.upstream.connect(tcp, limit, connected)).await {
        Ok(upstream) => {
            if route.upstream.recovered() {
                tracing::info!(target: PEER_LOG_TARGET, vm, upstream = %route.upstream.address(), "the upstream is back");
                route.observer.upstream_recovered();
            }
            Some((client, upstream, observed))
        }
        Err(error) => {
            tracing::warn!(target: PEER_LOG_TARGET, vm, flow, client = shown, upstream = %route.upstream.address(), %error, hint = hint(&error), "can't reach the upstream");
            route.upstream.failed();
            observed.because(Ending::UpstreamUnreachable);
            observed.closed(Some(Side::Server));
            None
        }
    }
}

/// The version as people write it.
fn tls_version(version: rustls::ProtocolVersion) -> &'static str {
    match version {
        rustls::ProtocolVersion::TLSv1_2 => "1.2",
        rustls::ProtocolVersion::TLSv1_3 => "1.3",
        _ => "unknown",
    }
}

/// The suite's name in IANA's registry, where rustls knows one: its own names of TLS 1.3's suites begin with `TLS13_`.
fn cipher_name(suite: rustls::CipherSuite) -> String {
    let name = suite.as_str().unwrap_or("unknown");
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

fn log_connected(vm: &str, flow: u64, client: &str, socket: Option<&Socket>) {
    // Asking for the address is a system call that only the log needs.
    if let Some(Socket::Tcp(stream)) = socket
        && tracing::enabled!(tracing::Level::DEBUG)
    {
        let local = stream.local_addr().map(|local| local.to_string()).unwrap_or_default();
        tracing::debug!(vm, flow, client, local, "connected to the upstream");
    } else {
        tracing::debug!(vm, flow, client, "connected to the upstream");
    }
}
