use alloc::{borrow::Cow, vec::Vec};

use crate::{
    Encode as _, Error, ErrorKind, OtherEvent,
    reader::{Members, Reader},
    wire,
};

mod spice;
pub use spice::*;

/// An event of QEMU.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// `RESUME`
    Resume,
    /// `SPICE_CONNECTED`
    SpiceConnected(SpiceConnected<'a>),
    /// `SPICE_INITIALIZED`
    SpiceInitialized(SpiceInitialized<'a>),
    /// `SPICE_DISCONNECTED`
    SpiceDisconnected(SpiceDisconnected<'a>),
    /// `SPICE_MIGRATE_COMPLETED`
    SpiceMigrateCompleted,
    /// An event that this version of the crate does not know, or whose data is not what the schema says.
    Other(OtherEvent<'a>),
}

impl<'a> Event<'a> {
    /// The event's name in QMP.
    pub fn name(&self) -> &str {
        match self {
            Self::Resume => "RESUME",
            Self::SpiceConnected(_) => "SPICE_CONNECTED",
            Self::SpiceInitialized(_) => "SPICE_INITIALIZED",
            Self::SpiceDisconnected(_) => "SPICE_DISCONNECTED",
            Self::SpiceMigrateCompleted => "SPICE_MIGRATE_COMPLETED",
            Self::Other(event) => &event.name,
        }
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Resume => Event::Resume,
            Self::SpiceConnected(event) => Event::SpiceConnected(event.into_owned()),
            Self::SpiceInitialized(event) => Event::SpiceInitialized(event.into_owned()),
            Self::SpiceDisconnected(event) => Event::SpiceDisconnected(event.into_owned()),
            Self::SpiceMigrateCompleted => Event::SpiceMigrateCompleted,
            Self::Other(event) => Event::Other(event.into_owned()),
        }
    }

    pub(crate) fn read_data(name: &str, members: &Members<'_>, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match name {
            "RESUME" => members.value(reader).map(|NoData| Self::Resume)?,
            "SPICE_CONNECTED" => Self::SpiceConnected(members.value(reader)?),
            "SPICE_INITIALIZED" => Self::SpiceInitialized(members.value(reader)?),
            "SPICE_DISCONNECTED" => Self::SpiceDisconnected(members.value(reader)?),
            "SPICE_MIGRATE_COMPLETED" => members.value(reader).map(|NoData| Self::SpiceMigrateCompleted)?,
            _ => return Err(Error::new(ErrorKind::UnknownEvent, reader.offset())),
        })
    }

    pub(crate) fn without_data(name: &Cow<'a, str>, offset: usize) -> Self {
        match &**name {
            "RESUME" => Self::Resume,
            "SPICE_MIGRATE_COMPLETED" => Self::SpiceMigrateCompleted,
            "SPICE_CONNECTED" | "SPICE_INITIALIZED" | "SPICE_DISCONNECTED" => {
                Self::other_without_data(name, true, offset)
            }
            _ => Self::other_without_data(name, false, offset),
        }
    }

    pub(crate) fn write_rest(&self, out: &mut Vec<u8>) {
        match self {
            Self::Resume => return out.extend_from_slice(b"\"RESUME\"}"),
            Self::SpiceConnected(event) => {
                out.extend_from_slice(b"\"SPICE_CONNECTED\", \"data\": ");
                event.write_to(out);
            }
            Self::SpiceInitialized(event) => {
                out.extend_from_slice(b"\"SPICE_INITIALIZED\", \"data\": ");
                event.write_to(out);
            }
            Self::SpiceDisconnected(event) => {
                out.extend_from_slice(b"\"SPICE_DISCONNECTED\", \"data\": ");
                event.write_to(out);
            }
            Self::SpiceMigrateCompleted => return out.extend_from_slice(b"\"SPICE_MIGRATE_COMPLETED\"}"),
            Self::Other(event) => return event.write_rest(out),
        }
        out.push(b'}');
    }
}

/// The data of an event that has none.
struct NoData;

impl<'a> crate::Decode<'a> for NoData {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[])?;
        while members.next(reader)?.is_some() {}
        Ok(Self)
    }
}
