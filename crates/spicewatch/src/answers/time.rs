//! Times as people read them: in the local time zone.

use jiff::{Timestamp, tz::TimeZone};

/// `2026-11-24 09:12`, in the local time zone.
pub(super) fn local(at: spice_sessions::Timestamp) -> String {
    moment(at).to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A record's time.
pub(crate) fn moment(at: spice_sessions::Timestamp) -> Timestamp {
    let micros = i32::try_from(at.microseconds).unwrap_or(0);
    Timestamp::new(at.seconds, micros.saturating_mul(1000)).unwrap_or_default()
}

/// The time of the clock.
pub(crate) fn now() -> spice_sessions::Timestamp {
    std::time::SystemTime::now().into()
}
