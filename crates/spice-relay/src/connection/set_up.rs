//! From an accepted connection to two streams.

use std::{future::poll_fn, io};

use spice_events::{Address, Endpoints, Side};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Incoming, Permit, Route,
    connect::{Connect, within},
    stream::Stream,
};
use crate::{
    PEER_LOG_TARGET,
    net::{
        Socket, Transport, proxy_protocol,
        tls::{ServerTls, explain_client, hint},
    },
    observe::{Ending, ObservedConnection, Opened},
};

/// Reads the PROXY header, reports the connection, shakes hands and connects to the upstream.
///
/// `None`: that failed. The log says why, and the observer knows that the connection has ended.
pub(super) async fn set_up<T: Transport, A: Connect>(
    route: &Route<A>,
    mut incoming: Incoming<T>,
    tls: Option<ServerTls>,
    permit: &mut Permit,
    deadline: Option<Instant>,
) -> Option<(Stream<T>, Stream<A::Transport>, ObservedConnection)> {
    if let Some(socket) = incoming.transport.socket() {
        route.tcp.apply(socket);
    }
    if route.expects_proxy(incoming.source()) {
        read_proxy_header(&route.name, &mut incoming, permit, deadline).await?;
    }
    let Incoming { transport, endpoints, tcp } = incoming;
    let vm = &*route.name;
    let (shown, from, has_tls) = (endpoints.client.to_string(), endpoints.client.clone(), tls.is_some());
    let observed = ObservedConnection::open(&route.observer, &route.ends, Opened { endpoints, tls: tls.is_some() });
    let flow = observed.id();
    let client = match tls {
        None => Stream::plain(transport),
        Some(tls) => match before(deadline, tls.accept(transport)).await {
            Ok(stream) => {
                let tls = stream.get_ref().1;
                if let Some((version, suite)) = tls.protocol_version().zip(tls.negotiated_cipher_suite()) {
                    observed.secured(tls_version(version), &cipher_name(suite.suite()));
                }
                Stream::tls_server(stream)
            }
            Err(error) => {
                let error = explain_client(error);
                tracing::info!(target: PEER_LOG_TARGET, vm, flow, client = shown, %error, hint = hint(&error), "TLS handshake failed");
                observed.because(Ending::TlsFailed);
                observed.closed(Some(Side::Client));
                return None;
            }
        },
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

/// Reads the header of a client that must send one, and takes the client's address from it. `None`: the connection is closed.
async fn read_proxy_header<T: Transport>(
    vm: &str,
    incoming: &mut Incoming<T>,
    permit: &mut Permit,
    deadline: Option<Instant>,
) -> Option<()> {
    let source = incoming.endpoints.client.clone();
    match before(deadline, proxy_protocol::read(&mut incoming.transport)).await {
        Ok(Some(original)) => {
            // HAProxy's own checks with version 1 name HAProxy as the client.
            let is_proxy = incoming.source().is_some_and(|ip| ip.to_canonical() == original.client.ip().to_canonical());
            if is_proxy && !has_byte(&mut incoming.transport, deadline).await {
                tracing::debug!(vm, %source, "closed without a byte after the proxy's own header");
                return None;
            }
            if !permit.count_source(original.client.ip()) {
                return None;
            }
            incoming.endpoints.client = Address::from(original.client);
            // A unix socket has no socket addresses. Those of the header take their place.
            let server = incoming.tcp.map_or(original.server, |tcp| tcp.server);
            incoming.tcp = Some(Endpoints { server, client: original.client });
            Some(())
        }
        // A proxy's health check looks the same as a client without an address, until the client sends its first byte.
        Ok(None) => {
            if has_byte(&mut incoming.transport, deadline).await {
                return Some(());
            }
            tracing::debug!(vm, %source, "closed without a byte after the PROXY header");
            None
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
            tracing::debug!(vm, %source, "closed without a byte");
            None
        }
        Err(error) => {
            let hint = "its source is in proxy-from, so the proxy must send a header";
            tracing::warn!(target: PEER_LOG_TARGET, vm, %source, %error, hint, "closed: no PROXY header");
            None
        }
    }
}

/// Whether the client sends a byte before it closes. A health check does not.
async fn has_byte<T: Transport>(transport: &mut T, deadline: Option<Instant>) -> bool {
    before(deadline, poll_fn(|cx| transport.poll_peek(cx))).await.unwrap_or(false)
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

async fn before<T>(deadline: Option<Instant>, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match deadline {
        None => work.await,
        Some(deadline) => timeout_at(deadline, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}
