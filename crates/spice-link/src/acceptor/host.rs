//! What a server decides for itself.

use crate::{Caps, ChannelType, LinkErrorCode, LinkMess, LinkReply, LinkRequest, TICKET_LEN};

/// What a server decides for itself, asked by a [`LinkAcceptor`](super::LinkAcceptor) in the order of these methods.
///
/// A server with tickets needs [`channel`](Self::channel), [`pub_key`](Self::pub_key), [`ticket`](Self::ticket) and
/// [`join`](Self::join); the others have the answers of a server without TLS policy and SASL.
pub trait LinkHost {
    /// The TLS policy: `Err` with [`NEED_SECURED`](LinkErrorCode::NEED_SECURED) or
    /// [`NEED_UNSECURED`](LinkErrorCode::NEED_UNSECURED) where this connection is not fit for the channel.
    fn security(&mut self, channel_type: ChannelType) -> Result<(), LinkErrorCode> {
        let _ = channel_type;
        Ok(())
    }

    /// The capabilities of a channel; `None` where there is no such one, which the client is told by a close without a word.
    /// A main channel is always there, with any id. Asked twice for one link.
    fn channel(&mut self, channel_type: ChannelType, channel_id: u8) -> Option<Caps<'_>>;

    /// Whether clients must authenticate with SASL.
    fn sasl(&mut self) -> bool {
        false
    }

    /// The key that this client's ticket is to be encrypted with, DER. spice-server makes one for each link, even where it
    /// asks for no password. Not asked where the client announces SASL to a server that wants it: the key is zeros then.
    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN];

    /// The whole message, once it is answered, for whoever keeps the client's capabilities.
    fn asked(&mut self, mess: &LinkMess<'_>) {
        let _ = mess;
    }

    /// Whether the ticket is good.
    fn ticket(&mut self, ticket: &[u8; TICKET_LEN]) -> bool;

    /// The list of SASL mechanisms, with commas at both ends as spice-server sends it since 0.14.1. `None`: built without SASL.
    /// spice-server offers its list even where SASL is off.
    fn mechanisms(&mut self) -> Option<&[u8]> {
        None
    }

    /// The client's choice, one of the list, and its first data if there is any (without the NUL that the wire adds). The answer
    /// goes to the start of `out`, which has [`SASL_ROOM`](Self::SASL_ROOM) bytes.
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

    /// Whether the client may have what it asks for. Its credentials are good.
    fn join(&mut self, request: &LinkRequest) -> Join;

    /// Puts bytes behind the authentication into the security layer that a SASL exchange negotiated, if it did: into the start
    /// of `out`, which has 64 bytes more than they are. How many it became.
    fn seal(&mut self, bytes: &[u8], out: &mut [u8]) -> usize {
        match out.get_mut(..bytes.len()) {
            Some(out) => out.copy_from_slice(bytes),
            None => return 0,
        }
        bytes.len()
    }
}

/// Whether a client gets what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// A new session was made. The eight words of `MAIN_INIT`, of which the first is the session's id and not 0; the others are
    /// display_channels_hint, supported_mouse_modes, current_mouse_mode, agent_connected, agent_tokens, multi_media_time and
    /// ram_hint.
    Session([u32; 8]),
    /// It joined a session: another channel of one that is there, or a main channel that brings its session along.
    Member,
    /// The session has this channel: the link succeeds, and the connection is closed.
    Duplicate,
    /// With this link result: [`BAD_CONNECTION_ID`](LinkErrorCode::BAD_CONNECTION_ID), or
    /// [`CHANNEL_NOT_AVAILABLE`](LinkErrorCode::CHANNEL_NOT_AVAILABLE).
    Refused(LinkErrorCode),
}

/// The answer to a step of a SASL exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaslAnswer {
    /// How many bytes of data were written; `None` for no data at all, which is not the same as empty data.
    pub data: Option<usize>,
    /// How it goes on.
    pub verdict: SaslVerdict,
}

/// How a SASL exchange goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslVerdict {
    /// With another step.
    Continue,
    /// It is complete, and the client is let in.
    Complete,
    /// It is complete, and what was negotiated is too weak for this connection.
    Weak,
    /// It failed: the connection is closed without a word.
    Refused,
}

impl SaslAnswer {
    /// It failed.
    pub const REFUSED: Self = Self { data: None, verdict: SaslVerdict::Refused };
}
