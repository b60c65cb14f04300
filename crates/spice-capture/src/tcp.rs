//! TCP reassembly: segments of every connection in, each direction's bytes in order out.
//!
//! A capture differs from what a TCP stack sees: nothing can be requested again; packets may be missing, come twice (`tcpdump -i any` on a bridge) or change
//! places; and a connection may have begun before the capture did. What is decided here, and when:
//!
//! | question | answer |
//! | --- | --- |
//! | when is a connection open? | When the handshake completes: at the client's first ACK or data after SYN and SYN-ACK. A SYN that is refused or gets no answer opens nothing. |
//! | and one whose SYN is not in the capture? | It is kept back for [`PATIENCE`], [`ORPHAN_CHUNKS`] segments or [`ORPHAN_BYTES`], in case its SYN was captured late; then [`Handler::opened`] says `from_start: false`. |
//! | when are bytes lost? | When the receiver has acknowledged them and they still are not there [`PATIENCE`] later; when [`MAX_CHUNKS`] or [`MAX_BYTES`] wait behind them; at the end of the connection or of the capture. |
//! | whose bytes count where segments overlap? | Those that came first. |
//! | when is it closed? | At the server's FIN, once all before it is there, or at a valid RST. A client's FIN alone closes nothing: the server decides when it lets go. |
//! | which RST is valid? | One whose sequence number lies between what its receiver has acknowledged and what its sender has sent. One slightly ahead of that (at most [`RESET_AHEAD`]) waits for the missing bytes, or for [`PATIENCE`] without another packet of its sender. |
//! | when is a 4-tuple a new connection? | At a SYN with another initial sequence number after a close; on a live connection, once the other side goes along with it. |
//! | and if its peer vanished? | When the server's retransmissions get no answer, and break off: the server's kernel has given up ([`VanishedReason::Unanswered`]). When the handler knows it from other connections: [`Handler::gone`]. |
//! | when is a connection forgotten? | [`TIME_WAIT`] after its close, so that late retransmissions open nothing. |
//!
//! Times are those of the packets: no clock is read. In-order bytes pass from the packet to the [`Handler`] without a copy; what comes early is copied and bounded.
//! Once the handler wants no more bytes ([`Interest`]), a segment costs a look-up and a few comparisons, and its payload is not touched.
//!
//! Checksums are not verified: packets captured on the sending machine carry none yet.
//!
//! ```
//! use spice_capture::{packet::{Endpoint, Flags, Segment}, spice_events::Timestamp, tcp::*};
//! use std::{collections::BTreeMap, net::SocketAddr};
//!
//! /// How many bytes went to and from each server port, whatever they say.
//! struct Volumes(BTreeMap<u16, u64>);
//!
//! impl Handler for Volumes {
//!     type State = u16; // kept for each connection: its server's port
//!     fn opened(&mut self, port: &mut u16, connection: &Connection) -> Interest {
//!         *port = connection.endpoints.server.port();
//!         Interest::Bytes
//!     }
//!     fn bytes(&mut self, port: &mut u16, _: Timestamp, _: Side, data: &[u8]) -> Interest {
//!         *self.0.entry(*port).or_default() += data.len() as u64;
//!         Interest::Bytes
//!     }
//!     fn gap(&mut self, port: &mut u16, _: Timestamp, _: Side, len: u64) -> Interest {
//!         *self.0.entry(*port).or_default() += len;
//!         Interest::Bytes
//!     }
//!     fn closed(&mut self, _: &mut u16, _: Timestamp, _: Option<Side>) {}
//! }
//!
//! let end = |port| Endpoint::from(SocketAddr::from(([127, 0, 0, 1], port)));
//! let (client, server, at) = (end(40000), end(5900), Timestamp { seconds: 0, microseconds: 0 });
//! let (mut tcp, mut volumes) = (Reassembler::default(), Volumes(BTreeMap::new()));
//! // From a file, each is `Segment::parse(packet.at, packet.link, packet.data, packet.wire_len)`.
//! for (from, to, seq, ack, flags, payload) in [
//!     (client, server, 0, 0, Flags::SYN, &b""[..]),
//!     (server, client, 0, 1, Flags::SYN.and(Flags::ACK), b""),
//!     (client, server, 1, 1, Flags::ACK, b"REDQ"),
//!     (client, server, 1, 1, Flags::ACK, b"REDQ"), // sent twice
//! ] {
//!     tcp.segment(&Segment { at, from, to, seq, ack, flags, payload, missing: 0 }, &mut volumes);
//! }
//! tcp.finish(&mut volumes);
//! assert_eq!(volumes.0, BTreeMap::from([(5900, 4)]));
//! ```

mod context;
mod flow;
mod pending;
mod retransmissions;
mod rules;
mod stream;
mod table;
mod timers;

use crate::packet::{Endpoint, Flags, Segment};
use context::Context;
use flow::{Flow, Stage};
pub use spice_events::Side;
use spice_events::{Endpoints, Timestamp};
use std::{fmt, time::Duration};
use table::Table;
use timers::{Clock, Timers};

/// How long the reader waits for bytes that were captured late, in packet time.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How long a closed connection is remembered, in packet time: twice Linux's TIME-WAIT.
pub const TIME_WAIT: Duration = Duration::from_secs(120);
/// Early segments that are kept for one direction of a connection.
pub const MAX_CHUNKS: usize = 256;
/// Early bytes that are kept for one direction of a connection: sixteen of loopback's 64 KiB segments.
pub const MAX_BYTES: usize = 1 << 20;
/// Early bytes that are kept in all.
pub const MAX_BYTES_TOTAL: usize = 64 << 20;
/// Segments that are kept of a connection whose SYN was not seen, before it is taken for an old one.
pub const ORPHAN_CHUNKS: usize = 32;
/// Bytes that are kept of such a connection, likewise.
pub const ORPHAN_BYTES: usize = 64 << 10;
/// How far ahead of what was seen of its sender an RST may be, and an acknowledgement of what was seen of its receiver: what a capture may have lost.
pub const RESET_AHEAD: u32 = 1 << 20;
/// Connections that are remembered, those in [`TIME_WAIT`] and of no interest included.
pub const MAX_FLOWS: u32 = 1 << 20;

/// The largest TCP window (RFC 7323: 2^30). What is farther ahead belongs to no live connection.
const WINDOW: u32 = 1 << 30;

/// A connection that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Connection {
    /// The end that accepted, and the end that connected.
    pub endpoints: Endpoints<Endpoint>,
    /// When: the packet that completed the handshake, or the first that was seen.
    pub at: Timestamp,
    /// The handshake was captured. Otherwise the client was guessed: by [`Handler::listens`], or it is the end that sent the first byte.
    pub from_start: bool,
}

/// How much a connection has carried, as its sequence numbers show: bytes that are not in the capture count too, repeated ones count once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Volume {
    /// Bytes from the client.
    pub from_client: u64,
    /// Bytes from the server.
    pub from_server: u64,
    /// When the client's last byte was captured.
    pub last_from_client: Option<Timestamp>,
    /// The side that ended the connection first did so with an RST.
    pub was_reset: bool,
}

/// A connection that has ended although no packet says so: its peer vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gone {
    /// Its ends.
    pub endpoints: Endpoints<Endpoint>,
    /// When it ended.
    pub at: Timestamp,
    /// It has only ended if one end has repeated itself and the other has not answered.
    pub only_unanswered: bool,
    /// It has only ended if it has no packet after that time.
    pub only_silent: bool,
}

/// What shows that a peer vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VanishedReason {
    /// The other connections of its session ended: [`Handler::gone`].
    OtherConnections,
    /// Another session began at its server, and it has no packet since.
    TakenOver,
    /// The server sent the same bytes again and again without an answer, and then stopped: its kernel gave up (`ETIMEDOUT`).
    Unanswered,
}

/// What a handler still wants to know about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Bytes, gaps and the end.
    Bytes,
    /// The end only. Early bytes are no longer kept.
    End,
    /// Nothing. The connection is remembered, so that its later segments do not count as a new one.
    Nothing,
}

/// Receives what happens to connections.
///
/// `at` never goes backwards within a connection.
pub trait Handler {
    /// State that the handler keeps for each connection.
    type State: Default;

    /// Whether connections between these two ports are of interest. If not, nothing is kept for them.
    fn admits(&self, _ports: [u16; 2]) -> bool {
        true
    }

    /// Whether this is a server's port. It decides which end is the client where the handshake was not captured.
    fn listens(&self, _port: u16) -> bool {
        false
    }

    /// Whether the first bytes that were captured of an end, 16 at most, are those of a server. Asked where neither the handshake nor the ports tell.
    fn is_server(&self, _first: &[u8]) -> bool {
        false
    }

    /// A connection is open.
    fn opened(&mut self, state: &mut Self::State, connection: &Connection) -> Interest;

    /// The next bytes of one direction.
    fn bytes(&mut self, state: &mut Self::State, at: Timestamp, from: Side, data: &[u8]) -> Interest;

    /// The next `len` bytes of one direction are not in the capture.
    fn gap(&mut self, state: &mut Self::State, at: Timestamp, from: Side, len: u64) -> Interest;

    /// How much the connection has carried in all. Comes just before [`closed`](Self::closed).
    fn volume(&mut self, _state: &mut Self::State, _volume: Volume) {}

    /// The server's side of the connection is gone. `by` is the side that ended it first; `None` means that its end was not captured, but its 4-tuple is
    /// in use again.
    fn closed(&mut self, state: &mut Self::State, at: Timestamp, by: Option<Side>);

    /// A connection that must have ended, judging by other connections. The reassembler asks after each segment until it returns `None`.
    fn gone(&mut self, _now: Timestamp) -> Option<Gone> {
        None
    }

    /// A connection whose peer vanished is about to be closed, without a packet that ends it.
    fn vanished(&mut self, _state: &Self::State, _gone: &Gone, _reason: VanishedReason) {}

    /// A connection is open at the end of the capture. Its last packet came at `last`, which is `silence` before the last one of all.
    fn still_open(
        &mut self,
        _state: &Self::State,
        _endpoints: Endpoints<Endpoint>,
        _last: Timestamp,
        _silence: Duration,
    ) {
    }

    /// A connection was seen and never opened. With `from_start`, its handshake is there without the packet that completes it, and the first of `ends` is
    /// the client. Otherwise it began before the capture, neither of its ends sent a byte, and the ends have no order.
    fn unopened(&mut self, _ends: [Endpoint; 2], _from_start: bool) {}

    /// A packet between ports that are not of interest: [`admits`](Self::admits).
    fn not_admitted(&mut self) {}

    /// An open connection is forgotten, because there are more than [`MAX_FLOWS`].
    fn evicted(&mut self, _state: &mut Self::State) {}
}

/// Follows every TCP connection of a capture.
pub struct Reassembler<S> {
    flows: Table<Flow<S>>,
    shared: Shared,
}

/// What the rules need besides their connection.
struct Shared {
    clock: Clock,
    /// Connections with something to decide: a hole, a doubtful RST, no SYN.
    patience: Timers,
    /// Connections to forget.
    linger: Timers,
    /// Bytes kept, of all connections.
    kept: usize,
}

impl<S: Default> Default for Reassembler<S> {
    fn default() -> Self {
        Self::new(MAX_FLOWS)
    }
}

impl<S: Default> Reassembler<S> {
    /// Without connections; will remember `max_flows` at most ([`MAX_FLOWS`] by default).
    pub fn new(max_flows: u32) -> Self {
        let max = max_flows.max(1);
        Self {
            flows: Table::new(max),
            shared: Shared { clock: Clock::default(), patience: Timers::new(max), linger: Timers::new(max), kept: 0 },
        }
    }

    /// Takes one segment, and calls the handler with what follows from it.
    pub fn segment<H: Handler<State = S>>(&mut self, segment: &Segment<'_>, handler: &mut H) {
        self.shared.clock.advance(segment.at);
        self.expire(handler);
        while let Some(gone) = handler.gone(segment.at) {
            self.vanish(&gone, handler);
        }
        if segment.from == segment.to || !handler.admits([segment.from.port(), segment.to.port()]) {
            return handler.not_admitted();
        }
        let (key, direction) = flow::key(segment.from, segment.to);
        let index = match self.flows.find(&key) {
            Some(index) => index,
            None if Flow::<S>::worth_opening(segment) => self.insert(key, handler),
            None => return,
        };
        if self.flows.at(index).passes_by(direction, segment) {
            return;
        }
        let token = self.flows.token(index);
        let flow = self.flows.at(index);
        let mut ctx = Context { shared: &mut self.shared, handler, token };
        flow.segment(direction, segment, &mut ctx);
        self.retire(index);
    }

    /// Whether the segment's payload is needed. If not, the caller may cut `payload` and add the difference to `missing`.
    pub fn wants_payload<H: Handler<State = S>>(&mut self, segment: &Segment<'_>, handler: &H) -> bool {
        if !handler.admits([segment.from.port(), segment.to.port()]) {
            return false;
        }
        let (key, _) = flow::key(segment.from, segment.to);
        let Some(index) = self.flows.find(&key) else { return true };
        let flow = self.flows.at(index);
        match flow.stage {
            // Another connection may begin with it.
            Stage::Open => flow.interest == Interest::Bytes || flow.undecided.is_some(),
            Stage::Ignored | Stage::Closed => segment.flags.has(Flags::SYN),
            Stage::Embryo | Stage::Orphan | Stage::Gone => true,
        }
    }

    /// Takes the end of the capture: missing bytes count as lost, and the handler is called with what follows from that.
    pub fn finish<H: Handler<State = S>>(&mut self, handler: &mut H) {
        let indices = self.flows.indices();
        for &index in &indices {
            let token = self.flows.token(index);
            let mut ctx = Context { shared: &mut self.shared, handler, token };
            self.flows.at(index).finish(&mut ctx);
        }
        // The capture shows nothing of the time behind its last packet.
        let last = self.shared.clock.last();
        while let Some(gone) = last.and_then(|last| handler.gone(last)) {
            self.vanish(&gone, handler);
        }
        for index in indices {
            let flow = self.flows.at(index);
            if flow.stage == Stage::Open {
                let endpoints = Endpoints { server: flow.end(1 - flow.client), client: flow.end(flow.client) };
                let silence = last.map_or(Duration::ZERO, |last| timers::between(flow.last, last));
                handler.still_open(&flow.state, endpoints, flow.last, silence);
            }
        }
    }

    /// Calls `each` with the state of each open connection, and how much it has carried so far.
    pub fn volumes(&mut self, mut each: impl FnMut(&S, Volume)) {
        for index in self.flows.indices() {
            let flow = self.flows.at(index);
            if flow.stage == Stage::Open {
                each(&flow.state, flow.volume());
            }
        }
    }

    /// Connections that are remembered.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Number of bytes that are kept because others before them are missing.
    pub fn kept(&self) -> usize {
        self.shared.kept
    }

    fn insert<H: Handler<State = S>>(&mut self, key: flow::Key, handler: &mut H) -> u32 {
        if self.flows.is_full() {
            let index = self.flows.victim(|flow| flow.stage != Stage::Open);
            let flow = self.flows.at(index);
            if flow.stage == Stage::Open {
                handler.evicted(&mut flow.state);
            }
            self.forget(index);
        }
        self.flows.insert(key, Flow::new(key))
    }

    /// Handles expired timers; a few at a time, so that no packet can cost much.
    fn expire<H: Handler<State = S>>(&mut self, handler: &mut H) {
        let now = self.shared.clock.now();
        for _ in 0..4 {
            let Some(token) = self.shared.patience.pop(now) else { break };
            if let Some(flow) = self.flows.live(token) {
                let mut ctx = Context { shared: &mut self.shared, handler, token };
                flow.out_of_patience(&mut ctx);
                self.retire(token.index);
            }
        }
        for _ in 0..4 {
            let Some(token) = self.shared.linger.pop(now) else { break };
            let Some(flow) = self.flows.live(token).filter(|flow| matches!(flow.stage, Stage::Closed | Stage::Embryo))
            else {
                continue;
            };
            flow.report_unopened(handler);
            self.forget(token.index);
        }
    }

    #[cold]
    fn vanish<H: Handler<State = S>>(&mut self, gone: &Gone, handler: &mut H) {
        let (key, _) = flow::key(gone.endpoints.client, gone.endpoints.server);
        let Some(index) = self.flows.find(&key) else { return };
        let token = self.flows.token(index);
        let mut ctx = Context { shared: &mut self.shared, handler, token };
        if self.flows.at(index).vanish(gone, &mut ctx) {
            self.retire(index);
        }
    }

    fn forget(&mut self, index: u32) {
        let flow = self.flows.at(index);
        flow.release(&mut self.shared);
        flow.state = S::default();
        flow.undecided = None;
        self.flows.remove(index);
    }

    /// Forgets a connection that never opened at once, and a closed one after [`TIME_WAIT`].
    fn retire(&mut self, index: u32) {
        let flow = self.flows.at(index);
        match flow.stage {
            Stage::Gone => self.forget(index),
            Stage::Closed | Stage::Embryo if !flow.lingers => {
                flow.lingers = true;
                flow.queued = false;
                self.flows.renew(index);
                let deadline = self.shared.clock.after(TIME_WAIT);
                self.shared.linger.push(deadline, self.flows.token(index));
            }
            _ => {}
        }
    }
}

impl<S> fmt::Debug for Reassembler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reassembler").field("flows", &self.flows.len()).field("kept", &self.shared.kept).finish()
    }
}

#[cfg(test)]
mod tests;
