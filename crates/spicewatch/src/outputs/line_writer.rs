//! Lines for a reader that may be slow or stuck: a thread writes them from a bounded queue.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How many queued lines are written with one call, at most.
const BATCH: usize = 1000;

/// The pause before writing again to a stream that would block.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// The sending end of the queue. Sending never waits.
#[derive(Clone, Debug)]
pub(crate) struct LineWriter {
    queue: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    /// How many lines are queued or being written.
    waiting: Arc<AtomicUsize>,
    done: Arc<(Mutex<bool>, Condvar)>,
}

/// Why a line was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full.
    Full,
    /// The queue is closed, or its thread has ended.
    Closed,
}

impl LineWriter {
    /// Starts the thread. `write` gets one line or more; an error of it ends the thread.
    pub(crate) fn start(
        name: &str,
        capacity: usize,
        write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(capacity);
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let waiting = Arc::<AtomicUsize>::default();
        let (over, left) = (Arc::clone(&done), Arc::clone(&waiting));
        thread::Builder::new().name(name.into()).spawn(move || {
            serve(&lines, &left, write);
            *over.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            over.1.notify_all();
        })?;
        Ok(Self { queue: Arc::new(Mutex::new(Some(queue))), waiting, done })
    }

    /// Queues a line with its line end.
    pub(crate) fn send(&self, line: Vec<u8>) -> Result<(), Refused> {
        match &*self.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Err(Refused::Closed),
            Some(queue) => {
                self.waiting.fetch_add(1, Ordering::Relaxed);
                queue.try_send(line).map_err(|error| {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    match error {
                        TrySendError::Full(_) => Refused::Full,
                        TrySendError::Disconnected(_) => Refused::Closed,
                    }
                })
            }
        }
    }

    /// How many lines are queued or being written.
    pub(crate) fn queued(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until all queued lines are written, but no longer than `patience`. The queue stays open.
    pub(super) fn drain(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while self.queued() > 0 && Instant::now() < end {
            thread::sleep(RETRY_PAUSE);
        }
    }

    /// Closes the queue. Queued lines are still written.
    fn close(&self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Closes the queue, and waits until all queued lines are written, but no longer than `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        self.close();
        let done = self.done.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.done.1.wait_timeout_while(done, patience, |done| !*done);
    }
}

/// Writes all bytes. Returns how many were written, and the error that prevented more.
///
/// Waits for a stream that another process has made non-blocking, as can happen to a terminal.
pub(crate) fn write_all(out: &mut impl Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

fn serve(queue: &Receiver<Vec<u8>>, waiting: &AtomicUsize, mut write: impl FnMut(&[u8]) -> io::Result<()>) {
    while let Ok(mut lines) = queue.recv() {
        let mut taken = 1;
        for line in queue.try_iter().take(BATCH) {
            lines.extend_from_slice(&line);
            taken += 1;
        }
        let written = write(&lines);
        waiting.fetch_sub(taken, Ordering::Relaxed);
        if written.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn stuck_writer_delays_no_sender_and_the_queue_is_bounded() {
        let (seen, written) = channel();
        let (go, stuck) = channel::<()>();
        let lines = LineWriter::start("test", 3, move |lines| {
            let _ = stuck.recv();
            seen.send(lines.to_vec()).map_err(io::Error::other)
        })
        .unwrap();
        // The writer may have taken one line from the queue already.
        let taken = (0..100).filter(|_| lines.send(b"x\n".to_vec()).is_ok()).count();
        assert!((3..=4).contains(&taken), "{taken}");
        assert_eq!(lines.send(b"x\n".to_vec()), Err(Refused::Full));
        drop(go);
        lines.finish(Duration::from_secs(10));
        assert_eq!(lines.send(b"x\n".to_vec()), Err(Refused::Closed));
        assert_eq!(written.iter().flatten().count(), 2 * taken);
    }
}
