//! Owned copies of a [`LinkObserver`]'s events, and a driver that gives it two streams and checks its contract.

use std::fmt;

use spice_link::{
    AuthMechanism, Error, Evidence, HeaderKind, LinkErrorCode, LinkEvent, LinkObserver, Outcome, RefusalForm, Side,
};

/// An owned copy of a [`LinkEvent`].
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the event")]
pub enum OwnedLinkEvent {
    /// The client's message.
    Mess { connection_id: u32, channel_type: u8, channel_id: u8, common: Vec<u32>, channel: Vec<u32> },
    /// The server's accepting reply.
    Reply { common: Vec<u32>, channel: Vec<u32> },
    /// The client's mechanism word.
    Mechanism(AuthMechanism),
    /// A link result that can't be read.
    HiddenResult,
    /// The server refuses.
    Refused { code: LinkErrorCode, form: RefusalForm },
    /// The link stage succeeded.
    Linked { header: HeaderKind, evidence: Evidence },
    /// The name of the SASL mechanism that the client chose.
    SaslMechanism(Vec<u8>),
    /// The id of a new session.
    SessionId(u32),
    /// A direction can't be read any further.
    Unreadable { side: Side, error: Error },
}

impl OwnedLinkEvent {
    /// Copies an event. `None`: a later version of spice-link has an event that is unknown here.
    pub fn of(event: LinkEvent<'_>) -> Option<Self> {
        Some(match event {
            LinkEvent::Mess(mess) => Self::Mess {
                connection_id: mess.connection_id,
                channel_type: mess.channel_type.0,
                channel_id: mess.channel_id,
                common: mess.common_caps.words().collect(),
                channel: mess.channel_caps.words().collect(),
            },
            LinkEvent::Reply(reply) => Self::Reply {
                common: reply.common_caps.words().collect(),
                channel: reply.channel_caps.words().collect(),
            },
            LinkEvent::Mechanism(mechanism) => Self::Mechanism(mechanism),
            LinkEvent::SaslMechanism(name) => Self::SaslMechanism(name.to_vec()),
            LinkEvent::HiddenResult => Self::HiddenResult,
            LinkEvent::Refused { code, form } => Self::Refused { code, form },
            LinkEvent::Linked { header, evidence } => Self::Linked { header, evidence },
            LinkEvent::SessionId(id) => Self::SessionId(id),
            LinkEvent::Unreadable { side, error } => Self::Unreadable { side, error },
            _ => return None,
        })
    }
}

impl fmt::Debug for OwnedLinkEvent {
    /// Shows the first words of a list only, because a list can have a thousand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |words: &[u32]| format!("{:x?}, {} words", &words[..words.len().min(3)], words.len());
        match self {
            Self::Mess { connection_id, channel_type, channel_id, common, channel } => {
                write!(f, "Mess({connection_id:#x} {channel_type}/{channel_id} {}; {})", list(common), list(channel))
            }
            Self::Reply { common, channel } => write!(f, "Reply({}; {})", list(common), list(channel)),
            Self::Mechanism(mechanism) => mechanism.fmt(f),
            Self::SaslMechanism(name) => write!(f, "SaslMechanism({})", name.escape_ascii()),
            Self::HiddenResult => f.write_str("HiddenResult"),
            Self::Refused { code, form } => write!(f, "Refused({code}, {form:?})"),
            Self::Linked { header, evidence } => write!(f, "Linked({header:?}, {evidence:?})"),
            Self::SessionId(id) => write!(f, "SessionId({id:#x})"),
            Self::Unreadable { side, error } => write!(f, "Unreadable({side}, {error})"),
        }
    }
}

/// The events of one connection, each with the direction whose bytes showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedLink {
    /// The events in the order in which they were reported.
    pub events: Vec<(Side, OwnedLinkEvent)>,
    /// Bytes of each direction that were read: the client's, the server's.
    pub consumed: [usize; 2],
}

impl ObservedLink {
    /// The events of one direction.
    pub fn of(&self, side: Side) -> Vec<&OwnedLinkEvent> {
        self.events.iter().filter(|(from, _)| *from == side).map(|(_, event)| event).collect()
    }

    /// Whether the link succeeded.
    pub fn linked(&self) -> bool {
        self.events.iter().any(|(_, event)| matches!(event, OwnedLinkEvent::Linked { .. }))
    }
}

/// A [`LinkObserver`] with the unread bytes of both directions. It checks every promise of the observer's contract.
#[derive(Debug, Default)]
pub struct CheckedObserver {
    observer: LinkObserver,
    unread: [Vec<u8>; 2],
    seen: ObservedLink,
}

impl CheckedObserver {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes of one direction, and lets the observer read both directions as far as it can.
    ///
    /// # Panics
    /// If the observer breaks its contract: it consumes more bytes than there are, needs no more than it has, waits for a side that has
    /// ended, asks for more bytes than a link message can have, or never stops.
    pub fn bytes(&mut self, from: Side, data: &[u8]) {
        self.unread[index(from)].extend(data);
        let mut side = from;
        loop {
            let was_blocked = self.blocked();
            let progress = self.read(side);
            side = side.peer();
            let other = self.read(side);
            if !progress && !other && self.blocked() == was_blocked {
                break;
            }
        }
    }

    /// Whether each direction waits for the other. A read that consumes nothing can end the wait of the peer.
    fn blocked(&self) -> [bool; 2] {
        [Side::Client, Side::Server].map(|side| self.observer.is_blocked(side))
    }

    /// The events so far.
    pub fn seen(&self) -> &ObservedLink {
        &self.seen
    }

    /// The observer itself.
    pub fn observer(&self) -> &LinkObserver {
        &self.observer
    }

    /// Reads one direction until the observer needs more bytes. Returns whether anything changed.
    fn read(&mut self, side: Side) -> bool {
        let at = index(side);
        let mut progress = false;
        loop {
            let unread = &mut self.unread[at];
            let step = self.observer.read(side, unread);
            let consumed = step.consumed;
            assert!(consumed <= unread.len(), "{side}: consumed {consumed} of {}", unread.len());
            self.seen.consumed[at] += consumed;
            let left = unread.len() - consumed;
            progress |= consumed > 0;
            let at_rest = match step.outcome {
                Outcome::Event(event) => {
                    progress = true;
                    if let Some(event) = OwnedLinkEvent::of(event) {
                        self.seen.events.push((side, event));
                    }
                    assert!(self.seen.events.len() <= MOST_FACTS, "no end of events: {:?}", self.seen.events);
                    false
                }
                Outcome::Need(n) => {
                    assert!(n > left, "{side}: needs {n}, has {left}");
                    assert!(n <= MOST_NEEDED, "{side}: needs {n}, more than a link message has");
                    true
                }
                Outcome::BlockedOn(peer) => {
                    assert_eq!(peer, side.peer(), "a direction can't wait for itself");
                    assert!(self.observer.is_blocked(side), "{side}: blocked, and is_blocked says no");
                    true
                }
                Outcome::Done => {
                    assert!(self.observer.is_done(side), "{side}: done, and not done");
                    unread.clear();
                    return progress;
                }
            };
            unread.drain(..consumed);
            if at_rest {
                return progress;
            }
        }
    }
}

/// Mess, reply, mechanism, SASL mechanism, hidden result, linked or refused, session id, and an end of each direction.
const MOST_FACTS: usize = 9;
/// The most bytes that an observer may need at once: a reply with two full lists.
const MOST_NEEDED: usize = spice_link::LinkReply::MAX_LEN;

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}
