use std::fmt;

/// Why a file can't be read as a capture, or not any further.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// There was no byte.
    Empty,
    /// The first four bytes are of no capture format.
    NotACapture {
        /// What they are.
        start: [u8; 4],
    },
    /// A pcap of another major version than 2.
    Version {
        /// as in the header
        major: u16,
        /// as in the header
        minor: u16,
    },
    /// The file ends within pcap's header of 24 bytes.
    FileHeader {
        /// of the file, in bytes
        length: u64,
    },
    /// A pcap record that claims more than a capture can hold.
    Record {
        /// of the record, in bytes from the start of the file
        offset: u64,
        /// the length it claims
        captured: u32,
    },
    /// A pcapng block whose length or content can't be.
    Block {
        /// of the block, in bytes from the start of the file
        offset: u64,
        /// the block's type
        kind: u32,
        /// the length it claims
        length: u32,
    },
    /// A pcapng section whose byte order magic is neither `1A2B3C4D` nor `4D3C2B1A`.
    ByteOrder {
        /// of the section, in bytes from the start of the file
        offset: u64,
        /// what is there
        seen: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("expected a pcap or pcapng file, seen an empty one"),
            Self::NotACapture { start: start @ [0x1f, 0x8b, ..] } => not_a_capture(f, *start, "gzip", "gzip"),
            Self::NotACapture { start: start @ [0x28, 0xb5, 0x2f, 0xfd] } => not_a_capture(f, *start, "zstd", "zstd"),
            Self::NotACapture { start: start @ [0xfd, b'7', b'z', b'X'] } => not_a_capture(f, *start, "xz", "xz"),
            Self::NotACapture { start } => {
                let magic = u32::from_be_bytes(*start);
                write!(f, "expected a pcap or pcapng file, seen {magic:08x} at offset 0")
            }
            Self::Version { major, minor } => {
                write!(f, "expected pcap version 2, seen {major}.{minor} at offset 4")
            }
            Self::FileHeader { length } => {
                write!(f, "expected a pcap header of 24 bytes, seen the end of the file at offset {length}")
            }
            Self::Record { offset, captured } => write!(
                f,
                "expected a packet of at most {} bytes, seen a length of {captured} at offset {offset}: the file is damaged there",
                crate::file::MAX_CAPTURED
            ),
            Self::Block { offset, kind, length } => write!(
                f,
                "expected a sound pcapng block, seen one of type {kind:#x} and length {length} at offset {offset}: the file is damaged there"
            ),
            Self::ByteOrder { offset, seen } => {
                write!(f, "expected the byte order magic 1a2b3c4d, seen {seen:08x} at offset {}", offset + 8)
            }
        }
    }
}

fn not_a_capture(f: &mut fmt::Formatter<'_>, start: [u8; 4], what: &str, tool: &str) -> fmt::Result {
    let magic = u32::from_be_bytes(start);
    write!(
        f,
        "expected a pcap or pcapng file, seen {what} ({magic:08x} at offset 0); unpack it first: {tool} -dc FILE | …"
    )
}

impl std::error::Error for Error {}
