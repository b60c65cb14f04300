//! Where a VM's events and anomalies go.

use std::{
    cell::Cell,
    sync::{Arc, PoisonError, RwLock},
};

use qmp_server::Server;
use spice_relay::{
    observe::{ConnectionHandle, Ending, EventSink},
    spice_events::{Anomaly, AnomalyKind, ChannelEvent, FlowId},
};
use spice_sessions::VmId;
use tokio::sync::Notify;

use super::{config::StdoutFormat, hints::hint};
use crate::outputs::{SessionHub, log_rate_limit::PEER_LOG_TARGET, stdout::StdoutSource};

thread_local! {
    /// The connection that this thread is ending, if the log has its reason already.
    static EXPLAINED: Cell<Option<FlowId>> = const { Cell::new(None) };
}

/// Sends one VM's events to its QMP clients and to stdout, and its anomalies to the log.
#[derive(Debug)]
pub(super) struct VmSink {
    vm: RwLock<Arc<str>>,
    output: RwLock<EventOutput>,
    /// Where sessions are followed, and the VM's id there.
    sessions: Option<(SessionHub, VmId)>,
    /// Notified when the upstream can be reached again.
    recovered: Arc<Notify>,
}

/// Where a VM's events go: to QMP clients, to stdout, to both, or to neither if stdout has session records.
#[derive(Clone, Debug)]
pub(super) struct EventOutput {
    pub(super) qmp: Option<Server>,
    pub(super) stdout: Option<Arc<StdoutSource>>,
    /// How lines on stdout look.
    pub(super) format: StdoutFormat,
}

impl VmSink {
    pub(super) fn new(
        vm: &str,
        output: EventOutput,
        sessions: Option<(SessionHub, VmId)>,
        recovered: Arc<Notify>,
    ) -> Self {
        Self { vm: RwLock::new(vm.into()), output: RwLock::new(output), sessions, recovered }
    }

    /// The VM has another name from now on.
    pub(super) fn rename(&self, vm: &str) {
        *self.vm.write().unwrap_or_else(PoisonError::into_inner) = vm.into();
        if let Some((sessions, id)) = &self.sessions {
            sessions.rename(*id, vm);
        }
    }

    pub(super) fn output(&self) -> EventOutput {
        self.output.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Events go here from now on.
    pub(super) fn set_output(&self, output: EventOutput) {
        *self.output.write().unwrap_or_else(PoisonError::into_inner) = output;
    }
}

impl EventSink for VmSink {
    fn event(&self, event: &ChannelEvent) {
        let line = || {
            let mut line = Vec::with_capacity(512);
            event.write_to(&mut line);
            line
        };
        let output = self.output.read().unwrap_or_else(PoisonError::into_inner);
        if output.qmp.is_some() || output.stdout.is_some() {
            let line = line();
            if let Some(server) = &output.qmp {
                server.publish(&line);
            }
            if let Some(stdout) = &output.stdout {
                let vm = self.vm.read().unwrap_or_else(PoisonError::into_inner);
                stdout.send(output.format.line(&vm, line));
            }
        }
        drop(output);
        if let Some((sessions, vm)) = &self.sessions {
            sessions.event(*vm, event);
        }
    }

    fn anomaly(&self, anomaly: &Anomaly) {
        if let Some((sessions, vm)) = &self.sessions {
            sessions.anomaly(*vm, anomaly);
        }
        let Anomaly { flow, kind, .. } = anomaly;
        if matches!(kind, AnomalyKind::Unlinked { .. }) && EXPLAINED.take() == Some(*flow) {
            return;
        }
        let vm = Arc::clone(&self.vm.read().unwrap_or_else(PoisonError::into_inner));
        let (vm, name, hint) = (&*vm, kind.name(), hint(anomaly));
        let client = &anomaly.connection.endpoints.client;
        match kind {
            AnomalyKind::Inferred
            | AnomalyKind::IdLearned
            | AnomalyKind::MigrationTarget
            | AnomalyKind::Unlinked { .. } => {
                tracing::info!(target: PEER_LOG_TARGET, vm, flow = flow.0, %client, kind = name, hint, "{anomaly}");
            }
            _ => tracing::warn!(target: PEER_LOG_TARGET, vm, flow = flow.0, %client, kind = name, hint, "{anomaly}"),
        }
    }

    fn connection(&self, flow: FlowId, connection: Arc<ConnectionHandle>) {
        if let Some((sessions, vm)) = &self.sessions {
            sessions.connection(*vm, flow, connection);
        }
    }

    fn secured(&self, flow: FlowId, version: &str, cipher: &str) {
        if let Some((sessions, vm)) = &self.sessions {
            sessions.secured(*vm, flow, version, cipher);
        }
    }

    fn ending(&self, flow: FlowId, ending: Ending) {
        let is_explained =
            matches!(ending, Ending::TlsFailed | Ending::UpstreamUnreachable | Ending::LinkTimeout | Ending::Aborted);
        EXPLAINED.set(is_explained.then_some(flow));
        if let Some((sessions, vm)) = &self.sessions {
            sessions.ending(*vm, flow, ending);
        }
    }

    fn upstream_recovered(&self) {
        self.recovered.notify_one();
    }
}
