//! The tables, and their versions.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

/// What each version adds to the one before. `PRAGMA user_version` counts those that are there.
const VERSIONS: &[&str] = &["
    -- One for each start of a program that writes here. Times are microseconds since 1970.
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        -- When it was last known to live.
        heartbeat_at INTEGER NOT NULL,
        -- NULL while it runs, and for one that was killed until the next start.
        ended_at INTEGER
    ) STRICT;
    -- One for each session and each refused link.
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (id),
        -- The session's UUID, 16 bytes. NULL for a refused link.
        session BLOB UNIQUE,
        vm TEXT,
        client TEXT,
        started_at INTEGER NOT NULL,
        -- NULL while the session is live.
        ended_at INTEGER,
        -- The newest record, as JSON.
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_start ON entries (started_at);
    CREATE INDEX entries_by_vm ON entries (vm, started_at);
    CREATE INDEX entries_by_client ON entries (client, started_at);
    CREATE INDEX entries_open ON entries (run) WHERE ended_at IS NULL;
    -- From when to when each session was there, in seconds since 2020-09-13T12:26:40Z, which fit 32 bits until 2088: finds who
    -- was there at a time without reading all that began before.
    CREATE VIRTUAL TABLE spans USING rtree_i32 (id, first, last);
    CREATE TRIGGER entry_inserted AFTER INSERT ON entries WHEN new.session IS NOT NULL BEGIN
        INSERT INTO spans VALUES (
            new.id,
            min(max(new.started_at / 1000000 - 1600000000, -2147483647), 2147483647),
            coalesce(min(max(new.ended_at / 1000000 - 1600000000, new.started_at / 1000000 - 1600000000, -2147483647), 2147483647), 2147483647)
        );
    END;
    CREATE TRIGGER entry_ended AFTER UPDATE OF ended_at ON entries WHEN new.session IS NOT NULL BEGIN
        UPDATE spans SET
            last = coalesce(min(max(new.ended_at / 1000000 - 1600000000, new.started_at / 1000000 - 1600000000, -2147483647), 2147483647), 2147483647)
        WHERE id = new.id;
    END;
    CREATE TRIGGER entry_deleted AFTER DELETE ON entries BEGIN
        DELETE FROM spans WHERE id = old.id;
    END;
"];

/// The first second of `spans`.
pub(super) const SPANS_EPOCH: i64 = 1_600_000_000;

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the database for writing; makes or updates its tables.
pub(super) fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let mut database = Connection::open(path)?;
    database.busy_timeout(BUSY_TIMEOUT)?;
    // Readers and the writer don't wait for each other. A killed process loses no committed transaction; a machine that loses its power may
    // lose the last ones.
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "NORMAL")?;
    database.pragma_update(None, "foreign_keys", true)?;
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?;
    for next in VERSIONS.iter().skip(version) {
        transaction.execute_batch(next)?;
    }
    transaction.pragma_update(None, "user_version", VERSIONS.len())?;
    transaction.commit()?;
    Ok(database)
}

/// Opens the database for reading.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, rusqlite::Error> {
    let database =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    database.busy_timeout(BUSY_TIMEOUT)?;
    if version(&database)? == 0 {
        return Err(rusqlite::Error::InvalidPath(path.to_owned()));
    }
    Ok(database)
}

/// How many versions are there.
fn version(database: &Connection) -> Result<usize, rusqlite::Error> {
    let version: usize = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > VERSIONS.len() {
        let newer =
            format!("the history has version {version}, of a newer spicewatch; this one knows {}", VERSIONS.len());
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_SCHEMA),
            Some(newer),
        ));
    }
    Ok(version)
}
