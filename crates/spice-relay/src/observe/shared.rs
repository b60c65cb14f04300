use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use spice_events::{FlowId, Side};

use super::{Ending, Observe};

/// What the task of a connection and an [`EndWatch`](super::end_watch::EndWatch) share: what the observer was told.
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
    ending: Option<Ending>,
}

impl Shared {
    /// A connection that the observer knows as opened.
    pub(super) fn new(observer: Arc<dyn Observe>, id: FlowId) -> Self {
        let state = State { open: true, is_linked: false, server_ended: false, first_end: None, ending: None };
        let state = Mutex::new(state);
        Self { observer, id, state }
    }

    pub(super) fn id(&self) -> u64 {
        self.id.0
    }

    /// Reports what the TLS handshake with the client agreed on.
    pub(super) fn secured(&self, version: &str, cipher: &str) {
        self.observer.secured(self.id, version, cipher);
    }

    /// Takes note of why the connection ends. The first reason counts.
    pub(super) fn because(&self, ending: Ending) {
        self.state().ending.get_or_insert(ending);
    }

    /// Reports bytes. Returns whether more are wanted.
    pub(super) fn bytes(&self, from: Side, data: &[u8]) -> bool {
        let mut state = self.state();
        if state.open && !state.is_linked && self.observer.bytes(self.id, from, data) {
            return true;
        }
        state.is_linked = true;
        if state.server_ended {
            self.close(&mut state, Some(Side::Server));
        }
        false
    }

    /// A side has ended its stream or reset the connection. The first one counts.
    pub(super) fn ended(&self, side: Side) {
        let mut state = self.state();
        state.first_end.get_or_insert(side);
        state.ending.get_or_insert(Ending::Ended(side));
    }

    /// The kernel knows that the server's socket has ended.
    pub(super) fn server_ended(&self, ending: Ending) {
        let mut state = self.state();
        state.server_ended = true;
        state.ending.get_or_insert(ending);
        // Bytes of a link stage are read and observed first.
        if state.is_linked {
            self.close(&mut state, Some(Side::Server));
        }
    }

    /// Reports the end, unless it was reported. Without an earlier [`ended`](Self::ended), `by` ended the connection.
    pub(super) fn closed(&self, by: Option<Side>) {
        self.close(&mut self.state(), by);
    }

    /// Reports an end of the relay's own, unless an end was reported.
    pub(super) fn dropped(&self) {
        let mut state = self.state();
        state.first_end = None;
        self.close(&mut state, None);
    }

    fn close(&self, state: &mut State, by: Option<Side>) {
        if std::mem::take(&mut state.open) {
            let ended = by.map_or(Ending::Aborted, Ending::Ended);
            self.observer.ending(self.id, state.ending.unwrap_or(ended));
            self.observer.closed(self.id, state.first_end.or(by));
        }
    }

    /// A panic of the observer's leaves the state whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).finish_non_exhaustive()
    }
}
