use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use spice_events::Side;
use tokio::sync::Notify;

/// An open connection: how much it has carried so far, and a way to end it. The connection's task keeps the counts up to date; any
/// thread may read them at any time.
///
/// Bytes of TLS count as they are inside it. A number can be behind by the bytes that wait in the sockets.
#[derive(Debug, Default)]
pub struct ConnectionHandle {
    from_client: AtomicU64,
    from_server: AtomicU64,
    /// Microseconds since 1970; 0 before the client's first byte.
    client_at: AtomicI64,
    terminated: Notify,
}

impl ConnectionHandle {
    /// Bytes from the client.
    pub fn from_client(&self) -> u64 {
        self.from_client.load(Ordering::Relaxed)
    }

    /// Bytes from the server.
    pub fn from_server(&self) -> u64 {
        self.from_server.load(Ordering::Relaxed)
    }

    /// When the client's last byte came.
    pub fn last_from_client(&self) -> Option<SystemTime> {
        let micros = u64::try_from(self.client_at.load(Ordering::Relaxed)).ok().filter(|micros| *micros > 0)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
    }

    /// Ends the connection for [`Ending::Terminated`](super::Ending::Terminated). One that is still being set up ends when it
    /// reaches the server.
    pub fn terminate(&self) {
        self.terminated.notify_one();
    }

    /// Waits for [`terminate`](Self::terminate).
    pub async fn terminated(&self) {
        self.terminated.notified().await;
    }

    /// Takes the counts of a connection that another process forwards.
    pub fn set_counts(&self, from_client: u64, from_server: u64, last_from_client: Option<SystemTime>) {
        self.from_client.store(from_client, Ordering::Relaxed);
        self.from_server.store(from_server, Ordering::Relaxed);
        if let Some(at) = last_from_client {
            let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.client_at.store(i64::try_from(at.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }

    /// Takes one run of bytes, before it is part of the counts so far.
    pub(crate) fn add(&self, from: Side, len: usize) {
        let (mut from_client, mut from_server) = (self.from_client(), self.from_server());
        match from {
            Side::Client => from_client += len as u64,
            Side::Server => from_server += len as u64,
        }
        self.set(from_client, from_server);
    }

    /// Takes the counts so far. The clock is only asked when the client has sent something.
    pub(crate) fn set(&self, from_client: u64, from_server: u64) {
        if from_client != self.from_client() {
            self.from_client.store(from_client, Ordering::Relaxed);
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.client_at.store(i64::try_from(now.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
        self.from_server.store(from_server, Ordering::Relaxed);
    }
}
