//! The QMP service of one VM: `query-spice`, answered from the live connections, and QEMU's built-in commands.
//!
//! What QEMU knows and a relay does not is left out or `unknown`, unless QEMU was asked (`--qemu-qmp`): `compiled-version`
//! is absent, `mouse-mode` is `unknown`, and the greeting has the version of `--qemu-version`, with `spicewatch` and the program's
//! version as its package. `migrated` is always false.

use std::sync::{Arc, Mutex, PoisonError};

use qmp_schema::{EventInfo, SpiceInfo, SpiceQueryMouseMode};
use qmp_server::{Command, Limits, Reply, Service};
use spice_relay::{
    observe::SharedTracker,
    spice_events::{Auth, LiveChannel, Tracker},
};

use super::{ask_qemu::Qemu, basics, details::ServerDetails, status::Status};

/// The largest message that is kept, in bytes and in tokens. QEMU's limit is 64 MiB. No command here needs a hundredth of it,
/// and over TCP any client may connect.
const MAX_MESSAGE: (usize, usize) = (64 << 10, 8 << 10);

/// The events that the relay publishes.
const SPICE_EVENTS: [&str; 3] = ["SPICE_CONNECTED", "SPICE_INITIALIZED", "SPICE_DISCONNECTED"];

/// Builds the service of one VM.
pub(super) fn service(
    tracker: &SharedTracker,
    details: &Arc<Mutex<ServerDetails>>,
    status: Status,
    qemu: Option<&Arc<Qemu>>,
) -> Service {
    let (version, name) = {
        let details = details.lock().unwrap_or_else(PoisonError::into_inner);
        (details.version.clone(), details.name.clone())
    };
    let (tracker, details) = (tracker.clone(), Arc::clone(details));
    let mut limits = Limits::default();
    (limits.token_bytes, limits.tokens) = MAX_MESSAGE;
    basics::add(Service::builder(version), name.as_deref(), qemu)
        .limits(limits)
        .command(Command::new("query-spice", move |_| Ok(query_spice(&tracker, &details))).returns(SpiceInfo::TYPE))
        .command(status.command())
        .events(SPICE_EVENTS.into_iter().filter_map(EventInfo::of))
        .build()
}

fn query_spice(tracker: &SharedTracker, details: &Mutex<ServerDetails>) -> Reply {
    let details = details.lock().unwrap_or_else(PoisonError::into_inner).clone();
    tracker.look(|tracker| reply(tracker, details))
}

fn reply(tracker: &Tracker, details: ServerDetails) -> Reply {
    Reply::from(SpiceInfo {
        enabled: true,
        migrated: false,
        host: details.host.map(Into::into),
        port: details.port.map(Into::into),
        tls_port: details.tls_port.map(Into::into),
        auth: Some(details.auth.unwrap_or(Auth::Spice).name().into()),
        compiled_version: details.compiled_version.map(Into::into),
        mouse_mode: details.mouse_mode.unwrap_or(SpiceQueryMouseMode::Unknown),
        channels: Some(tracker.channels().iter().map(LiveChannel::info).collect()),
    })
}
