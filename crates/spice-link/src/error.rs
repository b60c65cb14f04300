use core::fmt;

use crate::LinkErrorCode;

/// Why bytes are not valid in the link stage. For a client's bytes, the order of the checks and the answer to each are those of
/// spice-server 0.15 (`reds.cpp`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The first four bytes are not `REDQ`. Checked after four bytes, not sixteen.
    Magic {
        /// The four bytes.
        seen: [u8; 4],
    },
    /// The header's major version is not 2. Minor versions are not checked.
    Version {
        /// The version in the header.
        major: u32,
    },
    /// The header announces a size that the message can't have. Checked before the message has come.
    Size {
        /// The header's value, in bytes after the header.
        seen: u32,
        /// The smallest valid value.
        min: u32,
        /// The largest valid value.
        max: u32,
    },
    /// A capability list is longer than [`MAX_CAPS_WORDS`](crate::MAX_CAPS_WORDS).
    CapsCount {
        /// Words of the common list.
        common: u32,
        /// Words of the channel's list.
        channel: u32,
    },
    /// The capability lists start inside the fixed part or end past the message.
    CapsRange {
        /// Where they start, in bytes from the start of the message after the header.
        offset: u32,
        /// The number of words in both lists together.
        words: u32,
        /// The size of the message after the header, in bytes.
        size: u32,
    },
    /// A length word of the SASL exchange is too large.
    SaslLength {
        /// The word's value, in bytes.
        seen: u32,
        /// The largest valid value.
        max: u32,
    },
    /// The name of the SASL mechanism is empty.
    SaslNameEmpty,
    /// The byte after a SASL answer is neither 0 (continue) nor 1 (complete), or the word after it is neither 0 nor 1.
    SaslFlag {
        /// The value.
        seen: u32,
    },
    /// A frame of the SASL security layer is empty or larger than [`sasl::MAX_LAYER_FRAME`](crate::sasl::MAX_LAYER_FRAME).
    SaslLayer {
        /// The frame's big-endian length word, in bytes.
        seen: u32,
    },
    /// The first message of a main channel is not `MAIN_INIT`.
    NotMainInit {
        /// Its type.
        message_type: u16,
        /// Its size in bytes.
        size: u32,
    },
}

/// How spice-server answers a client whose bytes it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// It sends a [`LinkReply`](crate::LinkReply) frame with this code, 16 + 178 bytes, and closes.
    Frame(LinkErrorCode),
    /// It closes without sending a byte.
    SilentClose,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(code) => write!(f, "answers {}, {code}", code.0),
            Self::SilentClose => f.write_str("closes without a message"),
        }
    }
}

impl Error {
    /// How spice-server 0.15 answers a client for this error. `None`: only a server's bytes can have it.
    pub const fn answer(&self) -> Option<Answer> {
        match self {
            Self::Magic { .. } => Some(Answer::Frame(LinkErrorCode::INVALID_MAGIC)),
            Self::Version { major: 0 } | Self::SaslNameEmpty => Some(Answer::SilentClose),
            Self::Version { .. } => Some(Answer::Frame(LinkErrorCode::VERSION_MISMATCH)),
            Self::Size { .. } | Self::CapsCount { .. } | Self::CapsRange { .. } => {
                Some(Answer::Frame(LinkErrorCode::INVALID_DATA))
            }
            // spice-server closes silently on a name of over 100 bytes, and answers first data of over 1 MiB with a frame.
            Self::SaslLength { max, .. } if *max == crate::sasl::MAX_NAME => Some(Answer::SilentClose),
            Self::SaslLength { .. } => Some(Answer::Frame(LinkErrorCode::INVALID_DATA)),
            Self::SaslFlag { .. } | Self::SaslLayer { .. } | Self::NotMainInit { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic { seen } => write!(f, "expected the magic \"REDQ\", found \"{}\"", seen.escape_ascii()),
            Self::Version { major } => write!(f, "expected major version 2, found {major}"),
            Self::Size { seen, min, max } => write!(f, "expected a message of {min} to {max} bytes, found {seen}"),
            Self::CapsCount { common, channel } => {
                write!(
                    f,
                    "expected capability lists of at most {} words, found {common} and {channel}",
                    crate::MAX_CAPS_WORDS
                )
            }
            Self::CapsRange { offset, words, size } => {
                write!(
                    f,
                    "expected {words} capability words inside a message of {size} bytes, found them at offset {offset}"
                )
            }
            Self::SaslLength { seen, max } => write!(f, "expected a sasl length of at most {max}, found {seen}"),
            Self::SaslNameEmpty => f.write_str("expected the name of a sasl mechanism, found an empty name"),
            Self::SaslFlag { seen } => write!(f, "expected 0 or 1 after a sasl answer, found {seen}"),
            Self::SaslLayer { seen } => {
                write!(f, "expected a frame of the sasl security layer, found a length of {seen} bytes")
            }
            Self::NotMainInit { message_type, size } => {
                write!(f, "expected main_init (type 103, 32 bytes), found type {message_type}, {size} bytes")
            }
        }
    }
}

impl core::error::Error for Error {}

/// The output buffer is too small. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferTooSmall {
    /// The number of bytes that the output takes.
    pub need: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer is too small: {} bytes are needed", self.need)
    }
}

impl core::error::Error for BufferTooSmall {}

/// With the feature `std`, `?` turns this crate's errors into I/O errors.
#[cfg(feature = "std")]
mod into_io {
    extern crate std;
    use std::io::{Error as IoError, ErrorKind};

    impl From<super::Error> for IoError {
        fn from(error: super::Error) -> Self {
            Self::new(ErrorKind::InvalidData, error)
        }
    }

    impl From<super::BufferTooSmall> for IoError {
        fn from(error: super::BufferTooSmall) -> Self {
            Self::new(ErrorKind::InvalidInput, error)
        }
    }

    #[cfg(feature = "ticket")]
    impl From<crate::ticket::TicketError> for IoError {
        fn from(error: crate::ticket::TicketError) -> Self {
            Self::other(error)
        }
    }
}

/// The result of reading something from the start of a stream. Too few bytes are not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parsed<T> {
    /// The value, and the number of bytes that it took.
    Complete(T, usize),
    /// The value needs at least this many bytes, counted from the start of the input. With fewer, another call is useless.
    Need(usize),
}

impl<T> Parsed<T> {
    /// Applies `f` to the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Parsed<U> {
        match self {
            Self::Complete(value, consumed) => Parsed::Complete(f(value), consumed),
            Self::Need(n) => Parsed::Need(n),
        }
    }

    /// The value, if it is complete.
    pub fn complete(self) -> Option<T> {
        match self {
            Self::Complete(value, _) => Some(value),
            Self::Need(_) => None,
        }
    }
}
