//! What the control socket answers.

use std::sync::{Arc, atomic::Ordering};

use spice_relay::spice_events::FlowId;
use spice_sessions::{LiveKey, Record};

use super::{SessionHub, State, counts, now, source_name};
use crate::control::{Status, VmStatus, server};

impl server::Table for SessionHub {
    fn status(&self) -> Status {
        let lost = self.0.lost.load(Ordering::Relaxed);
        #[cfg(feature = "history")]
        let lost = lost + self.0.history.as_ref().map_or(0, crate::history::History::lost);
        let state = self.state();
        let sessions = &state.sessions;
        let counters = sessions.counters();
        let vms = sessions.vms().map(|(name, sessions)| VmStatus { name: name.to_owned(), sessions }).collect();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: source_name(self.0.source).to_owned(),
            pid: std::process::id(),
            since: format!("{:.0}", self.0.since),
            vms,
            sessions: sessions.len(),
            connections: sessions.connections(),
            started: counters.started,
            ended: counters.ended,
            refused: counters.refused,
            health_checks: counters.health_checks,
            lost_records: lost,
            hooks: self.0.hooks.get().map(crate::hooks::Hooks::counts),
        }
    }

    fn has_vm(&self, name: &str) -> bool {
        self.state().sessions.vms().any(|(vm, _)| vm == name)
    }

    fn page(&self, after: Option<LiveKey>, max: usize) -> Vec<(LiveKey, Record)> {
        let mut state = self.state();
        let keys: Vec<_> = state.sessions.live_keys(after).take(max).collect();
        state.read(keys)
    }

    fn matching(&self, id: &str, max: usize) -> Vec<(LiveKey, Record)> {
        let mut state = self.state();
        let keys: Vec<_> = state.sessions.live_keys_matching(id).take(max).collect();
        state.read(keys)
    }

    fn linking(&self) -> usize {
        self.state().sessions.linking()
    }

    fn end(&self, session: LiveKey) -> usize {
        let state = self.state();
        let flows = state.sessions.live_flows(session);
        let connections: Vec<_> = flows.filter_map(|flow| Some(Arc::clone(&state.connections.get(&flow)?.1))).collect();
        drop(state);
        for connection in &connections {
            connection.terminate();
        }
        connections.len()
    }
}

impl State {
    /// Records of live sessions, with the bytes up to now.
    fn read(&mut self, keys: Vec<LiveKey>) -> Vec<(LiveKey, Record)> {
        let Self { sessions, connections, .. } = self;
        let now = now();
        let mut record = |key| {
            let counts = |flow: FlowId| connections.get(&flow).map(|(_, connection)| counts(connection));
            Some((key, sessions.live_record(key, now, counts)?))
        };
        keys.into_iter().filter_map(&mut record).collect()
    }
}
