//! Between QMP's time and the standard library's (feature `std`).

use std::time::{Duration, SystemTime};

use crate::Timestamp;

impl From<SystemTime> for Timestamp {
    /// To the microsecond before.
    fn from(time: SystemTime) -> Self {
        let parts =
            |since: Duration| (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_micros()));
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => {
                let (seconds, microseconds) = parts(since);
                Self { seconds, microseconds }
            }
            Err(before) => {
                // So far before a whole second, counted in whole microseconds, up.
                let (seconds, microseconds) = parts(before.duration() + Duration::from_nanos(999));
                let borrow = i64::from(microseconds > 0);
                Self { seconds: -seconds - borrow, microseconds: borrow * 1_000_000 - microseconds }
            }
        }
    }
}

impl Timestamp {
    /// The same moment as the standard library has it; `None` for the −1/−1 of a clock that failed, and for what
    /// [`SystemTime`] can't hold.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        let within = Duration::from_micros(self.microseconds.try_into().ok()?);
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second = if self.seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(whole)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(whole)
        };
        second?.checked_add(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_on_both_sides_of_1970() {
        for (seconds, microseconds, nanoseconds) in
            [(0, 0, 0), (1_795_370_794, 696_984, 999), (-1, 999_999, 1), (-2, 500_000, 0), (-3, 0, 0)]
        {
            let timestamp = Timestamp { seconds, microseconds };
            let time = timestamp.to_system_time().unwrap();
            assert_eq!(Timestamp::from(time + Duration::from_nanos(nanoseconds)), timestamp);
        }
    }

    #[test]
    fn a_clock_that_failed_is_no_time() {
        assert_eq!(Timestamp { seconds: -1, microseconds: -1 }.to_system_time(), None);
        assert_eq!(Timestamp { seconds: i64::MAX, microseconds: i64::MAX }.to_system_time(), None);
    }
}
