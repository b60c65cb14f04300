//! What comes of one call, and the room that answers are written into.

use super::{LinkHost, Linked, SEAL_ROOM};
use crate::{AuthMechanism, BufferTooSmall, ChannelType, Error, LinkErrorCode, LinkReply};

/// How far one call came.
#[must_use = "it says what is to be done with the bytes"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptTurn {
    /// How many bytes from the start of the unread ones are done with.
    pub consumed: usize,
    /// How many bytes of the room are to be sent, before anything else.
    pub written: usize,
    /// How it goes on.
    pub outcome: Accepting,
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepting {
    /// So many unread bytes (behind `consumed`, in all) are needed before another call is worth while.
    Need(usize),
    /// So many bytes of room are needed, once `written` are sent.
    Room(usize),
    /// The link stage succeeded. This is the moment of QEMU's `SPICE_INITIALIZED`.
    Linked(Linked),
    /// The connection is to be closed.
    Close(Closing),
}

/// Why a server closes a connection in its link stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closing {
    /// The bytes can't be a message; the error's [`answer`](Error::answer) was given.
    Unreadable(Error),
    /// The channel is not to be had with, or not without, TLS.
    Security(LinkErrorCode),
    /// There is no such channel. Nothing is said.
    NoChannel {
        /// What kind.
        channel_type: ChannelType,
        /// Which one of its kind.
        channel_id: u8,
    },
    /// The server wants SASL, and the client can't select. spice-server forgets the socket here and never closes it.
    NoSelection,
    /// A mechanism that the server does not have.
    Mechanism(AuthMechanism),
    /// The ticket was refused.
    Ticket,
    /// A length of the SASL exchange is out of its range, or the name is not one that was offered.
    SaslField,
    /// The SASL exchange failed. Nothing is said.
    SaslFailed,
    /// The SASL exchange succeeded, and what it negotiated is too weak.
    SaslWeak,
    /// The host refused the request, with this result.
    Join(LinkErrorCode),
    /// The session has this channel already: the link succeeds, and the connection is closed.
    Duplicate,
}

impl Closing {
    /// The check that failed, by its number in spice-server's order: 2 magic, 3 version, 4 size, 5 counts, 6 range, 7 TLS policy,
    /// 8 existence, 10 selection, 11 mechanism, 12 credentials, 13 session; 14 is past all of them.
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

/// Room for answers, filled from its start.
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

    /// What is left of the room, if it is at least `need` bytes.
    pub(super) fn room(&mut self, need: usize) -> Result<&mut [u8], Accepting> {
        match self.out.get_mut(self.written..) {
            Some(room) if room.len() >= need => Ok(room),
            _ => Err(Accepting::Room(need)),
        }
    }

    /// `len` bytes of the room were filled.
    pub(super) fn advance(&mut self, len: usize) {
        self.written += len;
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Accepting> {
        self.room(bytes.len())?[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
        Ok(())
    }

    pub(super) fn reply(&mut self, reply: &LinkReply<'_>) -> Result<(), Accepting> {
        let len = reply.encode(self.room(0)?).map_err(|BufferTooSmall { need }| Accepting::Room(need))?;
        self.advance(len);
        Ok(())
    }

    /// Bytes behind the authentication: inside the security layer, where the host has one.
    pub(super) fn seal(&mut self, host: &mut impl LinkHost, bytes: &[u8]) -> Result<(), Accepting> {
        let room = self.room(bytes.len() + SEAL_ROOM)?;
        let len = host.seal(bytes, room).min(room.len());
        self.advance(len);
        Ok(())
    }
}
