//! The time of an event.

use core::fmt;
#[cfg(feature = "std")]
use std::time::{Duration, SystemTime};

use crate::{
    Decode, Error, Reader,
    fields::{self, Fields, Members},
    slice_writer::{Put, SliceWriter},
};

/// The wall-clock time of an event. With the feature `std` it converts [from](From) and to a `SystemTime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 00:00 UTC; −1 if QEMU's clock failed (QEMU 2.1 to 6.2).
    pub seconds: i64,
    /// Microseconds within the second, 0 to 999 999; −1 if QEMU's clock failed.
    pub microseconds: i64,
}

#[cfg(feature = "std")]
impl From<SystemTime> for Timestamp {
    /// Rounds down to a whole microsecond.
    fn from(time: SystemTime) -> Self {
        let parts =
            |since: Duration| (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_micros()));
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => {
                let (seconds, microseconds) = parts(since);
                Self { seconds, microseconds }
            }
            Err(before) => {
                // The distance to 1970, rounded up to a whole microsecond.
                let (seconds, microseconds) = parts(before.duration() + Duration::from_nanos(999));
                let borrow = i64::from(microseconds > 0);
                Self { seconds: -seconds - borrow, microseconds: borrow * 1_000_000 - microseconds }
            }
        }
    }
}

#[cfg(feature = "std")]
impl Timestamp {
    /// The same time as a [`SystemTime`]. `None`: QEMU's clock failed (−1/−1), or `SystemTime` can't represent it.
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

/// Seconds since 1970 with six decimals, as `date -d @…` reads them: `1795370794.708759`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let microseconds = i128::from(self.seconds) * 1_000_000 + i128::from(self.microseconds);
        let sign = if microseconds < 0 { "-" } else { "" };
        let microseconds = microseconds.unsigned_abs();
        write!(f, "{sign}{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
    }
}

impl Put for Timestamp {
    #[inline]
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let out = out.fixed(b"{\"seconds\": ").signed(self.seconds);
        out.fixed(b", \"microseconds\": ").signed(self.microseconds).fixed(b"}")
    }
}

impl<'a> Decode<'a> for Timestamp {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for Timestamp {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { seconds: members.required(r#", "seconds": "#), microseconds: members.required(r#", "microseconds": "#) }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_1970_convert_both_ways() {
        for (seconds, microseconds, nanoseconds) in
            [(0, 0, 0), (1_795_370_794, 696_984, 999), (-1, 999_999, 1), (-2, 500_000, 0), (-3, 0, 0)]
        {
            let timestamp = Timestamp { seconds, microseconds };
            let time = timestamp.to_system_time().unwrap();
            assert_eq!(Timestamp::from(time + Duration::from_nanos(nanoseconds)), timestamp);
        }
    }

    #[test]
    fn a_failed_clock_converts_to_no_time() {
        assert_eq!(Timestamp { seconds: -1, microseconds: -1 }.to_system_time(), None);
        assert_eq!(Timestamp { seconds: i64::MAX, microseconds: i64::MAX }.to_system_time(), None);
    }
}
