//! What is known of a VM's SPICE server, besides its connections.

use qmp_schema::{SpiceQueryMouseMode, Version};
use spice_relay::spice_events::Auth;

/// What `query-spice` says about a VM's SPICE server besides its channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerDetails {
    /// The configured name of the VM.
    pub(super) name: Option<String>,
    /// The host of the first configured listener: `*` for all addresses, or the path of a unix socket.
    pub(super) host: Option<String>,
    /// The port of the first plain TCP listener.
    pub(super) port: Option<u16>,
    /// The port of the first TLS listener.
    pub(super) tls_port: Option<u16>,
    pub(super) auth: Option<Auth>,
    /// QEMU's version, or the configured one.
    pub(super) version: Version<'static>,
    pub(super) compiled_version: Option<String>,
    pub(super) mouse_mode: Option<SpiceQueryMouseMode<'static>>,
}
