//! Clients that are refused in a loop.
//!
//! A server answers "need secured" to a channel that must have TLS, and spice-gtk then connects again with TLS, at once. If the relay
//! ends the client's TLS and connects to the server without, the answer is the same again: some 300 connections a second, without end.
//! No client gets further in this way before the configuration is corrected, so such clients have to wait.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use spice_events::{Address, Anomaly, AnomalyKind, spice_link::LinkErrorCode};
use tokio::time::Instant;

/// How long each connection of such a client waits.
const PAUSE: Duration = Duration::from_secs(1);
/// How long after a refusal its connections wait.
const REMEMBERED: Duration = Duration::from_secs(10);
/// The most clients that are remembered.
const MAX_CLIENTS: usize = 1000;

/// Hosts whose TLS connections the server has refused because it wants TLS, and when.
#[derive(Debug, Default)]
pub(super) struct Retries(Mutex<HashMap<Box<str>, Instant>>);

impl Retries {
    /// Takes note of a refusal.
    pub(super) fn anomaly(&self, anomaly: &Anomaly) {
        let is_loop = anomaly.connection.tls
            && matches!(anomaly.kind, AnomalyKind::Refused { code: LinkErrorCode::NEED_SECURED, .. });
        if !is_loop {
            return;
        }
        let (mut hosts, now) = (self.hosts(), Instant::now());
        if hosts.len() >= MAX_CLIENTS {
            hosts.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        }
        if hosts.len() < MAX_CLIENTS {
            hosts.insert((*anomaly.connection.endpoints.client.host).into(), now);
        }
    }

    /// How long a TLS client has to wait.
    pub(super) fn pause(&self, client: &Address) -> Duration {
        let is_recent = self.hosts().get(&*client.host).is_some_and(|at| at.elapsed() < REMEMBERED);
        if is_recent { PAUSE } else { Duration::ZERO }
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<Box<str>, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
