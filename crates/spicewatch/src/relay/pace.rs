//! When to let small messages gather.
//!
//! A sender of small messages without pause wakes the relay for each, and the relay the receiver, so that most of
//! everybody's time goes into waking up. Where short reads follow each other that fast, the thread sleeps for a moment
//! after each, as a network card does that moderates its interrupts: what came meanwhile is one read.
//!
//! What was read goes on before the pause, so that a byte is late by one pause at most. Who waits for an answer never meets
//! it: a byte in the other direction starts the count again.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

/// A read of fewer bytes is short: as much as gathers in a pause where messages have 64 bytes.
pub(super) const SHORT: usize = 8 * 1024;
/// Short reads without a byte in the other direction, of which the time is taken.
const MANY: u32 = 32;
/// They are dense if they took no longer than this.
const DENSE: Duration = Duration::from_millis(2);
/// And stay so, pauses included, while they take no longer than this.
const STILL_DENSE: Duration = Duration::from_millis(10);
/// Linux adds its timer slack of 50 µs.
const PAUSE: Duration = Duration::from_micros(30);

thread_local! {
    /// Pauses that the thread has made.
    static PAUSES: Cell<u64> = const { Cell::new(0) };
}

/// How fast short reads follow each other in one direction.
#[derive(Debug, Default)]
pub(super) struct Pace {
    reads: u32,
    since: Option<Instant>,
    dense: bool,
    /// Bytes of the other direction when they were last looked at.
    answered: u64,
    /// The thread's pauses at that time.
    pauses: u64,
}

impl Pace {
    /// A short read was passed on, and the other direction has moved so many bytes so far. Sleeps where that pays, and says so.
    ///
    /// The thread itself sleeps, and not its task: a thread that waits for sockets is woken by each message.
    pub(super) fn short_read(&mut self, answered: u64) -> bool {
        if !self.is_dense(answered, Instant::now) {
            return false;
        }
        // One pause does for all dense streams of the thread.
        let pauses = PAUSES.get();
        let is_mine = self.pauses == pauses;
        if is_mine {
            thread::sleep(PAUSE);
            PAUSES.set(pauses + 1);
        }
        self.pauses = PAUSES.get();
        is_mine
    }

    fn is_dense(&mut self, answered: u64, now: impl FnOnce() -> Instant) -> bool {
        if answered != self.answered {
            *self = Self { answered, ..Self::default() };
            return false;
        }
        self.reads = self.reads.wrapping_add(1);
        if self.reads.is_multiple_of(MANY) {
            let now = now();
            let limit = if self.dense { STILL_DENSE } else { DENSE };
            self.dense = self.since.replace(now).is_some_and(|since| now.duration_since(since) <= limit);
        }
        self.dense
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the last of so many reads was dense, each so long after the one before.
    fn reads(pace: &mut Pace, clock: &mut Instant, count: u32, apart: Duration, answered: u64) -> bool {
        let mut dense = false;
        for _ in 0..count {
            *clock += apart;
            dense = pace.is_dense(answered, || *clock);
        }
        dense
    }

    #[test]
    fn only_what_comes_fast_and_unanswered_is_dense() {
        let (mut pace, mut clock) = (Pace::default(), Instant::now());
        let (fast, paused, slow) = (DENSE / MANY, STILL_DENSE / MANY, STILL_DENSE / MANY * 2);
        assert!(!reads(&mut pace, &mut clock, 10 * MANY, slow, 0), "slow ones are not");
        assert!(!reads(&mut pace, &mut clock, MANY - 1, fast, 0));
        assert!(reads(&mut pace, &mut clock, MANY + 1, fast, 0));
        assert!(reads(&mut pace, &mut clock, 10 * MANY, paused, 0), "pauses don't end it");
        assert!(!reads(&mut pace, &mut clock, 1, fast, 64), "an answer does");
        assert!(!reads(&mut pace, &mut clock, 2 * MANY - 1, fast, 64));
        assert!(reads(&mut pace, &mut clock, MANY, fast, 64));
        assert!(!reads(&mut pace, &mut clock, 2 * MANY, slow, 64), "and so do slow ones");
    }

    #[test]
    fn a_ping_pong_is_never_dense() {
        let (mut pace, mut clock) = (Pace::default(), Instant::now());
        for answered in 0..10 * u64::from(MANY) {
            assert!(!reads(&mut pace, &mut clock, 1, Duration::from_micros(1), answered));
        }
    }
}
