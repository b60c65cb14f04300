//! Time as the packets tell it, and queues of deadlines.

use spice_events::Timestamp;
use std::{collections::VecDeque, time::Duration};

/// Microseconds of packet time since the first packet, never backwards.
///
/// One packet with an absurd time would otherwise stop every timer: so a step forward counts for ten minutes at most, and a step back for nothing.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now: u64,
    last: Option<i64>,
}

const MAX_STEP: Duration = Duration::from_secs(600);

impl Clock {
    #[inline]
    pub(super) fn advance(&mut self, at: Timestamp) {
        let at = at.seconds.saturating_mul(1_000_000).saturating_add(at.microseconds);
        let step = self.last.map_or(0, |last| u64::try_from(at.saturating_sub(last)).unwrap_or(0));
        self.now += step.min(microseconds(MAX_STEP));
        self.last = Some(at);
    }

    /// The time of the last packet; `None` before the first one.
    pub(super) fn last(&self) -> Option<Timestamp> {
        let at = self.last?;
        Some(Timestamp { seconds: at.div_euclid(1_000_000), microseconds: at.rem_euclid(1_000_000) })
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// The deadline of something that waits from now on.
    pub(super) fn after(&self, wait: Duration) -> u64 {
        self.now + microseconds(wait)
    }
}

/// The time from one packet to a later one.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    let microseconds = |at: Timestamp| i128::from(at.seconds) * 1_000_000 + i128::from(at.microseconds);
    Duration::from_micros(u64::try_from(microseconds(to) - microseconds(from)).unwrap_or(0))
}

/// The waits are constants of seconds.
const fn microseconds(wait: Duration) -> u64 {
    wait.as_secs() * 1_000_000 + wait.subsec_micros() as u64
}

/// A connection in the table, and which life of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Deadlines of one constant distance, so that the queue is in order by itself.
#[derive(Debug)]
pub(super) struct Timers {
    queue: VecDeque<(u64, Token)>,
    /// With more deadlines than this, the oldest expire early: they must not accumulate in a capture whose time does not advance.
    max: usize,
}

impl Timers {
    pub(super) fn new(max_flows: u32) -> Self {
        Self { queue: VecDeque::new(), max: 2 * max_flows as usize + 16 }
    }

    pub(super) fn push(&mut self, deadline: u64, token: Token) {
        self.queue.push_back((deadline, token));
    }

    /// The next that has run out.
    #[inline]
    pub(super) fn pop(&mut self, now: u64) -> Option<Token> {
        let (deadline, token) = *self.queue.front()?;
        (deadline <= now || self.queue.len() > self.max).then(|| {
            self.queue.pop_front();
            token
        })
    }
}
