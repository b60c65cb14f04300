// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `control`.

use alloc::vec::Vec;

use crate::{
    Capability, Decode, Encode, Error, ErrorClass, VersionInfo, VersionTriple, open_enum,
    reader::{Members, Reader, required},
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
    #[must_use]
    pub fn into_owned(self) -> VersionInfo<'static> {
        VersionInfo { qemu: self.qemu, package: own(self.package) }
    }
}

impl<'a> Decode<'a> for VersionInfo<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "qemu": "#, r#", "package": "#])?;
        let mut qemu = None;
        let mut package = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => qemu = Some(reader.value()?),
                _ => package = Some(reader.value()?),
            }
        }
        Ok(Self { qemu: required(qemu, "qemu", reader)?, package: required(package, "package", reader)? })
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
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "micro": "#, r#", "minor": "#, r#", "major": "#])?;
        let mut micro = None;
        let mut minor = None;
        let mut major = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => micro = Some(reader.value()?),
                1 => minor = Some(reader.value()?),
                _ => major = Some(reader.value()?),
            }
        }
        Ok(Self {
            major: required(major, "major", reader)?,
            minor: required(minor, "minor", reader)?,
            micro: required(micro, "micro", reader)?,
        })
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
