//! Values of the file that are written as strings, and numbers of seconds.

use std::{fmt, marker::PhantomData, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};
use spice_relay::spice_events::{Auth, UnknownName};

/// `"a"`.
pub(super) fn one<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

/// `"spice"`, `"none"` or `"sasl"`.
pub(super) fn auth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Auth>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let found = |error| de::Error::custom(format_args!("{error}, found `{name}`"));
    name.parse().map(Some).map_err(|error: UnknownName| found(error))
}

/// `"a"` or `["a", "b"]`.
pub(super) fn one_or_many<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Visitor<T>(PhantomData<T>);
    impl<'de, T: FromStr<Err: fmt::Display>> de::Visitor<'de> for Visitor<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an array of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            text.parse().map(|one| vec![one]).map_err(E::custom)
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut many: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(text) = many.next_element::<String>()? {
                all.push(text.parse().map_err(de::Error::custom)?);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Visitor(PhantomData))
}

/// The longest time, in seconds: 136 years. A timer that is further ahead can't be set.
pub(super) const LONGEST: u64 = u32::MAX as u64;

/// A limit that is configured in seconds. 0 turns it off.
pub(super) fn seconds(configured: Option<u64>, default: Option<Duration>) -> Option<Duration> {
    match configured {
        None => default,
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds.min(LONGEST))),
    }
}
