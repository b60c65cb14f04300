//! Lines for somebody who may read slowly, or not at all: a thread of their own writes them, from a queue with an end.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// Lines that are written in one go where so many wait.
const TOGETHER: usize = 1000;

/// Between tries to write to a stream that would block.
const AGAIN: Duration = Duration::from_millis(10);

/// The queue's end for those who have something to say. Saying it never waits.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    queue: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    done: Arc<(Mutex<bool>, Condvar)>,
}

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many wait as may.
    Full,
    /// Nobody writes any more.
    Over,
}

impl Lines {
    /// Starts the thread; `write` gets one line or more, and ends the thread by an error.
    pub(super) fn start(
        name: &str,
        capacity: usize,
        write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(capacity);
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let over = Arc::clone(&done);
        thread::Builder::new().name(name.into()).spawn(move || {
            serve(&lines, write);
            *over.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            over.1.notify_all();
        })?;
        Ok(Self { queue: Arc::new(Mutex::new(Some(queue))), done })
    }

    /// Queues a line, its end included.
    pub(super) fn send(&self, line: Vec<u8>) -> Result<(), Refused> {
        match &*self.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Err(Refused::Over),
            Some(queue) => queue.try_send(line).map_err(|error| match error {
                TrySendError::Full(_) => Refused::Full,
                TrySendError::Disconnected(_) => Refused::Over,
            }),
        }
    }

    /// Takes no more lines; those that wait are still written.
    pub(super) fn close(&self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Closes, and waits until all is written, but not longer than this.
    pub(super) fn finish(&self, patience: Duration) {
        self.close();
        let done = self.done.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.done.1.wait_timeout_while(done, patience, |done| !*done);
    }
}

/// Writes all that can be written: how much that was, and why not more.
///
/// A stream that somebody else has made non-blocking, as a terminal can be, is waited for.
pub(super) fn write_all(out: &mut impl Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

fn serve(queue: &Receiver<Vec<u8>>, mut write: impl FnMut(&[u8]) -> io::Result<()>) {
    while let Ok(mut lines) = queue.recv() {
        for line in queue.try_iter().take(TOGETHER) {
            lines.extend_from_slice(&line);
        }
        if write(&lines).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_writer_that_is_stuck_holds_up_nobody_and_the_queue_has_an_end() {
        let (seen, written) = channel();
        let (go, stuck) = channel::<()>();
        let lines = Lines::start("test", 3, move |lines| {
            let _ = stuck.recv();
            seen.send(lines.to_vec()).map_err(io::Error::other)
        })
        .unwrap();
        // One is in the writer's hand, or the fourth is refused.
        let taken = (0..100).filter(|_| lines.send(b"x\n".to_vec()).is_ok()).count();
        assert!((3..=4).contains(&taken), "{taken}");
        assert_eq!(lines.send(b"x\n".to_vec()), Err(Refused::Full));
        drop(go);
        lines.finish(Duration::from_secs(10));
        assert_eq!(lines.send(b"x\n".to_vec()), Err(Refused::Over));
        assert_eq!(written.iter().flatten().count(), 2 * taken);
    }
}
