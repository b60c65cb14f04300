use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use spice_events::Endpoints;
use tokio::io::AsyncWriteExt;

use super::{connect::Connect, connector::Connector, stream::Stream};
use crate::net::{
    NetAddress,
    proxy_protocol::{self, ProxyVersion},
    tls::UpstreamTls,
};

/// The SPICE server behind a relay.
#[derive(Debug)]
pub struct Upstream<A = Connector> {
    address: A,
    tls: Option<Arc<UpstreamTls>>,
    send_proxy: Option<ProxyVersion>,
    is_down: AtomicBool,
}

impl<A: Connect> Upstream<A> {
    /// A server that speaks plain SPICE at this address.
    pub fn new(address: A) -> Self {
        Self { address, tls: None, send_proxy: None, is_down: AtomicBool::new(false) }
    }

    /// Speaks TLS to the server.
    #[must_use]
    pub fn tls(mut self, tls: Arc<UpstreamTls>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sends a PROXY protocol header first. spice-server itself does not understand it; a proxy before it may.
    #[must_use]
    pub fn send_proxy(mut self, version: ProxyVersion) -> Self {
        self.send_proxy = Some(version);
        self
    }

    /// The server's address.
    pub fn address(&self) -> &A {
        &self.address
    }

    /// Takes note that connecting failed.
    pub(super) fn failed(&self) {
        self.is_down.store(true, Ordering::Relaxed);
    }

    /// Takes note that connecting succeeded. Returns whether it had failed before.
    pub(super) fn recovered(&self) -> bool {
        self.is_down.load(Ordering::Relaxed) && self.is_down.swap(false, Ordering::Relaxed)
    }

    /// Connects, with the PROXY header and the TLS handshake. `accepted` are the addresses of the client's connection.
    pub(super) async fn connect(
        &self,
        accepted: Option<Endpoints<SocketAddr>>,
        limit: Option<Duration>,
        connected: impl FnOnce(&A::Transport),
    ) -> io::Result<Stream<A::Transport>> {
        let mut transport = self.address.connect(limit).await?;
        connected(&transport);
        if let Some(version) = self.send_proxy {
            transport.write_all(&proxy_protocol::write(version, accepted)).await?;
        }
        match &self.tls {
            None => Ok(Stream::plain(transport)),
            Some(tls) => Ok(Stream::tls_client(tls.connect(transport).await?)),
        }
    }
}

impl<A: Connect> From<A> for Upstream<A> {
    fn from(address: A) -> Self {
        Self::new(address)
    }
}

impl From<NetAddress> for Upstream {
    fn from(address: NetAddress) -> Self {
        Self::new(address.into())
    }
}
