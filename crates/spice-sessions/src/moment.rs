//! Times: as numbers to calculate with, and as RFC 3339 in records.

use std::time::Duration;

use spice_events::Timestamp;

/// Microseconds since 1970, saturating.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.seconds.saturating_mul(1_000_000).saturating_add(at.microseconds)
}

/// The moment so much later, in microseconds since 1970.
pub(crate) fn after(at: Timestamp, wait: Duration) -> i64 {
    micros(at).saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}

/// The time between two moments; none if the clock went back.
pub(crate) fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(micros(end).saturating_sub(micros(start))).unwrap_or(0))
}

/// The moment from microseconds since 1970.
pub(crate) fn from_micros(micros: i64) -> Timestamp {
    Timestamp { seconds: micros.div_euclid(1_000_000), microseconds: micros.rem_euclid(1_000_000) }
}

/// RFC 3339 in UTC with microseconds. A time outside of the years −9999 to 9999 becomes the nearest one within.
pub(crate) fn to_text(at: Timestamp) -> String {
    let micros = micros(at);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    });
    format!("{time:.6}")
}

/// For fields of a record.
pub(crate) mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use spice_events::Timestamp;

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_text(*at))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(super::from_micros(time.as_microsecond()))
    }
}

/// For optional fields of a record.
pub(crate) mod optional {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use serde_derive::Deserialize;
    use spice_events::Timestamp;

    #[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
    pub(crate) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::text::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        #[derive(Deserialize)]
        struct Text(#[serde(with = "super::text")] Timestamp);
        Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(at)| at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_with_microseconds() {
        for (seconds, microseconds, text) in [
            (1_795_370_794, 696_984, "2026-11-22T18:06:34.696984Z"),
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (-1, 999_999, "1969-12-31T23:59:59.999999Z"),
            (i64::MAX, 0, "9999-12-30T22:00:00.999999Z"),
        ] {
            assert_eq!(to_text(Timestamp { seconds, microseconds }), text);
        }
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_negative_time() {
        let at = |seconds| Timestamp { seconds, microseconds: 0 };
        assert_eq!(between(at(5), at(3)), Duration::ZERO);
        assert_eq!(between(at(3), at(5)), Duration::from_secs(2));
    }
}
