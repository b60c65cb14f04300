// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `control`.

use alloc::vec::Vec;

use crate::{
    Capability, Decode, Encode, Error, ErrorClass, Reader, VersionInfo, VersionTriple, open_enum,
    record::{self, Members, Record},
    value::own,
    wire::write_text,
};

open_enum! { Capability { Oob = "oob",
} }

open_enum! { ErrorClass { GenericError = "GenericError",
CommandNotFound = "CommandNotFound",
DeviceNotActive = "DeviceNotActive",
DeviceNotFound = "DeviceNotFound",
KvmMissingCap = "KVMMissingCap",
 } }

impl VersionInfo<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VersionInfo<'static> {
        VersionInfo { qemu: self.qemu, package: own(self.package) }
    }
}

impl<'a> Decode<'a> for VersionInfo<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for VersionInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { qemu: members.required(r#", "qemu": "#), package: members.required(r#", "package": "#) }
    }
}

impl Encode for VersionInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"qemu\": ");
        self.qemu.write_to(out);
        out.extend_from_slice(b", \"package\": \"");
        write_text(out, &self.package);
        out.extend_from_slice(b"\"}");
    }
}

impl<'a> Decode<'a> for VersionTriple {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for VersionTriple {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            micro: members.required(r#", "micro": "#),
            minor: members.required(r#", "minor": "#),
            major: members.required(r#", "major": "#),
        }
    }
}

impl Encode for VersionTriple {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"micro\": ");
        self.micro.write_to(out);
        out.extend_from_slice(b", \"minor\": ");
        self.minor.write_to(out);
        out.extend_from_slice(b", \"major\": ");
        self.major.write_to(out);
        out.push(b'}');
    }
}
