//! The used part of libspice-server's C interface: spice-core.h, spice-server.h, spice-audio.h and spice-qxl.h of 0.15.

use std::ffi::{c_char, c_int, c_void};

/// `SpiceServer`
#[repr(C)]
pub(crate) struct SpiceServer {
    _opaque: [u8; 0],
}

#[repr(C)]
pub(crate) struct BaseInterface {
    pub(crate) kind: *const c_char,
    pub(crate) description: *const c_char,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

// SAFETY: the pointers point to string literals.
unsafe impl Sync for BaseInterface {}

#[repr(C)]
pub(crate) struct BaseInstance {
    pub(crate) interface: *const BaseInterface,
}

/// `SpicePlaybackInstance` and `SpiceRecordInstance`, which have the same layout.
#[repr(C)]
pub(crate) struct AudioInstance {
    pub(crate) base: BaseInstance,
    pub(crate) state: *mut c_void,
}

/// `QXLInstance`
#[repr(C)]
pub(crate) struct QxlInstance {
    pub(crate) base: BaseInstance,
    pub(crate) id: c_int,
    pub(crate) state: *mut c_void,
}

/// `QXLDevInitInfo`
#[repr(C)]
pub(crate) struct QxlInitInfo {
    pub(crate) memslot_groups: u32,
    pub(crate) memslots: u32,
    pub(crate) memslot_gen_bits: u8,
    pub(crate) memslot_id_bits: u8,
    pub(crate) qxl_ram_size: u32,
    pub(crate) internal_groupslot_id: u8,
    pub(crate) surfaces: u32,
}

/// `QXLReleaseInfoExt`, which is passed by value.
#[repr(C)]
pub(crate) struct QxlReleaseInfoExt {
    pub(crate) info: *mut c_void,
    pub(crate) group_id: u32,
}

/// `QXLInterface`. The worker's thread calls it.
#[repr(C)]
pub(crate) struct QxlInterface {
    pub(crate) base: BaseInterface,
    pub(crate) attached_worker: extern "C" fn(*mut QxlInstance),
    pub(crate) set_compression_level: extern "C" fn(*mut QxlInstance, c_int),
    pub(crate) set_mm_time: extern "C" fn(*mut QxlInstance, u32),
    pub(crate) get_init_info: extern "C" fn(*mut QxlInstance, *mut QxlInitInfo),
    pub(crate) get_command: extern "C" fn(*mut QxlInstance, *mut c_void) -> c_int,
    pub(crate) req_cmd_notification: extern "C" fn(*mut QxlInstance) -> c_int,
    pub(crate) release_resource: extern "C" fn(*mut QxlInstance, QxlReleaseInfoExt),
    pub(crate) get_cursor_command: extern "C" fn(*mut QxlInstance, *mut c_void) -> c_int,
    pub(crate) req_cursor_notification: extern "C" fn(*mut QxlInstance) -> c_int,
    pub(crate) notify_update: extern "C" fn(*mut QxlInstance, u32),
    pub(crate) flush_resources: extern "C" fn(*mut QxlInstance) -> c_int,
    pub(crate) async_complete: extern "C" fn(*mut QxlInstance, u64),
    pub(crate) update_area_complete: extern "C" fn(*mut QxlInstance, u32, *mut c_void, u32),
    pub(crate) set_client_capabilities: extern "C" fn(*mut QxlInstance, u8, *mut u8),
    pub(crate) client_monitors_config: extern "C" fn(*mut QxlInstance, *mut c_void) -> c_int,
}

/// `SpiceChannelEventInfo` up to the addresses. They are not compared: the ends of a socket pair have none.
#[repr(C)]
pub(crate) struct ChannelEventInfo {
    pub(crate) connection_id: c_int,
    pub(crate) channel_type: c_int,
    pub(crate) channel_id: c_int,
    pub(crate) flags: c_int,
}

pub(crate) type TimerFunc = unsafe extern "C" fn(*mut c_void);
pub(crate) type WatchFunc = unsafe extern "C" fn(c_int, c_int, *mut c_void);
/// A `SpiceTimer` or a `SpiceWatch`: a pointer for the library, a number here.
pub(crate) type Handle = usize;

#[repr(C)]
pub(crate) struct CoreInterface {
    pub(crate) base: BaseInterface,
    pub(crate) timer_add: extern "C" fn(TimerFunc, *mut c_void) -> Handle,
    pub(crate) timer_start: extern "C" fn(Handle, u32),
    pub(crate) timer_cancel: extern "C" fn(Handle),
    pub(crate) timer_remove: extern "C" fn(Handle),
    pub(crate) watch_add: extern "C" fn(c_int, c_int, WatchFunc, *mut c_void) -> Handle,
    pub(crate) watch_update_mask: extern "C" fn(Handle, c_int),
    pub(crate) watch_remove: extern "C" fn(Handle),
    pub(crate) channel_event: extern "C" fn(c_int, *const ChannelEventInfo),
}

pub(crate) const WATCH_READ: c_int = 1;
pub(crate) const WATCH_WRITE: c_int = 2;
pub(crate) const SECURITY_NONE: c_int = 1;
pub(crate) const SECURITY_SSL: c_int = 2;

#[link(name = "spice-server")]
unsafe extern "C" {
    pub(crate) fn spice_server_new() -> *mut SpiceServer;
    pub(crate) fn spice_server_init(server: *mut SpiceServer, core: *const CoreInterface) -> c_int;
    pub(crate) fn spice_server_set_noauth(server: *mut SpiceServer) -> c_int;
    pub(crate) fn spice_server_set_sasl(server: *mut SpiceServer, enabled: c_int) -> c_int;
    pub(crate) fn spice_server_set_sasl_appname(server: *mut SpiceServer, name: *const c_char) -> c_int;
    pub(crate) fn spice_server_set_ticket(
        server: *mut SpiceServer,
        password: *const c_char,
        lifetime: c_int,
        fail_if_connected: c_int,
        disconnect_if_connected: c_int,
    ) -> c_int;
    pub(crate) fn spice_server_set_channel_security(
        server: *mut SpiceServer,
        channel: *const c_char,
        security: c_int,
    ) -> c_int;
    pub(crate) fn spice_server_set_addr(server: *mut SpiceServer, address: *const c_char, flags: c_int);
    pub(crate) fn spice_server_set_tls(
        server: *mut SpiceServer,
        port: c_int,
        ca_cert_file: *const c_char,
        certs_file: *const c_char,
        private_key_file: *const c_char,
        key_password: *const c_char,
        dh_key_file: *const c_char,
        cipher_suite: *const c_char,
    ) -> c_int;
    pub(crate) fn spice_server_add_ssl_client(server: *mut SpiceServer, socket: c_int, skip_auth: c_int) -> c_int;
    pub(crate) fn spice_server_add_client(server: *mut SpiceServer, socket: c_int, skip_auth: c_int) -> c_int;
    pub(crate) fn spice_qxl_reset_image_cache(instance: *mut QxlInstance);
    pub(crate) fn spice_server_add_interface(server: *mut SpiceServer, instance: *mut BaseInstance) -> c_int;
}
