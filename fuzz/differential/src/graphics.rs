//! A graphics device that never draws. spice-server needs a device to offer display and cursor.
//!
//! The library's worker thread calls the functions of the device, and takes over each connection's socket after the link stage. The
//! worker sends its channel events to the main thread through a pipe of the library. So [`run_until_idle`] delivers them like all
//! others, but their time depends on the worker.
//!
//! [`run_until_idle`]: crate::event_loop::run_until_idle

use std::{
    ffi::{c_int, c_void},
    ptr,
};

use crate::{
    event_loop,
    ffi::{self, BaseInstance, BaseInterface, QxlInitInfo, QxlInstance, QxlInterface, QxlReleaseInfoExt, SpiceServer},
};

/// The device of a server. It is never freed.
pub(crate) struct Device(*mut QxlInstance);

impl Device {
    /// Adds a device to a server, and with it the channels display and cursor, both with id 0.
    pub(crate) fn add(server: *mut SpiceServer) -> Self {
        let interface = &DEVICE.base;
        let instance = QxlInstance { base: BaseInstance { interface }, id: 0, state: ptr::null_mut() };
        let instance = Box::leak(Box::new(instance));
        // SAFETY: the server is live. The instance and its interface are never freed.
        unsafe { ffi::spice_server_add_interface(server, &mut instance.base) };
        Self(instance)
    }

    /// Waits until the worker has processed all messages of the main thread. The worker answers this call in turn. Its effect,
    /// to drop images, does not matter here: there are none.
    pub(crate) fn catch_up(&self) {
        // SAFETY: the instance belongs to a server that is never destroyed.
        unsafe { ffi::spice_qxl_reset_image_cache(self.0) };
        event_loop::run_until_idle();
    }
}

static DEVICE: QxlInterface = QxlInterface {
    base: BaseInterface { kind: c"qxl".as_ptr(), description: c"nothing to see".as_ptr(), major: 3, minor: 3 },
    attached_worker,
    set_compression_level: set_number,
    set_mm_time,
    get_init_info,
    get_command: no_command,
    req_cmd_notification: notify,
    release_resource,
    get_cursor_command: no_command,
    req_cursor_notification: notify,
    notify_update: set_mm_time,
    flush_resources: nothing_to_flush,
    async_complete,
    update_area_complete,
    set_client_capabilities,
    client_monitors_config,
};

extern "C" fn attached_worker(_: *mut QxlInstance) {}

extern "C" fn set_number(_: *mut QxlInstance, _: c_int) {}

extern "C" fn set_mm_time(_: *mut QxlInstance, _: u32) {}

/// One group with one slot, and space for one surface. Neither is ever used.
extern "C" fn get_init_info(_: *mut QxlInstance, info: *mut QxlInitInfo) {
    let one = QxlInitInfo {
        memslot_groups: 1,
        memslots: 1,
        memslot_gen_bits: 8,
        memslot_id_bits: 8,
        qxl_ram_size: 0,
        internal_groupslot_id: 0,
        surfaces: 1,
    };
    // SAFETY: the library passes a pointer to writable memory for it.
    unsafe { info.write(one) };
}

extern "C" fn no_command(_: *mut QxlInstance, _: *mut c_void) -> c_int {
    0
}

/// The device promises to announce new commands. There are none.
extern "C" fn notify(_: *mut QxlInstance) -> c_int {
    1
}

extern "C" fn release_resource(_: *mut QxlInstance, _: QxlReleaseInfoExt) {}

extern "C" fn nothing_to_flush(_: *mut QxlInstance) -> c_int {
    0
}

extern "C" fn async_complete(_: *mut QxlInstance, _: u64) {}

extern "C" fn update_area_complete(_: *mut QxlInstance, _: u32, _: *mut c_void, _: u32) {}

extern "C" fn set_client_capabilities(_: *mut QxlInstance, _: u8, _: *mut u8) {}

extern "C" fn client_monitors_config(_: *mut QxlInstance, _: *mut c_void) -> c_int {
    0
}
