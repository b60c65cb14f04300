//! Decides whether a connection is SPICE, and hands its bytes to the tracker.

#[cfg(feature = "tls")]
use crate::secured::Secured;
use crate::{
    Config, Counters, Ended, Notice, Output,
    packet::Endpoint,
    recognise::{self, MAX_BYTES_TOTAL, MAX_CLIENT, MAX_SERVER, Verdict},
    tcp::{Connection, Handler, Interest, Side, Volume},
};
use spice_events::{Address, Endpoints, FlowId, Input, Timestamp, Tracker};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
};

/// What is kept of a connection.
#[derive(Debug, Default)]
pub(crate) enum Follow {
    /// Nothing, or nothing yet.
    #[default]
    Nothing,
    /// Too few bytes to know what it is.
    Undecided(Box<Held>),
    /// The tracker knows it.
    Spice(FlowId),
    /// It is inside TLS that can be decrypted.
    #[cfg(feature = "tls")]
    Secured(Box<Secured>),
}

/// A connection that may be SPICE, and everything that happened to it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) connection: Connection,
    pub(crate) kind: Kind,
    /// The operator says that its server's port is SPICE.
    pub(crate) expected: bool,
    client: Vec<u8>,
    server: Vec<u8>,
    /// An empty line was among the client's bytes.
    head_is_whole: bool,
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// Inside TLS that is not decrypted.
    Tls,
    /// The plaintext of TLS.
    #[cfg(feature = "tls")]
    Decrypted,
}

/// The next bytes of one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    at: Timestamp,
    from: Side,
    len: u32,
}

/// Follows SPICE connections and collects the outputs about them.
#[derive(Debug)]
pub(crate) struct Spice {
    pub(crate) config: Config,
    tracker: Tracker,
    /// The id of the last connection that was opened; also their number.
    last: u64,
    pub(crate) held: usize,
    /// Connections of which secrets are missing.
    pub(crate) without_secrets: u64,
    outputs: VecDeque<Output>,
    events: u64,
    anomalies: u64,
    unrecognised: u64,
    evicted: bool,
    /// Of the connection that is about to be closed.
    volume: Option<Volume>,
    /// Bytes of link stages that are not in the capture.
    missed: HashMap<FlowId, u64>,
}

impl Spice {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            tracker: Tracker::new(config.tracker.clone()),
            config,
            last: 0,
            held: 0,
            without_secrets: 0,
            outputs: VecDeque::new(),
            events: 0,
            anomalies: 0,
            unrecognised: 0,
            evicted: false,
            volume: None,
            missed: HashMap::new(),
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.anomalies += 1;
        self.outputs.push_back(Output::Notice(notice));
    }

    /// Fills in what is counted here.
    pub(crate) fn count(&self, counters: Counters) -> Counters {
        let Self { last: connections, events, anomalies, unrecognised, without_secrets, .. } = *self;
        Counters { connections, events, anomalies, unrecognised, without_secrets, ..counters }
    }

    fn recognises(&self) -> bool {
        self.config.ports.is_empty()
    }

    pub(crate) fn input(&mut self, at: Timestamp, flow: FlowId, input: Input<'_>) {
        self.tracker.handle(at, flow, input);
        while let Some(output) = self.tracker.poll() {
            self.outputs.push_back(match output {
                spice_events::Output::Event(event) => {
                    self.events += 1;
                    Output::Event(event)
                }
                spice_events::Output::Anomaly(anomaly) => {
                    self.anomalies += 1;
                    Output::Anomaly(anomaly)
                }
            });
        }
    }

    pub(crate) fn interest(&self, flow: FlowId) -> Interest {
        if self.tracker.wants(flow) { Interest::Bytes } else { Interest::End }
    }

    /// An end of a connection to a server's port, as QEMU shows it.
    fn address(&self, end: Endpoint, server_port: u16) -> Address {
        let dual_stack = self.config.dual_stack || self.config.dual_stack_ports.contains(&server_port);
        match SocketAddr::from(end) {
            SocketAddr::V4(v4) if dual_stack => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())).into(),
            address => address.into(),
        }
    }

    fn open(&mut self, connection: &Connection, kind: Kind) -> FlowId {
        self.last += 1;
        let flow = FlowId(self.last);
        let port = SocketAddr::from(connection.server).port();
        let (server, client) = (self.address(connection.server, port), self.address(connection.client, port));
        let (tls, readable) = (kind != Kind::Plain, kind != Kind::Tls);
        self.input(connection.at, flow, Input::Opened { endpoints: Endpoints { server, client }, tls, readable });
        if !readable && self.config.transport {
            self.outputs.push_back(Output::Unreadable(flow));
        }
        flow
    }

    /// Adds to what is held, and decides if that is enough to.
    fn hold(&mut self, held: &mut Held, at: Timestamp, from: Side, data: &[u8]) -> Verdict {
        let (bytes, max) = match from {
            Side::Client => (&mut held.client, MAX_CLIENT),
            Side::Server => (&mut held.server, MAX_SERVER),
        };
        if bytes.len() + data.len() > max || self.held > MAX_BYTES_TOTAL {
            return Verdict::Other;
        }
        let old = bytes.len();
        bytes.extend_from_slice(data);
        self.held += data.len() + size_of::<Piece>();
        held.pieces.push(Piece { at, from, len: length(data) });
        if from == Side::Client && !held.head_is_whole {
            // Where it is a request, nothing can be said before its end: so it is not looked through again for each segment.
            held.head_is_whole = recognise::ends_head(&held.client[old.saturating_sub(3)..]);
            if recognise::may_be_request(&held.client) && !held.head_is_whole {
                return Verdict::More;
            }
        }
        held.judge(from, &[])
    }

    /// It is SPICE: hands over all that was held, with its own times.
    fn replay(&mut self, held: &Held) -> (FlowId, Interest) {
        let flow = self.open(&held.connection, held.kind);
        let (mut client, mut server) = (&held.client[..], &held.server[..]);
        for piece in &held.pieces {
            let bytes = match piece.from {
                Side::Client => &mut client,
                Side::Server => &mut server,
            };
            let (data, rest) = bytes.split_at(piece.len as usize);
            *bytes = rest;
            if self.tracker.wants(flow) {
                self.input(piece.at, flow, Input::Bytes { from: piece.from, data });
            }
        }
        (flow, self.interest(flow))
    }

    /// It is not SPICE, or there will never be enough bytes to know.
    pub(crate) fn dismiss(&mut self, held: &Held) {
        self.held -= held.cost();
        let Connection { client, server, at, from_start } = held.connection;
        if held.expected && !from_start {
            self.notice(Notice::AlreadyOpen { at, client: client.into(), server: server.into() });
        }
    }
}

impl Held {
    /// What the client's bytes say, `more` of which were not added yet; the server's say nothing.
    fn judge(&self, from: Side, more: &[u8]) -> Verdict {
        if from == Side::Server {
            return Verdict::More;
        }
        let client = if self.client.is_empty() { more } else { &self.client[..] };
        match (self.kind, self.connection.from_start) {
            (Kind::Tls, _) => recognise::judge_tls(client),
            #[cfg(feature = "tls")]
            (Kind::Decrypted, _) => recognise::judge(client),
            (Kind::Plain, true) => recognise::judge(client),
            (Kind::Plain, false) => recognise::judge_midstream(client),
        }
    }

    /// Memory: the bytes, and when each of them came.
    fn cost(&self) -> usize {
        self.client.len() + self.server.len() + self.pieces.len() * size_of::<Piece>()
    }
}

/// The length of what is held, which [`MAX_CLIENT`] and [`MAX_SERVER`] bound.
fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}

impl Handler for Spice {
    type State = Follow;

    #[inline]
    fn admits(&self, ports: [u16; 2]) -> bool {
        // The common case by itself: one port, and no search in lists.
        if let ([port], []) = (&self.config.ports[..], &self.config.tls_ports[..]) {
            return ports[0] == *port || ports[1] == *port;
        }
        self.recognises() || ports.into_iter().any(|port| self.listens(port))
    }

    fn listens(&self, port: u16) -> bool {
        self.config.ports.contains(&port) || self.config.tls_ports.contains(&port)
    }

    fn opened(&mut self, state: &mut Follow, connection: &Connection) -> Interest {
        let port = connection.server.port();
        let kind = if self.config.tls_ports.contains(&port) { Kind::Tls } else { Kind::Plain };
        #[cfg(feature = "tls")]
        let kind = if kind == Kind::Tls && self.decrypts() { Kind::Decrypted } else { kind };
        let expected = self.listens(port);
        if !expected && !self.recognises() {
            return Interest::Nothing;
        }
        if expected && connection.from_start {
            let flow = self.open(connection, kind);
            *state = Follow::Spice(flow);
            #[cfg(feature = "tls")]
            if kind == Kind::Decrypted {
                *state = Secured::around(Follow::Spice(flow), *connection);
            }
            return self.interest(flow);
        }
        let (client, server, pieces) = (Vec::new(), Vec::new(), Vec::new());
        let (connection, head_is_whole) = (*connection, false);
        *state =
            Follow::Undecided(Box::new(Held { connection, kind, expected, client, server, head_is_whole, pieces }));
        #[cfg(feature = "tls")]
        if kind == Kind::Decrypted {
            *state = Secured::around(std::mem::take(state), connection);
        }
        Interest::Bytes
    }

    fn bytes(&mut self, state: &mut Follow, at: Timestamp, from: Side, data: &[u8]) -> Interest {
        match state {
            Follow::Nothing => Interest::Nothing,
            Follow::Spice(flow) => {
                self.input(at, *flow, Input::Bytes { from, data });
                self.interest(*flow)
            }
            #[cfg(feature = "tls")]
            Follow::Secured(_) => self.secured_bytes(state, at, from, data),
            #[cfg(feature = "tls")]
            Follow::Undecided(held) if self.may_be_secured(held, from, data) => {
                held.kind = Kind::Decrypted;
                let connection = held.connection;
                *state = Secured::around(std::mem::take(state), connection);
                self.secured_bytes(state, at, from, data)
            }
            Follow::Undecided(held) if held.pieces.is_empty() && held.judge(from, data) == Verdict::Spice => {
                // The common case: the first segment tells, and needs no copy.
                let flow = self.open(&held.connection, held.kind);
                *state = Follow::Spice(flow);
                if self.tracker.wants(flow) {
                    self.input(at, flow, Input::Bytes { from, data });
                }
                self.interest(flow)
            }
            Follow::Undecided(held) => match self.hold(held, at, from, data) {
                Verdict::More => Interest::Bytes,
                Verdict::Other => {
                    self.dismiss(held);
                    Interest::Nothing
                }
                Verdict::Spice => {
                    let (flow, interest) = self.replay(held);
                    self.held -= held.cost();
                    *state = Follow::Spice(flow);
                    interest
                }
            },
        }
    }

    fn gap(&mut self, state: &mut Follow, at: Timestamp, from: Side, len: u64) -> Interest {
        match state {
            Follow::Nothing => Interest::Nothing,
            Follow::Spice(flow) => {
                if self.config.transport {
                    *self.missed.entry(*flow).or_default() += len;
                }
                self.input(at, *flow, Input::Gap { from, len });
                self.interest(*flow)
            }
            #[cfg(feature = "tls")]
            Follow::Secured(_) => self.secured_gap(state, at, from, len),
            // What is missing might be what would have told.
            Follow::Undecided(held) => {
                let Connection { client, server, at, from_start } = held.connection;
                if from == Side::Client && from_start {
                    self.unrecognised += 1;
                    if self.unrecognised == 1 {
                        self.notice(Notice::Unrecognised { at, client: client.into(), server: server.into() });
                    }
                }
                self.dismiss(held);
                Interest::Nothing
            }
        }
    }

    fn volume(&mut self, _: &mut Follow, volume: Volume) {
        self.volume = Some(volume);
    }

    fn closed(&mut self, state: &mut Follow, at: Timestamp, by: Option<Side>) {
        match std::mem::take(state) {
            Follow::Nothing => {}
            Follow::Spice(flow) => {
                if let Some(volume) = self.volume.take().filter(|_| self.config.transport) {
                    let missed = self.missed.remove(&flow).unwrap_or(0);
                    self.outputs.push_back(Output::Ended(Ended { flow, at, by, volume, missed }));
                }
                self.input(at, flow, Input::Closed { by });
            }
            Follow::Undecided(held) => self.dismiss(&held),
            #[cfg(feature = "tls")]
            Follow::Secured(secured) => {
                let mut inner = self.end_secured(*secured, at);
                self.closed(&mut inner, at, by);
            }
        }
    }

    fn evicted(&mut self, state: &mut Follow) {
        match std::mem::take(state) {
            Follow::Undecided(held) => self.held -= held.cost(),
            Follow::Spice(flow) => {
                self.tracker.forget(flow);
                if self.config.transport {
                    self.missed.remove(&flow);
                    self.outputs.push_back(Output::Forgotten(flow));
                }
            }
            #[cfg(feature = "tls")]
            Follow::Secured(secured) => {
                let mut inner = self.release_secured(*secured);
                return self.evicted(&mut inner);
            }
            Follow::Nothing => {}
        }
        if !self.evicted {
            self.evicted = true;
            self.notice(Notice::TooManyConnections);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        packet::{Flags, Segment},
        tcp::Reassembler,
    };

    #[test]
    fn nothing_is_kept_of_a_connection_that_was_evicted() {
        let mut spice = Spice::new(Config::new().port(5900));
        let end = |port| SocketAddr::from(([127, 0, 0, 1], port)).into();
        let at = Timestamp { seconds: 0, microseconds: 0 };
        for port in 1..=100 {
            let mut state = Follow::default();
            spice.opened(&mut state, &Connection { client: end(port), server: end(5900), at, from_start: true });
            assert_eq!(spice.tracker.len(), 1);
            spice.evicted(&mut state);
            assert!(spice.tracker.is_empty());
            spice.closed(&mut state, at, None);
        }
        let events = std::iter::from_fn(|| spice.poll()).filter(|output| matches!(output, Output::Event(_)));
        assert_eq!(events.count(), 100, "each was told of as connected, and none as disconnected");
    }

    #[test]
    fn held_bytes_count_with_their_overhead() {
        let mut spice = Spice::new(Config::new());
        let mut state = Follow::default();
        let end = |port| SocketAddr::from(([127, 0, 0, 1], port)).into();
        let at = Timestamp { seconds: 0, microseconds: 0 };
        spice.opened(&mut state, &Connection { client: end(1), server: end(5900), at, from_start: true });
        for byte in b"GET /".iter().chain(&[b'a'; 1000]) {
            assert_eq!(spice.bytes(&mut state, at, Side::Client, &[*byte]), Interest::Bytes);
        }
        assert!(spice.held >= 1005 * (1 + size_of::<Piece>()), "{}", spice.held);
        spice.closed(&mut state, at, None);
        assert_eq!(spice.held, 0);
    }

    #[test]
    fn the_tracker_forgets_connections_that_the_reassembler_evicts() {
        let mut spice = Spice::new(Config::new().port(5900));
        let mut tcp = Reassembler::new(10);
        let end = |port| SocketAddr::from(([127, 0, 0, 1], port)).into();
        let at = Timestamp { seconds: 0, microseconds: 0 };
        for port in 1..=100 {
            for (from, to, flags, seq, ack) in [
                (end(port), end(5900), Flags::SYN, 0, 0),
                (end(5900), end(port), Flags::SYN.and(Flags::ACK), 0, 1),
                (end(port), end(5900), Flags::ACK, 1, 1),
            ] {
                tcp.segment(&Segment { at, from, to, seq, ack, flags, payload: &[], missing: 0 }, &mut spice);
            }
            assert_eq!(spice.tracker.len(), tcp.flows());
        }
        assert_eq!(tcp.flows(), 10);
        let notices = std::iter::from_fn(|| spice.poll())
            .filter(|output| matches!(output, Output::Notice(Notice::TooManyConnections)));
        assert_eq!(notices.count(), 1);
    }
}
