//! Lines about sessions in the log: who, at which VM, for how long, and who ended it.

use spice_sessions::{Action, EndedBy, Reason, Record};

use super::log_rate_limit::PEER_LOG_TARGET;

/// Logs the start and the end of a session. A refused link has a line of its own already.
pub(crate) fn log(record: &Record) {
    let (spice, event) = (&record.spice, &record.event);
    let vm = record.vm.as_ref().map(|vm| &*vm.name);
    let client = client(record);
    let session = record.session.as_ref().map(|session| session.id.to_string());
    let channels = spice.channels.len() as u64 + spice.channels_omitted;
    match event.action {
        Action::SessionStarted => {
            tracing::info!(target: PEER_LOG_TARGET, vm, client, session, tls = record.tls.established, "session started");
        }
        Action::SessionEnded => {
            let seconds = event.duration.unwrap_or(0) / 1_000_000_000;
            let ended_by = spice.ended_by.map(EndedBy::name);
            let reason = event.reason.map(Reason::name);
            let (to_client, to_server) = (record.server.bytes, record.client.bytes);
            tracing::info!(target: PEER_LOG_TARGET, vm, client, session, channels, seconds, to_server, to_client, ended_by, reason, "session ended");
        }
        Action::SessionUpdated | Action::LinkRefused => {}
    }
}

/// The client's address, with its port.
fn client(record: &Record) -> String {
    let address = record.client.address.as_deref().unwrap_or_default();
    match record.client.port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_owned(),
    }
}
