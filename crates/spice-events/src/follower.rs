//! Follows a connection's link stage: both directions, with bounded buffers.

use spice_link::{LinkEvent, LinkObserver, Outcome, Side};

use crate::direction::Direction;

/// Follows the link stage of one connection from the outside, and holds the bytes that can't be read yet.
///
/// It adds to [`LinkObserver`] what every caller needs: a bounded buffer for each direction, WebSocket, lost bytes, and the order in
/// which the two directions must be read.
///
/// 1. Pass the bytes of both directions to [`bytes`](Self::bytes), in any chunks and any interleaving, and lost bytes to
///    [`gap`](Self::gap).
/// 2. During each call, `on` is called for everything that the link stage has shown, in order.
/// 3. When [`is_over`](Self::is_over) returns true, no further call has an effect.
///
/// ```
/// use spice_events::{LinkFollower, LinkSummary, spice_link::{LinkHeader, Side}};
///
/// let (mut link, mut summary) = (LinkFollower::new(16 * 1024), LinkSummary::default());
/// let header = LinkHeader { major: 1, minor: 3, size: 18 };
/// for byte in header.encode() {
///     link.bytes(Side::Client, &[byte], |note| summary.apply(&note));
/// }
/// assert_eq!(summary.outcome.to_string(), "client: expected major version 2, found 1");
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinkFollower {
    observer: LinkObserver,
    client: Direction,
    server: Direction,
    limit: usize,
}

/// Something that a link stage has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkNote<'a> {
    /// The sender of the bytes that it is about.
    pub side: Side,
    /// How many SPICE bytes of this direction came before those bytes.
    pub offset: u64,
    /// How many SPICE bytes of this direction have been read.
    pub end: u64,
    /// The kind of note.
    pub kind: LinkNoteKind<'a>,
}

/// The kinds of notes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkNoteKind<'a> {
    /// An event of the link stage.
    Event(LinkEvent<'a>),
    /// The client asked for WebSocket, and the HTTP head of this side is not valid, or longer than spice-server reads. Nothing more is
    /// read from this side.
    WebSocketHead,
    /// Bytes were lost that had to be read. Nothing more is read from a client; what follows from a server may still show that the link succeeded.
    Lost {
        /// The number of lost bytes.
        len: u64,
    },
    /// The end of the client's message was lost. Its start has what QEMU reports: the next note is [`LinkEvent::CutMess`].
    Cut {
        /// The number of lost bytes.
        len: u64,
    },
    /// More bytes came than are held while the other side must be read first. Nothing more is read from this side.
    Backlog {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Where notes go.
struct Sink<'s> {
    on: &'s mut dyn FnMut(LinkNote<'_>),
}

impl Sink<'_> {
    fn note(&mut self, side: Side, offset: u64, end: u64, kind: LinkNoteKind<'_>) {
        (self.on)(LinkNote { side, offset, end, kind });
    }
}

impl LinkFollower {
    /// A follower before the first byte of either side, which holds at most `limit` unread bytes of each direction.
    /// [`Config::MAX_BACKLOG`](crate::Config::MAX_BACKLOG) is a good limit.
    pub fn new(limit: usize) -> Self {
        Self { observer: LinkObserver::new(), client: Direction::new(), server: Direction::new(), limit }
    }

    /// Takes bytes of one direction.
    pub fn bytes(&mut self, from: Side, data: &[u8], mut on: impl FnMut(LinkNote<'_>)) {
        if self.observer.is_done(from) {
            return;
        }
        let (limit, sink) = (self.limit, &mut Sink { on: &mut on });
        match self.direction(from).take(from, data, limit) {
            Ok([]) => self.pump_held(from, sink),
            Ok(now) => self.pump_now(from, now, sink),
            Err(_) => {
                sink.note(from, 0, 0, LinkNoteKind::WebSocketHead);
                self.give_up(from);
            }
        }
        self.pump_peer(from, sink);
    }

    /// Takes note that bytes of one direction were sent but not seen.
    pub fn gap(&mut self, from: Side, len: u64, mut on: impl FnMut(LinkNote<'_>)) {
        if self.observer.is_done(from) || len == 0 {
            return;
        }
        let sink = &mut Sink { on: &mut on };
        if let Some(len) = self.direction(from).lose(len) {
            self.lose(from, len, sink);
        } else if !self.direction(from).is_settled() {
            self.note_loss(from, len, sink);
            self.give_up(from);
        }
        self.pump_held(from, sink);
        self.pump_peer(from, sink);
    }

    /// Number of bytes that are held: those of one direction that wait for the other, or for the rest of their message.
    pub fn held(&self) -> usize {
        self.client.unread().len() + self.server.unread().len()
    }

    /// Whether nothing that either side sends can show more.
    pub fn is_over(&self) -> bool {
        self.observer.is_done(Side::Server)
    }

    /// Whether what it holds is within this limit, which becomes its own. A follower that another process has sent may not be.
    #[cfg(feature = "serde")]
    pub(crate) fn restrict(&mut self, limit: usize) -> bool {
        self.limit = limit;
        self.client.check(limit) && self.server.check(limit)
    }

    fn direction(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Reads the other direction if it waited for this one, and then this one if it waits for the other, and so on.
    fn pump_peer(&mut self, from: Side, sink: &mut Sink<'_>) {
        let mut side = from.peer();
        while self.direction(side).is_blocked() && !self.observer.is_blocked(side) && !self.observer.is_done(side) {
            self.direction(side).set_need(0);
            self.pump_held(side, sink);
            side = side.peer();
        }
    }

    /// Reads the caller's bytes, and holds the rest.
    fn pump_now(&mut self, side: Side, data: &[u8], sink: &mut Sink<'_>) {
        let Self { observer, client, server, limit } = self;
        let direction = match side {
            Side::Client => client,
            Side::Server => server,
        };
        let consumed = pump(observer, direction, side, data, sink);
        direction.hold(data.get(consumed..).unwrap_or_default(), *limit);
        self.check_missing(side, sink);
    }

    /// Reads the held bytes.
    fn pump_held(&mut self, side: Side, sink: &mut Sink<'_>) {
        let Self { observer, client, server, .. } = self;
        let direction = match side {
            Side::Client => client,
            Side::Server => server,
        };
        if !direction.is_settled() {
            return;
        }
        if direction.unread().is_empty() {
            pump(observer, direction, side, &[], sink);
        } else {
            let held = direction.take_unread();
            let consumed = pump(observer, direction, side, &held, sink);
            direction.put_back(held, consumed);
        }
        self.check_missing(side, sink);
    }

    /// Gives a direction up if the bytes that it needs next are missing.
    #[inline]
    fn check_missing(&mut self, side: Side, sink: &mut Sink<'_>) {
        if self.observer.is_done(side) {
            self.direction(side).clear();
            return;
        }
        let direction = self.direction(side);
        if direction.missing() > 0 && !direction.is_blocked() {
            self.pass_missing(side, sink);
        }
    }

    /// Continues behind missing bytes if what was read before them allows it.
    #[cold]
    #[inline(never)]
    fn pass_missing(&mut self, side: Side, sink: &mut Sink<'_>) {
        let limit = self.limit;
        let direction = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        if self.observer.skippable(side) > 0 {
            // The start of a name that was held until it is complete. It is skipped, and what is missing of it can be.
            self.observer.lost(side, direction.unread().len() as u64);
            direction.skip_unread();
        }
        let (missing, offset) = (direction.missing(), direction.offset);
        if direction.unread().len() >= limit {
            sink.note(side, offset, offset, LinkNoteKind::Backlog { limit });
            self.give_up(side);
            return;
        }
        let held = direction.take_unread();
        direction.forget_missing();
        direction.set_need(0);
        let step = self.observer.read_cut(side, &held);
        if let Outcome::Event(event) = step.outcome {
            let direction = self.direction(side);
            direction.offset = direction.offset.saturating_add(step.consumed as u64);
            let end = direction.offset;
            if matches!(event, LinkEvent::CutMess(_)) {
                sink.note(side, offset, end, LinkNoteKind::Cut { len: missing });
            }
            sink.note(side, offset, end, LinkNoteKind::Event(event));
        }
        if self.direction(side).survives_gaps() {
            self.lose(side, missing, sink);
        } else {
            self.note_loss(side, missing, sink);
            self.give_up(side);
        }
    }

    /// Takes note that bytes were lost where the unread ones of a direction begin.
    fn lose(&mut self, side: Side, len: u64, sink: &mut Sink<'_>) {
        if !self.observer.is_done(side) && !self.observer.lost(side, len) {
            self.note_loss(side, len, sink);
        }
        let direction = self.direction(side);
        direction.offset = direction.offset.saturating_add(len);
    }

    fn note_loss(&mut self, side: Side, len: u64, sink: &mut Sink<'_>) {
        let offset = self.direction(side).offset;
        sink.note(side, offset, offset, LinkNoteKind::Lost { len });
    }

    /// Reads nothing more from this direction.
    fn give_up(&mut self, side: Side) {
        self.observer.abandon(side);
        self.direction(side).clear();
    }
}

/// Reads as far as possible, and returns how many bytes were consumed.
fn pump(observer: &mut LinkObserver, direction: &mut Direction, side: Side, data: &[u8], sink: &mut Sink<'_>) -> usize {
    let mut consumed = 0;
    loop {
        let rest = data.get(consumed..).unwrap_or_default();
        if !direction.is_ready(rest.len()) {
            return consumed;
        }
        let step = observer.read(side, rest);
        let start = direction.offset;
        consumed += step.consumed;
        direction.offset = direction.offset.saturating_add(step.consumed as u64);
        match step.outcome {
            Outcome::Event(event) => {
                direction.set_need(0);
                sink.note(side, start, direction.offset, LinkNoteKind::Event(event));
            }
            Outcome::Need(n) => {
                direction.set_need(n);
                return consumed;
            }
            Outcome::BlockedOn(_) => {
                direction.block();
                return consumed;
            }
            Outcome::Done => return data.len(),
        }
    }
}
