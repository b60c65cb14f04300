//! Reads the history.

use std::{fmt::Write as _, time::Duration};

use rusqlite::{Connection, types::Value};
use spice_sessions::{Record, Timestamp};

use super::{
    Error, Location, from_micros, micros,
    schema::{self, SPANS_EPOCH},
    writer::{HEARTBEAT, died},
};

/// A process that has left out this many heartbeats was killed.
const MISSED_HEARTBEATS: u32 = 3;

/// Which entries to read. Every condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) vm: Option<String>,
    /// The client's address.
    pub(crate) client: Option<String>,
    /// Refused links, instead of sessions.
    pub(crate) failed: bool,
    /// Began at this time or later.
    pub(crate) since: Option<Timestamp>,
    /// Began at this time or earlier.
    pub(crate) until: Option<Timestamp>,
    /// Was there at this time.
    pub(crate) present: Option<Timestamp>,
    /// The newest, at most. 0 is all.
    pub(crate) limit: usize,
}

/// An entry.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The newest record. Of a live session, that of its start.
    pub(crate) record: Record,
    /// The session is live.
    pub(crate) is_live: bool,
}

/// Reads the history.
#[derive(Debug)]
pub(crate) struct Reader(Connection);

impl Reader {
    /// Opens the history.
    pub(crate) fn open(location: &Location) -> Result<Self, Error> {
        schema::open_to_read(&location.0).map(Self)
    }

    /// The entries, the newest first.
    pub(crate) fn entries(&self, filter: &Filter, now: Timestamp) -> Result<Vec<Entry>, Error> {
        let (sql, values) = sql(filter);
        let mut statement = self.0.prepare(&sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
            let (record, is_open, heartbeat): (String, bool, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let record: Record = serde_json::from_str(&record).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
            })?;
            let silence = u64::try_from(micros(now).saturating_sub(heartbeat)).unwrap_or(0);
            let is_dead = Duration::from_micros(silence) > MISSED_HEARTBEATS * HEARTBEAT;
            let at = from_micros(heartbeat.max(micros(record.event.start)));
            let record = if is_open && is_dead { died(record, at) } else { record };
            Ok(Entry { record, is_live: is_open && !is_dead })
        })?;
        rows.collect()
    }
}

fn sql(filter: &Filter) -> (String, Vec<Value>) {
    let Filter { vm, client, failed, since, until, present, limit } = filter;
    let mut values = Vec::new();
    let mut sql = "SELECT entries.record, entries.ended_at IS NULL, runs.heartbeat_at
        FROM entries JOIN runs ON runs.id = entries.run WHERE entries.session IS "
        .to_owned();
    sql.push_str(if *failed { "NULL" } else { "NOT NULL" });
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        let number = format!("?{}", values.len());
        sql.push_str(" AND ");
        sql.push_str(&condition.replace('?', &number));
    };
    let texts = [("entries.vm = ?", vm), ("entries.client = ?", client)];
    for (condition, text) in texts {
        if let Some(text) = text {
            and(condition, Value::Text(text.clone()));
        }
    }
    for (condition, at) in [("entries.started_at >= ?", since), ("entries.started_at <= ?", until)] {
        if let Some(at) = at {
            and(condition, Value::Integer(micros(*at)));
        }
    }
    if let Some(at) = present {
        let second = (at.seconds - SPANS_EPOCH).clamp(-i64::from(i32::MAX), i64::from(i32::MAX));
        if !*failed {
            and("entries.id IN (SELECT id FROM spans WHERE first <= ? AND last >= ?)", Value::Integer(second));
        }
        and(
            "entries.started_at <= ? AND (entries.ended_at IS NULL OR entries.ended_at > ?)",
            Value::Integer(micros(*at)),
        );
    }
    sql.push_str(" ORDER BY entries.started_at DESC, entries.id DESC");
    if *limit > 0 {
        let _ = write!(sql, " LIMIT {limit}");
    }
    (sql, values)
}
