//! Session records for the clients of `/v1/events`: sending never waits.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use spice_sessions::{Action, Record};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Clients at a time. HTTP has room for more, so that other requests are answered.
const MAX_CLIENTS: usize = 32;

/// Events that wait for one client. All clients share the text of an event, of some 2000 bytes.
const QUEUE: usize = 8192;

/// Events that are kept for a client that comes back.
const KEPT: usize = 1024;

/// An event, as clients get it.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its number. A live session's new counts have none.
    pub(crate) number: Option<u64>,
    /// Its name: a record's action without its first word.
    pub(crate) name: &'static str,
    pub(crate) data: String,
}

/// Hands records to clients.
#[derive(Debug)]
pub(crate) struct Feed {
    state: Mutex<State>,
    /// Names this process in the ids of events.
    run: u64,
    /// Events that clients have missed, because they were too slow.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    kept: VecDeque<Arc<Message>>,
    clients: Vec<Sender<Arc<Message>>>,
}

/// What a new client gets.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// What it has missed since its last event and can still have.
    pub(crate) missed: Vec<Arc<Message>>,
    /// How many events are missing before that. `None`: unknown, because this process began later.
    pub(crate) lost: Option<u64>,
    /// The id of the last event before the subscription.
    pub(crate) last_id: String,
    pub(crate) events: Receiver<Arc<Message>>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self { state: Mutex::default(), run: u64::try_from(run).unwrap_or(u64::MAX), lost: AtomicU64::new(0) }
    }

    /// Sends a record. A client whose queue is full is dropped.
    pub(crate) fn publish(&self, record: &Record, json: &[u8]) {
        let name = match record.event.action {
            Action::SessionStarted => "started",
            Action::SessionUpdated => "updated",
            Action::SessionEnded => "ended",
            Action::LinkRefused => "refused",
        };
        let mut state = self.state();
        let is_kept = name != "updated";
        if !is_kept && state.clients.is_empty() {
            return;
        }
        let number = is_kept.then_some(state.next);
        let data = String::from_utf8_lossy(json).into_owned();
        let message = Arc::new(Message { number, name, data });
        if is_kept {
            state.next += 1;
            if state.kept.len() == KEPT {
                state.kept.pop_front();
            }
            state.kept.push_back(Arc::clone(&message));
        }
        state.clients.retain(|client| match client.try_send(Arc::clone(&message)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                // It reads what its queue has, then its connection ends. When it comes back, it is told what it has missed.
                self.lost.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(events = QUEUE, "a client of /v1/events is too slow; its connection ends");
                false
            }
        });
    }

    /// Adds a client, which has had events up to `last_id`. `None`: there are too many.
    pub(crate) fn subscribe(&self, last_id: Option<&str>) -> Option<Subscription> {
        let mut state = self.state();
        state.clients.retain(|client| !client.is_closed());
        if state.clients.len() >= MAX_CLIENTS {
            return None;
        }
        let (sender, events) = mpsc::channel(QUEUE);
        let (missed, lost) = match last_id.map(|id| self.number(id)) {
            None => (Vec::new(), Some(0)),
            Some(None) => (Vec::new(), None),
            Some(Some(next)) => {
                let first_kept = state.kept.front().and_then(|message| message.number).unwrap_or(state.next);
                let is_missed = |message: &&Arc<Message>| message.number >= Some(next);
                (state.kept.iter().filter(is_missed).cloned().collect(), Some(first_kept.saturating_sub(next)))
            }
        };
        state.clients.push(sender);
        let last_id = self.id(state.next.checked_sub(1));
        Some(Subscription { missed, lost, last_id, events })
    }

    /// The id of an event.
    pub(crate) fn id(&self, number: Option<u64>) -> String {
        // The number of events up to this one, so that 0 is before the first one.
        format!("{}-{}", self.run, number.map_or(0, |number| number + 1))
    }

    /// The number of the event after the one with this id. `None` if it is one of another process.
    fn number(&self, id: &str) -> Option<u64> {
        let (run, number) = id.split_once('-')?;
        (run.parse() == Ok(self.run)).then(|| number.parse().ok())?
    }

    /// Whether someone listens.
    pub(crate) fn has_clients(&self) -> bool {
        self.state().clients.iter().any(|client| !client.is_closed())
    }

    /// How many events wait for the slowest client.
    pub(crate) fn pending(&self) -> u64 {
        let waiting = |client: &Sender<_>| client.max_capacity() - client.capacity();
        self.state().clients.iter().map(waiting).max().unwrap_or(0) as u64
    }

    /// How many clients were too slow.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(action: &str) -> Record {
        let record = serde_json::json!({
            "@timestamp": "2026-11-28T08:00:00Z",
            "event": {"kind": "event", "category": [], "type": [], "action": action, "outcome": "success", "start": "2026-11-28T08:00:00Z"},
            "client": {}, "server": {}, "network": {"protocol": "spice"}, "tls": {"established": false},
            "spice": {"stage": "channel", "source": "relay"},
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn slow_client_is_dropped_and_counted_and_learns_what_it_missed() {
        let (feed, started) = (Feed::new(), record("session-started"));
        let mut slow = feed.subscribe(None).unwrap();
        let mut quick = feed.subscribe(None).unwrap();
        let count = (QUEUE + KEPT) as u64;
        for number in 0..count {
            feed.publish(&started, format!("{number}").as_bytes());
            assert_eq!(quick.events.try_recv().unwrap().data, format!("{number}"));
        }
        assert_eq!((feed.lost(), feed.state().clients.len()), (1, 1));
        let mut had = 0;
        while let Ok(message) = slow.events.try_recv() {
            assert_eq!(message.number, Some(had));
            had += 1;
        }
        assert_eq!(had, QUEUE as u64);
        // All that it has missed is kept.
        let again = feed.subscribe(Some(&feed.id(Some(had - 1)))).unwrap();
        let missed: Vec<_> = again.missed.iter().filter_map(|message| message.number).collect();
        assert_eq!((missed, again.lost), ((had..count).collect(), Some(0)));
        // Of one that was away for longer, a part is lost.
        let late = feed.subscribe(Some(&feed.id(Some(99)))).unwrap();
        assert_eq!((late.missed.len(), late.lost), (KEPT, Some(QUEUE as u64 - 100)));
        assert_eq!(feed.subscribe(Some("nonsense")).unwrap().lost, None);
    }

    #[test]
    fn clients_are_bounded_and_counts_without_a_client_cost_nothing() {
        let feed = Feed::new();
        feed.publish(&record("session-updated"), b"{}");
        assert_eq!(feed.state().kept.len(), 0);
        let clients: Vec<_> = (0..MAX_CLIENTS).map(|_| feed.subscribe(None).unwrap()).collect();
        assert!(feed.subscribe(None).is_none());
        drop(clients);
        assert!(feed.subscribe(None).is_some());
    }
}
