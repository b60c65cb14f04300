use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::PEER_LOG_TARGET;

/// A limit on concurrent connections: of all relays that share it, and of each source address if that is limited too.
#[derive(Debug)]
pub struct ConnectionLimit {
    max: usize,
    open: AtomicUsize,
    per_source: Option<(usize, Mutex<HashMap<IpAddr, Source>>)>,
    /// Connections that were refused because of `max` since the last one that was accepted.
    refusing: AtomicUsize,
    /// Connections that were refused for any reason.
    refused: AtomicUsize,
    emptied: Notify,
}

/// An address that has connections.
#[derive(Debug, Default)]
struct Source {
    open: usize,
    /// Connections that were refused since the last one that was accepted.
    refusing: usize,
}

/// One connection's share of a [`ConnectionLimit`]. Dropping it gives the share back.
#[derive(Debug)]
pub struct Permit {
    limit: Arc<ConnectionLimit>,
    source: Option<IpAddr>,
}

impl ConnectionLimit {
    /// At most `max` connections in all, and at most `per_source` of each source address.
    pub fn new(max: usize, per_source: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: AtomicUsize::new(0),
            per_source: per_source.map(|max| (max, Mutex::default())),
            refusing: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            emptied: Notify::new(),
        })
    }

    /// Counts one more connection. `None`: the limit is reached.
    ///
    /// Without a source the connection counts for no source: a client of a unix socket has none, and one that a PROXY header will
    /// name is not known yet.
    pub fn acquire(self: &Arc<Self>, source: Option<IpAddr>) -> Option<Permit> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            let is_first = self.refusing.fetch_add(1, Ordering::Relaxed) == 0;
            log_refused(is_first, "max-connections", self.max, source);
            return None;
        }
        log_accepted(self.refusing.swap(0, Ordering::Relaxed), None);
        // From here on, dropping the permit gives the share back.
        let mut permit = Permit { limit: Arc::clone(self), source: None };
        if source.is_some_and(|source| !permit.count_source(source)) {
            return None;
        }
        Some(permit)
    }

    /// How many connections there are.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many connections were refused.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until there is no connection, but no longer than `patience`. Returns how many there are.
    pub async fn drain(&self, patience: Duration) -> usize {
        let _ = timeout(patience, self.until_empty()).await;
        self.open()
    }

    /// Waits until there is no connection.
    pub async fn until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Permit {
    /// Counts the connection for its source. `false`: the source has as many connections as it may.
    pub(super) fn count_source(&mut self, source: IpAddr) -> bool {
        let Some((max, sources)) = &self.limit.per_source else { return true };
        let source = source.to_canonical();
        let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = sources.entry(source).or_default();
        let is_accepted = entry.open < *max;
        let refused = if is_accepted {
            entry.open += 1;
            std::mem::take(&mut entry.refusing)
        } else {
            entry.refusing += 1;
            entry.refusing
        };
        drop(sources);
        if is_accepted {
            self.source = Some(source);
            log_accepted(refused, Some(source));
        } else {
            self.limit.refused.fetch_add(1, Ordering::Relaxed);
            log_refused(refused == 1, "max-per-source", *max, Some(source));
        }
        is_accepted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let (Some((_, sources)), Some(ip)) = (&self.limit.per_source, self.source) {
            let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(source) = sources.get_mut(&ip) {
                source.open -= 1;
                if source.open == 0 {
                    sources.remove(&ip);
                }
            }
        }
        if self.limit.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.limit.emptied.notify_waiters();
        }
    }
}

/// Logs the first refusal, and not every one of a flood.
fn log_refused(is_first: bool, limit: &'static str, max: usize, source: Option<IpAddr>) {
    if is_first {
        let source = source.map(|ip| ip.to_canonical().to_string());
        tracing::warn!(target: PEER_LOG_TARGET, limit, max, source, "too many connections; new ones are closed at once");
    }
}

fn log_accepted(refused: usize, source: Option<IpAddr>) {
    if refused > 0 {
        let source = source.map(|ip| ip.to_string());
        tracing::info!(target: PEER_LOG_TARGET, refused, source, "accepting connections again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_in_all_and_for_each_source() {
        let limit = ConnectionLimit::new(3, Some(2));
        let (a, b) = (Some([1, 1, 1, 1].into()), Some([2, 2, 2, 2].into()));
        let first = limit.acquire(a).unwrap();
        let _second = limit.acquire(a).unwrap();
        assert!(limit.acquire(a).is_none(), "two of one source");
        let third = limit.acquire(b).unwrap();
        assert!(limit.acquire(b).is_none(), "three in all");
        assert_eq!((limit.open(), limit.refused()), (3, 2));
        drop(first);
        let _mapped = limit.acquire(Some("::ffff:1.1.1.1".parse().unwrap())).unwrap();
        assert_eq!(limit.open(), 3);
        drop(third);
        let mut named_later = limit.acquire(None).unwrap();
        assert!(named_later.count_source([2, 2, 2, 2].into()));
        drop(named_later);
        let mut named_later = limit.acquire(None).unwrap();
        assert!(!named_later.count_source([1, 1, 1, 1].into()), "a PROXY header named a source that has two");
        drop(named_later);
        assert_eq!(limit.open(), 2);
    }
}
