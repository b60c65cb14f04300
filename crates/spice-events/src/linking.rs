//! A connection in its link stage: both directions held against one observer.

use spice_link::{
    CommonCap, Evidence, LinkErrorCode, LinkEvent, LinkObserver, LinkRequest, Outcome, RefusalForm, Side,
};

use crate::{AnomalyKind, direction::Direction};

/// A connection in its link stage.
#[derive(Debug)]
pub(crate) struct Linking {
    observer: LinkObserver,
    client: Direction,
    server: Direction,
}

/// What a link stage has shown, in order.
#[derive(Debug)]
pub(crate) enum Note {
    /// The client's message asks for this channel.
    Request(LinkRequest),
    /// The server's reply: whether it offers SASL.
    Offered { sasl: bool },
    /// The link result came, in a security layer.
    HiddenResult,
    /// The link succeeded; whether that had to be inferred.
    Linked { inferred: bool },
    /// A fresh main channel's id.
    SessionId(u32),
    /// Something odd, at an offset of a direction.
    Odd(Side, u64, AnomalyKind),
}

impl Linking {
    pub(crate) fn new() -> Self {
        Self { observer: LinkObserver::new(), client: Direction::new(), server: Direction::new() }
    }

    /// Takes bytes of one direction.
    pub(crate) fn bytes(&mut self, from: Side, data: &[u8], limit: usize, notes: &mut Vec<Note>) {
        if self.observer.is_done(from) {
            return;
        }
        let direction = self.direction(from);
        match direction.take(from, data, limit) {
            Ok([]) => self.pump_held(from, limit, notes),
            Ok(now) => self.pump_now(from, now, limit, notes),
            Err(_) => {
                notes.push(Note::Odd(from, 0, AnomalyKind::WebSocketHead));
                self.give_up(from, 1);
            }
        }
        self.pump_peer(from, limit, notes);
    }

    /// Bytes of one direction were lost.
    pub(crate) fn gap(&mut self, from: Side, len: u64, limit: usize, notes: &mut Vec<Note>) {
        if self.observer.is_done(from) || len == 0 {
            return;
        }
        if let Some(len) = self.direction(from).lose(len) {
            if self.observer.lost(from, len) {
                self.direction(from).offset += len;
            } else {
                self.note_loss(from, len, notes);
            }
        } else if !self.direction(from).is_settled() {
            self.note_loss(from, len, notes);
            self.give_up(from, len);
        }
        self.pump_held(from, limit, notes);
        self.pump_peer(from, limit, notes);
    }

    /// Nothing that either side sends can say more.
    pub(crate) fn is_over(&self) -> bool {
        self.observer.is_done(Side::Server)
    }

    fn direction(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// What one direction has shown may be what the other waits for, and so back and forth.
    fn pump_peer(&mut self, from: Side, limit: usize, notes: &mut Vec<Note>) {
        let mut side = from.peer();
        while self.direction(side).is_blocked() && !self.observer.is_done(side) {
            let before = (self.direction(side).offset, notes.len());
            self.direction(side).set_need(0);
            self.pump_held(side, limit, notes);
            if (self.direction(side).offset, notes.len()) == before {
                return;
            }
            side = side.peer();
        }
    }

    /// Reads bytes that lie in the caller's hands, and holds what is left.
    fn pump_now(&mut self, side: Side, data: &[u8], limit: usize, notes: &mut Vec<Note>) {
        let Self { observer, client, server } = self;
        let direction = match side {
            Side::Client => client,
            Side::Server => server,
        };
        let consumed = pump(observer, direction, side, data, notes);
        direction.hold(data.get(consumed..).unwrap_or_default(), limit);
        self.judge_missing(side, limit, notes);
    }

    /// Reads bytes that are held.
    fn pump_held(&mut self, side: Side, limit: usize, notes: &mut Vec<Note>) {
        let Self { observer, client, server } = self;
        let direction = match side {
            Side::Client => client,
            Side::Server => server,
        };
        if !direction.is_settled() {
            return;
        }
        let held = direction.take_unread();
        let consumed = pump(observer, direction, side, &held, notes);
        direction.put_back(held, consumed);
        self.judge_missing(side, limit, notes);
    }

    /// Where the bytes that are needed next are missing, it ends here.
    fn judge_missing(&mut self, side: Side, limit: usize, notes: &mut Vec<Note>) {
        if self.observer.is_done(side) {
            self.direction(side).clear();
            return;
        }
        let direction = self.direction(side);
        let (missing, offset) = (direction.missing(), direction.offset);
        if missing == 0 || direction.is_blocked() {
            return;
        }
        let full = direction.unread().len() >= limit;
        let kind = if full { AnomalyKind::Backlog { limit } } else { AnomalyKind::Lost { len: missing } };
        notes.push(Note::Odd(side, offset, kind));
        self.give_up(side, missing);
    }

    fn note_loss(&mut self, side: Side, len: u64, notes: &mut Vec<Note>) {
        let offset = self.direction(side).offset;
        notes.push(Note::Odd(side, offset, AnomalyKind::Lost { len }));
    }

    /// Nothing more is read of this direction.
    fn give_up(&mut self, side: Side, len: u64) {
        // More than any skippable run: the observer ends the direction.
        self.observer.lost(side, len.max(u64::from(u32::MAX) + 1));
        self.direction(side).clear();
    }
}

/// Lets the observer read as far as it comes, and returns how many bytes it has consumed.
fn pump(
    observer: &mut LinkObserver,
    direction: &mut Direction,
    side: Side,
    data: &[u8],
    notes: &mut Vec<Note>,
) -> usize {
    let mut consumed = 0;
    loop {
        let rest = data.get(consumed..).unwrap_or_default();
        if !direction.is_ready(rest.len()) {
            return consumed;
        }
        let step = observer.read(side, rest);
        let start = direction.offset;
        consumed += step.consumed;
        direction.offset += step.consumed as u64;
        match step.outcome {
            Outcome::Event(event) => {
                direction.set_need(0);
                note(event, side, start, direction.offset, notes);
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

fn note(event: LinkEvent<'_>, side: Side, start: u64, end: u64, notes: &mut Vec<Note>) {
    match event {
        LinkEvent::Mess(mess) => notes.push(Note::Request(mess.request())),
        LinkEvent::Reply(reply) => notes.push(Note::Offered { sasl: reply.common_caps.contains(CommonCap::AUTH_SASL) }),
        LinkEvent::HiddenResult => notes.push(Note::HiddenResult),
        LinkEvent::Linked { evidence, .. } => notes.push(Note::Linked { inferred: evidence == Evidence::Continued }),
        LinkEvent::SessionId(id) => notes.push(Note::SessionId(id)),
        LinkEvent::Refused { code, form } => {
            notes.push(Note::Odd(side, start, AnomalyKind::Refused { code, form }));
            if (code, form) == (LinkErrorCode::VERSION_MISMATCH, RefusalForm::SecondReply) {
                notes.push(Note::Odd(side, end, AnomalyKind::Leaked));
            }
        }
        LinkEvent::Unreadable { error, .. } => notes.push(Note::Odd(side, start, AnomalyKind::Unreadable(error))),
        _ => {}
    }
}
