//! Reads the history.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
    time::Duration,
};

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
    /// Was there at some time between these.
    pub(crate) during: Option<(Timestamp, Timestamp)>,
    /// Comes after this entry: is an older one.
    pub(crate) before: Option<Place>,
    /// The newest, at most. 0 is all.
    pub(crate) limit: usize,
}

/// The place of an entry in the order of entries: when it began, in microseconds since 1970, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    started_at: i64,
    id: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.started_at, self.id)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = text
            .split_once('.')
            .and_then(|(started_at, id)| Some(Self { started_at: started_at.parse().ok()?, id: id.parse().ok()? }));
        place.ok_or_else(|| format!("expected the `next` of another page, found `{text}`"))
    }
}

/// An entry.
#[derive(Debug)]
pub(crate) struct Entry {
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only pages need it"))]
    pub(crate) place: Place,
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
            let place = Place { started_at: row.get(3)?, id: row.get(4)? };
            let record: Record = serde_json::from_str(&record).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
            })?;
            let silence = u64::try_from(micros(now).saturating_sub(heartbeat)).unwrap_or(0);
            let is_dead = Duration::from_micros(silence) > MISSED_HEARTBEATS * HEARTBEAT;
            let at = from_micros(heartbeat.max(micros(record.event.start)));
            let record = if is_open && is_dead { died(record, at) } else { record };
            Ok(Entry { place, record, is_live: is_open && !is_dead })
        })?;
        rows.collect()
    }
}

fn sql(filter: &Filter) -> (String, Vec<Value>) {
    let Filter { vm, client, failed, since, until, present, during, before, limit } = filter;
    let mut values = Vec::new();
    let mut sql = "SELECT entries.record, entries.ended_at IS NULL, runs.heartbeat_at, entries.started_at, entries.id
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
    if let Some(Place { started_at, id }) = before {
        // Digits only: the number of a value could be taken for a column.
        and(&format!("(entries.started_at, entries.id) < (?, {id})"), Value::Integer(*started_at));
    }
    let second = |at: &Timestamp| (at.seconds - SPANS_EPOCH).clamp(-i64::from(i32::MAX), i64::from(i32::MAX));
    if let Some((from, to)) = during {
        if !*failed {
            let condition = format!("entries.id IN (SELECT id FROM spans WHERE first <= {} AND last >= ?)", second(to));
            and(&condition, Value::Integer(second(from)));
        }
        and("entries.started_at <= ?", Value::Integer(micros(*to)));
        and("(entries.ended_at IS NULL OR entries.ended_at >= ?)", Value::Integer(micros(*from)));
    }
    if let Some(at) = present {
        let second = second(at);
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
