//! Decides whether a connection is SPICE, and hands its bytes to the tracker.

mod follow;
mod held;
mod siblings;

use crate::{
    Config, Counters, Ended, Notice, Output, Silent,
    notice::MAX_SILENT,
    packet::Endpoint,
    preface::Decision,
    recognise::{self, MAX_BYTES_TOTAL},
    tally::{Tally, Unrecognised},
    tcp::{Connection, Gone, Handler, Interest, Side, VanishedReason, Volume},
};
use foldhash::fast::RandomState;
pub(crate) use follow::Follow;
#[cfg(feature = "tls")]
pub(crate) use follow::Secured;
use held::Part;
pub(crate) use held::{Held, Kind};
use siblings::Siblings;
use spice_events::{Address, Endpoints, EventKind, FlowId, Input, Timestamp, Tracker};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

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
    /// Connections that are open and not recognised yet.
    undecided: u64,
    /// Connections of other protocols.
    other: u64,
    /// Packets between ports that are not of interest.
    not_admitted: u64,
    tally: Tally,
    siblings: Siblings,
    evicted: bool,
    /// Of the connection that is about to be closed.
    volume: Option<Volume>,
    /// Connections that are open at the end: how many, and those without a packet for the longest time.
    still_open: u64,
    silent: Vec<Silent>,
    /// Bytes of link stages that are not in the capture.
    missed: HashMap<FlowId, u64, RandomState>,
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
            undecided: 0,
            other: 0,
            not_admitted: 0,
            tally: Tally::default(),
            siblings: Siblings::default(),
            evicted: false,
            volume: None,
            still_open: 0,
            silent: Vec::new(),
            missed: HashMap::default(),
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        // A preface and an open connection are ordinary facts, not anomalies.
        self.anomalies += u64::from(!matches!(notice, Notice::Proxied { .. } | Notice::StillOpen { .. }));
        self.outputs.push_back(Output::Notice(notice));
    }

    /// Fills in what is counted here.
    pub(crate) fn count(&self, counters: Counters) -> Counters {
        let Self { last: connections, events, anomalies, other, not_admitted: other_ports, without_secrets, .. } =
            *self;
        let open = self.siblings.len() as u64;
        let unrecognised = self.tally.connections(Unrecognised::Lost);
        Counters { connections, open, events, anomalies, unrecognised, without_secrets, other, other_ports, ..counters }
    }

    /// The capture ends: says which connections were not recognised.
    pub(crate) fn finish(&mut self) {
        for (why, connections, ports) in self.tally.all() {
            // The first of these has a notice.
            if why != Unrecognised::Lost || connections > 1 {
                self.notice(Notice::NotRecognised { why, connections, ports });
            }
        }
        if self.undecided > 0 {
            let connections = self.undecided;
            self.notice(Notice::NotRecognised { why: Unrecognised::Silent, connections, ports: Vec::new() });
        }
        if self.still_open > 0 {
            let (connections, silent) = (self.still_open, std::mem::take(&mut self.silent));
            self.notice(Notice::StillOpen { connections, silent });
        }
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
                    if let EventKind::Initialized(channel) = event.kind {
                        self.siblings.initialized(event.flow, channel, event.at);
                    }
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
    fn address(&self, end: SocketAddr, server_port: u16) -> Address {
        let dual_stack = self.config.dual_stack || self.config.dual_stack_ports.contains(&server_port);
        match end {
            SocketAddr::V4(v4) if dual_stack => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())).into(),
            address => address.into(),
        }
    }

    fn is_trusted(&self, end: Endpoint) -> bool {
        !self.config.trusted_proxies.is_empty() && self.config.trusted_proxies.contains(&SocketAddr::from(end).ip())
    }

    fn open(&mut self, connection: &Connection, kind: Kind) -> FlowId {
        self.open_as(connection.endpoints.map(SocketAddr::from), connection, kind)
    }

    fn open_as(&mut self, endpoints: Endpoints<SocketAddr>, connection: &Connection, kind: Kind) -> FlowId {
        self.last += 1;
        let flow = FlowId(self.last);
        let port = connection.endpoints.server.port();
        let endpoints = endpoints.map(|end| self.address(end, port));
        self.siblings.opened(flow, connection.endpoints);
        let (tls, readable) = (kind != Kind::Plain, kind != Kind::Tls);
        self.input(connection.at, flow, Input::Opened { endpoints, tls, readable });
        if !readable && self.config.transport {
            self.outputs.push_back(Output::Unreadable(flow));
        }
        flow
    }

    /// The ends of a connection as its prefaces name them, where the proxy is trusted.
    fn named_ends(&self, held: &Held) -> Endpoints<SocketAddr> {
        let Connection { endpoints, .. } = &held.connection;
        let facts = &held.preface.facts;
        let client = facts.client.filter(|_| self.is_trusted(endpoints.client));
        let target = facts.target.as_deref().and_then(|target| target.parse().ok());
        let server = target.filter(|_| self.is_trusted(endpoints.server));
        let Endpoints { server: s, client: c } = endpoints.map(SocketAddr::from);
        Endpoints { server: server.unwrap_or(s), client: client.unwrap_or(c) }
    }

    fn close(&mut self, flow: FlowId, at: Timestamp, by: Option<Side>) {
        if let Some(volume) = self.volume.take().filter(|_| self.config.transport) {
            let missed = self.missed.remove(&flow).unwrap_or(0);
            self.outputs.push_back(Output::Ended(Ended { flow, at, by, volume, missed }));
        }
        self.input(at, flow, Input::Closed { by });
        self.siblings.closed(flow, at, by);
    }

    fn forget(&mut self, flow: FlowId) {
        self.tracker.forget(flow);
        self.siblings.forget(flow);
        if self.config.transport {
            self.missed.remove(&flow);
            self.outputs.push_back(Output::Forgotten(flow));
        }
    }

    /// What follows from what is held.
    fn act(&mut self, decision: Decision, state: &mut Follow) -> Interest {
        let Follow::Undecided(held) = state else { return Interest::Nothing };
        match decision {
            Decision::More => Interest::Bytes,
            #[cfg(feature = "tls")]
            Decision::SpiceInTls | Decision::Tls if self.decrypts() && held.flow.is_none() => {
                self.decrypt_behind(decision == Decision::SpiceInTls, state)
            }
            Decision::Spice | Decision::SpiceInTls => {
                let kind = if decision == Decision::SpiceInTls { Kind::Tls } else { held.kind };
                let flow = self.replay(held, kind, false);
                self.settle(held);
                *state = Follow::Spice(flow);
                self.interest(flow)
            }
            Decision::Tls | Decision::Other if held.expected && held.connection.from_start => {
                let flow = self.replay(held, held.kind, true);
                self.settle(held);
                *state = Follow::Spice(flow);
                self.interest(flow)
            }
            Decision::Tls | Decision::Other => {
                self.dismiss(held, decision);
                Interest::Nothing
            }
        }
    }

    /// Hands over all that was held, with its own times.
    fn replay(&mut self, held: &Held, kind: Kind, whole: bool) -> FlowId {
        let flow = self.open_behind(held, kind, whole);
        held.replay(whole, |at, from, part| {
            if self.tracker.wants(flow) {
                let input = match part {
                    Part::Bytes(data) => Input::Bytes { from, data },
                    Part::Gap(len) => Input::Gap { from, len },
                };
                self.input(at, flow, input);
            }
        });
        flow
    }

    /// The connection of the held bytes, opened if it was not yet. Reports its preface, if it has one.
    fn open_behind(&mut self, held: &Held, kind: Kind, whole: bool) -> FlowId {
        let flow = held.flow.unwrap_or_else(|| self.open_as(self.named_ends(held), &held.connection, kind));
        let facts = &held.preface.facts;
        if let Some(kind) = facts.kind.filter(|_| !whole) {
            let Connection { endpoints, at, .. } = held.connection;
            let (client, target) = (facts.client, facts.target.clone());
            let endpoints = endpoints.map(SocketAddr::from);
            self.notice(Notice::Proxied { at, flow, endpoints, kind, client, target });
        }
        flow
    }

    /// TLS behind a preface, which can be decrypted; whether the preface shows that it is SPICE.
    #[cfg(feature = "tls")]
    fn decrypt_behind(&mut self, is_spice: bool, state: &mut Follow) -> Interest {
        let Follow::Undecided(held) = std::mem::take(state) else { return Interest::Nothing };
        self.settle(&held);
        let inner = if is_spice {
            Follow::Spice(self.open_behind(&held, Kind::Decrypted, false))
        } else {
            self.undecided += 1;
            let mut inner = Held::new(held.connection, Kind::Decrypted, held.expected, None);
            inner.preface.facts = held.preface.facts.clone();
            Follow::Undecided(Box::new(inner))
        };
        *state = Secured::around(inner, held.connection);
        let mut interest = Interest::Bytes;
        held.replay(false, |at, from, part| {
            if let Follow::Secured(_) = state {
                interest = match part {
                    Part::Bytes(data) => self.secured_bytes(state, at, from, data),
                    Part::Gap(len) => self.secured_gap(state, at, from, len),
                };
            }
        });
        interest
    }

    /// Nothing is held any more of a connection.
    fn settle(&mut self, held: &Held) {
        self.held -= held.cost();
        self.undecided -= u64::from(held.flow.is_none());
    }

    /// It is not SPICE, or there will never be enough bytes to know.
    pub(crate) fn dismiss(&mut self, held: &Held, decision: Decision) {
        self.settle(held);
        let Connection { endpoints, at, from_start } = held.connection;
        let addresses = endpoints.map(SocketAddr::from);
        if held.expected {
            if !from_start {
                self.notice(Notice::AlreadyOpen { at, endpoints: addresses });
            }
            return;
        }
        let why = match decision {
            Decision::Tls => Unrecognised::Tls,
            _ if !from_start => Unrecognised::Midstream,
            _ if held.has_lost_bytes() => Unrecognised::Lost,
            Decision::More => Unrecognised::Silent,
            _ => {
                self.other += 1;
                return;
            }
        };
        if why == Unrecognised::Midstream {
            self.tally.add_either(why, [endpoints.client.port(), endpoints.server.port()]);
        } else {
            self.tally.add(why, endpoints.server.port());
        }
        if why == Unrecognised::Lost && self.tally.connections(why) == 1 {
            self.notice(Notice::Unrecognised { at, endpoints: addresses });
        }
    }
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

    fn is_server(&self, first: &[u8]) -> bool {
        first.starts_with(b"REDQ") && first.len() >= 16 && !recognise::is_client_header(first)
    }

    #[inline]
    fn gone(&mut self, now: Timestamp) -> Option<Gone> {
        self.siblings.gone(now)
    }

    fn vanished(&mut self, state: &Follow, gone: &Gone, reason: VanishedReason) {
        let Gone { endpoints, at, .. } = *gone;
        if state.is_spice() {
            self.notice(Notice::Vanished { at, endpoints: endpoints.map(SocketAddr::from), reason });
        }
    }

    fn unopened(&mut self, ends: [Endpoint; 2], from_start: bool) {
        let [client, server] = ends.map(|end| end.port());
        if from_start {
            self.tally.add(Unrecognised::Handshake, server);
        } else {
            self.tally.add_either(Unrecognised::Midstream, [client, server]);
        }
    }

    #[inline]
    fn not_admitted(&mut self) {
        self.not_admitted += 1;
    }

    fn still_open(&mut self, state: &Follow, endpoints: Endpoints<Endpoint>, since: Timestamp, silence: Duration) {
        if state.is_spice() {
            self.still_open += 1;
            let place = self.silent.partition_point(|other| other.silence >= silence);
            if place < MAX_SILENT {
                let endpoints = endpoints.map(SocketAddr::from);
                self.silent.insert(place, Silent { endpoints, since, silence });
                self.silent.truncate(MAX_SILENT);
            }
        }
    }

    fn opened(&mut self, state: &mut Follow, connection: &Connection) -> Interest {
        let Endpoints { server, client } = connection.endpoints;
        let kind = if self.config.tls_ports.contains(&server.port()) { Kind::Tls } else { Kind::Plain };
        #[cfg(feature = "tls")]
        let kind = if kind == Kind::Tls && self.decrypts() { Kind::Decrypted } else { kind };
        let expected = self.listens(server.port());
        if !expected && !self.recognises() {
            return Interest::Nothing;
        }
        let mut flow = None;
        if expected && connection.from_start {
            // A trusted proxy may name other ends.
            let waits = self.is_trusted(client) || self.is_trusted(server);
            flow = (!waits || kind != Kind::Plain).then(|| self.open(connection, kind));
            if let Some(flow) = flow.filter(|_| kind != Kind::Plain) {
                *state = Follow::Spice(flow);
                #[cfg(feature = "tls")]
                if kind == Kind::Decrypted {
                    *state = Secured::around(Follow::Spice(flow), *connection);
                }
                return self.interest(flow);
            }
        }
        self.undecided += u64::from(flow.is_none());
        *state = Follow::Undecided(Box::new(Held::new(*connection, kind, expected, flow)));
        #[cfg(feature = "tls")]
        if kind == Kind::Decrypted {
            *state = Secured::around(std::mem::take(state), *connection);
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
            Follow::Undecided(held) if held.is_spice_at_once(from, data) => {
                let flow = self.open_behind(held, held.kind, false);
                self.settle(held);
                *state = Follow::Spice(flow);
                if self.tracker.wants(flow) {
                    self.input(at, flow, Input::Bytes { from, data });
                }
                self.interest(flow)
            }
            Follow::Undecided(held) => {
                let before = held.cost();
                let decision = if self.held > MAX_BYTES_TOTAL { None } else { held.add(at, from, data) };
                self.held += held.cost() - before;
                let interest = self.act(decision.unwrap_or(Decision::Other), state);
                match state {
                    // Bytes that were too many to hold come behind those that were.
                    Follow::Spice(flow) if decision.is_none() && self.tracker.wants(*flow) => {
                        let flow = *flow;
                        self.input(at, flow, Input::Bytes { from, data });
                        self.interest(flow)
                    }
                    _ => interest,
                }
            }
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
            Follow::Undecided(held) => {
                let before = held.cost();
                let decision = held.lose(at, from, len);
                self.held += held.cost() - before;
                self.act(decision, state)
            }
        }
    }

    fn volume(&mut self, _: &mut Follow, volume: Volume) {
        self.volume = Some(volume);
    }

    fn closed(&mut self, state: &mut Follow, at: Timestamp, by: Option<Side>) {
        match std::mem::take(state) {
            Follow::Nothing => {}
            Follow::Spice(flow) => self.close(flow, at, by),
            Follow::Undecided(held) if held.expected && held.connection.from_start => {
                let flow = self.replay(&held, held.kind, held.preface.facts.kind.is_none());
                self.settle(&held);
                self.close(flow, at, by);
            }
            Follow::Undecided(held) => self.dismiss(&held, Decision::More),
            #[cfg(feature = "tls")]
            Follow::Secured(secured) => {
                let mut inner = self.end_secured(*secured, at);
                self.closed(&mut inner, at, by);
            }
        }
    }

    fn evicted(&mut self, state: &mut Follow) {
        match std::mem::take(state) {
            Follow::Undecided(held) => {
                self.settle(&held);
                if let Some(flow) = held.flow {
                    self.forget(flow);
                }
            }
            Follow::Spice(flow) => self.forget(flow),
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
            spice.opened(
                &mut state,
                &Connection { endpoints: Endpoints { client: end(port), server: end(5900) }, at, from_start: true },
            );
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
        spice.opened(
            &mut state,
            &Connection { endpoints: Endpoints { client: end(1), server: end(5900) }, at, from_start: true },
        );
        for byte in b"GET /".iter().chain(&[b'a'; 1000]) {
            assert_eq!(spice.bytes(&mut state, at, Side::Client, &[*byte]), Interest::Bytes);
        }
        assert!(spice.held >= 1005 * (1 + size_of::<held::Piece>()), "{}", spice.held);
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
