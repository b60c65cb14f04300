//! Lets small messages gather into larger reads.
//!
//! A sender of many small messages wakes the relay for each of them, and the relay wakes the receiver, so that most of the time goes
//! into waking up. If short reads follow each other that fast, the thread sleeps for a moment after each, as a network card
//! does that moderates its interrupts: all that arrives in the pause is one read.
//!
//! The bytes of a read are forwarded before the pause, so that a byte is late by one pause at most. Request/response
//! traffic is never delayed: a byte in the other direction starts the count again.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

/// A read of fewer bytes is short: what gathers in one pause if messages have 64 bytes.
pub(super) const SHORT: usize = 8 * 1024;
/// The time is taken after this many short reads without a byte in the other direction.
const MANY: u32 = 32;
/// Short reads are dense if [`MANY`] of them took no longer than this.
const DENSE: Duration = Duration::from_millis(2);
/// They stay dense, pauses included, while [`MANY`] of them take no longer than this.
const STILL_DENSE: Duration = Duration::from_millis(10);
/// The length of a pause. Linux adds its timer slack of 50 µs.
const PAUSE: Duration = Duration::from_micros(30);

thread_local! {
    /// How many pauses the thread has made.
    static PAUSES: Cell<u64> = const { Cell::new(0) };
}

/// How fast short reads follow each other in one direction.
#[derive(Debug, Default)]
pub(super) struct Coalesce {
    reads: u32,
    since: Option<Instant>,
    dense: bool,
    /// How many bytes the other direction had moved at the last short read.
    answered: u64,
    /// The thread's pauses at that time.
    pauses: u64,
}

impl Coalesce {
    /// Takes note of a short read whose bytes were forwarded, and sleeps if that pays. Returns whether it slept.
    ///
    /// `answered` is how many bytes the other direction has moved so far. The thread sleeps, not the task: a thread that waits for
    /// sockets would be woken by each message.
    pub(super) fn after_short_read(&mut self, answered: u64) -> bool {
        if !self.is_dense(answered, Instant::now) {
            return false;
        }
        // One pause serves all dense streams of the thread.
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

    /// Makes `count` reads, `apart` from each other, and returns whether the last one was dense.
    fn reads(coalesce: &mut Coalesce, clock: &mut Instant, count: u32, apart: Duration, answered: u64) -> bool {
        let mut dense = false;
        for _ in 0..count {
            *clock += apart;
            dense = coalesce.is_dense(answered, || *clock);
        }
        dense
    }

    #[test]
    fn only_fast_reads_without_an_answer_are_dense() {
        let (mut coalesce, mut clock) = (Coalesce::default(), Instant::now());
        let (fast, paused, slow) = (DENSE / MANY, STILL_DENSE / MANY, STILL_DENSE / MANY * 2);
        assert!(!reads(&mut coalesce, &mut clock, 10 * MANY, slow, 0), "slow reads are not");
        assert!(!reads(&mut coalesce, &mut clock, MANY - 1, fast, 0));
        assert!(reads(&mut coalesce, &mut clock, MANY + 1, fast, 0));
        assert!(reads(&mut coalesce, &mut clock, 10 * MANY, paused, 0), "pauses don't end it");
        assert!(!reads(&mut coalesce, &mut clock, 1, fast, 64), "an answer ends it");
        assert!(!reads(&mut coalesce, &mut clock, 2 * MANY - 1, fast, 64));
        assert!(reads(&mut coalesce, &mut clock, MANY, fast, 64));
        assert!(!reads(&mut coalesce, &mut clock, 2 * MANY, slow, 64), "slow reads end it");
    }

    #[test]
    fn request_and_response_are_never_dense() {
        let (mut coalesce, mut clock) = (Coalesce::default(), Instant::now());
        for answered in 0..10 * u64::from(MANY) {
            assert!(!reads(&mut coalesce, &mut clock, 1, Duration::from_micros(1), answered));
        }
    }
}
