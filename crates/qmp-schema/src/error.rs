//! The crate's one error type.

use core::fmt;

/// What is wrong with a text, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Bytes from the start of the text that was passed in. For an error of a
    /// [`StreamDecoder`](crate::stream::StreamDecoder): bytes from the start of the stream.
    pub offset: u64,
}

/// What can be wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not JSON: the grammar expects something else here.
    Syntax {
        /// What the grammar expects.
        expected: &'static str,
        /// The byte that was found; `None` at the end of the text.
        found: Option<u8>,
    },
    /// Not UTF-8. (QEMU writes ASCII only.)
    Utf8,
    /// Objects and arrays nested too deep.
    Depth {
        /// The limit that was exceeded: [`MAX_DEPTH`](crate::MAX_DEPTH) or [`MAX_VALUE_DEPTH`](crate::MAX_VALUE_DEPTH).
        limit: usize,
    },
    /// JSON, but not of the type that the schema declares.
    Type {
        /// The schema's type.
        expected: &'static str,
        /// The type that was found.
        found: &'static str,
    },
    /// An integer outside of the range of the schema's type.
    Range {
        /// The schema's type.
        expected: &'static str,
    },
    /// An object without a member that the schema requires. The offset is that of the object's end.
    Missing {
        /// The member's name.
        member: &'static str,
    },
    /// An event that this version of the crate has no type for. It is not an error, but the reason for an
    /// [`Event::Other`](crate::Event::Other).
    UnknownEvent,
    /// A message of a stream is longer than the limit.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A message of a stream is incomplete: another message or the end of the stream follows.
    CutOff,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind, offset: usize) -> Self {
        Self { kind, offset: offset as u64 }
    }

    /// Whether the text is not JSON at all, so that reading it as another type would fail too.
    #[must_use]
    pub const fn is_syntax(&self) -> bool {
        matches!(self.kind, ErrorKind::Syntax { .. } | ErrorKind::Utf8 | ErrorKind::Depth { .. } | ErrorKind::CutOff)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.kind, self.offset)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { expected, found: None } => write!(f, "expected {expected}, found the end"),
            Self::Syntax { expected, found: Some(byte) } => {
                write!(f, "expected {expected}, found '{}'", byte.escape_ascii())
            }
            Self::Utf8 => f.write_str("expected UTF-8, found other bytes"),
            Self::Depth { limit } => write!(f, "expected at most {limit} levels of nesting, found more"),
            Self::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Range { expected } => write!(f, "expected {expected}, found a number out of its range"),
            Self::Missing { member } => write!(f, "expected member '{member}', found none"),
            Self::UnknownEvent => f.write_str("expected a known event, found another"),
            Self::TooLong { limit } => write!(f, "expected a message of at most {limit} bytes, found a longer one"),
            Self::CutOff => f.write_str("expected the rest of a message, found none"),
        }
    }
}

impl core::error::Error for Error {}
