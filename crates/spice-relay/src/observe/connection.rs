use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use spice_events::{FlowId, Side};

use super::{ConnectionHandle, Ending, Observe, Opened, end_watch::EndWatch, shared::Shared};
use crate::net::Socket;

/// The id of the next connection.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The id of the process's next connection.
pub fn next_flow() -> FlowId {
    FlowId(NEXT.load(Ordering::Relaxed))
}

/// Gives no further connection an id below this one. Lower ids are those of another process's connections.
pub fn skip_flows(first: FlowId) {
    NEXT.fetch_max(first.0, Ordering::Relaxed);
}

/// One connection, as its observer sees it. Keeps the contract of [`Observe`]; dropping it reports the end.
#[derive(Debug)]
pub(crate) struct ObservedConnection {
    shared: Arc<Shared>,
    ends: Arc<EndWatch>,
    handle: Arc<ConnectionHandle>,
}

impl ObservedConnection {
    pub(crate) fn open(observer: &Arc<dyn Observe>, ends: &Arc<EndWatch>, opened: Opened) -> Self {
        let id = FlowId(NEXT.fetch_add(1, Ordering::Relaxed));
        observer.opened(id, opened);
        let handle = Arc::new(ConnectionHandle::default());
        observer.connection(id, Arc::clone(&handle));
        Self { shared: Arc::new(Shared::new(Arc::clone(observer), id)), ends: Arc::clone(ends), handle }
    }

    /// What the observer got for this connection.
    pub(crate) fn handle(&self) -> &Arc<ConnectionHandle> {
        &self.handle
    }

    /// The id that log lines show.
    pub(crate) fn id(&self) -> u64 {
        self.shared.id()
    }

    /// Takes how many bytes have passed so far.
    pub(crate) fn moved(&self, from_client: u64, from_server: u64) {
        self.handle.set(from_client, from_server);
    }

    /// Reports what the TLS handshake with the client agreed on.
    pub(crate) fn secured(&self, version: &str, cipher: &str) {
        self.shared.secured(version, cipher);
    }

    /// Reports bytes. Returns whether more are wanted.
    pub(crate) fn bytes(&self, from: Side, data: &[u8]) -> bool {
        // These bytes may be the last: their count is there before the end is reported.
        self.handle.add(from, data.len());
        if from == Side::Server {
            self.ends.report();
        }
        self.shared.bytes(from, data)
    }

    /// Takes note of why the connection ends. The first reason counts.
    pub(crate) fn because(&self, ending: Ending) {
        self.shared.because(ending);
    }

    /// From now on, the end of the server's socket is reported even before the connection's task reads it.
    pub(crate) fn watch_end(&self, server: &Socket) {
        self.ends.add(server, &self.shared);
    }

    /// Takes note that a side has ended its stream or reset the connection. The first one counts.
    pub(crate) fn ended(&self, side: Side) {
        self.shared.ended(side);
    }

    /// Reports the end, unless it was reported. Without an earlier [`ended`](Self::ended), `by` ended the connection.
    pub(crate) fn closed(&self, by: Option<Side>) {
        self.shared.closed(by);
    }
}

impl Drop for ObservedConnection {
    fn drop(&mut self) {
        self.ends.remove(self.id());
        self.shared.dropped();
    }
}
