//! The error reply of a command.

use std::fmt;

use crate::ErrorClass;

/// A command's error reply: `{"error": {"class": …, "desc": …}}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommandError {
    /// The class, which clients may decide by.
    pub class: ErrorClass<'static>,
    /// Text for people. QEMU promises nothing about it, and neither should a server.
    pub desc: String,
}

impl CommandError {
    /// An error of `class`.
    pub fn new(class: ErrorClass<'static>, desc: impl Into<String>) -> Self {
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
