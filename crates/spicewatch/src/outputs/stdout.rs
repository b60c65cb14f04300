//! Lines on stdout: the events of VMs without a QMP socket, or session records.
//!
//! A reader that is far behind loses lines, and is told: as soon as it has caught up, each source of lines writes one that says how
//! many are missing and what its state is, and goes on.

use std::{
    io::{self, Write as _},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    line_writer::{LineWriter, Refused, write_all},
    log_rate_limit::PEER_LOG_TARGET,
};

/// How many lines wait for a slow reader. An event has some 300 bytes.
const QUEUE: usize = 100_000;
/// How often a reader that is behind is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Writes lines to stdout.
#[derive(Clone, Debug)]
pub(crate) struct Stdout {
    lines: LineWriter,
    sources: Arc<Sources>,
}

/// A source of lines.
pub(crate) struct StdoutSource {
    stdout: Stdout,
    /// Lines that were lost since the last one that was written.
    lost: AtomicU64,
    /// Lines that were lost since the start.
    #[cfg(feature = "http")]
    all_lost: AtomicU64,
    resume: Box<dyn Fn(&Self) + Send + Sync>,
}

#[derive(Debug, Default)]
struct Sources {
    all: Mutex<Vec<Weak<StdoutSource>>>,
    /// Notified when a source loses its first line.
    lost: Condvar,
}

impl Stdout {
    pub(crate) fn start() -> io::Result<Self> {
        Self::with(QUEUE, |lines| {
            let mut stdout = io::stdout().lock();
            let (_, error) = write_all(&mut stdout, lines);
            match error.map_or_else(|| stdout.flush(), Err) {
                Ok(()) => Ok(()),
                Err(error) => {
                    tracing::error!(%error, "can't write events to stdout; stopped writing them to avoid gaps; restart to resume");
                    Err(error)
                }
            }
        })
    }

    fn with(capacity: usize, write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let lines = LineWriter::start("stdout", capacity, write)?;
        let sources = Arc::<Sources>::default();
        let (waiting, reader) = (Arc::clone(&sources), lines.clone());
        thread::Builder::new()
            .name("stdout-gaps".into())
            .spawn(move || waiting.keep_resuming(&reader, capacity / 2))?;
        Ok(Self { lines, sources })
    }

    /// Adds a source. After it has lost lines and the reader has caught up, `resume` is called. It takes the lock under which
    /// the source's lines are sent, and calls [`StdoutSource::resume`].
    pub(crate) fn source(&self, resume: impl Fn(&StdoutSource) + Send + Sync + 'static) -> Arc<StdoutSource> {
        let source = StdoutSource {
            stdout: self.clone(),
            lost: AtomicU64::new(0),
            #[cfg(feature = "http")]
            all_lost: AtomicU64::new(0),
            resume: Box::new(resume),
        };
        let source = Arc::new(source);
        let mut all = self.sources.all();
        all.retain(|source| source.strong_count() > 0);
        all.push(Arc::downgrade(&source));
        source
    }

    /// Waits until all queued lines are written, but no longer than `patience`. More may follow.
    pub(crate) fn drain(&self, patience: Duration) {
        self.lines.drain(patience);
    }

    /// Waits until all queued lines are written, but no longer than `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        self.lines.finish(patience);
    }
}

impl StdoutSource {
    /// Queues a line. Nothing here waits. After a line was lost, all are until the source [resumes](Self::resume).
    pub(crate) fn send(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        if self.lost.load(Ordering::Relaxed) == 0 && self.stdout.lines.send(line) != Err(Refused::Full) {
            return;
        }
        #[cfg(feature = "http")]
        self.all_lost.fetch_add(1, Ordering::Relaxed);
        if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(target: PEER_LOG_TARGET, "the reader of stdout is too far behind; lines are lost until it has caught up");
            self.stdout.sources.lost.notify_one();
        }
    }

    /// How many lines wait for the reader.
    #[cfg(feature = "http")]
    pub(super) fn queued(&self) -> usize {
        self.stdout.lines.queued()
    }

    /// How many lines of this source were lost since the start.
    #[cfg(feature = "http")]
    pub(super) fn lost(&self) -> u64 {
        self.all_lost.load(Ordering::Relaxed)
    }

    /// Writes the line that says how many are missing, and goes on. The caller holds the lock under which lines are sent.
    pub(crate) fn resume(&self, line: impl FnOnce(u64) -> Vec<u8>) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost == 0 {
            return;
        }
        let mut line = line(lost);
        line.push(b'\n');
        if self.stdout.lines.send(line) != Err(Refused::Full) {
            self.lost.store(0, Ordering::Relaxed);
            tracing::warn!(target: PEER_LOG_TARGET, lost, "the reader of stdout has caught up; lines are missing");
        }
    }
}

impl std::fmt::Debug for StdoutSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StdoutSource").field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl Sources {
    /// Lets sources that have lost lines resume, whenever no more than `room` lines wait.
    fn keep_resuming(&self, lines: &LineWriter, room: usize) {
        loop {
            let mut all = self.all();
            let behind = loop {
                let behind: Vec<_> = all.iter().filter_map(Weak::upgrade).filter(|source| source.is_behind()).collect();
                if !behind.is_empty() {
                    break behind;
                }
                // A notification may be missed: the source that sends it holds no lock of this type.
                all = self.lost.wait_timeout(all, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
            };
            drop(all);
            while lines.queued() > room {
                thread::sleep(LOOK_EVERY);
            }
            for source in behind {
                (source.resume)(&source);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<StdoutSource>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StdoutSource {
    fn is_behind(&self) -> bool {
        self.lost.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn reader_that_was_far_behind_is_told_what_it_missed_and_gets_later_lines() {
        let (seen, written) = channel();
        let (go, stuck) = channel::<()>();
        let stdout = Stdout::with(10, move |lines| {
            let _ = stuck.recv();
            seen.send(String::from_utf8(lines.to_vec()).unwrap()).map_err(io::Error::other)
        })
        .unwrap();
        // The lock under which the lines of a source are sent, and the number of the next line.
        let state = Arc::new(Mutex::new(0));
        let its_state = Arc::clone(&state);
        let source = stdout.source(move |source| {
            let next = its_state.lock().unwrap();
            source.resume(|lost| format!("lost {lost}, next {next}").into_bytes());
        });
        let send = || {
            let mut next = state.lock().unwrap();
            source.send(format!("line {next}").into_bytes());
            *next += 1;
        };
        for _ in 0..100 {
            send();
        }
        drop(go);
        let mut lines: Vec<String> = Vec::new();
        while !lines.iter().any(|line| line.starts_with("lost ")) {
            lines.extend(written.recv().unwrap().lines().map(str::to_owned));
        }
        send();
        stdout.finish(Duration::from_secs(10));
        lines.extend(written.iter().flat_map(|lines| lines.lines().map(str::to_owned).collect::<Vec<_>>()));
        let before = lines.len() - 2;
        // The writer may have taken some before the queue was full.
        assert!((10..100).contains(&before), "{lines:?}");
        let expected = (0..before).map(|number| format!("line {number}"));
        let expected = expected.chain([format!("lost {}, next 100", 100 - before), "line 100".to_owned()]);
        assert_eq!(lines, expected.collect::<Vec<_>>());
    }
}
