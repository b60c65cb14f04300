//! Listeners of several routes: the first bytes of a connection choose its route.
//!
//! The choice is either the server name in a TLS ClientHello (SNI, RFC 6066), or the host and port of an HTTP CONNECT. No event
//! is reported before: there is no VM yet to which it could belong.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, rustls::server::Acceptor};

use super::{
    Connect, Connector, Incoming, Permit, Route, Timeouts, Turns,
    connect::before,
    forward,
    proxy_header::read_proxy_header,
    set_up::{self, Client, Handshake},
};
use crate::{
    PEER_LOG_TARGET,
    net::{
        Network, Transport,
        http_connect::{self, ConnectRequest, Refusal},
        tls::{ServerTls, explain_client, hint},
    },
};

/// The alert `unrecognized_name` (112, fatal) in a TLS record of its own.
const UNRECOGNIZED_NAME: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 112];
/// How many bytes are read after a request was refused.
const MAX_UNREAD: u64 = 64 << 10;
/// The most characters of a client's host name that the log shows.
const MAX_SHOWN: usize = 100;

/// What chooses the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    ServerName,
    HttpConnect,
}

/// A route, and whether clients speak TLS to it.
pub(crate) struct Target<A = Connector> {
    pub(crate) route: Arc<Route<A>>,
    pub(crate) tls: Option<ServerTls>,
}

/// The routes of a listener, by the names that clients give.
pub(crate) struct Targets<A = Connector> {
    /// In lower case: a host, or HOST:PORT.
    pub(crate) names: HashMap<String, Target<A>>,
    /// The route for every other server name, and for none.
    pub(crate) default: Option<Target<A>>,
}

/// What all connections of a shared listener have in common.
pub(crate) struct Shared<A = Connector> {
    /// What log lines show as `vm` until the VM is known.
    pub(crate) name: String,
    pub(crate) choice: Choice,
    pub(crate) proxy_from: Vec<Network>,
    pub(crate) timeouts: Timeouts,
    pub(crate) turns: Turns,
    pub(crate) targets: RwLock<Targets<A>>,
}

impl<A> Clone for Target<A> {
    fn clone(&self) -> Self {
        Self { route: Arc::clone(&self.route), tls: self.tls.clone() }
    }
}

impl<A> Default for Targets<A> {
    fn default() -> Self {
        Self { names: HashMap::new(), default: None }
    }
}

impl<A> Targets<A> {
    fn of_server_name(&self, name: Option<&str>) -> Option<&Target<A>> {
        let named = name.and_then(|name| self.names.get(&name.trim_end_matches('.').to_ascii_lowercase()));
        named.or(self.default.as_ref())
    }

    fn of_request(&self, ConnectRequest { host, port }: &ConnectRequest) -> Option<&Target<A>> {
        self.names.get(&format!("{host}:{port}")).or_else(|| self.names.get(host))
    }
}

impl<A> Shared<A> {
    fn target(&self, find: impl FnOnce(&Targets<A>) -> Option<&Target<A>>) -> Option<Target<A>> {
        find(&self.targets.read().unwrap_or_else(PoisonError::into_inner)).cloned()
    }
}

impl<A> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).field("choice", &self.choice).finish_non_exhaustive()
    }
}

/// Serves one connection of a shared listener until it ends.
pub(crate) async fn serve_shared<T: Transport, A: Connect>(
    shared: Arc<Shared<A>>,
    incoming: impl Into<Incoming<T>>,
    mut permit: Permit,
) {
    let deadline = shared.timeouts.link.map(|limit| Instant::now() + limit);
    let chosen = shared.turns.run(choose(&shared, incoming.into(), &mut permit, deadline)).await;
    drop(shared);
    let Some((route, client)) = chosen else { return };
    if let Some(connected) = route.turns.run(set_up::open(&route, client, deadline)).await {
        forward(route, connected, deadline, permit).await;
    }
}

/// Reads what chooses the route. `None`: no route fits, and the log has the reason.
async fn choose<T: Transport, A: Connect>(
    shared: &Shared<A>,
    mut incoming: Incoming<T>,
    permit: &mut Permit,
    deadline: Option<Instant>,
) -> Option<(Arc<Route<A>>, Client<T>)> {
    let source = incoming.source();
    if shared.proxy_from.iter().any(|network| network.contains(source)) {
        read_proxy_header(&shared.name, &mut incoming, permit, deadline).await?;
    }
    match shared.choice {
        Choice::ServerName => by_server_name(shared, incoming, deadline).await,
        Choice::HttpConnect => by_request(shared, incoming, deadline).await,
    }
}

async fn by_server_name<T: Transport, A: Connect>(
    shared: &Shared<A>,
    Incoming { transport, endpoints, tcp }: Incoming<T>,
    deadline: Option<Instant>,
) -> Option<(Arc<Route<A>>, Client<T>)> {
    let (vm, source) = (&*shared.name, endpoints.client.to_string());
    let begun = before(deadline, LazyConfigAcceptor::new(Acceptor::default(), transport)).await;
    let (target, handshake) = match begun {
        Ok(mut begun) => {
            let name = begun.client_hello().server_name().map(str::to_owned);
            let target = shared.target(|targets| targets.of_server_name(name.as_deref()));
            let Some((target, tls)) = target.and_then(|target| Some((target.clone(), target.tls?))) else {
                let name = name.as_deref().map_or("none".to_owned(), shown);
                let hint =
                    "the client must use a name of `tls-name`; a VM without `tls-name` would get all other connections";
                tracing::info!(target: PEER_LOG_TARGET, vm, %source, server_name = name, hint, "closed: no VM has the server name of the ClientHello");
                // The client may be gone.
                let _ = before(deadline, begun.io.write_all(&UNRECOGNIZED_NAME)).await;
                let _ = before(deadline, begun.io.shutdown()).await;
                return None;
            };
            (target, Handshake::Begun(Box::new(begun), tls))
        }
        Err(error) => {
            let Some(target) = shared.target(|targets| targets.default.as_ref()) else {
                let error = explain_client(error);
                tracing::info!(target: PEER_LOG_TARGET, vm, %source, %error, hint = hint(&error), "closed: no ClientHello");
                return None;
            };
            // It is reported as it would be on a listener of this VM only.
            (target, Handshake::Failed(error))
        }
    };
    Some((target.route, Client { handshake, endpoints, tcp }))
}

async fn by_request<T: Transport, A: Connect>(
    shared: &Shared<A>,
    Incoming { mut transport, endpoints, tcp }: Incoming<T>,
    deadline: Option<Instant>,
) -> Option<(Arc<Route<A>>, Client<T>)> {
    let (vm, source) = (&*shared.name, endpoints.client.to_string());
    let until = Instant::now() + http_connect::HEADER_PATIENCE;
    let until = deadline.map_or(until, |deadline| deadline.min(until));
    let (refusal, name) = match timeout_at(until, http_connect::read(&mut transport)).await {
        Err(_) => (Refusal::TooSlow, None),
        Ok(Ok(None)) => {
            tracing::debug!(vm, %source, "closed without a byte");
            return None;
        }
        Ok(Err(error)) => {
            tracing::debug!(vm, %source, %error, "closed inside an HTTP request");
            return None;
        }
        Ok(Ok(Some(Err(refusal)))) => (refusal, None),
        Ok(Ok(Some(Ok(request)))) => match shared.target(|targets| targets.of_request(&request)) {
            None => (Refusal::Unknown, Some(shown(&format!("{}:{}", request.host, request.port)))),
            Some(Target { route, tls }) => {
                if let Err(error) = before(deadline, transport.write_all(http_connect::ESTABLISHED)).await {
                    tracing::debug!(vm, %source, %error, "closed before the answer to an HTTP request");
                    return None;
                }
                let handshake = match tls {
                    None => Handshake::Plain(transport),
                    Some(tls) => Handshake::Tls(transport, tls),
                };
                return Some((route, Client { handshake, endpoints, tcp }));
            }
        },
    };
    let hint = match refusal {
        Refusal::NotHttp => "clients without an HTTP proxy need an address of `listen` or `tls-listen`",
        Refusal::Unknown => "the client's host and port must be in `connect` or `tls-connect` of a VM",
        Refusal::Method | Refusal::Malformed | Refusal::TooLong | Refusal::TooSlow => {
            "this is an address of `connect-listen`: `proxy` of a .vv file and SPICE_PROXY use it"
        }
    };
    let reason = refusal.reason();
    tracing::info!(target: PEER_LOG_TARGET, vm, %source, name, reason, hint, "refused an HTTP request");
    if let Some(answer) = refusal.answer() {
        // The client may be gone.
        let _: io::Result<()> = before(Some(until.max(Instant::now())), async {
            transport.write_all(answer.as_bytes()).await?;
            transport.shutdown().await?;
            // Closing a socket with unread bytes is a reset, which can overtake the answer.
            tokio::io::copy(&mut transport.take(MAX_UNREAD), &mut tokio::io::sink()).await.map(drop)
        })
        .await;
    }
    None
}

/// A name of a client as the log shows it: bounded, and without control characters.
fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN).flat_map(char::escape_default).collect()
}
