//! What is known of one VM's connections, and who is told.
//!
//! One tracker a VM, behind a lock that is taken for accepts, link stages and ends, and never for the bytes of a channel
//! that is up. Events leave under that lock, so that all listeners get them in one order; no listener is waited for.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64, atomic::Ordering},
    time::SystemTime,
};

use qmp_server::Server;
use spice_events::{Address, Anomaly, AnomalyKind, Auth, Config, Endpoints, FlowId, Input, Output, Side, Tracker};

use super::{seldom::PEER, stdout::Stdout};

/// Where a VM's events go.
#[derive(Debug)]
pub(super) enum Sink {
    Qmp(Server),
    Stdout(Stdout),
}

/// One VM's tracker and its listeners.
#[derive(Debug)]
pub(super) struct Watch {
    vm: Arc<str>,
    tracker: Arc<Mutex<Tracker>>,
    sink: Sink,
}

impl Watch {
    pub(super) fn new(vm: Arc<str>, tracker: Arc<Mutex<Tracker>>, sink: Sink) -> Self {
        Self { vm, tracker, sink }
    }

    /// A tracker, to be shared with whoever answers `query-spice`.
    pub(super) fn tracker(auth: Option<Auth>) -> Arc<Mutex<Tracker>> {
        let mut config = Config::new();
        config.auth = auth;
        Arc::new(Mutex::new(Tracker::new(config)))
    }

    /// What the log calls the VM.
    pub(super) fn vm(&self) -> &str {
        &self.vm
    }

    /// Where its events go.
    pub(super) fn sink(&self) -> &Sink {
        &self.sink
    }

    /// From now on, events say this of the server's authentication.
    pub(super) fn set_auth(&self, auth: Auth) {
        lock(&self.tracker).set_auth(Some(auth));
    }

    /// Hands in one input, sends the events that follow. Whether the connection's bytes are still looked at.
    fn handle(&self, flow: FlowId, input: Input<'_>) -> bool {
        let mut anomalies = Vec::new();
        let mut tracker = lock(&self.tracker);
        // Under the lock, so that no event is older than the one before it.
        tracker.handle(SystemTime::now().into(), flow, input);
        while let Some(output) = tracker.poll() {
            match output {
                Output::Event(event) => {
                    let mut line = Vec::with_capacity(512);
                    event.write_to(&mut line);
                    match &self.sink {
                        Sink::Qmp(server) => server.publish(&line),
                        Sink::Stdout(stdout) => stdout.send(line),
                    }
                }
                Output::Anomaly(anomaly) => anomalies.push(anomaly),
            }
        }
        let wants = tracker.wants(flow);
        drop(tracker);
        // Only now: whoever reads the log may be slow.
        for anomaly in &anomalies {
            log(&self.vm, anomaly);
        }
        wants
    }
}

/// Nothing here panics while it holds the lock, so that what a panic elsewhere leaves is whole.
pub(super) fn lock(tracker: &Mutex<Tracker>) -> MutexGuard<'_, Tracker> {
    tracker.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log(vm: &str, anomaly: &Anomaly) {
    let Anomaly { flow, kind, .. } = anomaly;
    let name = kind.name();
    match kind {
        AnomalyKind::Inferred | AnomalyKind::IdLearned | AnomalyKind::MigrationTarget | AnomalyKind::Unlinked => {
            tracing::info!(target: PEER, vm, flow = flow.0, kind = name, "{anomaly}");
        }
        _ => tracing::warn!(target: PEER, vm, flow = flow.0, kind = name, "{anomaly}"),
    }
}

/// One connection's entry in the tracker. Whatever way the connection ends, dropping this says so.
#[derive(Debug)]
pub(super) struct Flow {
    watch: Arc<Watch>,
    id: FlowId,
    open: bool,
}

impl Flow {
    /// A connection was accepted: the moment of `SPICE_CONNECTED`.
    pub(super) fn opened(watch: &Arc<Watch>, server: Address, client: Address, tls: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = FlowId(NEXT.fetch_add(1, Ordering::Relaxed));
        watch.handle(id, Input::Opened { endpoints: Endpoints { server, client }, tls, readable: true });
        Self { watch: Arc::clone(watch), id, open: true }
    }

    /// What the log calls it.
    pub(super) fn id(&self) -> u64 {
        self.id.0
    }

    /// What the log calls its VM.
    pub(super) fn vm(&self) -> &str {
        &self.watch.vm
    }

    /// Bytes passed. Whether more are wanted.
    pub(super) fn bytes(&self, from: Side, data: &[u8]) -> bool {
        self.open && self.watch.handle(self.id, Input::Bytes { from, data })
    }

    /// The server's side is gone: the moment of `SPICE_DISCONNECTED`. Only the first call counts.
    pub(super) fn closed(&mut self, by: Option<Side>) {
        if std::mem::take(&mut self.open) {
            self.watch.handle(self.id, Input::Closed { by });
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.closed(None);
    }
}
