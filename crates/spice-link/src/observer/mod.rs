//! Follows a link stage from the outside, both directions at once.

mod client;
mod cut;
mod server;

pub use client::TICKET_LEN;

use core::fmt;

use crate::{AuthMechanism, Error, HeaderKind, LinkErrorCode, LinkMess, LinkReply, LinkRequest, Side};

/// Follows both directions of one connection through the link stage. The chunks of bytes may have any size, and the two directions
/// any interleaving.
///
/// The observer keeps no bytes. For each direction:
///
/// 1. Append the direction's bytes to its buffer of unread bytes.
/// 2. Call [`read`](Self::read), and remove the first `consumed` unread bytes.
/// 3. Do what the outcome says:
///
/// ```text
///  Event(e)        something happened; continue with 2
///  Need(n)         continue with 1; another call is useless with fewer than n unread bytes
///  BlockedOn(peer) read the peer first; then continue with 2, or with 1 when bytes come
///  Done            this direction has nothing more to tell
/// ```
///
/// Tickets and SASL data are consumed in chunks of any size, so that no caller has to hold them.
///
/// ```
/// use spice_link::{LinkEvent, LinkHeader, LinkObserver, LinkReply, LinkErrorCode, Outcome, RefusalForm, Side};
///
/// let mut link = LinkObserver::new();
/// // A client that speaks version 1,
/// let hello = LinkHeader { major: 1, minor: 3, size: 18 }.encode();
/// let step = link.read(Side::Client, &hello);
/// assert!(matches!(step.outcome, Outcome::Event(LinkEvent::Unreadable { side: Side::Client, .. })));
/// // and the server's refusal.
/// let answer = LinkReply::refusal(LinkErrorCode::VERSION_MISMATCH);
/// let step = link.read(Side::Server, &answer);
/// assert_eq!(step.consumed, 194);
/// assert_eq!(
///     step.outcome,
///     Outcome::Event(LinkEvent::Refused { code: LinkErrorCode::VERSION_MISMATCH, form: RefusalForm::Reply })
/// );
/// assert_eq!(link.read(Side::Server, &[]).outcome, Outcome::Done);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinkObserver {
    client: client::State,
    server: server::State,
    shared: Shared,
}

/// What each direction must know about the other.
#[expect(clippy::struct_excessive_bools, reason = "facts that come in any combination")]
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Shared {
    /// From the client's message, once it has been read.
    mess: Option<ClientOffer>,
    /// From the server's reply, once it has been read and is no refusal.
    reply: Option<ServerOffer>,
    /// The client's mechanism. A client without selection sends none: then it is a ticket.
    mechanism: Option<AuthMechanism>,
    /// How many SASL answers the server has sent, and whether the last one was marked complete.
    sasl_answers: u32,
    sasl_complete: bool,
    /// The server has begun a security layer.
    layer: bool,
    /// The client's direction ended before the link stage: its bytes are not valid, or bytes were lost.
    client_lost: bool,
    /// Bytes of the server were lost, and its result may be among them.
    server_lost: bool,
    /// The sides whose unread bytes must wait for the peer. They are older than the peer's next bytes.
    waiting: BothSides<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct BothSides<T> {
    client: T,
    server: T,
}

#[expect(clippy::struct_excessive_bools, reason = "facts that come in any combination")]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct ClientOffer {
    /// The capabilities were read.
    known: bool,
    auth_selection: bool,
    mini_header: bool,
    /// A main channel that asks for a new session.
    fresh_session: bool,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct ServerOffer {
    /// The capabilities were read.
    known: bool,
    auth_selection: bool,
    mini_header: bool,
}

/// The result of one call of [`LinkObserver::read`].
#[must_use = "it says which bytes to remove"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Step<'a> {
    /// How many unread bytes to remove from their start.
    pub consumed: usize,
    /// What to do next.
    pub outcome: Outcome<'a>,
}

/// What to do next with one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome<'a> {
    /// Something happened. Call again with the bytes after `consumed`.
    Event(LinkEvent<'a>),
    /// At least this many unread bytes, counted after `consumed`, are needed. With fewer, another call is useless.
    Need(usize),
    /// The other direction must be read first.
    BlockedOn(Side),
    /// This direction has nothing more to tell.
    Done,
}

/// Something that happens in a link stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkEvent<'a> {
    /// The client's message, valid by spice-server's checks.
    Mess(LinkMess<'a>),
    /// The start of the client's message; the rest was lost. See [`LinkObserver::read_cut`].
    CutMess(LinkRequest),
    /// The server's reply, if it is no refusal.
    Reply(LinkReply<'a>),
    /// The start of a reply that is no refusal; the rest was lost. See [`LinkObserver::read_cut`].
    CutReply,
    /// The client's mechanism word.
    Mechanism(AuthMechanism),
    /// The name of the SASL mechanism that the client chose from the server's list, 1 to 100 bytes. Missing if its start was lost.
    SaslMechanism(&'a [u8]),
    /// The server has sent its first frame inside a SASL security layer. It is the link result, and can't be read.
    HiddenResult,
    /// The server refuses the link.
    Refused {
        /// The reason.
        code: LinkErrorCode,
        /// The message that says so.
        form: RefusalForm,
    },
    /// The link stage succeeded. This is the moment of QEMU's `SPICE_INITIALIZED`.
    Linked {
        /// The kind of data header that follows.
        header: HeaderKind,
        /// How the success is known.
        evidence: Evidence,
    },
    /// The id of this main channel's new session, as soon as these four bytes of `MAIN_INIT` have come. Nothing after them is read;
    /// [`MainInit::parse`](crate::MainInit::parse) reads the other fields.
    SessionId(u32),
    /// This direction's bytes are not valid, and nothing more is read from it. If it is the client's, the error has the server's
    /// [`answer`](Error::answer).
    Unreadable {
        /// The sender of the bytes.
        side: Side,
        /// The error.
        error: Error,
    },
}

/// The message that refuses a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalForm {
    /// The reply.
    Reply,
    /// A second reply frame, after one that accepted. With [`LinkErrorCode::VERSION_MISMATCH`] it says that the server requires SASL,
    /// which the client can't select; spice-server then leaks the socket and never closes it.
    SecondReply,
    /// The link result after authentication.
    Result,
    /// The word that ends a SASL exchange.
    Sasl,
}

/// How the success of a link is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The link result says so.
    Result,
    /// The result is hidden in a SASL security layer, or was lost, but the connection continued after it.
    Continued,
}

impl fmt::Display for LinkEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mess(LinkMess { connection_id, channel_type, channel_id, .. })
            | Self::CutMess(LinkRequest { connection_id, channel_type, channel_id }) => {
                write!(f, "the client asks for channel {channel_type} {channel_id} of session {connection_id}")
            }
            Self::Reply(_) | Self::CutReply => f.write_str("the server accepts the request"),
            Self::Mechanism(mechanism) => write!(f, "the client selects the auth mechanism {mechanism}"),
            Self::SaslMechanism(name) => write!(f, "the client chooses the sasl mechanism {}", name.escape_ascii()),
            Self::HiddenResult => f.write_str("the link result is inside a sasl security layer"),
            Self::Refused { code, form } => write!(f, "the server refuses the link in {form}: {code}"),
            Self::Linked { header, evidence } => write!(f, "linked, with {header} data headers, {evidence}"),
            Self::SessionId(id) => write!(f, "the session's id is {id}"),
            Self::Unreadable { side, error } => write!(f, "{side}: {error}"),
        }
    }
}

impl fmt::Display for RefusalForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reply => "the reply",
            Self::SecondReply => "a second reply",
            Self::Result => "the link result",
            Self::Sasl => "the last word of the sasl exchange",
        })
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Result => "by the link result",
            Self::Continued => "inferred from what followed",
        })
    }
}

impl Default for LinkObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl LinkObserver {
    /// Before the first byte of either side.
    pub const fn new() -> Self {
        Self {
            client: client::State::Mess,
            server: server::State::Reply,
            shared: Shared {
                mess: None,
                reply: None,
                mechanism: None,
                sasl_answers: 0,
                sasl_complete: false,
                layer: false,
                client_lost: false,
                server_lost: false,
                waiting: BothSides { client: false, server: false },
            },
        }
    }

    /// Reads the unread bytes of one direction. Returns at most one event for each call.
    pub fn read<'a>(&mut self, side: Side, unread: &'a [u8]) -> Step<'a> {
        let waiting = &mut self.shared.waiting;
        match side {
            Side::Client => waiting.client = false,
            Side::Server => waiting.server = false,
        }
        if self.yields(side) {
            return self.blocked(side, &Cursor::new(unread));
        }
        match side {
            Side::Client => self.read_client(unread),
            Side::Server => self.read_server(unread),
        }
    }

    /// How many of the next bytes of this direction are skipped whatever their value, because they are a ticket or SASL data. This
    /// many bytes may be lost without harm.
    pub const fn skippable(&self, side: Side) -> u64 {
        match side {
            Side::Client => self.client.skippable(),
            Side::Server => self.server.skippable(),
        }
    }

    /// Reports that bytes of this direction were lost, directly where the unread bytes start. If they are all
    /// [`skippable`](Self::skippable), reading continues. Otherwise nothing more is read from a client; what follows from a server is searched for signs
    /// that the link succeeded. Returns whether all lost bytes were skippable.
    pub fn lost(&mut self, side: Side, len: u64) -> bool {
        let skippable = self.skippable(side) >= len;
        match side {
            Side::Client if skippable => self.client.skip(len),
            Side::Server if skippable => self.server.skip(len),
            Side::Client => self.abandon(Side::Client),
            Side::Server => self.lose_server(len),
        }
        skippable
    }

    /// Nothing more is read of this direction.
    pub fn abandon(&mut self, side: Side) {
        match side {
            Side::Client if !self.is_done(Side::Client) => {
                self.shared.client_lost = true;
                self.client = client::State::Done;
            }
            Side::Client => {}
            Side::Server => self.server = server::State::Done,
        }
    }

    /// Whether nothing more is read from this direction.
    pub const fn is_done(&self, side: Side) -> bool {
        match side {
            Side::Client => matches!(self.client, client::State::Done),
            Side::Server => matches!(self.server, server::State::Done),
        }
    }

    /// Whether this direction's next bytes can't be read before the peer's: [`read`](Self::read) of any bytes would return
    /// [`Outcome::BlockedOn`].
    pub const fn is_blocked(&self, side: Side) -> bool {
        self.lacks_peer(side) || self.yields(side)
    }

    /// Whether this direction's state can't continue without something that the peer has yet to send.
    const fn lacks_peer(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client.is_blocked(&self.shared),
            Side::Server => self.server.is_blocked(&self.shared),
        }
    }

    /// Whether the peer waited for this direction and now can be read. Its older bytes come first; without this rule, the events would
    /// depend on how the bytes are cut into chunks.
    #[inline]
    const fn yields(&self, side: Side) -> bool {
        let (peer, waits) = match side {
            Side::Client => (Side::Server, self.shared.waiting.server),
            Side::Server => (Side::Client, self.shared.waiting.client),
        };
        waits && !self.lacks_peer(peer) && !self.is_done(peer)
    }

    /// Tells the caller to read the peer of `side` first.
    #[cold]
    fn blocked<'a>(&mut self, side: Side, at: &Cursor<'_>) -> Step<'a> {
        let waits = self.lacks_peer(side) && !at.rest.is_empty();
        match side {
            Side::Client => self.shared.waiting.client = waits,
            Side::Server => self.shared.waiting.server = waits,
        }
        at.end(Outcome::BlockedOn(side.peer()))
    }

    /// The link stage is over for both directions.
    fn finish(&mut self) {
        self.client = client::State::Done;
        self.server = server::State::Done;
    }

    /// The link succeeded. Decides what is still read.
    fn linked(&mut self, evidence: Evidence) -> LinkEvent<'static> {
        let Shared { mess, reply, layer, .. } = &self.shared;
        let header = match (mess, reply) {
            (Some(client), Some(server)) if client.mini_header && server.mini_header => HeaderKind::Mini,
            _ => HeaderKind::Full,
        };
        let peek = mess.is_some_and(|client| client.fresh_session) && !layer;
        let guess = !mess.is_some_and(|client| client.known) || !reply.is_some_and(|server| server.known);
        let is_opaque = matches!(self.server, server::State::Opaque);
        self.client = client::State::Done;
        self.server = match (peek && !is_opaque, guess) {
            (false, _) => server::State::Done,
            (true, false) => server::State::MainInit(header),
            (true, true) => server::State::MainInitOfAnyKind,
        };
        LinkEvent::Linked { header, evidence }
    }
}

/// A read position in one direction's unread bytes.
struct Cursor<'a> {
    rest: &'a [u8],
    consumed: usize,
}

impl<'a> Cursor<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, consumed: 0 }
    }

    fn advance(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default();
        self.consumed += n;
    }

    /// The next `N` bytes, without consuming them.
    fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        self.rest.first_chunk().copied()
    }

    /// The next little-endian u32.
    fn word(&mut self) -> Option<u32> {
        let word = self.peek().map(u32::from_le_bytes)?;
        self.advance(4);
        Some(word)
    }

    /// Skips as many of `left` bytes as there are, and returns how many are left.
    fn skip(&mut self, left: u32) -> u32 {
        let here = u32::try_from(self.rest.len()).unwrap_or(u32::MAX).min(left);
        self.advance(here as usize);
        left - here
    }

    fn end<'b>(&self, outcome: Outcome<'b>) -> Step<'b> {
        Step { consumed: self.consumed, outcome }
    }
}
