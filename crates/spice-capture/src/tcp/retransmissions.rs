//! Retransmissions without an answer, and when their sender gives up on its peer.
//!
//! A sender that gets no acknowledgement sends again, and doubles the time between two attempts (RFC 6298, 5.5). Linux stops after `tcp_retries2` attempts, or
//! after `TCP_USER_TIMEOUT`: when the next attempt would be due, it ends the connection with `ETIMEDOUT` and sends no packet. So a row of growing waits that
//! breaks off shows the end of the connection, and its time.

use spice_events::Timestamp;
use std::time::Duration;

/// The longest wait between two attempts (Linux: `TCP_RTO_MAX`).
const MAX_WAIT: Duration = Duration::from_secs(120);
/// Waits of at least this length need not grow any more.
const LONG_WAIT: Duration = Duration::from_secs(100);
/// Packets that follow each other within this time are one attempt, which was captured several times or in several packets.
const ATTEMPT: Duration = Duration::from_millis(10);
/// How many times the wait must have grown: four attempts. Fewer could be a fast retransmission.
const MIN_GROWTHS: u8 = 2;
/// How long an overdue attempt may be late, at least.
const LATENESS: Duration = super::PATIENCE;

/// The attempts to send one segment again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retransmissions {
    /// The sender's next sequence number at that time. If it moves, the sender has sent something new since.
    end: u32,
    /// When the last attempt was made: packet time, and microseconds of the reassembler's clock.
    at: Option<Timestamp>,
    now: u64,
    /// The wait before it, in microseconds.
    wait: u64,
    growths: u8,
    /// The next attempt was found to be overdue once. A capture with a hole in time would otherwise end connections that go on.
    overdue: bool,
}

impl Retransmissions {
    /// Takes note of an attempt. `is_first`: the receiver has answered since the one before.
    pub(super) fn push(&mut self, is_first: bool, end: u32, at: Timestamp, now: u64) {
        let wait = now.saturating_sub(self.now);
        if is_first || end != self.end || self.at.is_none() {
            *self = Self { end, at: Some(at), now, ..Self::default() };
        } else if wait >= microseconds(ATTEMPT) {
            let grows = wait >= self.wait / 2 * 3 || wait >= microseconds(LONG_WAIT);
            self.growths = if self.wait > 0 && grows { self.growths.saturating_add(1) } else { 0 };
            *self = Self { at: Some(at), now, wait, overdue: false, ..*self };
        }
    }

    /// When the sender has given up, if it has. To be asked again after a while otherwise.
    pub(super) fn given_up(&mut self, end: u32, now: u64) -> Option<Timestamp> {
        let next = (2 * self.wait).min(microseconds(MAX_WAIT));
        let overdue = self.now + next + next.max(microseconds(LATENESS));
        if end != self.end || self.growths < MIN_GROWTHS || now < overdue {
            return None;
        }
        if !std::mem::replace(&mut self.overdue, true) {
            return None;
        }
        self.at.map(|at| later(at, next))
    }
}

/// The waits are constants of at most minutes.
const fn microseconds(wait: Duration) -> u64 {
    wait.as_secs() * 1_000_000 + wait.subsec_micros() as u64
}

fn later(at: Timestamp, microseconds: u64) -> Timestamp {
    // At most two minutes.
    let sum = at.microseconds.saturating_add(i64::try_from(microseconds).unwrap_or(0));
    Timestamp { seconds: at.seconds.saturating_add(sum.div_euclid(1_000_000)), microseconds: sum.rem_euclid(1_000_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts at these milliseconds, and what is known at each of those that follow.
    #[track_caller]
    fn check(attempts: &[u64], asked: &[(u64, Option<i64>)]) {
        let mut retransmissions = Retransmissions::default();
        for (i, ms) in attempts.iter().enumerate() {
            let at = Timestamp { seconds: 0, microseconds: ms.cast_signed() * 1000 };
            retransmissions.push(i == 0, 7, at, ms * 1000);
        }
        for (ms, expected) in asked {
            let found = retransmissions.given_up(7, ms * 1000).map(|at| at.seconds * 1000 + at.microseconds / 1000);
            assert_eq!(found, *expected, "at {ms} ms");
        }
    }

    #[test]
    fn a_sender_that_stops_after_growing_waits_has_given_up() {
        // As in a capture of a client that sleeps: the kernel gave up at 3.256.
        check(&[0, 216, 664, 1528], &[(3255, None), (4984, None), (4990, Some(3256))]);
        check(&[0, 16, 41, 100, 500], &[(2000, None), (2299, None), (2301, None), (2302, Some(1300))]);
    }

    #[test]
    fn a_sender_that_may_go_on_has_not_given_up() {
        for attempts in [&[0, 216, 664][..], &[0, 200, 400, 600], &[0, 400, 800, 1000], &[0, 1, 2, 3]] {
            check(attempts, &[(100_000, None), (200_000, None), (300_000, None)]);
        }
    }

    #[test]
    fn the_longest_wait_does_not_grow() {
        let waits = [51_000, 102_000, 120_000, 120_000];
        let attempts: Vec<u64> = std::iter::once(0)
            .chain(waits.iter().scan(0, |at, wait| {
                *at += wait;
                Some(*at)
            }))
            .collect();
        check(&attempts, &[(632_999, None), (633_001, None), (640_000, Some(513_000))]);
    }

    #[test]
    fn a_packet_that_was_captured_twice_is_one_attempt() {
        check(&[0, 1, 216, 217, 664, 665, 1528, 1529], &[(4984, None), (4990, Some(3256))]);
    }
}
