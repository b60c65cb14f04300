//! Ends of server sockets that the kernel knows and the connection's own task has not read yet.
//!
//! A server that replaces a session closes the old connections first, and then sends on the new one. Each connection of the relay has a
//! task of its own, and tasks run in any order. So before a server's bytes in a link stage are observed, the relay asks the
//! kernel which other connections have ended, and reports those.

use std::{
    collections::HashMap,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::event::{Timespec, epoll};
use spice_events::Side;

use super::{Ending, shared::Shared};

/// How many ends one system call returns.
const EVENTS: usize = 64;

/// The connections of one route, with an epoll instance that knows which of their server sockets have ended.
#[derive(Debug)]
pub(crate) struct EndWatch {
    /// `None` if the system has no descriptor for it: ends are reported in any order then.
    epoll: Option<OwnedFd>,
    connections: Mutex<HashMap<u64, Arc<Shared>>>,
}

impl EndWatch {
    pub(crate) fn new() -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC);
        if let Err(error) = &epoll {
            tracing::warn!(%error, "can't watch the ends of connections; a new session may be reported before the old one's end");
        }
        Self { epoll: epoll.ok(), connections: Mutex::default() }
    }

    /// Watches a connection's server socket. The kernel forgets the socket when it is closed.
    pub(super) fn add(&self, server: impl AsFd, connection: &Arc<Shared>) {
        let Some(epoll) = &self.epoll else { return };
        self.connections().insert(connection.id(), Arc::clone(connection));
        // An error and a hang-up are always reported too.
        let flags = epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if let Err(error) = epoll::add(epoll, server, epoll::EventData::new_u64(connection.id()), flags) {
            tracing::debug!(flow = connection.id(), %error, "can't watch the end of a connection");
        }
    }

    pub(super) fn remove(&self, id: u64) {
        self.connections().remove(&id);
    }

    /// Reports every linked connection whose server socket has ended, in the order of the ends. The others follow when they are linked.
    pub(super) fn report(&self) {
        let Some(epoll) = &self.epoll else { return };
        // Held until all are reported, so that no other task goes on before that.
        let connections = self.connections();
        if connections.is_empty() {
            return;
        }
        let mut ended = Vec::with_capacity(EVENTS);
        loop {
            ended.clear();
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            let buffer = rustix::buffer::spare_capacity(&mut ended);
            if epoll::wait(epoll, buffer, Some(&at_once)).is_err() {
                return;
            }
            for event in &ended {
                let event: &epoll::Event = event;
                if let Some(connection) = connections.get(&event.data.u64()) {
                    let is_reset = { event.flags }.contains(epoll::EventFlags::ERR);
                    connection.server_ended(if is_reset {
                        Ending::Reset(Side::Server)
                    } else {
                        Ending::Ended(Side::Server)
                    });
                }
            }
            if ended.len() < EVENTS {
                return;
            }
        }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<Shared>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
