use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::PEER_LOG_TARGET;

/// A limit on concurrent connections: of all relays that share it, and of each source address if that is limited too.
#[derive(Debug)]
pub struct ConnectionLimit {
    max: AtomicUsize,
    open: AtomicUsize,
    sources: Mutex<Sources>,
    /// Connections that were refused because of `max` since the last one that was accepted.
    refusing: AtomicUsize,
    /// Connections that were refused for any reason.
    refused: AtomicUsize,
    emptied: Notify,
}

/// A limit on concurrent connections of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLimit {
    /// How many connections a source may have.
    pub max: usize,
    /// How many bits of an IPv6 address make a source. Default: 64, because one host can have every address of its /64
    /// (RFC 4291, section 2.5.1). An IPv4 address is a source.
    pub ipv6_prefix: u8,
}

impl SourceLimit {
    /// At most `max` connections of each IPv4 address and each IPv6 prefix of 64 bits.
    pub const fn new(max: usize) -> Self {
        Self { max, ipv6_prefix: 64 }
    }

    /// Sets [`ipv6_prefix`](Self::ipv6_prefix). More than 128 is 128.
    #[must_use]
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits;
        self
    }

    /// The first address of the source that this address belongs to.
    fn source(&self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let ignored = 128_u32.saturating_sub(self.ipv6_prefix.into());
                let mask = u128::MAX.checked_shl(ignored).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
            v4 @ IpAddr::V4(_) => v4,
        }
    }
}

/// The sources that have connections.
#[derive(Debug)]
struct Sources {
    limit: Option<SourceLimit>,
    counts: HashMap<IpAddr, Source>,
}

/// A source that has connections.
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
    /// At most `max` connections in all, and at most as many of each source as `per_source` says.
    pub fn new(max: usize, per_source: Option<SourceLimit>) -> Arc<Self> {
        Arc::new(Self {
            max: AtomicUsize::new(max),
            open: AtomicUsize::new(0),
            sources: Mutex::new(Sources { limit: per_source, counts: HashMap::new() }),
            refusing: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            emptied: Notify::new(),
        })
    }

    /// Changes both limits for new connections. Open connections go on, and are still counted as the sources that they were before.
    pub fn set(&self, max: usize, per_source: Option<SourceLimit>) {
        self.max.store(max, Ordering::Relaxed);
        self.sources().limit = per_source;
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more connection. `None`: the limit is reached.
    ///
    /// Without a source the connection counts for no source: a client of a unix socket has none, and one that a PROXY header will
    /// name is not known yet.
    pub fn acquire(self: &Arc<Self>, source: Option<IpAddr>) -> Option<Permit> {
        let max = self.max.load(Ordering::Relaxed);
        if self.open.fetch_add(1, Ordering::Relaxed) >= max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            let is_first = self.refusing.fetch_add(1, Ordering::Relaxed) == 0;
            log_refused(is_first, "max-connections", max, source);
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

    /// Maximum number of connections.
    pub fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// Counts one more connection, even above the limit: one that another process forwards.
    pub fn admit(self: &Arc<Self>) -> Permit {
        self.open.fetch_add(1, Ordering::Relaxed);
        Permit { limit: Arc::clone(self), source: None }
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
    pub(super) fn count_source(&mut self, address: IpAddr) -> bool {
        let mut sources = self.limit.sources();
        // Without a limit, sources are counted too: a limit may be set later.
        let limit = sources.limit.unwrap_or(SourceLimit::new(usize::MAX));
        let source = limit.source(address);
        let entry = sources.counts.entry(source).or_default();
        let is_accepted = entry.open < limit.max;
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
            log_refused(refused == 1, "max-per-source", limit.max, Some(source));
        }
        is_accepted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ip) = self.source {
            let mut sources = self.limit.sources();
            if let Some(source) = sources.counts.get_mut(&ip) {
                source.open -= 1;
                if source.open == 0 {
                    sources.counts.remove(&ip);
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
        let limit = ConnectionLimit::new(3, Some(SourceLimit::new(2)));
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

    #[test]
    fn addresses_of_one_ipv6_prefix_are_one_source() {
        for (bits, accepted) in [(128, [true, true, true]), (64, [true, false, true]), (48, [true, false, false])] {
            let limit = ConnectionLimit::new(10, Some(SourceLimit::new(1).ipv6_prefix(bits)));
            let permits = ["2001:db8::1", "2001:db8::a:0:0:1", "2001:db8:0:1::1"]
                .map(|address| limit.acquire(Some(address.parse().unwrap())));
            assert_eq!(permits.each_ref().map(Option::is_some), accepted, "/{bits}");
        }
    }

    #[test]
    fn limits_change_for_new_connections_and_open_ones_count() {
        let limit = ConnectionLimit::new(1, None);
        let source = Some([1, 1, 1, 1].into());
        let open = limit.acquire(source).unwrap();
        assert!(limit.acquire(source).is_none());
        limit.set(2, None);
        let another = limit.acquire(source).unwrap();
        limit.set(9, Some(SourceLimit::new(2)));
        assert!(limit.acquire(source).is_none(), "both open ones are of this source");
        drop(another);
        assert!(limit.acquire(source).is_some());
        drop(open);
        assert_eq!(limit.open(), 0);
    }
}
