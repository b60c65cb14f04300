#[cfg(feature = "serde")]
mod snapshot;

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use qmp_schema::{SpiceChannel, Timestamp};
use spice_link::{
    AuthMechanism, ChannelType, CommonCap, Evidence, LinkErrorCode, LinkEvent, LinkRequest, RefusalForm, Side,
};

use crate::{
    Anomaly, AnomalyKind, Auth, Channel, ChannelEvent, Config, Connection, EventKind, FlowId, Input, LinkFollower,
    LinkNote, LinkNoteKind, LinkStep, Output,
    sessions::{Named, Sessions},
};

#[cfg(feature = "serde")]
pub use snapshot::{RestoreError, TrackerState};

/// Follows the connections of one or several SPICE servers: what happens to each goes in, QEMU's events come out.
///
/// 1. Choose a [`FlowId`] for each connection, and pass [`Input::Opened`] to [`handle`](Self::handle) when it is accepted.
/// 2. After each call of `handle`, call [`poll`](Self::poll) until it returns `None`.
/// 3. Pass the bytes of both directions as [`Input::Bytes`], as long as [`wants`](Self::wants) returns true.
/// 4. Pass [`Input::Closed`] when the server's side of the connection is gone, whether or not it wanted bytes.
///
/// There is no clock, socket, task or randomness inside: the same inputs give the same outputs. The tracker holds the connections that
/// were opened and not yet closed or [forgotten](Self::forget), and the outputs that were not polled yet. The caller limits their
/// number.
///
/// Each connection has `SPICE_CONNECTED`, `SPICE_INITIALIZED` and `SPICE_DISCONNECTED` in this order, each at most once. Each closed
/// connection with a `SPICE_CONNECTED` has a `SPICE_DISCONNECTED`. The one exception is QEMU's own: a client without AUTH_SELECTION at
/// a server with SASL leaves a socket that spice-server never closes ([`AnomalyKind::Leaked`]).
#[derive(Debug, Default)]
pub struct Tracker {
    config: Config,
    flows: HashMap<FlowId, Flow, BuildHasherDefault<FlowHasher>>,
    sessions: Sessions,
    /// How many channels have come up so far. It orders [`channels`](Self::channels).
    initialized: u64,
    /// How often [`channels`](Self::channels) may have changed.
    generation: u64,
    outputs: VecDeque<Output>,
    /// Bytes that all link stages hold.
    held: usize,
    /// Empty between calls. It is a field so that its memory is reused.
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
    /// Its channel is up. Only the facts that `query-spice` lists are kept, and the place in that list.
    Live { channel: Channel, order: u64 },
    /// A new session's main channel is up since `since`, and its id can only be learned from the session's other channels.
    Nameless { channel: Channel, since: Timestamp, turn: u64 },
    /// Its bytes are not read: encrypted, refused, or not valid.
    Mute { leaked: bool },
}

/// A link stage, and the facts that it has shown so far.
#[derive(Debug)]
struct Link {
    follower: LinkFollower,
    /// Bytes that the follower holds, as far as [`Tracker::held`] counts them.
    held: usize,
    /// The channel that the client asked for.
    request: Option<LinkRequest>,
    offers_sasl: bool,
    /// The last step that was seen.
    step: LinkStep,
    /// The time of a link result that can't be read.
    hidden_result: Option<Timestamp>,
    /// The time when the link succeeded.
    linked: Option<Timestamp>,
    /// The id of the main channel's new session.
    session_id: Option<u32>,
    /// An anomaly was reported, so that the end of this link needs no explanation.
    odd: bool,
    leaked: bool,
}

/// What a link stage has shown, as far as the tracker needs it.
#[derive(Debug)]
enum Note {
    /// The client's message asks for this channel.
    Request(LinkRequest),
    /// The server's reply: whether it offers SASL.
    Reply { sasl: bool },
    /// The client has selected SASL.
    ChoseSasl,
    /// The link result came, inside a security layer.
    HiddenResult,
    /// The link succeeded; whether this was inferred.
    Linked { inferred: bool },
    /// The id of the main channel's new session.
    SessionId(u32),
    /// An anomaly, at an offset of a direction.
    Anomaly(Side, u64, AnomalyKind),
}

impl Flow {
    /// Number of bytes that its link stage holds.
    fn held(&self) -> usize {
        match &self.state {
            State::Linking(link) => link.held,
            State::Live { .. } | State::Nameless { .. } | State::Mute { .. } => 0,
        }
    }
}

impl Link {
    fn new(config: &Config) -> Self {
        Self {
            follower: LinkFollower::new(config.max_backlog),
            held: 0,
            request: None,
            offers_sasl: false,
            step: LinkStep::Accept,
            hidden_result: None,
            linked: None,
            session_id: None,
            odd: false,
            leaked: false,
        }
    }

    /// The channel that the client asked for. Its id is 0 while it is not known.
    fn channel(&self, auth: Option<Auth>) -> Option<Channel> {
        let LinkRequest { connection_id, channel_type, channel_id } = self.request?;
        let auth = auth.unwrap_or(if self.offers_sasl { Auth::Sasl } else { Auth::Spice });
        let connection_id = self.session_id.unwrap_or(connection_id).cast_signed();
        Some(Channel { connection_id, channel_type, channel_id, auth })
    }

    /// Whether this is a main channel that joins an existing session.
    fn is_migration_target(&self) -> bool {
        matches!(self.request, Some(LinkRequest { connection_id: 1.., channel_type: ChannelType::MAIN, .. }))
    }
}

impl Tracker {
    /// A tracker without connections.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Changes [`Config::auth`] for channels that come up from now on.
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
                self.link(at, flow, |follower, notes| follower.bytes(from, data, |note| push(note, notes)));
            }
            Input::Gap { from, len } => {
                self.link(at, flow, |follower, notes| follower.gap(from, len, |note| push(note, notes)));
            }
            Input::Opaque => self.mute(flow),
            Input::Closed { by } => self.close(at, flow, by),
        }
    }

    /// The next event or anomaly, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether this connection's bytes are still read. If not, `Bytes` and `Gap` have no effect and can be left out.
    pub fn wants(&self, flow: FlowId) -> bool {
        matches!(self.flows.get(&flow), Some(Flow { state: State::Linking(_), .. }))
    }

    /// Whether spice-server has leaked this connection's socket ([`AnomalyKind::Leaked`]): it is open, and no more bytes will move.
    pub fn is_leaked(&self, flow: FlowId) -> bool {
        matches!(self.flows.get(&flow), Some(Flow { state: State::Mute { leaked: true }, .. }))
    }

    /// Forgets a connection without an event. A reader with a limited number of connections uses it for one of which nothing more will
    /// be seen; QEMU may still have it open.
    pub fn forget(&mut self, flow: FlowId) {
        let Some(flow) = self.flows.remove(&flow) else { return };
        self.generation += 1;
        self.held -= flow.held();
        let Flow { connection, state } = flow;
        match state {
            State::Live { channel, order } => self.sessions.leave(&connection, channel, order),
            State::Nameless { turn, .. } => self.sessions.forget(&connection, turn),
            State::Linking(_) | State::Mute { .. } => {}
        }
    }

    /// Number of bytes that are held in the link stages of all connections: at most [`Config::max_held`].
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// The connections that are open, in no order.
    pub fn flows(&self) -> impl Iterator<Item = FlowId> + '_ {
        self.flows.keys().copied()
    }

    /// The channels that are up, the oldest first: what `query-spice` lists. They are those of all servers, if the tracker follows
    /// several.
    pub fn channels(&self) -> Vec<LiveChannel<'_>> {
        let mut live: Vec<_> = self
            .flows
            .iter()
            .filter_map(|(flow, Flow { connection, state })| match state {
                State::Live { channel, order } => Some((*order, LiveChannel { flow: *flow, connection, channel })),
                _ => None,
            })
            .collect();
        live.sort_unstable_by_key(|(order, _)| *order);
        live.into_iter().map(|(_, channel)| channel).collect()
    }

    /// A number that grows whenever [`channels`](Self::channels) may have changed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn open(&mut self, at: Timestamp, flow: FlowId, connection: Connection, readable: bool) {
        if self.flows.contains_key(&flow) {
            self.report(at, flow, None, AnomalyKind::Reopened);
            self.close(at, flow, None);
        }
        let connection = Arc::new(connection);
        let state =
            if readable { State::Linking(Box::new(Link::new(&self.config))) } else { State::Mute { leaked: false } };
        self.flows.insert(flow, Flow { connection: Arc::clone(&connection), state });
        self.emit(at, flow, connection, EventKind::Connected);
    }

    /// Continues a link stage, and handles what it has shown.
    fn link(&mut self, at: Timestamp, flow: FlowId, read: impl FnOnce(&mut LinkFollower, &mut Vec<Note>)) {
        let Some(Flow { state: State::Linking(link), .. }) = self.flows.get_mut(&flow) else { return };
        let mut notes = std::mem::take(&mut self.notes);
        read(&mut link.follower, &mut notes);
        let after = link.follower.held();
        if after != link.held {
            let before = std::mem::replace(&mut link.held, after);
            self.held = self.held - before + after;
            if after > before && self.held > self.config.max_held {
                self.notes = notes;
                return self.abandon(at, flow);
            }
        }
        if notes.is_empty() && !link.follower.is_over() {
            self.notes = notes;
            return;
        }
        let mut odd = Vec::new();
        for note in notes.drain(..) {
            match note {
                Note::Request(request) => {
                    link.request = Some(request);
                    link.step = LinkStep::Message;
                }
                Note::Reply { sasl } => {
                    link.offers_sasl = sasl;
                    link.step = LinkStep::Reply;
                }
                Note::ChoseSasl => {
                    link.step = LinkStep::Sasl;
                    // The capabilities of the reply may have been lost.
                    link.offers_sasl = true;
                }
                Note::HiddenResult => {
                    link.hidden_result = Some(at);
                    link.step = LinkStep::HiddenResult;
                }
                Note::Linked { inferred } => {
                    link.linked = Some(link.hidden_result.unwrap_or(at));
                    if inferred {
                        odd.push((None, AnomalyKind::Inferred));
                    }
                }
                Note::SessionId(id) => link.session_id = Some(id),
                Note::Anomaly(side, offset, kind) => {
                    link.odd = true;
                    link.leaked |= kind == AnomalyKind::Leaked;
                    odd.push((Some((side, offset)), kind));
                }
            }
        }
        self.notes = notes;
        for (place, kind) in odd {
            self.report(at, flow, place, kind);
        }
        self.settle(at, flow);
        if after > 0 {
            // What a link stage holds at its end is not needed.
            self.held -= after - self.flows.get(&flow).map_or(0, Flow::held);
        }
    }

    /// Stops reading a connection, whatever its link stage has shown: all of them hold too many bytes.
    #[cold]
    fn abandon(&mut self, at: Timestamp, flow: FlowId) {
        self.notes.clear();
        self.report(at, flow, None, AnomalyKind::HeldTotal { limit: self.config.max_held });
        let Some(flow) = self.flows.get_mut(&flow) else { return };
        self.held -= flow.held();
        if let State::Linking(link) = &flow.state {
            flow.state = State::Mute { leaked: link.leaked };
        }
    }

    /// Ends the reading of a link stage. A link that has succeeded keeps what it has shown.
    fn mute(&mut self, flow: FlowId) {
        let Some(flow) = self.flows.get_mut(&flow) else { return };
        let held = flow.held();
        let Flow { state, .. } = flow;
        if let State::Linking(link) = state
            && link.linked.or(link.hidden_result).is_none()
        {
            self.held -= held;
            *state = State::Mute { leaked: link.leaked };
        }
    }

    /// Moves a connection to its next state when its link stage has shown enough.
    fn settle(&mut self, at: Timestamp, flow: FlowId) {
        let Some(Flow { connection, state }) = self.flows.get_mut(&flow) else { return };
        let State::Linking(link) = state else { return };
        let is_over = link.follower.is_over();
        let Some((since, channel)) = link.linked.zip(link.channel(self.config.auth)) else {
            if is_over {
                *state = State::Mute { leaked: link.leaked };
            }
            return;
        };
        if channel.channel_type != ChannelType::MAIN || channel.connection_id != 0 {
            if link.is_migration_target() {
                self.report(at, flow, None, AnomalyKind::MigrationTarget);
            }
            self.initialize(at, since, flow, channel);
        } else if is_over {
            if let Some(connection_id) = self.sessions.claim(connection, since) {
                self.report(at, flow, None, AnomalyKind::IdLearned);
                self.initialize(at, since, flow, Channel { connection_id, ..channel });
            } else {
                let turn = self.sessions.wait(connection, flow);
                *state = State::Nameless { channel, since, turn };
            }
        }
    }

    /// A channel is up, and everything that QEMU reports about it is known.
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

    /// The id of a waiting main channel was learned.
    fn name(&mut self, at: Timestamp, Named { flow: main, ambiguous }: Named, connection_id: i32) {
        let Some(Flow { state: State::Nameless { channel, since, .. }, .. }) = self.flows.get(&main) else { return };
        let (channel, since) = (Channel { connection_id, ..*channel }, *since);
        let kind = if ambiguous { AnomalyKind::IdAmbiguous } else { AnomalyKind::IdLearned };
        self.report(at, main, None, kind);
        self.initialize(at, since, main, channel);
    }

    fn close(&mut self, at: Timestamp, flow: FlowId, by: Option<Side>) {
        let Some(open) = self.flows.get(&flow) else { return };
        self.held -= open.held();
        let Flow { connection, state } = open;
        let connection = Arc::clone(connection);
        match state {
            State::Linking(link) => {
                // If the client leaves first after a hidden result, the server accepted it: the server closes refused connections.
                let hidden = link.hidden_result.filter(|_| by == Some(Side::Client));
                let up = link.linked.or(hidden).zip(link.channel(self.config.auth));
                let (odd, inferred, after) = (link.odd, link.linked.is_none(), link.step);
                if let Some((since, channel)) = up {
                    if inferred {
                        self.report(at, flow, None, AnomalyKind::Inferred);
                    }
                    self.initialize_last(at, since, flow, channel);
                } else if !odd {
                    self.report(at, flow, None, AnomalyKind::Unlinked { after });
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

    /// A channel was up and has just closed. Facts that are not known by now never will be.
    fn initialize_last(&mut self, at: Timestamp, since: Timestamp, flow: FlowId, channel: Channel) {
        if channel.channel_type == ChannelType::MAIN && channel.connection_id == 0 {
            self.report(at, flow, None, AnomalyKind::IdUnknown);
        }
        self.initialize(at, since, flow, channel);
        if let Some(Flow { connection, state: State::Live { channel, order } }) = self.flows.get(&flow) {
            self.sessions.leave(connection, *channel, *order);
        }
    }

    fn emit(&mut self, at: Timestamp, flow: FlowId, connection: Arc<Connection>, kind: EventKind) {
        self.generation += 1;
        self.outputs.push_back(Output::Event(ChannelEvent { at, flow, connection, kind }));
    }

    fn report(&mut self, at: Timestamp, flow: FlowId, place: Option<(Side, u64)>, kind: AnomalyKind) {
        if let Some(Flow { connection, .. }) = self.flows.get(&flow) {
            let connection = Arc::clone(connection);
            self.outputs.push_back(Output::Anomaly(Anomaly { at, flow, connection, place, kind }));
        }
    }
}

/// A channel that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LiveChannel<'a> {
    /// The connection's id.
    pub flow: FlowId,
    /// The connection. A clone of it outlives the tracker.
    pub connection: &'a Arc<Connection>,
    /// The channel.
    pub channel: &'a Channel,
}

impl<'a> LiveChannel<'a> {
    /// The channel in QMP's form, as `query-spice` lists it.
    pub fn info(&self) -> SpiceChannel<'a> {
        self.channel.info(self.connection)
    }
}

/// Adds what the tracker needs from a note.
fn push(note: LinkNote<'_>, notes: &mut Vec<Note>) {
    let LinkNote { side, offset, end, kind } = note;
    let event = match kind {
        LinkNoteKind::Event(event) => event,
        LinkNoteKind::WebSocketHead => return notes.push(Note::Anomaly(side, offset, AnomalyKind::WebSocketHead)),
        LinkNoteKind::Lost { len } => return notes.push(Note::Anomaly(side, offset, AnomalyKind::Lost { len })),
        LinkNoteKind::Cut { len } => return notes.push(Note::Anomaly(side, offset, AnomalyKind::Cut { len })),
        LinkNoteKind::Backlog { limit } => {
            return notes.push(Note::Anomaly(side, offset, AnomalyKind::Backlog { limit }));
        }
    };
    match event {
        LinkEvent::Mess(mess) => notes.push(Note::Request(mess.request())),
        LinkEvent::Reply(reply) => {
            notes.push(Note::Reply { sasl: reply.common_caps.contains(CommonCap::AUTH_SASL) });
        }
        LinkEvent::Mechanism(AuthMechanism::SASL) => notes.push(Note::ChoseSasl),
        LinkEvent::CutMess(request) => notes.push(Note::Request(request)),
        LinkEvent::HiddenResult => notes.push(Note::HiddenResult),
        LinkEvent::Linked { evidence, .. } => notes.push(Note::Linked { inferred: evidence == Evidence::Continued }),
        LinkEvent::SessionId(id) => notes.push(Note::SessionId(id)),
        LinkEvent::Refused { code, form } => {
            notes.push(Note::Anomaly(side, offset, AnomalyKind::Refused { code, form }));
            if (code, form) == (LinkErrorCode::VERSION_MISMATCH, RefusalForm::SecondReply) {
                notes.push(Note::Anomaly(side, end, AnomalyKind::Leaked));
            }
        }
        LinkEvent::Unreadable { error, .. } => {
            notes.push(Note::Anomaly(side, offset, AnomalyKind::Unreadable(error)));
        }
        _ => {}
    }
}

/// Hashes the caller's ids. A peer does not choose them, so one multiplication is enough.
#[derive(Debug, Default)]
struct FlowHasher(u64);

impl Hasher for FlowHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // 2⁶⁴ divided by the golden ratio spreads neighbours over the high bits; the rotation moves these to the low bits.
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
