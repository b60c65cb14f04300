//! What the connections of a server share: its configuration, the live session, and whether it is alive.

use std::{
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::flaw::Flaw;

pub(super) const CHANNELS: [(u8, u8); 3] = [(3, 0), (5, 0), (6, 0)];
pub(super) const SECURED: u8 = 8;
pub(super) const USER: &str = "alice";

/// One server, for all its connections.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) address: SocketAddr,
    pub(super) password: String,
    pub(super) sasl: bool,
    pub(super) flaw: Option<Flaw>,
    links: AtomicUsize,
    session: Mutex<LiveSession>,
    life: Mutex<Life>,
    changed: Condvar,
}

/// The live session.
#[derive(Debug, Default)]
pub(super) struct LiveSession {
    pub(super) id: Option<u32>,
    pub(super) channels: Vec<Joined>,
}

/// A channel of the live session.
#[derive(Debug)]
pub(super) struct Joined {
    /// The number of its link: a client can bring the id of a session that has ended, so ids do not tell sessions apart.
    pub(super) link: usize,
    pub(super) channel: (u8, u8),
    pub(super) stream: TcpStream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Listens,
    /// It listens, and no connection gets an answer.
    Hangs,
    Stops,
    /// The port is closed.
    Stopped,
}

impl Shared {
    pub(super) fn new(address: SocketAddr, password: String, sasl: bool, flaw: Option<Flaw>) -> Self {
        Self {
            address,
            password,
            sasl,
            flaw,
            links: AtomicUsize::new(0),
            session: Mutex::default(),
            life: Mutex::new(Life::Listens),
            changed: Condvar::new(),
        }
    }

    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The number of a new link, from 0.
    pub(super) fn next_link(&self) -> usize {
        self.links.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn session(&self) -> MutexGuard<'_, LiveSession> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, life: Life) {
        *self.life() = life;
        self.changed.notify_all();
    }

    fn wait_while(&self, life: Life) {
        let now = self.life();
        drop(self.changed.wait_while(now, |now| *now == life).unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn stop(&self) {
        self.set(Life::Stops);
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(*self.life(), Life::Stops | Life::Stopped)
    }

    /// The port is closed now.
    pub(super) fn has_stopped(&self) {
        self.set(Life::Stopped);
    }

    /// Dies as a process does: when this returns, the port is closed.
    pub(super) fn crash(&self) {
        self.session().end();
        if !self.is_stopped() {
            self.stop();
        }
        // The thread that accepts connections waits for one.
        let _ = TcpStream::connect(self.address);
        self.wait_while(Life::Stops);
    }

    /// From now on, no connection gets an answer.
    pub(super) fn hang(&self) {
        self.set(Life::Hangs);
    }

    /// Returns when the server answers again, or stops.
    pub(super) fn wait_while_hung(&self) {
        self.wait_while(Life::Hangs);
    }

    /// Lives again. True: it has to listen again, too.
    pub(super) fn revive(&self) -> bool {
        let was_stopped = *self.life() == Life::Stopped;
        self.set(Life::Listens);
        was_stopped
    }
}

impl LiveSession {
    pub(super) fn end(&mut self) {
        self.id = None;
        for joined in self.channels.drain(..) {
            let _ = joined.stream.shutdown(Shutdown::Both);
        }
    }
}
