use super::{CipherSuite, MAX_HELD, MAX_HELLO, MAX_RECORD, Version};
use spice_events::Side;
use std::fmt;

/// Why a connection, or one direction of it, can't be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unreadable {
    /// The bytes are no TLS record.
    NotTls {
        /// Who sent them.
        from: Side,
        /// The first five bytes: what would be a record's header.
        seen: [u8; 5],
    },
    /// A record that claims more than [`MAX_RECORD`].
    RecordLength {
        /// Who sent it.
        from: Side,
        /// The length that it claims, in bytes.
        len: u16,
    },
    /// A `ClientHello` or `ServerHello` that is malformed, or longer than [`MAX_HELLO`].
    Hello {
        /// Who sent it.
        from: Side,
    },
    /// A version before TLS 1.2.
    Version(Version),
    /// A cipher suite whose records are not read.
    Suite(CipherSuite),
    /// The key log has no secret for this connection.
    NoSecrets,
    /// The key log's secrets do not decrypt the connection's first encrypted record.
    WrongSecrets {
        /// Who sent that record.
        from: Side,
    },
    /// A record does not decrypt, though others before it did.
    Damaged {
        /// Who sent it.
        from: Side,
        /// How many records were decrypted with the same key before.
        record: u64,
    },
    /// The client may have sent data before the server's answer (0-RTT), which is not read.
    EarlyData,
    /// An end gave up the handshake.
    Alert {
        /// Which end.
        from: Side,
        /// The description: RFC 8446 §6.
        code: u8,
    },
    /// Bytes are missing. Nothing of this direction can be read after them.
    Gap {
        /// Whose bytes.
        from: Side,
        /// How many.
        len: u64,
    },
    /// More than [`MAX_HELD`] bytes came before the other direction could be read.
    Backlog {
        /// Who sent them.
        from: Side,
    },
}

impl Unreadable {
    /// The one direction that can't be read; `None` where neither can.
    pub const fn direction(&self) -> Option<Side> {
        match *self {
            Self::Gap { from, .. } => Some(from),
            _ => None,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotTls { from, seen } => {
                write!(f, "expected a TLS record of the {from}, found")?;
                seen.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
            Self::RecordLength { from, len } => {
                write!(f, "expected a TLS record of at most {MAX_RECORD} bytes, the {from}'s claims {len}")
            }
            Self::Hello { from } => {
                write!(f, "the {from}'s TLS hello is malformed, or longer than {MAX_HELLO} bytes")
            }
            Self::Version(version) => write!(f, "the connection uses {version}; only TLS 1.2 and TLS 1.3 are read"),
            Self::Suite(suite) => {
                write!(f, "the connection uses {suite}; only suites with AES-GCM or ChaCha20-Poly1305 are read")
            }
            Self::NoSecrets => f.write_str("the key log has no secrets for this connection"),
            Self::WrongSecrets { from } => {
                write!(f, "the key log's secrets are wrong: they do not decrypt the {from}'s first encrypted record")
            }
            Self::Damaged { from, record } => {
                write!(f, "the {from}'s encrypted record {record} does not decrypt: bytes were damaged or are missing")
            }
            Self::EarlyData => f.write_str("the client may have sent TLS 0-RTT data, which is not read"),
            Self::Alert { from, code } => match alert(code) {
                Some(name) => write!(f, "the {from} gave up the TLS handshake: {name}"),
                None => write!(f, "the {from} gave up the TLS handshake: alert {code}"),
            },
            Self::Gap { from, len } => {
                write!(f, "{len} encrypted bytes of the {from} are missing; nothing after them can be decrypted")
            }
            Self::Backlog { from } => {
                write!(f, "more than {MAX_HELD} bytes of the {from} came before the other direction could be read")
            }
        }
    }
}

/// Alerts that end a handshake: RFC 8446 §6.2.
const fn alert(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "close_notify",
        10 => "unexpected_message",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}
