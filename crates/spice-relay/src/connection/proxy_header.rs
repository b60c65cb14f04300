//! The PROXY header of a client whose source must send one.

use std::{future::poll_fn, io};

use spice_events::{Address, Endpoints};
use tokio::time::Instant;

use super::{Incoming, Permit, connect::before};
use crate::{
    PEER_LOG_TARGET,
    net::{Transport, proxy_protocol},
};

/// Reads the header of a client that must send one, and takes the client's address from it. `None`: the connection is closed.
pub(super) async fn read_proxy_header<T: Transport>(
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
