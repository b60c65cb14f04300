//! `Serialize` for fields with types of other crates.
#![allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde passes each field by reference")]

use std::sync::Arc;

use qmp_schema::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use spice_link::{ChannelType, Side};

use crate::{AnomalyKind, Connection};

/// Whole seconds and microseconds, like QMP's timestamp.
pub(crate) fn timestamp<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Timestamp", 2)?;
    fields.serialize_field("seconds", &at.seconds)?;
    fields.serialize_field("microseconds", &at.microseconds)?;
    fields.end()
}

/// The name of a known type, the number of an unknown one.
pub(crate) fn channel_type<S: Serializer>(channel_type: &ChannelType, serializer: S) -> Result<S::Ok, S::Error> {
    match channel_type.name() {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_u8(channel_type.0),
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
