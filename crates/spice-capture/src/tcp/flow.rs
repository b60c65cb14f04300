//! What is kept of a connection: about 200 bytes, and early bytes where there are any.

use super::{
    Interest, Shared, Side, Volume,
    pending::{Pending, distance},
    retransmissions::Retransmissions,
};
use crate::packet::{Endpoint, Flags, Segment};
use spice_events::Timestamp;

/// A connection's two ends, in an order that does not depend on who sent the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) low: Endpoint,
    pub(super) high: Endpoint,
}

/// The key, and the direction of a packet: 0 from the lower end, 1 from the higher.
pub(super) fn key(from: Endpoint, to: Endpoint) -> (Key, usize) {
    if from < to { (Key { low: from, high: to }, 0) } else { (Key { low: to, high: from }, 1) }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A SYN or SYN-ACK was seen.
    Embryo,
    /// Seen without its SYN, kept back.
    Orphan,
    /// The handler knows it.
    Open,
    /// The handler is not interested.
    Ignored,
    /// Over; late packets may come.
    Closed,
    /// To be forgotten at once.
    Gone,
}

/// One direction.
#[expect(clippy::struct_excessive_bools, reason = "facts that come in any combination")]
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// The initial sequence number, where `known`; it may be guessed from an acknowledgement.
    pub(super) isn: u32,
    /// The next in-order sequence number; for an orphan the lowest seen.
    pub(super) next: u32,
    /// The end of what was seen of the sender, in order or not.
    pub(super) end: u32,
    /// What the receiver has acknowledged.
    pub(super) acked: u32,
    /// How far `end` has moved since the connection's first byte, FIN included: it tells more than 4 GiB, as sequence numbers do not.
    pub(super) sent: u64,
    /// Segments of the sender that brought nothing new since the receiver's last packet.
    pub(super) repeats: u8,
    /// The sequence number of the FIN, where `fin`.
    pub(super) fin_at: u32,
    /// A packet of this direction was seen.
    pub(super) seen: bool,
    /// `isn` and the rest are set.
    pub(super) known: bool,
    /// `isn` was inferred from an acknowledgement: what comes is kept until the SYN-ACK does.
    pub(super) guessed: bool,
    pub(super) fin: bool,
    /// All bytes up to the FIN were passed on.
    pub(super) complete: bool,
    pub(super) pending: Option<Box<Pending>>,
}

impl Direction {
    pub(super) fn start(&mut self, isn: u32) {
        let first = isn.wrapping_add(1);
        *self = Self {
            isn,
            next: first,
            end: first,
            acked: first,
            known: true,
            pending: self.pending.take(),
            ..Self::default()
        };
    }

    /// Sets the start of a direction whose first packets are kept already.
    pub(super) fn restart(&mut self, isn: u32) {
        let first = isn.wrapping_add(1);
        self.isn = isn;
        self.next = first;
        self.known = true;
        for edge in [&mut self.end, &mut self.acked] {
            if !self.seen || distance(first, *edge) < 0 {
                *edge = first;
            }
        }
    }

    /// Sets the start of a direction whose SYN was not seen (yet).
    pub(super) fn guess(&mut self, first: u32) {
        self.restart(first.wrapping_sub(1));
        self.guessed = true;
    }

    /// The sender has sent something again, and the receiver does not answer.
    pub(super) fn is_unanswered(&self) -> bool {
        self.repeats > 0 && distance(self.acked, self.end) > 0
    }

    /// Bytes are missing that the sender did send.
    pub(super) fn has_hole(&self) -> bool {
        !self.complete && (self.pending.is_some() || distance(self.next, self.acked) > 0 || self.fin)
    }
}

/// A decision that waits. Few connections ever have one.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    /// The connection ended, but bytes from before its end may still come.
    pub(super) closing: Option<(Timestamp, Option<Side>)>,
    /// An RST ahead of what was seen of its sender.
    pub(super) reset: Option<Reset>,
    /// A SYN with another initial sequence number on a live connection.
    pub(super) retry: Option<Retry>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Reset {
    pub(super) direction: usize,
    pub(super) seq: u32,
    pub(super) at: Timestamp,
    /// Its sender went on as if nothing had happened.
    pub(super) contradicted: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pub(super) direction: usize,
    pub(super) isn: u32,
}

#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) key: Key,
    pub(super) stage: Stage,
    pub(super) interest: Interest,
    /// The client's direction: 0 or 1; anything else: not known.
    pub(super) client: usize,
    /// Who ended first.
    pub(super) ended: Option<Side>,
    /// The first end was an RST.
    pub(super) was_reset: bool,
    /// When the client last sent a byte; of no meaning before its first.
    pub(super) client_at: Timestamp,
    /// The time of the last packet.
    pub(super) last: Timestamp,
    /// What the server has sent again. Few connections ever have this.
    pub(super) retransmissions: Option<Box<Retransmissions>>,
    /// It waits in the queue of those with something to decide.
    pub(super) queued: bool,
    /// It waits in the queue of those to forget.
    pub(super) lingers: bool,
    /// The time of the last thing told; before, of the first packet.
    pub(super) at: Timestamp,
    pub(super) directions: [Direction; 2],
    pub(super) undecided: Option<Box<Undecided>>,
    pub(super) state: S,
}

pub(super) const UNKNOWN: usize = 2;

impl<S: Default> Flow<S> {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            stage: Stage::Gone,
            interest: Interest::Bytes,
            client: UNKNOWN,
            ended: None,
            was_reset: false,
            client_at: Timestamp { seconds: i64::MIN, microseconds: 0 },
            last: Timestamp { seconds: i64::MIN, microseconds: 0 },
            retransmissions: None,
            queued: false,
            lingers: false,
            at: Timestamp { seconds: i64::MIN, microseconds: 0 },
            directions: [Direction::default(), Direction::default()],
            undecided: None,
            state: S::default(),
        }
    }

    /// Whether a segment of an unknown connection begins one.
    pub(super) fn worth_opening(segment: &Segment<'_>) -> bool {
        !segment.flags.has(Flags::RST)
    }

    /// Forgets all but the ends: another connection begins.
    pub(super) fn renew(&mut self, shared: &mut Shared) {
        self.release(shared);
        *self = Self::new(self.key);
    }

    /// Gives back what is kept of early bytes.
    pub(super) fn release(&mut self, shared: &mut Shared) {
        for direction in &mut self.directions {
            if let Some(pending) = direction.pending.take() {
                shared.kept -= pending.cost;
            }
        }
    }

    pub(super) fn side(&self, direction: usize) -> Side {
        if direction == self.client { Side::Client } else { Side::Server }
    }

    /// How much it has carried.
    pub(super) fn volume(&self) -> Volume {
        let sent = |direction: &Direction| direction.sent.saturating_sub(u64::from(direction.fin));
        let [client, server] = [self.client, 1 - self.client].map(|d| sent(&self.directions[d]));
        Volume {
            from_client: client,
            from_server: server,
            last_from_client: (client > 0).then_some(self.client_at),
            was_reset: self.was_reset,
        }
    }

    pub(super) fn end(&self, direction: usize) -> Endpoint {
        if direction == 0 { self.key.low } else { self.key.high }
    }

    pub(super) fn undecided(&mut self) -> &mut Undecided {
        self.undecided.get_or_insert_default()
    }
}
