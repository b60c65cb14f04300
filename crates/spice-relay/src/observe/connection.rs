use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use spice_events::{FlowId, Side};

use super::{Observe, Opened, end_watch::EndWatch};
use crate::net::Socket;

/// One connection, as its observer sees it. Keeps the contract of [`Observe`]; dropping it reports the end.
#[derive(Debug)]
pub(crate) struct ObservedConnection {
    shared: Arc<Shared>,
    ends: Arc<EndWatch>,
}

/// What the connection's own task and an [`EndWatch`] share.
pub(super) struct Shared {
    observer: Arc<dyn Observe>,
    id: FlowId,
    state: Mutex<State>,
}

struct State {
    open: bool,
    /// The observer wants no more bytes: nothing needs to be read before the end is reported.
    is_linked: bool,
    /// The server's socket has ended, and the connection's task may not have read the end yet.
    server_ended: bool,
    first_end: Option<Side>,
}

impl ObservedConnection {
    pub(crate) fn open(observer: &Arc<dyn Observe>, ends: &Arc<EndWatch>, opened: Opened) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = FlowId(NEXT.fetch_add(1, Ordering::Relaxed));
        observer.opened(id, opened);
        let state = Mutex::new(State { open: true, is_linked: false, server_ended: false, first_end: None });
        let shared = Arc::new(Shared { observer: Arc::clone(observer), id, state });
        Self { shared, ends: Arc::clone(ends) }
    }

    /// The id that log lines show.
    pub(crate) fn id(&self) -> u64 {
        self.shared.id.0
    }

    /// Reports bytes. Returns whether more are wanted.
    pub(crate) fn bytes(&self, from: Side, data: &[u8]) -> bool {
        if from == Side::Server {
            self.ends.report();
        }
        let mut state = self.shared.state();
        if state.open && !state.is_linked && self.shared.observer.bytes(self.shared.id, from, data) {
            return true;
        }
        state.is_linked = true;
        if state.server_ended {
            self.shared.close(&mut state, Some(Side::Server));
        }
        false
    }

    /// From now on, the end of the server's socket is reported even before the connection's task reads it.
    pub(crate) fn watch_end(&self, server: &Socket) {
        self.ends.add(server, &self.shared);
    }

    /// Takes note that a side has ended its stream or reset the connection. The first one counts.
    pub(crate) fn ended(&self, side: Side) {
        self.shared.state().first_end.get_or_insert(side);
    }

    /// Reports the end, unless it was reported. Without an earlier [`ended`](Self::ended), `by` ended the connection.
    pub(crate) fn closed(&self, by: Option<Side>) {
        self.shared.close(&mut self.shared.state(), by);
    }
}

impl Drop for ObservedConnection {
    fn drop(&mut self) {
        self.ends.remove(self.id());
        self.shared.state().first_end = None;
        self.closed(None);
    }
}

impl Shared {
    pub(super) fn id(&self) -> u64 {
        self.id.0
    }

    /// The kernel knows that the server's socket has ended.
    pub(super) fn server_ended(&self) {
        let mut state = self.state();
        state.server_ended = true;
        // Bytes of a link stage are read and observed first.
        if state.is_linked {
            self.close(&mut state, Some(Side::Server));
        }
    }

    fn close(&self, state: &mut State, by: Option<Side>) {
        if std::mem::take(&mut state.open) {
            self.observer.closed(self.id, state.first_end.or(by));
        }
    }

    /// A panic of the observer's leaves the state whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).finish_non_exhaustive()
    }
}
