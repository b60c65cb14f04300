//! `/v1/sessions` and `/v1/status`: what is live.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use serde_derive::{Deserialize, Serialize};
use spice_sessions::{LiveKey, Record};

use super::{
    Content,
    answer::{Failure, Shared, json, read},
};
use crate::control::server::Table as _;

/// Sessions of an answer, unless asked for otherwise.
const DEFAULT_LIMIT: usize = 256;

/// The most sessions of an answer. Each has some 3000 bytes.
const MAX_LIMIT: usize = 1000;

/// Sessions that are read from the table at once. The table is locked meanwhile.
const PAGE: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    vm: Option<String>,
    client: Option<String>,
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<u64>,
}

#[derive(Serialize)]
struct Page {
    sessions: Vec<Record>,
    /// Open connections that belong to no session yet.
    linking: usize,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

pub(super) async fn serve(State(shared): State<Shared>, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    let Query(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(rejection) => return json(Err(rejection.into())),
    };
    json(read(&shared, move |content| page(content, &wanted)).await)
}

pub(super) async fn one(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let found = read(&shared, move |content| {
        let mut found = content.hub.matching(&id, 2);
        match (found.pop(), found.pop()) {
            (None, _) => Err(Failure::new("no-session", "no live session has this id").status(StatusCode::NOT_FOUND)),
            (Some(_), Some(_)) => {
                let message = "several live sessions have an id that ends so: give more digits";
                Err(Failure::new("ambiguous", message).status(StatusCode::CONFLICT))
            }
            (Some((_, record)), None) => text(&record),
        }
    });
    json(found.await)
}

pub(super) async fn status(State(shared): State<Shared>) -> Response {
    json(read(&shared, |content| text(&content.hub.status())).await)
}

fn page(content: &Content, wanted: &Wanted) -> Result<String, Failure> {
    let limit = wanted.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("expected a limit from 1 to {MAX_LIMIT}, found {limit}");
        return Err(Failure::new("bad-request", message));
    }
    if let Some(vm) = wanted.vm.as_ref().filter(|vm| !content.hub.has_vm(vm)) {
        return Err(Failure::new("unknown-vm", format!("there is no VM named `{vm}`")).status(StatusCode::NOT_FOUND));
    }
    let is_wanted = |record: &Record| {
        let is_same = |wanted: &Option<String>, found: Option<&String>| wanted.is_none() || wanted.as_ref() == found;
        is_same(&wanted.vm, record.vm.as_ref().map(|vm| &vm.name))
            && is_same(&wanted.client, record.client.address.as_ref())
    };
    let (mut sessions, mut after, mut next) = (Vec::new(), wanted.after.map(LiveKey::from_number), None);
    'pages: loop {
        let page = content.hub.page(after, PAGE);
        let is_last = page.len() < PAGE;
        for (key, record) in page {
            if is_wanted(&record) {
                if sessions.len() == limit {
                    next = after.map(LiveKey::number);
                    break 'pages;
                }
                sessions.push(record);
            }
            after = Some(key);
        }
        if is_last {
            break;
        }
    }
    text(&Page { sessions, linking: content.hub.linking(), next })
}

/// As JSON.
pub(super) fn text(value: &impl serde::Serialize) -> Result<String, Failure> {
    let internal = |error: serde_json::Error| {
        Failure::new("internal", error.to_string()).status(StatusCode::INTERNAL_SERVER_ERROR)
    };
    serde_json::to_string(value).map_err(internal)
}
