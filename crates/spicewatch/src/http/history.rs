//! `/v1/history`: who was there.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use serde_derive::{Deserialize, Serialize};
use spice_sessions::Record;

use super::{
    Content,
    answer::{Failure, Shared, json, read},
    sessions::text,
};
use crate::{
    answers::{parse_time, time::now},
    history::{Entry, Filter, Place, Reader},
};

/// Entries of an answer, unless asked for otherwise.
const DEFAULT_LIMIT: usize = 100;

/// The most entries of an answer. Each has some 3000 bytes.
const MAX_LIMIT: usize = 1000;

/// The filters of `spicewatch last`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    vm: Option<String>,
    client: Option<String>,
    failed: bool,
    since: Option<String>,
    until: Option<String>,
    present: Option<String>,
    /// With `to`: was there at some time between.
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

#[derive(Serialize)]
struct Page {
    entries: Vec<Shown>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    is_live: bool,
    record: Record,
}

pub(super) async fn serve(State(shared): State<Shared>, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    let Query(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(rejection) => return json(Err(rejection.into())),
    };
    json(read(&shared, move |content| page(content, wanted)).await)
}

fn page(content: &Content, wanted: Wanted) -> Result<String, Failure> {
    let Some(location) = &content.history else {
        let message = "no history is configured: start with --history sqlite:PATH";
        return Err(Failure::new("no-history", message).status(StatusCode::NOT_FOUND));
    };
    let bad = |message: String| Failure::new("bad-request", message);
    let limit = wanted.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(bad(format!("expected a limit from 1 to {MAX_LIMIT}, found {limit}")));
    }
    let zoned = jiff::Zoned::now();
    let time = |text: &Option<String>| text.as_deref().map(|text| parse_time(text, &zoned)).transpose().map_err(bad);
    let during = match (time(&wanted.from)?, time(&wanted.to)?) {
        (None, None) => None,
        (Some(from), to) => Some((from, to.unwrap_or_else(now))),
        (None, Some(_)) => return Err(bad("expected `from` with `to`, found none".into())),
    };
    let before = wanted.before.as_deref().map(str::parse::<Place>).transpose().map_err(bad)?;
    let filter = Filter {
        since: time(&wanted.since)?,
        until: time(&wanted.until)?,
        present: time(&wanted.present)?,
        vm: wanted.vm,
        client: wanted.client,
        failed: wanted.failed,
        during,
        before,
        // One more tells whether there are more.
        limit: limit + 1,
    };
    let mut entries = Reader::open(location).and_then(|reader| reader.entries(&filter, now())).map_err(|error| {
        // It has no entry before the first record is written.
        Failure::new("history-unreadable", format!("{location}: {error}")).status(StatusCode::SERVICE_UNAVAILABLE)
    })?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(|entry| entry.place.to_string());
    let entries = entries.into_iter().map(|Entry { record, is_live, .. }| Shown { is_live, record }).collect();
    text(&Page { entries, next })
}
