//! Where a VM's events and anomalies go.

use std::sync::Arc;

use qmp_server::Server;
use spice_relay::{
    observe::EventSink,
    spice_events::{Anomaly, AnomalyKind, ChannelEvent},
};
use tokio::sync::Notify;

use super::{log_rate_limit::PEER_LOG_TARGET, stdout::Stdout};

/// Sends one VM's events to its QMP clients or to stdout, and its anomalies to the log.
#[derive(Debug)]
pub(super) struct VmSink {
    pub(super) vm: Arc<str>,
    pub(super) output: EventOutput,
    /// Notified when the upstream can be reached again.
    pub(super) recovered: Arc<Notify>,
}

/// Where a VM's events go.
#[derive(Debug)]
pub(super) enum EventOutput {
    Qmp(Server),
    Stdout(Stdout),
}

impl EventSink for VmSink {
    fn event(&self, event: &ChannelEvent) {
        let mut line = Vec::with_capacity(512);
        event.write_to(&mut line);
        match &self.output {
            EventOutput::Qmp(server) => server.publish(&line),
            EventOutput::Stdout(stdout) => stdout.send(line),
        }
    }

    fn anomaly(&self, anomaly: &Anomaly) {
        let Anomaly { flow, kind, .. } = anomaly;
        let (vm, name) = (&*self.vm, kind.name());
        match kind {
            AnomalyKind::Inferred
            | AnomalyKind::IdLearned
            | AnomalyKind::MigrationTarget
            | AnomalyKind::Unlinked { .. } => {
                tracing::info!(target: PEER_LOG_TARGET, vm, flow = flow.0, kind = name, "{anomaly}");
            }
            _ => tracing::warn!(target: PEER_LOG_TARGET, vm, flow = flow.0, kind = name, "{anomaly}"),
        }
    }

    fn upstream_recovered(&self) {
        self.recovered.notify_one();
    }
}
