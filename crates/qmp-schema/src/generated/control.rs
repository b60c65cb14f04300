// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! QMP's own types.

use alloc::borrow::Cow;

/// What a QMP server can do beyond the basics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability<'a> {
    /// `oob`: commands may overtake others: `exec-oob`.
    ///
    /// Since QEMU 2.12.
    Oob,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// The class of an error. All but the first are for compatibility.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass<'a> {
    /// `GenericError`: no class in particular.
    GenericError,
    /// `CommandNotFound`: no such command, or not now.
    CommandNotFound,
    /// `DeviceNotActive`: a device is not in use.
    DeviceNotActive,
    /// `DeviceNotFound`: no such device.
    DeviceNotFound,
    /// `KVMMissingCap`: the host's KVM lacks something.
    KvmMissingCap,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// The version of a QEMU: what its greeting and `query-version` tell.
///
/// Returned by the command `query-version`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version<'a> {
    /// The version.
    pub qemu: VersionTriple,
    /// What the packager added, such as a distribution's own version; may be empty.
    pub package: Cow<'a, str>,
}

/// A version number in three parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionTriple {
    /// The first part.
    pub major: i64,
    /// The second part; 50 and above is a development snapshot.
    pub minor: i64,
    /// The third part.
    pub micro: i64,
}
