//! The state of a tracker, for another process that goes on with the same connections.

use std::{collections::HashSet, error, fmt, sync::Arc};

use qmp_schema::Timestamp;
use serde::{Deserialize, Serialize};
use spice_link::{ChannelType, LinkRequest};

use super::{Flow, Link, State, Tracker};
use crate::{
    Channel, Config, Connection, FlowId, LinkFollower, LinkStep,
    sessions::{MAX_COUNT, Sessions, WaitingState},
};

/// The state of a [`Tracker`]: what it knows of its open connections. It can be written with serde, as JSON for example, and read in
/// another process.
///
/// It has the bytes of link stages that could not be read yet, and so perhaps a client's encrypted ticket. Keep it as secret as the
/// connections themselves.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TrackerState {
    initialized: u64,
    generation: u64,
    flows: Vec<FlowState>,
    waiting: Vec<WaitingState>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FlowState {
    flow: FlowId,
    connection: Connection,
    state: StateOf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateOf {
    Linking(Box<LinkState>),
    Live {
        channel: Channel,
        order: u64,
        /// Since when it is a channel of a session whose main channel is not known.
        unclaimed: Option<Moment>,
    },
    Nameless {
        channel: Channel,
        since: Moment,
        turn: u64,
    },
    Mute {
        leaked: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct LinkState {
    follower: LinkFollower,
    request: Option<LinkRequest>,
    offers_sasl: bool,
    step: LinkStep,
    hidden_result: Option<Moment>,
    linked: Option<Moment>,
    session_id: Option<u32>,
    odd: bool,
    leaked: bool,
}

/// Seconds and microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Moment(i64, i64);

impl From<Timestamp> for Moment {
    fn from(Timestamp { seconds, microseconds }: Timestamp) -> Self {
        Self(seconds, microseconds)
    }
}

impl From<Moment> for Timestamp {
    fn from(Moment(seconds, microseconds): Moment) -> Self {
        Self { seconds, microseconds }
    }
}

/// Why a [`TrackerState`] can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// A connection is there twice.
    Twice(FlowId),
    /// A channel's place in the list of channels is another one's, or beyond its end.
    Order(FlowId),
    /// A connection holds more bytes than the configuration allows.
    Held(FlowId),
    /// A connection waits for an id, or gives its id away, and is not of the kind that does.
    Waiting(FlowId),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(flow) => write!(f, "expected each connection once, found {flow} twice"),
            Self::Order(flow) => write!(f, "expected a place of its own for the channel of connection {flow}"),
            Self::Held(flow) => write!(f, "connection {flow} holds more bytes than it may"),
            Self::Waiting(flow) => write!(f, "connection {flow} can't wait for an id"),
        }
    }
}

impl error::Error for RestoreError {}

impl Tracker {
    /// The state of all connections. Events and anomalies that were not [polled](Self::poll) are no part of it.
    ///
    /// [`restore`](Self::restore) makes a tracker of it that gives the same outputs for the same inputs.
    ///
    /// ```
    /// use spice_events::{Config, Tracker};
    ///
    /// let tracker = Tracker::new(Config::new());
    /// let state = serde_json::to_string(&tracker.state())?;
    /// let same = Tracker::restore(Config::new(), serde_json::from_str(&state)?)?;
    /// assert!(same.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn state(&self) -> TrackerState {
        let mut flows: Vec<_> = self
            .flows
            .iter()
            .map(|(flow, Flow { connection, state })| FlowState {
                flow: *flow,
                connection: (**connection).clone(),
                state: state_of(state, &self.sessions, connection),
            })
            .collect();
        flows.sort_unstable_by_key(|flow| flow.flow);
        let mut waiting = self.sessions.waiting();
        waiting.sort_unstable_by_key(|waiting| waiting.flow);
        TrackerState { initialized: self.initialized, generation: self.generation, flows, waiting }
    }

    /// A tracker that goes on with these connections.
    ///
    /// # Errors
    ///
    /// The state contradicts itself, or a connection holds more bytes than `config` allows.
    pub fn restore(config: Config, state: TrackerState) -> Result<Self, RestoreError> {
        let TrackerState { initialized, generation, flows, waiting } = state;
        let (initialized, generation) = (initialized.min(MAX_COUNT), generation.min(MAX_COUNT));
        let mut tracker = Self { config, initialized, generation, ..Self::default() };
        let (mut live, mut orders) = (Vec::new(), HashSet::new());
        for FlowState { flow, connection, state } in flows {
            let connection = Arc::new(connection);
            let state = match state {
                StateOf::Linking(link) => State::Linking(Box::new(restore_link(&tracker.config, flow, *link)?)),
                StateOf::Live { channel, order, unclaimed } => {
                    if order >= initialized || !orders.insert(order) {
                        return Err(RestoreError::Order(flow));
                    }
                    if unclaimed.is_some() && channel.channel_type == ChannelType::MAIN {
                        return Err(RestoreError::Waiting(flow));
                    }
                    live.push((order, Arc::clone(&connection), channel, unclaimed));
                    State::Live { channel, order }
                }
                StateOf::Nameless { channel, since, turn } => {
                    if !tracker.sessions.restore_waiting(&connection, flow, turn) {
                        return Err(RestoreError::Waiting(flow));
                    }
                    State::Nameless { channel, since: since.into(), turn }
                }
                StateOf::Mute { leaked } => State::Mute { leaked },
            };
            let restored = Flow { connection, state };
            tracker.held = tracker.held.saturating_add(restored.held());
            if tracker.held > tracker.config.max_held {
                return Err(RestoreError::Held(flow));
            }
            if tracker.flows.insert(flow, restored).is_some() {
                return Err(RestoreError::Twice(flow));
            }
        }
        live.sort_unstable_by_key(|(order, ..)| *order);
        for (order, connection, channel, unclaimed) in live {
            tracker.sessions.restore(&connection, channel, order, unclaimed.map(Timestamp::from));
        }
        for waiting in waiting {
            let connection = tracker.flows.get(&waiting.flow).map(|flow| &flow.connection);
            if !connection.is_some_and(|connection| tracker.sessions.restore_turn(connection, &waiting)) {
                return Err(RestoreError::Waiting(waiting.flow));
            }
        }
        Ok(tracker)
    }
}

fn state_of(state: &State, sessions: &Sessions, connection: &Connection) -> StateOf {
    match state {
        State::Linking(link) => StateOf::Linking(Box::new(LinkState {
            follower: link.follower.clone(),
            request: link.request,
            offers_sasl: link.offers_sasl,
            step: link.step,
            hidden_result: link.hidden_result.map(Moment::from),
            linked: link.linked.map(Moment::from),
            session_id: link.session_id,
            odd: link.odd,
            leaked: link.leaked,
        })),
        State::Live { channel, order } => StateOf::Live {
            channel: *channel,
            order: *order,
            unclaimed: sessions.unclaimed(connection, *order).map(Moment::from),
        },
        State::Nameless { channel, since, turn } => {
            StateOf::Nameless { channel: *channel, since: (*since).into(), turn: *turn }
        }
        State::Mute { leaked } => StateOf::Mute { leaked: *leaked },
    }
}

fn restore_link(config: &Config, flow: FlowId, link: LinkState) -> Result<Link, RestoreError> {
    let LinkState { mut follower, request, offers_sasl, step, hidden_result, linked, session_id, odd, leaked } = link;
    if !follower.restrict(config.max_backlog) {
        return Err(RestoreError::Held(flow));
    }
    let held = follower.held();
    let (hidden_result, linked) = (hidden_result.map(Timestamp::from), linked.map(Timestamp::from));
    Ok(Link { follower, held, request, offers_sasl, step, hidden_result, linked, session_id, odd, leaked })
}
