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

/// Lets `?` turn errors that a command meets into a `GenericError` with their text.
macro_rules! generic {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for CommandError {
            fn from(error: $error) -> Self {
                Self::generic(error.to_string())
            }
        })*
    };
}

generic! {
    &str, Box<dyn std::error::Error>, Box<dyn std::error::Error + Send + Sync>, fmt::Error, std::io::Error,
    std::net::AddrParseError, std::num::ParseFloatError, std::num::ParseIntError, std::num::TryFromIntError,
    std::str::ParseBoolError, std::str::Utf8Error, std::string::FromUtf8Error, std::time::SystemTimeError, qmp_schema::Error,
}

impl From<String> for CommandError {
    fn from(desc: String) -> Self {
        Self::generic(desc)
    }
}

#[cfg(feature = "serde")]
impl From<serde::de::value::Error> for CommandError {
    fn from(error: serde::de::value::Error) -> Self {
        Self::generic(error.to_string())
    }
}

impl From<qmp_schema::ErrorReply<'_>> for CommandError {
    /// The error of another QMP server, passed on.
    fn from(error: qmp_schema::ErrorReply<'_>) -> Self {
        let error = error.into_owned();
        Self::new(error.class, error.desc)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.desc)
    }
}

impl std::error::Error for CommandError {}
