use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use qmp_schema::{SpiceChannel, Timestamp};
use spice_link::{ChannelType, LinkRequest, Side};

use crate::{
    Anomaly, AnomalyKind, Auth, Channel, ChannelEvent, Config, Connection, EventKind, FlowId, Input, Output,
    linking::{Linking, Note},
    sessions::Sessions,
};

/// Follows the connections of a VM's SPICE server, or of several: what happens to each goes in, QEMU's events come out.
///
/// After each [`handle`](Self::handle), drain [`poll`](Self::poll). There is no clock, socket, task or randomness inside:
/// the same inputs give the same outputs.
///
/// It has the connections that were opened and not closed or [forgotten](Self::forget) since, as many as the caller wants, and what
/// was not polled yet.
///
/// Per connection, `SPICE_CONNECTED`, `SPICE_INITIALIZED` and `SPICE_DISCONNECTED` come in this order, each at most
/// once, and each `SPICE_CONNECTED` of a connection that was closed has its `SPICE_DISCONNECTED`. The one exception is
/// QEMU's own: a client without AUTH_SELECTION at a server with SASL leaves a socket that spice-server never closes
/// ([`AnomalyKind::Leaked`]).
#[derive(Debug, Default)]
pub struct Tracker {
    config: Config,
    flows: HashMap<FlowId, Flow, BuildHasherDefault<FlowHasher>>,
    sessions: Sessions,
    /// How many channels have come up so far: what orders [`channels`](Self::channels).
    initialized: u64,
    outputs: VecDeque<Output>,
    /// Empty between calls; kept for its memory.
    notes: Vec<Note>,
}

/// An open connection.
#[derive(Debug)]
struct Flow {
    connection: Arc<Connection>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// In its link stage.
    Linking(Box<Link>),
    /// Its channel is up. All that is left of the link stage is what `query-spice` lists, and its place in that list.
    Live { channel: Channel, order: u64 },
    /// A fresh main channel is up since then, and its id can only be learned from its session's other channels.
    Nameless { channel: Channel, since: Timestamp, turn: u64 },
    /// Its bytes say nothing: opaque, refused, or unreadable.
    Mute { leaked: bool },
}

/// A link stage, and what it has shown so far.
#[derive(Debug)]
struct Link {
    linking: Linking,
    /// The channel that the client asked for.
    request: Option<LinkRequest>,
    offers_sasl: bool,
    /// When a link result came that can't be read.
    hidden_result: Option<Timestamp>,
    /// When the link succeeded.
    linked: Option<Timestamp>,
    /// The id that the server drew for a fresh main channel.
    session_id: Option<u32>,
    /// Something was said of this link, so that its end needs no explanation.
    odd: bool,
    leaked: bool,
}

impl Link {
    fn new() -> Self {
        Self {
            linking: Linking::new(),
            request: None,
            offers_sasl: false,
            hidden_result: None,
            linked: None,
            session_id: None,
            odd: false,
            leaked: false,
        }
    }

    /// The channel that was asked for, its id 0 where that is not known (yet).
    fn channel(&self, auth: Option<Auth>) -> Option<Channel> {
        let LinkRequest { connection_id, channel_type, channel_id } = self.request?;
        let auth = auth.unwrap_or(if self.offers_sasl { Auth::Sasl } else { Auth::Spice });
        let connection_id = self.session_id.unwrap_or(connection_id).cast_signed();
        Some(Channel { connection_id, channel_type, channel_id, auth })
    }

    /// A main channel that asked to join a session that it brought along.
    fn is_migration_target(&self) -> bool {
        matches!(self.request, Some(LinkRequest { connection_id: 1.., channel_type: ChannelType::MAIN, .. }))
    }
}

impl Tracker {
    /// A tracker without connections.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Says anew what [`Config::auth`] says. It holds for channels that come up from now on.
    pub fn set_auth(&mut self, auth: Option<Auth>) {
        self.config.auth = auth;
    }

    /// Takes one input. Inputs for a connection that is not open are ignored.
    pub fn handle(&mut self, at: Timestamp, flow: FlowId, input: Input<'_>) {
        match input {
            Input::Opened { endpoints, tls, readable } => {
                self.open(at, flow, Connection { endpoints, tls }, readable);
            }
            Input::Bytes { from, data } => {
                self.link(at, flow, |linking, limit, notes| linking.bytes(from, data, limit, notes));
            }
            Input::Gap { from, len } => {
                self.link(at, flow, |linking, limit, notes| linking.gap(from, len, limit, notes));
            }
            Input::Opaque => self.mute(flow),
            Input::Closed { by } => self.close(at, flow, by),
        }
    }

    /// The next event or anomaly, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether this connection's bytes are still looked at. Once they are not, `Bytes` and `Gap` need not be handed in
    /// any more.
    pub fn wants(&self, flow: FlowId) -> bool {
        matches!(self.flows.get(&flow), Some(Flow { state: State::Linking(_), .. }))
    }

    /// Lets go of a connection of which nothing more will be seen, without saying that it ended: for a reader that can
    /// remember only so many. QEMU may still have it.
    pub fn forget(&mut self, flow: FlowId) {
        let Some(Flow { connection, state }) = self.flows.remove(&flow) else { return };
        match state {
            State::Live { channel, order } => self.sessions.leave(&connection, channel, order),
            State::Nameless { turn, .. } => self.sessions.forget(&connection, turn),
            State::Linking(_) | State::Mute { .. } => {}
        }
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// The channels that are up, the oldest first: what `query-spice` lists. Those of all servers, where the tracker follows
    /// several.
    pub fn channels(&self) -> Vec<SpiceChannel<'_>> {
        let mut live: Vec<_> = self
            .flows
            .values()
            .filter_map(|flow| match &flow.state {
                State::Live { channel, order } => Some((*order, channel, &flow.connection)),
                _ => None,
            })
            .collect();
        live.sort_unstable_by_key(|(order, ..)| *order);
        live.into_iter().map(|(_, channel, connection)| channel.info(connection)).collect()
    }

    fn open(&mut self, at: Timestamp, flow: FlowId, connection: Connection, readable: bool) {
        if self.flows.contains_key(&flow) {
            self.odd(at, flow, None, AnomalyKind::Reopened);
            self.close(at, flow, None);
        }
        let connection = Arc::new(connection);
        let state = if readable { State::Linking(Box::new(Link::new())) } else { State::Mute { leaked: false } };
        self.flows.insert(flow, Flow { connection: Arc::clone(&connection), state });
        self.emit(at, flow, connection, EventKind::Connected);
    }

    /// Lets a link stage go on, and says what it has shown.
    fn link(&mut self, at: Timestamp, flow: FlowId, go_on: impl FnOnce(&mut Linking, usize, &mut Vec<Note>)) {
        let Some(Flow { state: State::Linking(link), .. }) = self.flows.get_mut(&flow) else { return };
        let mut notes = std::mem::take(&mut self.notes);
        go_on(&mut link.linking, self.config.max_backlog, &mut notes);
        if notes.is_empty() && !link.linking.is_over() {
            self.notes = notes;
            return;
        }
        let mut odd = Vec::new();
        for note in notes.drain(..) {
            match note {
                Note::Request(request) => link.request = Some(request),
                Note::Offered { sasl } => link.offers_sasl = sasl,
                Note::HiddenResult => link.hidden_result = Some(at),
                Note::Linked { inferred } => {
                    link.linked = Some(link.hidden_result.unwrap_or(at));
                    if inferred {
                        odd.push((None, AnomalyKind::Inferred));
                    }
                }
                Note::SessionId(id) => link.session_id = Some(id),
                Note::Odd(side, offset, kind) => {
                    link.odd = true;
                    link.leaked |= kind == AnomalyKind::Leaked;
                    odd.push((Some((side, offset)), kind));
                }
            }
        }
        self.notes = notes;
        for (place, kind) in odd {
            self.odd(at, flow, place, kind);
        }
        self.settle(at, flow);
    }

    /// Nothing more of a link stage will be seen. A link that has succeeded keeps what it has shown.
    fn mute(&mut self, flow: FlowId) {
        let Some(Flow { state, .. }) = self.flows.get_mut(&flow) else { return };
        if let State::Linking(link) = state
            && link.linked.or(link.hidden_result).is_none()
        {
            *state = State::Mute { leaked: link.leaked };
        }
    }

    /// Moves a connection on, once its link stage has shown enough.
    fn settle(&mut self, at: Timestamp, flow: FlowId) {
        let Some(Flow { connection, state }) = self.flows.get_mut(&flow) else { return };
        let State::Linking(link) = state else { return };
        let is_over = link.linking.is_over();
        let Some((since, channel)) = link.linked.zip(link.channel(self.config.auth)) else {
            if is_over {
                *state = State::Mute { leaked: link.leaked };
            }
            return;
        };
        if channel.channel_type != ChannelType::MAIN || channel.connection_id != 0 {
            if link.is_migration_target() {
                self.odd(at, flow, None, AnomalyKind::MigrationTarget);
            }
            self.initialize(at, since, flow, channel);
        } else if is_over {
            if let Some(connection_id) = self.sessions.claim(connection, since) {
                self.odd(at, flow, None, AnomalyKind::IdLearned);
                self.initialize(at, since, flow, Channel { connection_id, ..channel });
            } else {
                let turn = self.sessions.wait(connection, flow);
                *state = State::Nameless { channel, since, turn };
            }
        }
    }

    /// A channel is up, and all that QEMU says of it is known.
    fn initialize(&mut self, at: Timestamp, since: Timestamp, flow: FlowId, channel: Channel) {
        let Some(Flow { connection, .. }) = self.flows.get(&flow) else { return };
        let connection = Arc::clone(connection);
        if let Some(main) = self.sessions.join(&connection, channel, since, self.initialized) {
            self.name(at, main, channel.connection_id);
        }
        if let Some(Flow { state, .. }) = self.flows.get_mut(&flow) {
            *state = State::Live { channel, order: self.initialized };
        }
        self.initialized += 1;
        self.emit(since, flow, connection, EventKind::Initialized(channel));
    }

    /// A main channel's id was learned.
    fn name(&mut self, at: Timestamp, main: FlowId, connection_id: i32) {
        let Some(Flow { state: State::Nameless { channel, since, .. }, .. }) = self.flows.get(&main) else { return };
        let (channel, since) = (Channel { connection_id, ..*channel }, *since);
        self.odd(at, main, None, AnomalyKind::IdLearned);
        self.initialize(at, since, main, channel);
    }

    fn close(&mut self, at: Timestamp, flow: FlowId, by: Option<Side>) {
        let Some(Flow { connection, state }) = self.flows.get(&flow) else { return };
        let connection = Arc::clone(connection);
        match state {
            State::Linking(link) => {
                // A client that leaves first behind a hidden result was let in: one that is refused is left by the server.
                let hidden = link.hidden_result.filter(|_| by == Some(Side::Client));
                let up = link.linked.or(hidden).zip(link.channel(self.config.auth));
                let (odd, inferred) = (link.odd, link.linked.is_none());
                if let Some((since, channel)) = up {
                    if inferred {
                        self.odd(at, flow, None, AnomalyKind::Inferred);
                    }
                    self.initialize_last(at, since, flow, channel);
                } else if !odd {
                    self.odd(at, flow, None, AnomalyKind::Unlinked);
                }
            }
            State::Nameless { channel, since, turn } => {
                let (channel, since, turn) = (*channel, *since, *turn);
                self.sessions.forget(&connection, turn);
                self.initialize_last(at, since, flow, channel);
            }
            State::Live { channel, order } => self.sessions.leave(&connection, *channel, *order),
            State::Mute { leaked: true } => {
                self.flows.remove(&flow);
                return;
            }
            State::Mute { leaked: false } => {}
        }
        self.flows.remove(&flow);
        self.emit(at, flow, connection, EventKind::Disconnected);
    }

    /// A channel was up and is just gone: what is not known of it by now never will be.
    fn initialize_last(&mut self, at: Timestamp, since: Timestamp, flow: FlowId, channel: Channel) {
        if channel.channel_type == ChannelType::MAIN && channel.connection_id == 0 {
            self.odd(at, flow, None, AnomalyKind::IdUnknown);
        }
        self.initialize(at, since, flow, channel);
        if let Some(Flow { connection, state: State::Live { channel, order } }) = self.flows.get(&flow) {
            self.sessions.leave(connection, *channel, *order);
        }
    }

    fn emit(&mut self, at: Timestamp, flow: FlowId, connection: Arc<Connection>, kind: EventKind) {
        self.outputs.push_back(Output::Event(ChannelEvent { at, flow, connection, kind }));
    }

    fn odd(&mut self, at: Timestamp, flow: FlowId, place: Option<(Side, u64)>, kind: AnomalyKind) {
        if let Some(Flow { connection, .. }) = self.flows.get(&flow) {
            let connection = Arc::clone(connection);
            self.outputs.push_back(Output::Anomaly(Anomaly { at, flow, connection, place, kind }));
        }
    }
}

/// Spreads the caller's numbers over the table. They are not a peer's to choose, so that one multiplication is enough.
#[derive(Debug, Default)]
struct FlowHasher(u64);

impl Hasher for FlowHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // 2⁶⁴ divided by the golden ratio: neighbours land far apart in the high bits, and the low ones get them by the rotation.
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
