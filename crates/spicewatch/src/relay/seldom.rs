//! A bound on lines of the log that peers cause: whoever connects and fails in a loop would fill a disk otherwise.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::callsite::Identifier;

/// The target of lines that any client can cause as often as it likes. Below `spicewatch`, as all others, for filters.
pub(super) const PEER: &str = "spicewatch::peer";

/// Lines of one kind that are written in each such time.
const MANY: u32 = 100;
pub(super) const WITHIN: Duration = Duration::from_secs(10);

/// Counts lines by where in the program they come from.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<HashMap<Identifier, Kind>>);

#[derive(Debug)]
struct Kind {
    since: Instant,
    written: u32,
    left_out: u64,
}

/// What to do with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Lines that were left out until now, and nobody was told how many.
    pub(super) left_out: u64,
    pub(super) written: bool,
    /// It is the last one of its kind for a while.
    pub(super) last: bool,
}

impl Seldom {
    /// A line of this kind, or of none that is counted.
    pub(super) fn ask(&self, kind: Option<Identifier>, now: Instant) -> Verdict {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut verdict = Verdict { left_out: 0, written: true, last: false };
        kinds.retain(|_, kind| {
            let over = now.duration_since(kind.since) >= WITHIN;
            verdict.left_out += if over { kind.left_out } else { 0 };
            !over
        });
        if let Some(kind) = kind {
            let kind = kinds.entry(kind).or_insert(Kind { since: now, written: 0, left_out: 0 });
            if kind.written == MANY {
                kind.left_out += 1;
                verdict.written = false;
            } else {
                kind.written += 1;
                verdict.last = kind.written == MANY;
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
    fn a_flood_is_some_lines_and_a_count() {
        let one = tracing::callsite!(name: "one", kind: tracing::metadata::Kind::EVENT, fields: );
        let other = tracing::callsite!(name: "other", kind: tracing::metadata::Kind::EVENT, fields: );
        let [one, other] = [one.metadata(), other.metadata()].map(|metadata| Some(metadata.callsite()));
        let (seldom, start) = (Seldom::default(), Instant::now());
        let verdicts: Vec<_> = (0..1000).map(|_| seldom.ask(one.clone(), start)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| verdict.written).count(), 100);
        assert_eq!(verdicts.iter().position(|verdict| verdict.last), Some(99));
        let written = Verdict { left_out: 0, written: true, last: false };
        assert_eq!(seldom.ask(other, start), written, "another kind");
        assert_eq!(seldom.ask(None, start + WITHIN / 2), written, "not yet");
        assert_eq!(seldom.ask(None, start + WITHIN), Verdict { left_out: 900, ..written });
        assert_eq!(seldom.ask(one, start + WITHIN), written, "said once");
    }
}
