//! Follows a link stage from outside, both directions at once.

mod client;
mod server;

pub use client::TICKET_LEN;

use crate::{AuthMechanism, Error, HeaderKind, LinkErrorCode, LinkMess, LinkReply, Side};

/// Follows both directions of one connection through the link stage, in whatever chunks and interleaving they come.
///
/// It keeps no bytes. The caller holds what is unread of each direction and calls [`read`](Self::read), which takes
/// what it can off the start and says how it goes on:
///
/// ```text
///             read(side, unread) ──▶ Step { consumed, outcome }
///
///  Event(e)        something happened; drop `consumed` bytes and call again
///  Need(n)         n unread bytes of this side are needed before another call is worth while
///  BlockedOn(peer) this side's next bytes can't be understood before the peer's have been read on
///  Done            nothing more is read of this side
/// ```
///
/// Tickets and SASL payloads are counted past: they are consumed in any cut, so that nobody has to hold them.
///
/// ```
/// use spice_link::{LinkEvent, LinkHeader, LinkObserver, LinkReply, LinkErrorCode, Outcome, RefusalForm, Side};
///
/// let mut link = LinkObserver::new();
/// // A client that speaks version 1 …
/// let hello = LinkHeader { major: 1, minor: 3, size: 18 }.encode();
/// let step = link.read(Side::Client, &hello);
/// assert!(matches!(step.outcome, Outcome::Event(LinkEvent::Unreadable { side: Side::Client, .. })));
/// // … and a server that says so.
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
pub struct LinkObserver {
    client: client::State,
    server: server::State,
    shared: Shared,
}

/// What each direction must know of the other.
#[derive(Clone, Debug, Default)]
struct Shared {
    /// The client's message has been read: what it asks for.
    mess: Option<ClientOffer>,
    /// The server's reply has been read and was no refusal.
    reply: Option<ServerOffer>,
    /// How the client authenticates. Known without a word where the client makes no selection.
    mechanism: Option<AuthMechanism>,
    /// How many SASL answers the server has given, and whether the last one was marked complete.
    sasl_answers: u32,
    sasl_complete: bool,
    /// The server has begun a security layer.
    layer: bool,
    /// The client's direction ended before the link stage did: it was refused by us, or bytes were lost.
    client_lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct ClientOffer {
    auth_selection: bool,
    mini_header: bool,
    /// A main channel that asks for a new session.
    fresh_session: bool,
}

#[derive(Clone, Copy, Debug)]
struct ServerOffer {
    auth_selection: bool,
    mini_header: bool,
}

/// How far one call came.
#[must_use = "it says what is to be done with the bytes"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// How many bytes from the start of the unread ones are done with.
    pub consumed: usize,
    /// How it goes on.
    pub outcome: Outcome<'a>,
}

/// How it goes on with one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Something happened. Call again with the bytes behind `consumed`.
    Event(LinkEvent<'a>),
    /// So many unread bytes (behind `consumed`, in all) are needed before another call is worth while.
    Need(usize),
    /// The other direction must be read on first.
    BlockedOn(Side),
    /// Nothing more is read of this direction.
    Done,
}

/// What happens in a link stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent<'a> {
    /// The client's message, as spice-server accepts it.
    Mess(LinkMess<'a>),
    /// The server's reply, where it is no refusal.
    Reply(LinkReply<'a>),
    /// The client's mechanism word.
    Mechanism(AuthMechanism),
    /// The server has sent its first frame inside a SASL security layer: the link result, which can't be read.
    HiddenResult,
    /// The server refuses the link.
    Refused {
        /// Why.
        code: LinkErrorCode,
        /// Where it says so.
        form: RefusalForm,
    },
    /// The link stage succeeded. This is the moment of QEMU's `SPICE_INITIALIZED`.
    Linked {
        /// Which data headers follow.
        header: HeaderKind,
        /// How that is known.
        evidence: Evidence,
    },
    /// The id of the session that the server has made for this main channel, from its `MAIN_INIT`.
    SessionId(u32),
    /// This direction can't be read any further. The client's error has the server's [`answer`](Error::answer).
    Unreadable {
        /// Whose bytes.
        side: Side,
        /// What is wrong with them.
        error: Error,
    },
}

/// Where a refusal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalForm {
    /// In the reply.
    Reply,
    /// In a second reply frame, after one that accepted. With [`LinkErrorCode::VERSION_MISMATCH`] it says that SASL is
    /// required of a client that can't select; spice-server then forgets the socket without ever closing it.
    SecondReply,
    /// In the link result after authentication.
    Result,
    /// In the word that ends a SASL exchange.
    Sasl,
}

/// How the success of a link is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The link result says so.
    Result,
    /// The result is hidden in a SASL security layer, but the connection went on behind it.
    Continued,
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
            },
        }
    }

    /// Reads on at the unread bytes of one direction. At most one event a call.
    pub fn read<'a>(&mut self, side: Side, unread: &'a [u8]) -> Step<'a> {
        match side {
            Side::Client => self.read_client(unread),
            Side::Server => self.read_server(unread),
        }
    }

    /// How many bytes of this direction are counted past from here on, whatever they are: a ticket, SASL data.
    /// So many may be lost without harm.
    pub const fn skippable(&self, side: Side) -> u64 {
        match side {
            Side::Client => self.client.skippable(),
            Side::Server => self.server.skippable(),
        }
    }

    /// Bytes of this direction were lost, right where the unread ones start. If all of them were
    /// [`skippable`](Self::skippable), nothing is; otherwise nothing more is read of this direction.
    /// Returns whether it goes on.
    pub fn lost(&mut self, side: Side, len: u64) -> bool {
        let skippable = self.skippable(side) >= len;
        match side {
            Side::Client if skippable => self.client.skip(len),
            Side::Server if skippable => self.server.skip(len),
            Side::Client => {
                if !self.is_done(Side::Client) {
                    self.shared.client_lost = true;
                    self.client = client::State::Done;
                }
            }
            Side::Server => self.server = server::State::Done,
        }
        skippable
    }

    /// Whether nothing more is read of this direction.
    pub const fn is_done(&self, side: Side) -> bool {
        match side {
            Side::Client => matches!(self.client, client::State::Done),
            Side::Server => matches!(self.server, server::State::Done),
        }
    }

    /// The link stage is over for both directions.
    fn finish(&mut self) {
        self.client = client::State::Done;
        self.server = server::State::Done;
    }

    /// The link succeeded: what it was, and what is still read.
    fn linked(&mut self, evidence: Evidence) -> LinkEvent<'static> {
        let (Shared { mess, reply, layer, .. }, mini) =
            (&self.shared, |client: ClientOffer, server: ServerOffer| client.mini_header && server.mini_header);
        let header = match mess.zip(*reply) {
            Some((client, server)) if mini(client, server) => HeaderKind::Mini,
            _ => HeaderKind::Full,
        };
        let peek = mess.is_some_and(|client| client.fresh_session) && !layer;
        self.client = client::State::Done;
        self.server = if peek { server::State::MainInit(header) } else { server::State::Done };
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

    /// The next `N` bytes, without going past them.
    fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        self.rest.first_chunk().copied()
    }

    /// The next little-endian u32.
    fn word(&mut self) -> Option<u32> {
        let word = self.peek().map(u32::from_le_bytes)?;
        self.advance(4);
        Some(word)
    }

    /// Goes past as many of `left` bytes as there are, and says how many are left then.
    fn skip(&mut self, left: u32) -> u32 {
        let here = u32::try_from(self.rest.len()).unwrap_or(u32::MAX).min(left);
        self.advance(here as usize);
        left - here
    }

    fn end<'b>(&self, outcome: Outcome<'b>) -> Step<'b> {
        Step { consumed: self.consumed, outcome }
    }
}
