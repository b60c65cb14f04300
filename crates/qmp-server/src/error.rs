//! What a command can fail with, in QMP's own terms.

use std::fmt;

/// The `class` member of a QMP error (`qapi/error.json`, `QapiErrorClass`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Every error that no other class fits; clients read `desc`.
    #[default]
    GenericError,
    /// There is no such command, or not in this state.
    CommandNotFound,
    /// The device is there but not in use, e.g. "SPICE is not in use".
    DeviceNotActive,
    /// There is no such device.
    DeviceNotFound,
    /// KVM lacks something that the command needs.
    KVMMissingCap,
}

impl ErrorClass {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GenericError => "GenericError",
            Self::CommandNotFound => "CommandNotFound",
            Self::DeviceNotActive => "DeviceNotActive",
            Self::DeviceNotFound => "DeviceNotFound",
            Self::KVMMissingCap => "KVMMissingCap",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A command's error reply: `{"error": {"class": …, "desc": …}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    /// The class, which clients may decide by.
    pub class: ErrorClass,
    /// Text for people. QEMU promises nothing about it, and neither should a server.
    pub desc: String,
}

impl CommandError {
    /// An error of `class`.
    pub fn new(class: ErrorClass, desc: impl Into<String>) -> Self {
        Self { class, desc: desc.into() }
    }

    /// An error of class `GenericError`, the usual one.
    pub fn generic(desc: impl Into<String>) -> Self {
        Self::new(ErrorClass::GenericError, desc)
    }

    /// An error of class `CommandNotFound`.
    pub(crate) fn not_found(desc: impl Into<String>) -> Self {
        Self::new(ErrorClass::CommandNotFound, desc)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.desc)
    }
}

impl std::error::Error for CommandError {}
