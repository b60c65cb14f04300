//! Writes records, in one thread with a bounded queue: a slow or full disk never slows the relay.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, TransactionBehavior, params};
use rustix::fs::{FlockOperation, flock};
use spice_sessions::{Action, EndedBy, Outcome, Reason, Record, Timestamp};

use super::{Error, Location, Retention, from_micros, micros, schema};

/// How many records wait for the disk. Each has some 5000 bytes.
const QUEUE: usize = 10_000;

/// How many records one transaction has, at most.
const BATCH: usize = 1000;

/// How often the database is told that the process lives.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);

/// The pause before trying again after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// How often a pause looks whether the process ends.
const PAUSE_STEP: Duration = Duration::from_millis(50);

/// How often old entries are removed.
const RETENTION_EVERY: Duration = Duration::from_secs(3600);

/// Entries that one transaction removes.
const REMOVE: usize = 1000;

/// The sending end of the queue. Sending never waits.
#[derive(Clone, Debug)]
pub(crate) struct History {
    queue: SyncSender<Option<Box<Record>>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lost: AtomicU64,
    /// Records that are queued or being written.
    pending: AtomicU64,
    /// The process ends: a failure is final.
    is_closing: AtomicBool,
    is_done: Mutex<bool>,
    done: Condvar,
}

impl Shared {
    /// Waits before a further try, or until the process ends.
    fn pause(&self) {
        let end = Instant::now() + RETRY;
        while Instant::now() < end && !self.is_closing.load(Ordering::Relaxed) {
            thread::sleep(PAUSE_STEP);
        }
    }
}

impl History {
    /// Starts the thread, which opens the database. A failure is logged, and tried again.
    ///
    /// `source` names the command.
    ///
    /// If it takes over from another process, it waits until the sender of `released` is dropped, and goes on with the entries that are
    /// open.
    pub(crate) fn start(
        location: &Location,
        source: &'static str,
        retention: Retention,
        released: Option<Receiver<()>>,
    ) -> io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let mut writer = Writer {
            path: location.0.clone(),
            source,
            retention,
            continues: released.is_some(),
            database: None,
            has_failed: false,
            cleaned: None,
            measured: None,
        };
        let over = Arc::clone(&shared);
        thread::Builder::new().name("history".into()).spawn(move || {
            if let Some(released) = released {
                let _ = released.recv();
            }
            writer.run(&records, &over);
            // Closes the database before the process may end.
            drop(writer);
            *over.is_done.lock().unwrap_or_else(PoisonError::into_inner) = true;
            over.done.notify_all();
        })?;
        Ok(Self { queue, shared })
    }

    /// Queues a record. Returns false if it is lost, because the queue is full.
    pub(crate) fn send(&self, record: &Record) -> bool {
        self.shared.pending.fetch_add(1, Ordering::Relaxed);
        let is_queued = self.queue.try_send(Some(Box::new(record.clone()))).is_ok();
        if !is_queued {
            self.shared.pending.fetch_sub(1, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        is_queued
    }

    /// How many records were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// How many records are queued or being written.
    #[cfg(feature = "http")]
    pub(crate) fn pending(&self) -> u64 {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// Writes what is queued, and closes the database; waits no longer than `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        let end = Instant::now() + patience;
        self.shared.is_closing.store(true, Ordering::Relaxed);
        while let Err(TrySendError::Full(_)) = self.queue.try_send(None)
            && Instant::now() < end
        {
            thread::sleep(Duration::from_millis(5));
        }
        let done = self.shared.is_done.lock().unwrap_or_else(PoisonError::into_inner);
        let left = end.saturating_duration_since(Instant::now());
        let _ = self.shared.done.wait_timeout_while(done, left, |is_done| !*is_done);
    }
}

struct Writer {
    path: PathBuf,
    source: &'static str,
    retention: Retention,
    /// The entries that are open go on.
    continues: bool,
    database: Option<Database>,
    /// A failure was logged, and nothing was written since.
    has_failed: bool,
    cleaned: Option<Instant>,
    /// When the size was last found small enough.
    measured: Option<Instant>,
}

/// An open database, and this process's row in `runs`.
pub(super) struct Database {
    connection: Connection,
    run: i64,
    /// Locked as long as the process lives, so that each history has one writer.
    _lock: File,
}

impl Writer {
    fn run(&mut self, records: &Receiver<Option<Box<Record>>>, shared: &Shared) {
        let mut batch: Vec<Box<Record>> = Vec::new();
        let mut is_ending = false;
        loop {
            match self.write(&batch, is_ending) {
                Ok(()) => {
                    shared.pending.fetch_sub(batch.len() as u64, Ordering::Relaxed);
                    batch.clear();
                }
                Err(()) if is_ending || shared.is_closing.load(Ordering::Relaxed) => {
                    let lost = batch.len() + records.try_iter().flatten().count();
                    shared.lost.fetch_add(lost as u64, Ordering::Relaxed);
                    if lost > 0 {
                        tracing::error!(records = lost, "the last session records are not in the history");
                    }
                    return;
                }
                // The batch is kept, and the queue fills up.
                Err(()) => shared.pause(),
            }
            if is_ending {
                return;
            }
            if !batch.is_empty() {
                continue;
            }
            let wait = if self.has_failed { PAUSE_STEP } else { HEARTBEAT };
            match records.recv_timeout(wait) {
                Ok(Some(record)) => batch.push(record),
                Ok(None) | Err(RecvTimeoutError::Disconnected) => is_ending = true,
                Err(RecvTimeoutError::Timeout) => {}
            }
            while batch.len() < BATCH && !is_ending {
                match records.try_recv() {
                    Ok(Some(record)) => batch.push(record),
                    Ok(None) => is_ending = true,
                    Err(_) => break,
                }
            }
        }
    }

    /// Writes the records and the heartbeat. The first failure of several is logged, and the end of them.
    fn write(&mut self, batch: &[Box<Record>], is_ending: bool) -> Result<(), ()> {
        let written = self.try_write(batch, is_ending);
        match &written {
            Ok(()) if std::mem::take(&mut self.has_failed) => {
                tracing::info!(path = %self.path.display(), "the history is written again");
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::error!(path = %self.path.display(), error, "can't write the history; trying again, with {QUEUE} records in memory at most");
                }
                // What is wrong may be the file: it is opened again.
                self.database = None;
            }
        }
        written.map_err(drop)
    }

    fn try_write(&mut self, batch: &[Box<Record>], is_ending: bool) -> Result<(), String> {
        let text = |error: Error| error.to_string();
        let database = match &mut self.database {
            Some(database) => database,
            none => {
                let opened = if self.continues {
                    Database::take_over(&self.path, self.source, now())
                } else {
                    Database::open(&self.path, self.source, now())
                };
                none.insert(opened.map_err(|error| error.to_string())?)
            }
        };
        database.write(batch, now(), is_ending).map_err(text)?;
        if let Some(keep) = self.retention.keep
            && self.cleaned.is_none_or(|at| at.elapsed() >= RETENTION_EVERY)
        {
            let oldest = micros(now()).saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX));
            // One part at a time: records must not wait for all of it.
            if database.remove(oldest).map_err(text)? < REMOVE {
                self.cleaned = Some(Instant::now());
            }
        }
        if let Some(bytes) = self.retention.bytes
            && self.measured.is_none_or(|at| at.elapsed() >= HEARTBEAT)
            && database.shrink(bytes).map_err(text)? < REMOVE
        {
            self.measured = Some(Instant::now());
        }
        Ok(())
    }
}

impl Database {
    /// Opens the database, and closes the sessions that a killed process left open.
    pub(super) fn open(path: &Path, source: &str, now: Timestamp) -> anyhow::Result<Self> {
        Self::start(path, source, now, close_left_open)
    }

    /// Opens the database, and goes on with the sessions that are open: another process has handed them over.
    pub(super) fn take_over(path: &Path, source: &str, now: Timestamp) -> anyhow::Result<Self> {
        Self::start(path, source, now, |transaction, run| {
            transaction.execute("UPDATE entries SET run = ?1 WHERE ended_at IS NULL", [run])?;
            Ok(())
        })
    }

    fn start(
        path: &Path,
        source: &str,
        now: Timestamp,
        open: impl FnOnce(&rusqlite::Transaction<'_>, i64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        // Addresses of clients are no one else's business.
        let create = |path: &Path| OpenOptions::new().create(true).append(true).mode(0o640).open(path);
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let lock = create(Path::new(&beside))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| anyhow::anyhow!("another process writes this history"))?;
        create(path)?;
        let mut connection = schema::open(path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = micros(now);
        transaction
            .execute("INSERT INTO runs (source, started_at, heartbeat_at) VALUES (?1, ?2, ?2)", params![source, now])?;
        let run = transaction.last_insert_rowid();
        open(&transaction, run)?;
        transaction.commit()?;
        Ok(Self { connection, run, _lock: lock })
    }

    pub(super) fn write(&mut self, batch: &[Box<Record>], now: Timestamp, is_ending: bool) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO entries (run, session, vm, client, started_at, ended_at, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (session) DO UPDATE SET ended_at = excluded.ended_at, record = excluded.record",
            )?;
            for record in batch {
                let session = record.session.as_ref().map(|session| session.id.as_bytes().as_slice());
                let vm = record.vm.as_ref().map(|vm| vm.name.as_str());
                let (start, end) = (micros(record.event.start), record.event.end.map(micros));
                let json = serde_json::to_string(record).unwrap_or_default();
                insert.execute(params![self.run, session, vm, record.client.address, start, end, json])?;
            }
        }
        let end = is_ending.then_some(micros(now));
        transaction.execute(
            "UPDATE runs SET heartbeat_at = ?2, ended_at = ?3 WHERE id = ?1",
            params![self.run, micros(now), end],
        )?;
        transaction.commit()
    }

    /// Removes entries that ended before this time, [`REMOVE`] at most.
    pub(super) fn remove(&mut self, oldest: i64) -> Result<usize, Error> {
        let sql = "DELETE FROM entries WHERE id IN (
            SELECT id FROM entries WHERE started_at < ?1 AND ended_at < ?1 LIMIT ?2)";
        self.connection.execute(sql, params![oldest, REMOVE])
    }

    /// Removes the oldest entries of ended sessions if the database has more bytes than this, [`REMOVE`] at most. Free pages do not count:
    /// they are used again.
    pub(super) fn shrink(&mut self, bytes: u64) -> Result<usize, Error> {
        if self.bytes()? <= bytes {
            return Ok(0);
        }
        let sql = "DELETE FROM entries WHERE id IN (
            SELECT id FROM entries WHERE ended_at IS NOT NULL ORDER BY started_at LIMIT ?1)";
        self.connection.execute(sql, params![REMOVE])
    }

    /// Bytes of the pages that are in use.
    pub(super) fn bytes(&self) -> Result<u64, Error> {
        let pragma = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
    }
}

/// Ends the sessions of processes before this run that ended without a word, at the time of their last heartbeat.
fn close_left_open(transaction: &rusqlite::Transaction<'_>, run: i64) -> anyhow::Result<()> {
    let mut open = transaction.prepare(
        "SELECT entries.id, entries.record, max(runs.heartbeat_at, entries.started_at)
         FROM entries JOIN runs ON runs.id = entries.run WHERE entries.ended_at IS NULL",
    )?;
    let rows = open.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for row in rows.collect::<Result<Vec<(i64, String, i64)>, _>>()? {
        let (id, record, at) = row;
        let record = died(serde_json::from_str(&record)?, from_micros(at));
        transaction.execute(
            "UPDATE entries SET ended_at = ?2, record = ?3 WHERE id = ?1",
            params![id, at, serde_json::to_string(&record)?],
        )?;
    }
    transaction.execute("UPDATE runs SET ended_at = heartbeat_at WHERE ended_at IS NULL AND id <> ?1", [run])?;
    Ok(())
}

/// The record of the end of a session whose relay was killed.
pub(super) fn died(mut record: Record, at: Timestamp) -> Record {
    let nanos = u64::try_from(micros(at) - micros(record.event.start)).unwrap_or(0).saturating_mul(1000);
    record.timestamp = at;
    record.event.types = vec!["end".into()];
    record.event.action = Action::SessionEnded;
    record.event.outcome = Outcome::Unknown;
    record.event.reason = Some(Reason::RelayDied);
    record.event.end = Some(at);
    record.event.duration = Some(nanos);
    (record.event.id, record.event.sequence) = (None, None);
    record.spice.ended_by = Some(EndedBy::Relay);
    record
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
