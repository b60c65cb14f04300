//! What the metrics count.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use spice_relay::{
    observe::ConnectionHandle,
    spice_events::{ChannelEvent, EventKind, Timestamp},
};
use spice_sessions::{Action, LiveKey, Reason, Record, Traffic, VmId};

use super::{SessionHub, State, counts};

/// What was seen since the start of the process.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// By the VM's name. A VM that gets another name begins anew.
    vms: BTreeMap<Box<str>, VmTotals>,
    links: Durations<{ LINK_BOUNDS.len() }>,
    sessions: Durations<{ SESSION_BOUNDS.len() }>,
}

/// Upper bounds of the histogram of link durations, in seconds: a link stage takes milliseconds; a stalled QEMU answers after 30 seconds.
const LINK_BOUNDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

/// Upper bounds of the histogram of session durations, in seconds: from a failed start to a working week.
const SESSION_BOUNDS: [f64; 10] = [1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 28_800.0, 86_400.0, 604_800.0];

/// What was seen of one VM.
#[derive(Clone, Debug, Default)]
pub(crate) struct VmTotals {
    pub(crate) started: u64,
    pub(crate) ended: BTreeMap<Reason, u64>,
    pub(crate) refused: BTreeMap<Reason, u64>,
    /// Bytes of ended connections, and in a snapshot those of open ones, too.
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
}

/// A histogram of durations. The last count is that of durations above all bounds.
#[derive(Clone, Debug)]
pub(crate) struct Durations<const N: usize> {
    pub(crate) bounds: [f64; N],
    pub(crate) counts: [u64; N],
    pub(crate) above: u64,
    /// In seconds.
    pub(crate) sum: f64,
}

/// Everything that the metrics show of sessions, at one time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) source: &'static str,
    pub(crate) vms: BTreeMap<Box<str>, VmTotals>,
    pub(crate) open: Vec<Open>,
    pub(crate) links: Durations<{ LINK_BOUNDS.len() }>,
    pub(crate) sessions: Durations<{ SESSION_BOUNDS.len() }>,
    pub(crate) health_checks: u64,
    pub(crate) sinks: Vec<Sink>,
}

/// What is open at one VM.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) vm: Box<str>,
    pub(crate) sessions: usize,
    pub(crate) linking: usize,
    pub(crate) linked: usize,
    /// By the number of their type.
    pub(crate) channels: BTreeMap<u8, usize>,
}

/// A place where records go.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) name: &'static str,
    pub(crate) pending: u64,
    pub(crate) lost: u64,
}

impl Totals {
    /// Counts a record.
    pub(super) fn note(&mut self, record: &Record) {
        let vm = self.vm(record.vm.as_ref().map_or("", |vm| &vm.name));
        let reason = record.event.reason.unwrap_or(Reason::Unknown);
        match record.event.action {
            Action::SessionStarted => vm.started += 1,
            Action::SessionEnded => {
                *vm.ended.entry(reason).or_default() += 1;
                self.sessions.add(Duration::from_nanos(record.event.duration.unwrap_or(0)));
            }
            Action::LinkRefused => *vm.refused.entry(reason).or_default() += 1,
            Action::SessionUpdated => {}
        }
    }

    fn vm(&mut self, name: &str) -> &mut VmTotals {
        self.vms.entry(name.into()).or_default()
    }
}

impl State {
    /// Counts the duration of a link stage that succeeded.
    pub(super) fn note_link(&mut self, vm: VmId, event: &ChannelEvent) {
        if matches!(event.kind, EventKind::Initialized(_))
            && let Some(opened_at) = self.sessions.opened_at(vm, event.flow)
        {
            self.totals.links.add(between(opened_at, event.at));
        }
    }

    /// Counts the bytes of a connection that ended.
    pub(super) fn note_bytes(&mut self, vm: VmId, traffic: Traffic) {
        let vm = self.totals.vm(self.sessions.vm_name(vm).unwrap_or_default());
        vm.to_server += traffic.to_server;
        vm.to_client += traffic.to_client;
    }
}

impl SessionHub {
    /// Everything that the metrics show. Open connections are counted outside of the lock.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let open = state.sessions.at_vms().map(|vm| Open {
            vm: vm.name.into(),
            sessions: vm.sessions,
            linking: vm.linking,
            linked: vm.connections - vm.linking,
            channels: vm.channels.clone(),
        });
        let open: Vec<_> = open.collect();
        let mut vms = state.totals.vms.clone();
        let (links, sessions) = (state.totals.links.clone(), state.totals.sessions.clone());
        let health_checks = state.sessions.counters().health_checks;
        let mut connections: BTreeMap<VmId, (Box<str>, Vec<Arc<ConnectionHandle>>)> = BTreeMap::new();
        for (vm, connection) in state.connections.values() {
            let name = || state.sessions.vm_name(*vm).unwrap_or_default().into();
            connections.entry(*vm).or_insert_with(|| (name(), Vec::new())).1.push(Arc::clone(connection));
        }
        drop(state);
        for (name, connections) in connections.into_values() {
            let vm = vms.entry(name).or_default();
            for connection in connections {
                let traffic = counts(&connection);
                vm.to_server += traffic.to_server;
                vm.to_client += traffic.to_client;
            }
        }
        // Each VM has its counters from the start, so that a rate of the first event can be seen.
        for vm in &open {
            vms.entry(vm.vm.clone()).or_default();
        }
        let source = super::source_name(self.0.source);
        Snapshot { source, vms, open, links, sessions, health_checks, sinks: self.sinks() }
    }

    /// How many sessions are live.
    pub(crate) fn len(&self) -> usize {
        self.state().sessions.len()
    }

    /// Whether this session is live.
    pub(crate) fn is_live(&self, key: LiveKey) -> bool {
        self.state().sessions.is_live(key)
    }

    /// Where records go, and how far behind each place is.
    fn sinks(&self) -> Vec<Sink> {
        let mut sinks = Vec::new();
        if let Some(stdout) = &self.0.stdout {
            sinks.push(Sink { name: "stdout", pending: stdout.queued() as u64, lost: stdout.lost() });
        }
        if let Some(file) = &self.0.file {
            let lost = self.0.lost.load(Ordering::Relaxed);
            sinks.push(Sink { name: "file", pending: file.queued() as u64, lost });
        }
        #[cfg(feature = "history")]
        if let Some(history) = &self.0.history {
            sinks.push(Sink { name: "history", pending: history.pending(), lost: history.lost() });
        }
        if let Some(feed) = &self.0.feed {
            sinks.push(Sink { name: "events", pending: feed.pending(), lost: feed.lost() });
        }
        sinks
    }
}

impl<const N: usize> Durations<N> {
    fn new(bounds: [f64; N]) -> Self {
        Self { bounds, counts: [0; N], above: 0, sum: 0.0 }
    }

    fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.sum += seconds;
        match self.bounds.iter().position(|bound| seconds <= *bound) {
            Some(index) => self.counts[index] += 1,
            None => self.above += 1,
        }
    }
}

impl Default for Durations<{ LINK_BOUNDS.len() }> {
    fn default() -> Self {
        Self::new(LINK_BOUNDS)
    }
}

impl Default for Durations<{ SESSION_BOUNDS.len() }> {
    fn default() -> Self {
        Self::new(SESSION_BOUNDS)
    }
}

fn between(start: Timestamp, end: Timestamp) -> Duration {
    let micros = |at: Timestamp| at.seconds.saturating_mul(1_000_000).saturating_add(at.microseconds);
    Duration::from_micros(u64::try_from(micros(end).saturating_sub(micros(start))).unwrap_or(0))
}
