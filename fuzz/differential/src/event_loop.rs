//! The core interface that the library needs from its host: timers and watches over poll(2), and a list of channel events.
//!
//! All of it runs on one thread. The library calls back from inside its own functions, so no borrow of the state may last during a
//! call into the library.

use std::{
    cell::RefCell,
    ffi::{c_int, c_void},
    time::{Duration, Instant},
};

use crate::ffi::{
    BaseInterface, ChannelEventInfo, CoreInterface, Handle, TimerFunc, WATCH_READ, WATCH_WRITE, WatchFunc,
};

/// A channel event, and the connection that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChannelEvent {
    /// 1 connected, 2 initialized, 3 disconnected.
    pub(crate) event: c_int,
    /// The address of its info. It is the same for all events of a socket.
    pub(crate) place: usize,
    pub(crate) connection_id: i32,
    pub(crate) channel_type: i32,
    pub(crate) channel_id: i32,
    /// Bit 0: TLS. Bit 1: the addresses are set.
    pub(crate) flags: i32,
}

#[derive(Clone, Copy)]
struct Watch {
    fd: c_int,
    mask: c_int,
    func: WatchFunc,
    opaque: *mut c_void,
}

#[derive(Clone, Copy)]
struct Timer {
    func: TimerFunc,
    opaque: *mut c_void,
    due: Option<Instant>,
}

#[derive(Default)]
struct State {
    watches: Vec<Option<Watch>>,
    timers: Vec<Option<Timer>>,
    events: Vec<ChannelEvent>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

/// The interface to hand to `spice_server_init`.
pub(crate) static CORE: CoreInterface = CoreInterface {
    base: BaseInterface { kind: c"core".as_ptr(), description: c"poll".as_ptr(), major: 1, minor: 3 },
    timer_add,
    timer_start,
    timer_cancel,
    timer_remove,
    watch_add,
    watch_update_mask,
    watch_remove,
    channel_event,
};

/// Runs timers and watches until none is ready. The library has then processed all that it was sent.
///
/// # Panics
/// After ten thousand rounds: a watch is then ready that the library never reads.
pub(crate) fn run_until_idle() {
    for _ in 0..10_000 {
        let timers = run_timers();
        if !run_watches() && !timers {
            return;
        }
    }
    panic!("the library is never idle");
}

/// Runs until the socket with this info has ended, for at most `patience`. Returns whether it has ended. For connections that
/// another thread serves.
pub(crate) fn run_until_ended(place: usize, patience: Duration) -> bool {
    let start = Instant::now();
    loop {
        run_until_idle();
        if STATE.with_borrow(|state| state.events.iter().any(|event| (event.place, event.event) == (place, 3))) {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        poll(&mut watched().0, 20);
    }
}

/// Takes the events since the last call.
pub(crate) fn take_events() -> Vec<ChannelEvent> {
    STATE.with_borrow_mut(|state| std::mem::take(&mut state.events))
}

/// The number of watches.
pub(crate) fn watches() -> usize {
    STATE.with_borrow(|state| state.watches.iter().flatten().count())
}

fn run_timers() -> bool {
    let now = Instant::now();
    let due: Vec<Timer> = STATE.with_borrow_mut(|state| {
        let is_due = |timer: &&mut Timer| timer.due.is_some_and(|due| due <= now);
        let due = state.timers.iter_mut().flatten().filter(is_due);
        due.map(|timer| {
            timer.due = None;
            *timer
        })
        .collect()
    });
    for timer in &due {
        // SAFETY: the library gave both. It removes timers only on this thread, at the latest in an earlier callback of this
        // round. It then accepts one more call of the pair, like with any event loop that first collects what is due.
        unsafe { (timer.func)(timer.opaque) };
    }
    !due.is_empty()
}

/// The descriptors to poll, and the watch of each.
fn watched() -> (Vec<libc::pollfd>, Vec<usize>) {
    STATE.with_borrow(|state| {
        let live = state.watches.iter().enumerate().filter_map(|(index, watch)| Some((index, (*watch)?)));
        live.filter(|(_, watch)| watch.mask != 0)
            .map(|(index, watch)| {
                let mut events = 0;
                if watch.mask & WATCH_READ != 0 {
                    events |= libc::POLLIN;
                }
                if watch.mask & WATCH_WRITE != 0 {
                    events |= libc::POLLOUT;
                }
                (libc::pollfd { fd: watch.fd, events, revents: 0 }, index)
            })
            .unzip()
    })
}

/// Waits for any of these descriptors, at most this many milliseconds. Returns whether one is ready.
fn poll(fds: &mut [libc::pollfd], patience: c_int) -> bool {
    // SAFETY: the array has this length.
    unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, patience) > 0 }
}

fn run_watches() -> bool {
    let (mut fds, handles) = watched();
    if !poll(&mut fds, 0) {
        return false;
    }
    for (fd, index) in fds.iter().zip(handles) {
        for (bit, poll) in [
            (WATCH_READ, libc::POLLIN | libc::POLLHUP | libc::POLLERR),
            (WATCH_WRITE, libc::POLLOUT | libc::POLLHUP | libc::POLLERR),
        ] {
            // An earlier callback may have removed the watch, or changed its events.
            let watch = STATE.with_borrow(|state| state.watches.get(index).copied().flatten());
            let Some(watch) = watch.filter(|watch| watch.fd == fd.fd && watch.mask & bit != 0) else { continue };
            if fd.revents & poll != 0 {
                // SAFETY: the library gave both, and has not removed the watch.
                unsafe { (watch.func)(watch.fd, bit, watch.opaque) };
            }
        }
    }
    true
}

/// Puts a value into the first free place. Handles start at 1, because 0 is the null pointer.
fn put<T>(places: &mut Vec<Option<T>>, value: T) -> Handle {
    let index = places.iter().position(Option::is_none).unwrap_or_else(|| {
        places.push(None);
        places.len() - 1
    });
    places[index] = Some(value);
    index + 1
}

fn timer(handle: Handle, change: impl FnOnce(&mut Timer)) {
    STATE.with_borrow_mut(|state| {
        if let Some(Some(timer)) = state.timers.get_mut(handle.wrapping_sub(1)) {
            change(timer);
        }
    });
}

extern "C" fn timer_add(func: TimerFunc, opaque: *mut c_void) -> Handle {
    STATE.with_borrow_mut(|state| put(&mut state.timers, Timer { func, opaque, due: None }))
}

extern "C" fn timer_start(handle: Handle, ms: u32) {
    timer(handle, |timer| timer.due = Some(Instant::now() + Duration::from_millis(ms.into())));
}

extern "C" fn timer_cancel(handle: Handle) {
    timer(handle, |timer| timer.due = None);
}

extern "C" fn timer_remove(handle: Handle) {
    STATE.with_borrow_mut(|state| {
        if let Some(place) = state.timers.get_mut(handle.wrapping_sub(1)) {
            *place = None;
        }
    });
}

extern "C" fn watch_add(fd: c_int, mask: c_int, func: WatchFunc, opaque: *mut c_void) -> Handle {
    STATE.with_borrow_mut(|state| put(&mut state.watches, Watch { fd, mask, func, opaque }))
}

extern "C" fn watch_update_mask(handle: Handle, mask: c_int) {
    STATE.with_borrow_mut(|state| {
        if let Some(Some(watch)) = state.watches.get_mut(handle.wrapping_sub(1)) {
            watch.mask = mask;
        }
    });
}

extern "C" fn watch_remove(handle: Handle) {
    STATE.with_borrow_mut(|state| {
        if let Some(place) = state.watches.get_mut(handle.wrapping_sub(1)) {
            *place = None;
        }
    });
}

extern "C" fn channel_event(event: c_int, info: *const ChannelEventInfo) {
    // SAFETY: the library passes a valid info.
    let ChannelEventInfo { connection_id, channel_type, channel_id, flags } = unsafe { info.read() };
    let event = ChannelEvent { event, place: info as usize, connection_id, channel_type, channel_id, flags };
    STATE.with_borrow_mut(|state| state.events.push(event));
}
