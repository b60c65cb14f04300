// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `control`.

use crate::{
    Capability, Decode, Error, ErrorClass, Reader, Version, VersionTriple,
    fields::{self, Fields, Members},
    open_enum,
    slice_writer::{Put, SliceWriter},
    value::own,
};

open_enum! { Capability { Oob = "oob",
} }

open_enum! { ErrorClass { GenericError = "GenericError",
CommandNotFound = "CommandNotFound",
DeviceNotActive = "DeviceNotActive",
DeviceNotFound = "DeviceNotFound",
KvmMissingCap = "KVMMissingCap",
 } }

impl Version<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Version<'static> {
        Version { qemu: self.qemu, package: own(self.package) }
    }
}

impl<'a> Decode<'a> for Version<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for Version<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { qemu: members.required(r#", "qemu": "#), package: members.required(r#", "package": "#) }
    }
}

impl Put for Version<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"qemu": "#).value(&self.qemu).fixed(br#", "package": ""#).text(&self.package).fixed(br#""}"#)
    }
}

impl<'a> Decode<'a> for VersionTriple {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VersionTriple {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            micro: members.required(r#", "micro": "#),
            minor: members.required(r#", "minor": "#),
            major: members.required(r#", "major": "#),
        }
    }
}

impl Put for VersionTriple {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"micro": "#)
            .value(&self.micro)
            .fixed(br#", "minor": "#)
            .value(&self.minor)
            .fixed(br#", "major": "#)
            .value(&self.major)
            .fixed(b"}")
    }
}
