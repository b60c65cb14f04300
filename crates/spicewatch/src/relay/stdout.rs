//! Events on stdout, one per line, for VMs without a QMP socket.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use super::line_writer::{LineWriter, Refused, write_all};

/// How many events wait for a slow reader. Each has some 300 bytes.
const QUEUE: usize = 100_000;

/// Writes events to stdout.
#[derive(Clone, Debug)]
pub(super) struct Stdout(LineWriter);

impl Stdout {
    pub(super) fn start() -> io::Result<Self> {
        let lines = LineWriter::start("stdout", QUEUE, |lines| {
            let mut stdout = io::stdout().lock();
            let (_, error) = write_all(&mut stdout, lines);
            match error.map_or_else(|| stdout.flush(), Err) {
                Ok(()) => Ok(()),
                Err(error) => {
                    tracing::error!(%error, "can't write events to stdout; stopped writing them to avoid gaps; restart to resume");
                    Err(error)
                }
            }
        })?;
        Ok(Self(lines))
    }

    /// Queues an event. A reader that is too far behind gets no more events, because events must not be missing in between.
    pub(super) fn send(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        if self.0.send(line) == Err(Refused::Full) {
            tracing::error!(
                queued = QUEUE,
                "the reader of stdout is too far behind; stopped writing events to avoid gaps; restart to resume"
            );
            self.0.close();
        }
    }

    /// Waits until all queued events are written, but no longer than `patience`.
    pub(super) fn finish(&self, patience: Duration) {
        self.0.finish(patience);
    }
}
