//! `/v1/events`: server-sent events.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use spice_sessions::{LiveKey, Record};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::{StreamExt as _, iter, wrappers::ReceiverStream};

use super::answer::{Failure, Shared};
use crate::{
    control::server::Table as _,
    outputs::{Feed, Message, SessionHub, Subscription},
};

/// How often a comment tells the client and what is between that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// How often live sessions are looked at.
const UPDATE_EVERY: Duration = Duration::from_secs(1);

/// Live sessions that are looked at each time: 1,000 sessions have new counts every two seconds.
const UPDATES: usize = 512;

/// Live sessions that are read from the table at once. The table is locked meanwhile.
const PAGE: usize = 64;

pub(super) async fn serve(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let feed = &shared.feed;
    let Some(Subscription { missed, lost, last_id: newest, events }) = feed.subscribe(last_id) else {
        let failure = Failure::new("too-many-clients", "too many clients of /v1/events; try again later");
        return failure.with(StatusCode::SERVICE_UNAVAILABLE);
    };
    let ready = Event::default().event("ready").retry(RETRY).data(serde_json::json!({"last_id": newest}).to_string());
    let lost = (lost != Some(0)).then(|| {
        // Without a number, the client must read the sessions and the history again.
        let data = serde_json::json!({"events_lost": lost});
        Event::default().event("lost").id(newest.clone()).data(data.to_string())
    });
    let first: Vec<_> = std::iter::once(ready).chain(lost).map(Ok::<_, Infallible>).collect();
    let feed = Arc::clone(feed);
    let rest = iter(missed).chain(ReceiverStream::new(events)).map(move |message| Ok(event(&feed, &message)));
    Sse::new(iter(first).chain(rest)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn event(feed: &Feed, message: &Message) -> Event {
    let event = Event::default().event(message.name).data(&message.data);
    match message.number {
        Some(number) => event.id(feed.id(Some(number))),
        None => event,
    }
}

/// Sends the new counts of live sessions, as long as someone listens.
pub(super) async fn keep_updating(hub: SessionHub, feed: Arc<Feed>) {
    let mut ticks = interval(UPDATE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last, mut known) = (None, HashMap::new());
    loop {
        ticks.tick().await;
        if !feed.has_clients() {
            known = HashMap::new();
            continue;
        }
        for _ in 0..UPDATES / PAGE {
            let page = hub.page(last, PAGE);
            last = page.last().map(|(key, _)| *key).filter(|_| page.len() == PAGE);
            for (key, record) in page {
                let counts = Counts::of(&record);
                if known.insert(key, counts) != Some(counts)
                    && let Ok(json) = serde_json::to_vec(&record)
                {
                    feed.publish(&record, &json);
                }
            }
            tokio::task::yield_now().await;
            if last.is_none() {
                break;
            }
        }
        // Keys of sessions that ended are never used again.
        if known.len() > 2 * hub.len() + PAGE {
            known.retain(|key: &LiveKey, _| hub.is_live(*key));
        }
    }
}

/// What may change while a session is live.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counts {
    bytes: (Option<u64>, Option<u64>),
    channels: usize,
    anomalies: usize,
}

impl Counts {
    fn of(record: &Record) -> Self {
        Self {
            bytes: (record.client.bytes, record.server.bytes),
            channels: record.spice.channels.iter().filter(|channel| channel.closed_at.is_none()).count(),
            anomalies: record.spice.anomalies.len(),
        }
    }
}
