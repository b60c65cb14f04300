//! The result of one call, and the writer of answers.

use core::fmt;

use super::{LinkHost, Linked, SEAL_ROOM};
use crate::{AuthMechanism, BufferTooSmall, ChannelType, Error, LinkErrorCode, LinkReply};

/// The result of one call of [`LinkAcceptor::read`](super::LinkAcceptor::read).
#[must_use = "it says which bytes to remove and to send"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AcceptTurn {
    /// How many unread bytes to remove from their start.
    pub consumed: usize,
    /// How many bytes of the room to send, before anything else.
    pub written: usize,
    /// What to do next.
    pub outcome: AcceptStatus,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AcceptStatus {
    /// At least this many unread bytes, counted after `consumed`, are needed. With fewer, another call is useless.
    Need(usize),
    /// This many bytes of room are needed, after `written` are sent.
    Room(usize),
    /// The link stage succeeded. This is the moment of QEMU's `SPICE_INITIALIZED`.
    Linked(Linked),
    /// Close the connection.
    Close(CloseReason),
}

/// Why a server closes a connection in its link stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The bytes are not a message. The error's [`answer`](Error::answer) was written.
    Unreadable(Error),
    /// The channel's TLS policy rejects this connection.
    Security(LinkErrorCode),
    /// There is no such channel. Nothing was written.
    NoChannel {
        /// The kind of channel.
        channel_type: ChannelType,
        /// The number of the channel among those of its kind.
        channel_id: u8,
    },
    /// The server requires SASL, and the client does not support the selection of a mechanism. spice-server leaks the socket here
    /// and never closes it.
    NoSelection,
    /// The server does not have the mechanism that the client selected.
    Mechanism(AuthMechanism),
    /// The ticket is not valid.
    Ticket,
    /// A length of the SASL exchange is out of bounds, or the server did not offer the mechanism's name.
    SaslField,
    /// The SASL exchange failed. Nothing was written.
    SaslFailed,
    /// The SASL exchange succeeded, and the security layer that it negotiated is too weak.
    SaslWeak,
    /// The host refused the request, with this result.
    Join(LinkErrorCode),
    /// The session already has this channel: the link succeeded, and the connection is closed.
    Duplicate,
}

impl CloseReason {
    /// The number of the check that failed, in spice-server's order: 2 magic, 3 version, 4 size, 5 counts, 6 range, 7 TLS policy,
    /// 8 existence, 10 selection, 11 mechanism, 12 credentials, 13 session. 14: all checks passed.
    pub const fn check(&self) -> u8 {
        match self {
            Self::Unreadable(Error::Magic { .. }) => 2,
            Self::Unreadable(Error::Version { .. }) => 3,
            Self::Unreadable(Error::Size { .. }) => 4,
            Self::Unreadable(Error::CapsCount { .. }) => 5,
            Self::Unreadable(Error::SaslLength { .. } | Error::SaslNameEmpty)
            | Self::Ticket
            | Self::SaslField
            | Self::SaslFailed
            | Self::SaslWeak => 12,
            Self::Unreadable(_) => 6,
            Self::Security(_) => 7,
            Self::NoChannel { .. } => 8,
            Self::NoSelection => 10,
            Self::Mechanism(_) => 11,
            Self::Join(_) => 13,
            Self::Duplicate => 14,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Security(code) => write!(f, "the channel's TLS policy rejects this connection: {code}"),
            Self::NoChannel { channel_type, channel_id } => {
                write!(f, "there is no channel {channel_type} {channel_id}")
            }
            Self::NoSelection => f.write_str("the server requires sasl, and the client can't select it"),
            Self::Mechanism(mechanism) => write!(f, "the server does not have the auth mechanism {mechanism}"),
            Self::Ticket => f.write_str("the ticket is not valid"),
            Self::SaslField => f.write_str("a sasl length is out of bounds, or the mechanism was not offered"),
            Self::SaslFailed => f.write_str("the sasl exchange failed"),
            Self::SaslWeak => f.write_str("the security layer of the sasl exchange is too weak"),
            Self::Join(code) => write!(f, "the server refused the request: {code}"),
            Self::Duplicate => f.write_str("the session already has this channel"),
        }
    }
}

/// The room for answers, filled from its start.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    written: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, written: 0 }
    }

    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// The rest of the room, if it has at least `need` bytes.
    pub(super) fn room(&mut self, need: usize) -> Result<&mut [u8], AcceptStatus> {
        match self.out.get_mut(self.written..) {
            Some(room) if room.len() >= need => Ok(room),
            _ => Err(AcceptStatus::Room(need)),
        }
    }

    /// `len` bytes of the room were filled.
    pub(super) fn advance(&mut self, len: usize) {
        self.written += len;
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), AcceptStatus> {
        self.room(bytes.len())?[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
        Ok(())
    }

    pub(super) fn reply(&mut self, reply: &LinkReply<'_>) -> Result<(), AcceptStatus> {
        let len = reply.encode(self.room(0)?).map_err(|BufferTooSmall { need }| AcceptStatus::Room(need))?;
        self.advance(len);
        Ok(())
    }

    /// Writes bytes that follow the authentication, inside the security layer if the host has one.
    pub(super) fn seal(&mut self, host: &mut impl LinkHost, bytes: &[u8]) -> Result<(), AcceptStatus> {
        let room = self.room(bytes.len() + SEAL_ROOM)?;
        let len = host.seal(bytes, room).min(room.len());
        self.advance(len);
        Ok(())
    }
}
