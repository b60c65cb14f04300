//! `Serialize` for fields with types of other crates.
#![allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde passes each field by reference")]

use std::sync::Arc;

use qmp_schema::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use spice_link::Side;

use crate::{AnomalyKind, Connection};

/// Whole seconds and microseconds, like QMP's timestamp.
pub(crate) fn timestamp<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Timestamp", 2)?;
    fields.serialize_field("seconds", &at.seconds)?;
    fields.serialize_field("microseconds", &at.microseconds)?;
    fields.end()
}

/// The name of a known type, the number of an unknown one.
pub(crate) mod channel_type {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};
    use spice_link::ChannelType;

    pub(crate) fn serialize<S: Serializer>(channel_type: &ChannelType, serializer: S) -> Result<S::Ok, S::Error> {
        match channel_type.name() {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_u8(channel_type.0),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ChannelType, D::Error> {
        struct NameOrNumber;

        impl de::Visitor<'_> for NameOrNumber {
            type Value = ChannelType;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name or the number of a channel type")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<ChannelType, E> {
                name.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(name), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ChannelType, E> {
                let known = u8::try_from(number).map(ChannelType);
                known.map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
        }

        deserializer.deserialize_any(NameOrNumber)
    }
}

pub(crate) fn shared<S: Serializer>(connection: &Arc<Connection>, serializer: S) -> Result<S::Ok, S::Error> {
    connection.as_ref().serialize(serializer)
}

/// The sender's name and the offset, or nothing.
pub(crate) fn place<S: Serializer>(place: &Option<(Side, u64)>, serializer: S) -> Result<S::Ok, S::Error> {
    place.map(|(side, offset)| (side.name(), offset)).serialize(serializer)
}

/// The machine's name of the kind, and its text.
pub(crate) fn anomaly_kind<S: Serializer>(kind: &AnomalyKind, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("AnomalyKind", 2)?;
    fields.serialize_field("name", kind.name())?;
    fields.serialize_field("text", &kind.to_string())?;
    fields.end()
}

/// Held bytes.
pub(crate) mod bytes {
    use bytes::BytesMut;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(held: &BytesMut, serializer: S) -> Result<S::Ok, S::Error> {
        held[..].serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BytesMut, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(|held| held[..].into())
    }
}
