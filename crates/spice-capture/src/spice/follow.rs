//! What is known of a connection so far.

use super::held::Held;
#[cfg(feature = "tls")]
use crate::{tcp::Connection, tls::Decryptor};
use spice_events::FlowId;
#[cfg(feature = "tls")]
use spice_events::Timestamp;

/// The state of a connection.
#[derive(Debug, Default)]
pub(crate) enum Follow {
    /// Nothing, or nothing yet.
    #[default]
    Nothing,
    /// Too few bytes to know what it is.
    Undecided(Box<Held>),
    /// The tracker reads it.
    Spice(FlowId),
    /// It is inside TLS that can be decrypted.
    #[cfg(feature = "tls")]
    Secured(Box<Secured>),
}

impl Follow {
    /// The connection, if it has been reported.
    pub(crate) fn flow(&self) -> Option<FlowId> {
        match self {
            Self::Nothing => None,
            Self::Undecided(held) => held.flow,
            Self::Spice(flow) => Some(*flow),
            #[cfg(feature = "tls")]
            Self::Secured(secured) => secured.inner.flow(),
        }
    }
}

impl Follow {
    /// Whether the connection is known to be SPICE.
    pub(super) fn is_spice(&self) -> bool {
        match self {
            Self::Spice(_) => true,
            #[cfg(feature = "tls")]
            Self::Secured(secured) => secured.inner.is_spice(),
            Self::Nothing | Self::Undecided(_) => false,
        }
    }
}

/// A connection inside TLS.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) connection: Connection,
    pub(crate) decryptor: Decryptor,
    /// The state of the plaintext.
    pub(crate) inner: Follow,
    /// The time of the last plaintext.
    pub(crate) last: Timestamp,
    /// Bytes that are counted in [`Spice::held`](super::Spice::held).
    pub(crate) held: usize,
    /// It waits for secrets. It is then counted in [`Spice::without_secrets`](super::Spice::without_secrets).
    pub(crate) waits: bool,
}

#[cfg(feature = "tls")]
impl Secured {
    pub(crate) fn around(inner: Follow, connection: Connection) -> Follow {
        let (decryptor, last) = (Decryptor::new(), connection.at);
        Follow::Secured(Box::new(Self { connection, decryptor, inner, last, held: 0, waits: false }))
    }
}
