//! How many connections there may be.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::seldom::PEER;

/// Counts the connections of the whole process, and those of each source where that is limited.
#[derive(Debug)]
pub(super) struct Gate {
    most: usize,
    open: AtomicUsize,
    per_source: Option<(usize, Mutex<HashMap<IpAddr, usize>>)>,
    /// Connections refused since the last one that was let in, and in all.
    refusing: AtomicUsize,
    refused: AtomicUsize,
    emptied: Notify,
}

/// A connection's place, given back on drop.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    source: Option<IpAddr>,
}

impl Gate {
    pub(super) fn new(most: usize, per_source: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            most,
            open: AtomicUsize::new(0),
            per_source: per_source.map(|most| (most, Mutex::default())),
            refusing: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            emptied: Notify::new(),
        })
    }

    /// Lets a connection in, unless there are too many. Without a source it counts for none: a unix socket's client has
    /// none, and one that a PROXY header will name is not known yet.
    pub(super) fn enter(self: &Arc<Self>, source: Option<IpAddr>) -> Option<Pass> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.refuse("max-connections", self.most, source.map(|ip| ip.to_canonical()));
            return None;
        }
        // From here on the pass gives back what was taken.
        let mut pass = Pass { gate: Arc::clone(self), source: None };
        if source.is_some_and(|source| !pass.count(source)) {
            return None;
        }
        let refused = self.refusing.swap(0, Ordering::Relaxed);
        if refused > 0 {
            tracing::info!(target: PEER, refused, "connections are let in again");
        }
        Some(pass)
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many were turned away.
    pub(super) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns when there is none.
    pub(super) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Says so once, not for each of a flood.
    fn refuse(&self, limit: &'static str, most: usize, source: Option<IpAddr>) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if self.refusing.fetch_add(1, Ordering::Relaxed) == 0 {
            let source = source.map(|ip| ip.to_string());
            tracing::warn!(target: PEER, limit, most, source, "too many connections; new ones are closed at once");
        }
    }
}

impl Pass {
    /// Counts the connection for its source. `false`: that one has as many as it may.
    pub(super) fn count(&mut self, source: IpAddr) -> bool {
        let Some((most, sources)) = &self.gate.per_source else { return true };
        let source = source.to_canonical();
        {
            let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
            let count = sources.entry(source).or_default();
            if *count < *most {
                *count += 1;
                self.source = Some(source);
                return true;
            }
        }
        self.gate.refuse("max-per-source", *most, Some(source));
        false
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let (Some((_, sources)), Some(ip)) = (&self.gate.per_source, self.source) {
            let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = sources.get_mut(&ip) {
                *count -= 1;
                if *count == 0 {
                    sources.remove(&ip);
                }
            }
        }
        if self.gate.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.gate.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let gate = Gate::new(3, Some(2));
        let (a, b) = (Some([1, 1, 1, 1].into()), Some([2, 2, 2, 2].into()));
        let first = gate.enter(a).unwrap();
        let _second = gate.enter(a).unwrap();
        assert!(gate.enter(a).is_none(), "two of one source");
        let third = gate.enter(b).unwrap();
        assert!(gate.enter(b).is_none(), "three in all");
        assert_eq!((gate.open(), gate.refused()), (3, 2));
        drop(first);
        let _mapped = gate.enter(Some("::ffff:1.1.1.1".parse().unwrap())).unwrap();
        assert_eq!(gate.open(), 3);
        drop(third);
        let mut named_later = gate.enter(None).unwrap();
        assert!(named_later.count([2, 2, 2, 2].into()));
        drop(named_later);
        let mut named_later = gate.enter(None).unwrap();
        assert!(!named_later.count([1, 1, 1, 1].into()), "two of one source, whoever says so");
        drop(named_later);
        assert_eq!(gate.open(), 2);
    }
}
