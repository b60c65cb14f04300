//! Events on stdout, one a line, for whoever names no QMP socket.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use super::lines::{Lines, Refused, write_all};

/// Events that wait for a slow reader; some 300 bytes each.
const QUEUE: usize = 100_000;

/// Stdout, as a place for events.
#[derive(Clone, Debug)]
pub(super) struct Stdout(Lines);

impl Stdout {
    pub(super) fn start() -> io::Result<Self> {
        let lines = Lines::start("stdout", QUEUE, |lines| {
            let mut stdout = io::stdout().lock();
            let (_, error) = write_all(&mut stdout, lines);
            match error.map_or_else(|| stdout.flush(), Err) {
                Ok(()) => Ok(()),
                Err(error) => {
                    tracing::error!(%error, "stdout does not take the events; none is written any more, as none must be missing in between; start again for more");
                    Err(error)
                }
            }
        })?;
        Ok(Self(lines))
    }

    /// Queues an event. A reader that is too far behind gets no more, as none must be missing in between.
    pub(super) fn send(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        if self.0.send(line) == Err(Refused::Full) {
            tracing::error!(
                queued = QUEUE,
                "stdout's reader is too far behind; no event is written any more, as none must be missing in between; start again for more"
            );
            self.0.close();
        }
    }

    /// Waits until what was queued is written, but not longer than this.
    pub(super) fn finish(&self, patience: Duration) {
        self.0.finish(patience);
    }
}
