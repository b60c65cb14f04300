//! The decisions of a server in the link stage.

use crate::{ChannelCaps, ChannelType, LinkErrorCode, LinkMess, LinkReply, LinkRequest, MainInit, TICKET_LEN};

/// The decisions of a server. A [`LinkAcceptor`](super::LinkAcceptor) asks for them in the order of these methods.
///
/// A server with tickets implements [`channel`](Self::channel), [`pub_key`](Self::pub_key), [`ticket`](Self::ticket) and
/// [`join`](Self::join). The other methods have the answers of a server without a TLS policy and without SASL.
pub trait LinkHost {
    /// The TLS policy. `Err` with [`NEED_SECURED`](LinkErrorCode::NEED_SECURED) or
    /// [`NEED_UNSECURED`](LinkErrorCode::NEED_UNSECURED) rejects this connection for the channel.
    fn security(&mut self, channel_type: ChannelType) -> Result<(), LinkErrorCode> {
        let _ = channel_type;
        Ok(())
    }

    /// The capabilities of a channel. `None`: there is no such channel, and the connection is closed without a message. A main
    /// channel always exists, with any id. Called twice for each link.
    fn channel(&mut self, channel_type: ChannelType, channel_id: u8) -> Option<ChannelCaps<'_>>;

    /// Whether clients must authenticate with SASL.
    fn sasl(&mut self) -> bool {
        false
    }

    /// The key for this client's ticket, DER. spice-server makes one for each link, even if it requires no password. Not called
    /// if the server requires SASL and the client announces it: the reply's key is then zeros.
    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN];

    /// Called with the whole message after the reply was written, for hosts that keep the client's capabilities.
    fn received(&mut self, mess: &LinkMess<'_>) {
        let _ = mess;
    }

    /// Whether the ticket is valid.
    fn ticket(&mut self, ticket: &[u8; TICKET_LEN]) -> bool;

    /// The list of SASL mechanisms, with a comma at both ends as spice-server sends it since 0.14.1. `None`: the server was built
    /// without SASL. spice-server offers its list even if SASL is off.
    fn mechanisms(&mut self) -> Option<&[u8]> {
        None
    }

    /// The mechanism that the client chose from the list, and its first data, if any, without the NUL that the wire adds. The
    /// answer goes to the start of `out`, which has [`SASL_ROOM`](Self::SASL_ROOM) bytes.
    fn sasl_start(&mut self, name: &[u8], data: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        let _ = (name, data, out);
        SaslAnswer::REFUSED
    }

    /// The client's further data.
    fn sasl_step(&mut self, data: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        let _ = (data, out);
        SaslAnswer::REFUSED
    }

    /// The most data in one SASL answer, in bytes.
    const SASL_ROOM: usize = 512;

    /// Whether the client gets the channel that it asks for. Its credentials are valid.
    fn join(&mut self, request: &LinkRequest) -> Join;

    /// Encrypts bytes that follow the authentication with the security layer that the SASL exchange negotiated, if any. The
    /// result goes to the start of `out`, which has 64 bytes more than `bytes`. Returns its length.
    fn seal(&mut self, bytes: &[u8], out: &mut [u8]) -> usize {
        match out.get_mut(..bytes.len()) {
            Some(out) => out.copy_from_slice(bytes),
            None => return 0,
        }
        bytes.len()
    }
}

/// Whether a client gets the channel that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Join {
    /// Yes, in a new session. The message's `session_id` is the session's connection id and not 0.
    Session(MainInit),
    /// Yes, in an existing session, or as a main channel that brings its session along (migration).
    Member,
    /// The session already has this channel: the link succeeds, and the connection is closed.
    Duplicate,
    /// No, with this link result: [`BAD_CONNECTION_ID`](LinkErrorCode::BAD_CONNECTION_ID), or
    /// [`CHANNEL_NOT_AVAILABLE`](LinkErrorCode::CHANNEL_NOT_AVAILABLE).
    Refused(LinkErrorCode),
}

/// The answer to one step of a SASL exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SaslAnswer {
    /// How many bytes of data were written. `None` is no data, which differs from empty data.
    pub data: Option<usize>,
    /// How the exchange continues.
    pub verdict: SaslVerdict,
}

/// How a SASL exchange continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslVerdict {
    /// With another step.
    Continue,
    /// It is complete, and the client is accepted.
    Complete,
    /// It is complete, and its security layer is too weak for this connection.
    Weak,
    /// It failed, and the connection is closed without a message.
    Refused,
}

impl SaslAnswer {
    /// The exchange failed.
    pub const REFUSED: Self = Self { data: None, verdict: SaslVerdict::Refused };
}
