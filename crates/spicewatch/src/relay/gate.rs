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
    per_source: Option<(usize, Mutex<HashMap<IpAddr, Source>>)>,
    /// Connections refused because of `most` since the last one that was let in; and for any reason, in all.
    refusing: AtomicUsize,
    refused: AtomicUsize,
    emptied: Notify,
}

/// An address that has connections.
#[derive(Debug, Default)]
struct Source {
    open: usize,
    /// Connections refused since the last one that was let in.
    refusing: usize,
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
            self.refused.fetch_add(1, Ordering::Relaxed);
            let is_news = self.refusing.fetch_add(1, Ordering::Relaxed) == 0;
            say_refused(is_news, "max-connections", self.most, source);
            return None;
        }
        say_let_in(self.refusing.swap(0, Ordering::Relaxed), None);
        // From here on the pass gives back what was taken.
        let mut pass = Pass { gate: Arc::clone(self), source: None };
        if source.is_some_and(|source| !pass.count(source)) {
            return None;
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
}

/// Once, not for each of a flood.
fn say_refused(is_news: bool, limit: &'static str, most: usize, source: Option<IpAddr>) {
    if is_news {
        let source = source.map(|ip| ip.to_canonical().to_string());
        tracing::warn!(target: PEER, limit, most, source, "too many connections; new ones are closed at once");
    }
}

fn say_let_in(refused: usize, source: Option<IpAddr>) {
    if refused > 0 {
        let source = source.map(|ip| ip.to_string());
        tracing::info!(target: PEER, refused, source, "connections are let in again");
    }
}

impl Pass {
    /// Counts the connection for its source. `false`: that one has as many as it may.
    pub(super) fn count(&mut self, source: IpAddr) -> bool {
        let Some((most, sources)) = &self.gate.per_source else { return true };
        let source = source.to_canonical();
        let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = sources.entry(source).or_default();
        let is_let_in = entry.open < *most;
        let refused = if is_let_in {
            entry.open += 1;
            std::mem::take(&mut entry.refusing)
        } else {
            entry.refusing += 1;
            entry.refusing
        };
        drop(sources);
        if is_let_in {
            self.source = Some(source);
            say_let_in(refused, Some(source));
        } else {
            self.gate.refused.fetch_add(1, Ordering::Relaxed);
            say_refused(refused == 1, "max-per-source", *most, Some(source));
        }
        is_let_in
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let (Some((_, sources)), Some(ip)) = (&self.gate.per_source, self.source) {
            let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(source) = sources.get_mut(&ip) {
                source.open -= 1;
                if source.open == 0 {
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
