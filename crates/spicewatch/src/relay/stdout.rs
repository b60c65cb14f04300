//! Events on stdout, one a line, for whoever names no QMP socket.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// Events that wait for a slow reader; some 300 bytes each.
const QUEUE: usize = 100_000;

/// Stdout, written by a thread of its own, so that a reader that does not read holds up nobody.
#[derive(Clone, Debug)]
pub(super) struct Stdout {
    lines: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    done: Arc<(Mutex<bool>, Condvar)>,
}

impl Stdout {
    pub(super) fn start() -> io::Result<Self> {
        let (lines, queue) = sync_channel(QUEUE);
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let writer = Arc::clone(&done);
        thread::Builder::new().name("stdout".into()).spawn(move || {
            if let Err(error) = write(&queue) {
                tracing::error!(%error, "stdout is gone; no more events are written to it");
            }
            *writer.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            writer.1.notify_all();
        })?;
        Ok(Self { lines: Arc::new(Mutex::new(Some(lines))), done })
    }

    /// Queues an event. A reader that is too far behind gets no more, as none must be missing in between.
    pub(super) fn send(&self, line: Vec<u8>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = &*lines {
            match queue.try_send(line) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    tracing::error!(
                        queued = QUEUE,
                        "stdout's reader is too far behind; no more events are written to it"
                    );
                    *lines = None;
                }
                Err(TrySendError::Disconnected(_)) => *lines = None,
            }
        }
    }

    /// Waits until what was queued is written, but not longer than this.
    pub(super) fn finish(&self, patience: Duration) {
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let done = self.done.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.done.1.wait_timeout_while(done, patience, |done| !*done);
    }
}

/// Writes lines as they come, those that came meanwhile in one go.
fn write(queue: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    while let Ok(mut lines) = queue.recv() {
        lines.push(b'\n');
        for line in queue.try_iter().take(1000) {
            lines.extend_from_slice(&line);
            lines.push(b'\n');
        }
        stdout.write_all(&lines)?;
        stdout.flush()?;
    }
    Ok(())
}
