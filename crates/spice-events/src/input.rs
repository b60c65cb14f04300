use spice_link::Side;

use crate::Endpoints;

/// A connection, named by the caller: any number that no other live connection of the same tracker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// What happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The server's side accepted it. Comes first, and needs no byte: it is the moment of `SPICE_CONNECTED`.
    Opened {
        /// The accepted socket's two ends.
        endpoints: Endpoints,
        /// The SPICE channel runs inside TLS: `tls` of the event.
        tls: bool,
        /// The bytes that follow can be read: plain, or decrypted. Where not, nothing of them is looked at.
        readable: bool,
    },
    /// Bytes of one direction: in order, in any cut, and in any interleaving with the other direction.
    Bytes {
        /// Who sent them.
        from: Side,
        /// As many as there are.
        data: &'a [u8],
    },
    /// Bytes that were sent and never seen: what a capture has lost.
    Gap {
        /// Who sent them.
        from: Side,
        /// How many bytes.
        len: u64,
    },
    /// From here on the bytes can't be read: they are encrypted, and the caller has no key for them. Nothing more of them is looked at.
    Opaque,
    /// The server's side of the connection is gone: the moment of `SPICE_DISCONNECTED`. The id may be used again.
    Closed {
        /// Who ended it first, where that is known.
        by: Option<Side>,
    },
}
