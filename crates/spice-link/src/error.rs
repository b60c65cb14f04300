use core::fmt;

use crate::LinkErrorCode;

/// Why bytes are not what the link stage foresees. For a client's bytes the order of the checks and the
/// answer of each are those of spice-server 0.15 (`reds.cpp`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The first four bytes are not `REDQ`. Judged after four bytes, not sixteen.
    Magic {
        /// What was there.
        seen: [u8; 4],
    },
    /// The header's major version is not 2. Minor versions are not looked at.
    Version {
        /// What was there.
        major: u32,
    },
    /// The header announces a message of a size that can't be one. Judged before the message has come.
    Size {
        /// What the header says, in bytes after the header.
        seen: u32,
        /// The smallest that would do.
        min: u32,
        /// The largest that would do.
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
        /// How many words both lists have.
        words: u32,
        /// The size of the message after the header, in bytes.
        size: u32,
    },
    /// A length word of the SASL exchange is out of its range.
    SaslLength {
        /// What was there, in bytes.
        seen: u32,
        /// The largest that would do.
        max: u32,
    },
    /// The mechanism's name is not allowed to be empty.
    SaslNameEmpty,
    /// The byte after a SASL answer is neither 0 (go on) nor 1 (complete), or the word after it neither 0 nor 1.
    SaslFlag {
        /// What was there.
        seen: u32,
    },
    /// A frame of the SASL security layer is empty or larger than [`sasl::MAX_LAYER_FRAME`](crate::sasl::MAX_LAYER_FRAME).
    SaslLayer {
        /// What the frame's big-endian length word says, in bytes.
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

/// What spice-server does with a client whose bytes it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A [`LinkReply`](crate::LinkReply) frame with this code, then a close: 16 + 178 bytes.
    Frame(LinkErrorCode),
    /// A close without a byte.
    SilentClose,
}

impl Error {
    /// How spice-server 0.15 answers a client for it; `None` where only a server's bytes can be wrong in this way.
    pub const fn answer(&self) -> Option<Answer> {
        match self {
            Self::Magic { .. } => Some(Answer::Frame(LinkErrorCode::INVALID_MAGIC)),
            Self::Version { major: 0 } | Self::SaslNameEmpty => Some(Answer::SilentClose),
            Self::Version { .. } => Some(Answer::Frame(LinkErrorCode::VERSION_MISMATCH)),
            Self::Size { .. } | Self::CapsCount { .. } | Self::CapsRange { .. } => {
                Some(Answer::Frame(LinkErrorCode::INVALID_DATA))
            }
            // A name of over 100 bytes is dropped silently; first data of over 1 MiB gets a frame.
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
                    "expected at most {} words a capability list, found {common} and {channel}",
                    crate::MAX_CAPS_WORDS
                )
            }
            Self::CapsRange { offset, words, size } => {
                write!(f, "{words} capability words at offset {offset} do not lie in a message of {size} bytes")
            }
            Self::SaslLength { seen, max } => write!(f, "expected a sasl length of at most {max}, found {seen}"),
            Self::SaslNameEmpty => f.write_str("expected the name of a sasl mechanism, found an empty one"),
            Self::SaslFlag { seen } => write!(f, "expected 0 or 1 after a sasl answer, found {seen}"),
            Self::SaslLayer { seen } => {
                write!(f, "expected a frame of the sasl security layer, found a length of {seen}")
            }
            Self::NotMainInit { message_type, size } => {
                write!(f, "expected main_init (type 103, 32 bytes), found type {message_type}, {size} bytes")
            }
        }
    }
}

impl core::error::Error for Error {}

/// The buffer that something was to be written into has too little room. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooSmall {
    /// How many bytes it takes.
    pub need: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer is too small: {} bytes are needed", self.need)
    }
}

impl core::error::Error for BufferTooSmall {}

/// The outcome of reading something off the start of a stream. Shortage is not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// It is there, and took this many bytes.
    Complete(T, usize),
    /// It takes at least this many bytes in all, counted from the start of the input, before another try is worth while.
    Need(usize),
}

impl<T> Parsed<T> {
    /// Applies `f` to what was read.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Parsed<U> {
        match self {
            Self::Complete(value, consumed) => Parsed::Complete(f(value), consumed),
            Self::Need(n) => Parsed::Need(n),
        }
    }

    /// What was read, where it is there.
    pub fn complete(self) -> Option<T> {
        match self {
            Self::Complete(value, _) => Some(value),
            Self::Need(_) => None,
        }
    }
}
