//! The QMP service of one VM: `query-spice`, live, and QEMU's built-in commands.
//!
//! What QEMU knows and a relay does not is left out or said to be unknown, unless QEMU was asked (`--qemu-qmp`):
//! `compiled-version` is absent, `mouse-mode` is `unknown`, and the version of the greeting is that of the QEMU whose
//! events these are, 10.2.0, with `spicewatch` and our own version as its package. `migrated` is always false.

use std::sync::{Arc, Mutex, PoisonError};

use qmp_schema::{Encode, SpiceInfo, SpiceQueryMouseMode};
use qmp_server::{
    Command, Limits, Reply, Service, Version,
    schema::{Struct, Type},
};
use spice_events::{Auth, Tracker};

use super::{status::Status, watch::lock};

/// What a client may make us keep of a message, in bytes and in tokens; QEMU keeps 64 MiB. No command here takes as much as a
/// hundredth, and over TCP anybody may connect, so often as there are places.
const MAX_MESSAGE: (usize, usize) = (64 << 10, 8 << 10);

/// What is said of a VM that no byte shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// As configured: the host of the first listener, `*` for all, or a unix socket's path.
    pub(super) host: Option<String>,
    /// The first plain TCP listener's.
    pub(super) port: Option<u16>,
    /// The first TLS listener's.
    pub(super) tls_port: Option<u16>,
    pub(super) auth: Option<Auth>,
    pub(super) version: Option<Version>,
    pub(super) compiled_version: Option<String>,
    pub(super) mouse_mode: Option<SpiceQueryMouseMode<'static>>,
}

/// The service of one VM.
pub(super) fn service(tracker: &Arc<Mutex<Tracker>>, facts: &Arc<Mutex<Facts>>, status: Status) -> Service {
    let version = facts.lock().unwrap_or_else(PoisonError::into_inner).version.clone();
    let package = concat!("spicewatch ", env!("CARGO_PKG_VERSION"));
    let version = version.unwrap_or_else(|| Version::new(10, 2, 0, package));
    let (tracker, facts) = (Arc::clone(tracker), Arc::clone(facts));
    let family = || Type::of(["ipv4", "ipv6", "unix", "vsock", "unknown"]);
    let basic = || Struct::new().required("host", Type::Str).required("port", Type::Str).required("family", family());
    let channel = || {
        basic()
            .required("connection-id", Type::Int)
            .required("channel-type", Type::Int)
            .required("channel-id", Type::Int)
            .required("tls", Type::Bool)
    };
    let info = Struct::new()
        .required("enabled", Type::Bool)
        .required("migrated", Type::Bool)
        .optional("host", Type::Str)
        .optional("port", Type::Int)
        .optional("tls-port", Type::Int)
        .optional("auth", Type::Str)
        .optional("compiled-version", Type::Str)
        .required("mouse-mode", Type::of(["client", "server", "unknown"]))
        .optional("channels", Type::array(channel()));
    let ends = || Struct::new().required("server", basic()).required("client", basic());
    let initialized =
        Struct::new().required("server", basic().optional("auth", Type::Str)).required("client", channel());
    let mut limits = Limits::default();
    (limits.token_bytes, limits.tokens) = MAX_MESSAGE;
    Service::builder(version)
        .limits(limits)
        .command(Command::new("query-spice", move |_| Ok(query_spice(&tracker, &facts))).returns(info))
        .command(status.command())
        .event("SPICE_CONNECTED", ends())
        .event("SPICE_INITIALIZED", initialized)
        .event("SPICE_DISCONNECTED", ends())
        .build()
}

fn query_spice(tracker: &Mutex<Tracker>, facts: &Mutex<Facts>) -> Reply {
    let facts = facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let tracker = lock(tracker);
    let info = SpiceInfo {
        enabled: true,
        migrated: false,
        host: facts.host.map(Into::into),
        port: facts.port.map(Into::into),
        tls_port: facts.tls_port.map(Into::into),
        auth: Some(facts.auth.unwrap_or(Auth::Spice).name().into()),
        compiled_version: facts.compiled_version.map(Into::into),
        mouse_mode: facts.mouse_mode.unwrap_or(SpiceQueryMouseMode::Unknown),
        channels: Some(tracker.channels()),
    };
    Reply::Json(info.to_vec().into())
}
