//! The history: session records in an SQLite database, which `spicewatch last` reads.
//!
//! ```text
//! sessions ── record ──▶ queue ──▶ writer, one thread ──▶ schema: SQLite ◀── query ◀── spicewatch last
//! ```

mod query;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

#[cfg(feature = "http")]
pub(crate) use query::Place;
pub(crate) use query::{Entry, Filter, Reader};
pub(crate) use writer::History;

/// Where the history is unless configured, for `spicewatch last`.
pub(crate) const DEFAULT_LOCATION: &str = "sqlite:/var/lib/spicewatch/history.db";

/// Days after which ended sessions are removed, unless configured: a year, and the time until someone asks about it.
pub(crate) const DAYS: u64 = 400;

/// Which entries are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Those that ended within this time. `None` is forever.
    pub(crate) keep: Option<Duration>,
    /// The newest that fit. `None` is no limit.
    pub(crate) bytes: Option<u64>,
}

impl Retention {
    /// 0 is no limit.
    pub(crate) fn new(days: u64, bytes: u64) -> Self {
        let keep = (days > 0).then(|| Duration::from_secs(days.saturating_mul(24 * 3600)));
        Self { keep, bytes: (bytes > 0).then_some(bytes) }
    }
}

/// Why the history can't be used.
pub(crate) type Error = rusqlite::Error;

/// Where a history is: `sqlite:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location(pub(crate) PathBuf);

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("sqlite:").filter(|path| !path.is_empty());
        path.map(|path| Self(path.into())).ok_or_else(|| format!("expected sqlite:PATH, found `{text}`"))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.0.display())
    }
}

/// Microseconds since 1970: the times of the database.
fn micros(at: spice_sessions::Timestamp) -> i64 {
    at.seconds.saturating_mul(1_000_000).saturating_add(at.microseconds)
}

/// The time from microseconds since 1970.
fn from_micros(micros: i64) -> spice_sessions::Timestamp {
    let (seconds, microseconds) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    spice_sessions::Timestamp { seconds, microseconds }
}
