use std::fmt;

use spice_link::Side;

use crate::Endpoints;

/// A connection's id. The caller chooses it: any number that no other open connection of the same tracker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FlowId(pub u64);

impl From<u64> for FlowId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The server's side accepted the connection. This comes first and needs no byte: it is the moment of `SPICE_CONNECTED`.
    Opened {
        /// The accepted socket's two ends.
        endpoints: Endpoints,
        /// The SPICE channel runs inside TLS: `tls` of the event.
        tls: bool,
        /// The bytes that follow are readable: not encrypted, or decrypted. If not, the tracker ignores them.
        readable: bool,
    },
    /// Bytes of one direction, in order. The chunks may have any size, and the two directions any interleaving.
    Bytes {
        /// The sender of the bytes.
        from: Side,
        /// The bytes.
        data: &'a [u8],
    },
    /// From here on the bytes can't be read: they are encrypted, and the caller has no key. The tracker ignores all further bytes.
    Opaque,
    /// Bytes that were sent but not seen: a capture has lost them.
    Gap {
        /// The sender of the bytes.
        from: Side,
        /// The number of bytes.
        len: u64,
    },
    /// The server's side of the connection is gone: the moment of `SPICE_DISCONNECTED`. The id may be used again.
    Closed {
        /// The side that ended the connection first, if that is known.
        by: Option<Side>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_is_shown_as_its_number() {
        assert_eq!(FlowId::from(7).to_string(), "7");
    }
}
