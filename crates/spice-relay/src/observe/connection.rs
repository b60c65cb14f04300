use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use spice_events::{FlowId, Side};

use super::{Observe, Opened, end_watch::EndWatch, shared::Shared};
use crate::net::Socket;

/// One connection, as its observer sees it. Keeps the contract of [`Observe`]; dropping it reports the end.
#[derive(Debug)]
pub(crate) struct ObservedConnection {
    shared: Arc<Shared>,
    ends: Arc<EndWatch>,
}

impl ObservedConnection {
    pub(crate) fn open(observer: &Arc<dyn Observe>, ends: &Arc<EndWatch>, opened: Opened) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = FlowId(NEXT.fetch_add(1, Ordering::Relaxed));
        observer.opened(id, opened);
        Self { shared: Arc::new(Shared::new(Arc::clone(observer), id)), ends: Arc::clone(ends) }
    }

    /// The id that log lines show.
    pub(crate) fn id(&self) -> u64 {
        self.shared.id()
    }

    /// Reports bytes. Returns whether more are wanted.
    pub(crate) fn bytes(&self, from: Side, data: &[u8]) -> bool {
        if from == Side::Server {
            self.ends.report();
        }
        self.shared.bytes(from, data)
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
