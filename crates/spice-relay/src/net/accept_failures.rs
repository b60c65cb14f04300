//! How often the log mentions that accepting fails.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How often a failure is logged, at most.
const LOGGED_EVERY: Duration = Duration::from_secs(10);
/// Recovery is logged after this time without a failure: between two failures a single descriptor may become free.
const RECOVERED: Duration = Duration::from_secs(1);

/// Whether accepting from a listener fails, and whether the log says so. Shared by all tasks that accept from the listener.
#[derive(Debug, Default)]
pub(super) struct AcceptFailures(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    logged: bool,
    last_logged: Option<Instant>,
}

impl AcceptFailures {
    /// An accept failed. Returns whether to log it.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.last = Some(now);
        if state.logged || state.last_logged.is_some_and(|last| now.duration_since(last) < LOGGED_EVERY) {
            return false;
        }
        (state.logged, state.last_logged) = (true, Some(now));
        true
    }

    /// An accept succeeded. Returns whether to log that accepting works again: a failure was logged, and the last one is long
    /// enough ago that this connection did not just take the last descriptor.
    pub(super) fn succeeded(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.last.is_none_or(|last| now.duration_since(last) >= RECOVERED) && std::mem::take(&mut state.logged)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_logged_after_a_second_without_a_failure() {
        let (failures, start) = (AcceptFailures::default(), Instant::now());
        assert!(!failures.succeeded(start), "no failure was logged");
        assert!(failures.failed(start));
        assert!(!failures.failed(start), "it is logged once");
        assert!(!failures.succeeded(start + RECOVERED / 2), "it took the last descriptor");
        assert!(!failures.failed(start + RECOVERED / 2));
        assert!(!failures.succeeded(start + RECOVERED));
        assert!(failures.succeeded(start + RECOVERED * 2));
        assert!(!failures.succeeded(start + RECOVERED * 2), "it is logged once");
        assert!(!failures.failed(start + RECOVERED * 2), "too soon to log it again");
        assert!(failures.failed(start + LOGGED_EVERY));
    }
}
