//! A rate limit on log lines that peers cause. Without it, a client that connects and fails in a loop could fill a disk.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::callsite::Identifier;

/// The tracing target of the program's lines that any client can cause as often as it likes.
pub(super) const PEER_LOG_TARGET: &str = "spicewatch::peer";

/// How many lines of one kind are written in each [`WINDOW`].
const LINES: u32 = 100;
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// Counts lines by the place in the program that writes them.
#[derive(Debug, Default)]
pub(super) struct LogRateLimit(Mutex<HashMap<Identifier, Kind>>);

#[derive(Debug)]
struct Kind {
    since: Instant,
    written: u32,
    left_out: u64,
}

/// What to do with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// How many lines were left out that no line has reported yet.
    pub(super) left_out: u64,
    pub(super) written: bool,
    /// The line is the last one of its kind in this window.
    pub(super) last: bool,
}

impl LogRateLimit {
    /// Decides on a line of this kind. Lines without a kind are not limited.
    pub(super) fn check(&self, kind: Option<Identifier>, now: Instant) -> Verdict {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut verdict = Verdict { left_out: 0, written: true, last: false };
        kinds.retain(|_, kind| {
            let over = now.duration_since(kind.since) >= WINDOW;
            verdict.left_out += if over { kind.left_out } else { 0 };
            !over
        });
        if let Some(kind) = kind {
            let kind = kinds.entry(kind).or_insert(Kind { since: now, written: 0, left_out: 0 });
            if kind.written == LINES {
                kind.left_out += 1;
                verdict.written = false;
            } else {
                kind.written += 1;
                verdict.last = kind.written == LINES;
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Callsite;

    #[test]
    fn flood_is_reported_as_lines_and_a_count() {
        let one = tracing::callsite!(name: "one", kind: tracing::metadata::Kind::EVENT, fields: );
        let other = tracing::callsite!(name: "other", kind: tracing::metadata::Kind::EVENT, fields: );
        let [one, other] = [one.metadata(), other.metadata()].map(|metadata| Some(metadata.callsite()));
        let (limit, start) = (LogRateLimit::default(), Instant::now());
        let verdicts: Vec<_> = (0..1000).map(|_| limit.check(one.clone(), start)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| verdict.written).count(), 100);
        assert_eq!(verdicts.iter().position(|verdict| verdict.last), Some(99));
        let written = Verdict { left_out: 0, written: true, last: false };
        assert_eq!(limit.check(other, start), written, "another kind");
        assert_eq!(limit.check(None, start + WINDOW / 2), written, "not yet");
        assert_eq!(limit.check(None, start + WINDOW), Verdict { left_out: 900, ..written });
        assert_eq!(limit.check(one, start + WINDOW), written, "it is reported once");
    }
}
