//! Reports about connections: the trait [`Observe`], and an implementation that makes QEMU's SPICE events.

mod connection;
mod end_watch;
mod ending;
mod events;
mod handle;
mod retries;
mod shared;
mod successor;

use std::{sync::Arc, time::Duration};

use spice_events::{Address, Endpoints, FlowId, Side};

pub(crate) use connection::ObservedConnection;
pub use connection::{next_flow, skip_flows};
pub(crate) use end_watch::EndWatch;
pub use ending::Ending;
pub use events::{EventObserver, EventSink, SharedTracker};
pub use handle::ConnectionHandle;
pub use successor::{Report, Successor};

/// Learns about every connection of a relay.
///
/// For each connection:
///
/// 1. [`opened`](Self::opened) comes first, as soon as the client is accepted and, if one is expected, its PROXY header is read.
/// 2. [`bytes`](Self::bytes) comes for every run of bytes, after the run was handed to the other side, until it returns `false`.
///    Bytes of one direction come in order.
/// 3. [`closed`](Self::closed) comes last, exactly once, however the connection ends: also if the runtime is shut down.
///
/// If the server ends connections before it sends bytes on another one, as QEMU does when a new session replaces the old one, `closed`
/// of the ended ones comes before `bytes`. This holds for TCP and unix sockets whose observer wanted no more bytes.
///
/// Calls for one connection never overlap; calls for different connections do. No call may block: the bytes of other
/// connections wait for it.
pub trait Observe: Send + Sync + 'static {
    /// A client was accepted: the moment of QEMU's `SPICE_CONNECTED`. No other connection of the process has the same id.
    fn opened(&self, flow: FlowId, opened: Opened);

    /// Hands over the connection's byte counts, and a way to end it. Comes just after [`opened`](Self::opened).
    fn connection(&self, _flow: FlowId, _connection: Arc<ConnectionHandle>) {}

    /// The TLS handshake with the client succeeded: `1.2` or `1.3`, and the name of the cipher suite in IANA's registry.
    fn secured(&self, _flow: FlowId, _version: &str, _cipher: &str) {}

    /// Bytes were forwarded. Returns whether the observer wants more bytes of this connection, of either side.
    ///
    /// While it does, the connection is in its link stage, which has a [time limit](crate::connection::Timeouts::link).
    fn bytes(&self, flow: FlowId, from: Side, data: &[u8]) -> bool;

    /// Why the connection ends. Comes just before [`closed`](Self::closed).
    fn ending(&self, _flow: FlowId, _ending: Ending) {}

    /// The server's side of the connection has ended: the moment of QEMU's `SPICE_DISCONNECTED`. `by` ended it first, if that is known.
    fn closed(&self, flow: FlowId, by: Option<Side>);

    /// How long a client has to wait before the relay connects to the upstream for it. Asked after the TLS handshake.
    fn pause(&self, _client: &Address, _tls: bool) -> Duration {
        Duration::ZERO
    }

    /// The upstream can be reached again, after connecting to it had failed.
    fn upstream_recovered(&self) {}
}

/// What is known about a connection at accept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The local end of the accepted socket, and the client: the socket's peer, or the address that a trusted PROXY header names.
    pub endpoints: Endpoints,
    /// Whether the client speaks TLS to the relay.
    pub tls: bool,
}

impl Opened {
    /// A connection with these two ends.
    pub const fn new(endpoints: Endpoints, tls: bool) -> Self {
        Self { endpoints, tls }
    }
}

/// An observer that ignores everything.
impl Observe for () {
    fn opened(&self, _: FlowId, _: Opened) {}

    fn bytes(&self, _: FlowId, _: Side, _: &[u8]) -> bool {
        false
    }

    fn closed(&self, _: FlowId, _: Option<Side>) {}
}
