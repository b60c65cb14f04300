//! The sessions of each server, to find the id of a main channel whose own id could not be read.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, btree_map, hash_map},
    sync::Arc,
};

use qmp_schema::Timestamp;
use spice_link::ChannelType;

use crate::{Channel, Connection, Endpoints, FlowId};

/// Main channels, with and without a known id.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Main channels with a known id, by id: one for each id.
    named: HashMap<i32, Server>,
    /// How many more main channels have an id, by server. Two servers can draw the same id. Up to spice-server 0.15.0 their first
    /// sessions usually do, because the generator was not seeded. Also, a client can claim any id.
    more: BTreeMap<(i32, Server), u32>,
    /// Main channels without an id, by their ends, in the order in which they came up.
    nameless: HashMap<Ends, Waiting>,
    /// Other channels with an id of which no main channel is known, by their ends: the time when they came up, and the id.
    unclaimed: HashMap<Ends, BTreeMap<u64, (Timestamp, i32)>>,
}

/// How many of the newest unclaimed channels are searched for a main channel's id: more than a session has.
const NEWEST: usize = 64;

/// The largest counter that is restored. Each connection adds one, so that no counter gets from here to its end.
#[cfg(feature = "serde")]
pub(crate) const MAX_COUNT: u64 = u64::MAX / 2;

/// Main channels with the same ends that wait for an id. `flow` is one of them.
#[cfg(feature = "serde")]
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct WaitingState {
    pub(crate) flow: FlowId,
    pub(crate) next: u64,
    pub(crate) ambiguous: bool,
}

/// A server, identified by the address of one of its connections.
#[derive(Debug)]
struct Server(Arc<Connection>);

impl Ord for Server {
    fn cmp(&self, other: &Self) -> Ordering {
        let [ours, theirs] = [self, other].map(|Self(connection)| &connection.endpoints.server);
        ours.host.cmp(&theirs.host).then_with(|| ours.port.cmp(&theirs.port))
    }
}

impl PartialOrd for Server {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Server {}

/// Main channels with the same ends that wait for an id, by their turn. Any of them can be removed without a search.
#[derive(Debug, Default)]
struct Waiting {
    flows: BTreeMap<u64, FlowId>,
    next: u64,
    /// Several main channels waited when one of them was named: any of them may be the wrong one.
    ambiguous: bool,
}

/// The server's address and the client's host. A session's channels share them; the client's ports differ.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Ends(Box<str>);

/// A waiting main channel that gets an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) flow: FlowId,
    /// The id may be another main channel's.
    pub(crate) ambiguous: bool,
}

impl Ends {
    fn of(connection: &Connection) -> Self {
        let Endpoints { server, client } = &connection.endpoints;
        Self(format!("{}\0{}\0{}", server.host, server.port, client.host).into())
    }
}

impl Sessions {
    /// Adds a main channel whose id is not known. Returns its turn, which [`forget`](Self::forget) takes.
    pub(crate) fn wait(&mut self, connection: &Connection, flow: FlowId) -> u64 {
        let waiting = self.nameless.entry(Ends::of(connection)).or_default();
        let turn = waiting.next;
        waiting.next += 1;
        waiting.flows.insert(turn, flow);
        turn
    }

    /// Removes a main channel without an id.
    pub(crate) fn forget(&mut self, connection: &Connection, turn: u64) {
        let ends = Ends::of(connection);
        if let Some(waiting) = self.nameless.get_mut(&ends) {
            waiting.flows.remove(&turn);
            if waiting.flows.is_empty() {
                self.nameless.remove(&ends);
            }
        }
    }

    /// Adds a channel with a known id, which came up at `since` as number `turn`. Returns the main channel that it gives its id to: the
    /// newest one that waits with the same ends, because a server has one session at a time and a new one ends the old one. `None` if
    /// a main channel of the server is known to have the id.
    pub(crate) fn join(
        &mut self,
        connection: &Arc<Connection>,
        channel: Channel,
        since: Timestamp,
        turn: u64,
    ) -> Option<Named> {
        let connection_id = channel.connection_id;
        if channel.channel_type == ChannelType::MAIN {
            self.add(connection, connection_id);
            return None;
        }
        if self.has(connection, connection_id) {
            return None;
        }
        let ends = Ends::of(connection);
        if let Some(waiting) = self.nameless.get_mut(&ends)
            && let Some((&turn, &flow)) = waiting.flows.last_key_value()
        {
            waiting.ambiguous |= waiting.flows.len() > 1;
            let named = Named { flow, ambiguous: waiting.ambiguous };
            self.forget(connection, turn);
            return Some(named);
        }
        self.unclaimed.entry(ends).or_default().insert(turn, (since, connection_id));
        None
    }

    /// Removes the channel that joined as number `turn`.
    pub(crate) fn leave(&mut self, connection: &Arc<Connection>, channel: Channel, turn: u64) {
        if channel.channel_type == ChannelType::MAIN {
            self.remove(connection, channel.connection_id);
        } else if !self.unclaimed.is_empty()
            && let hash_map::Entry::Occupied(mut channels) = self.unclaimed.entry(Ends::of(connection))
        {
            channels.get_mut().remove(&turn);
            if channels.get().is_empty() {
                channels.remove();
            }
        }
    }

    /// The id of a main channel that came up at `since`, if it becomes known late that its own id can't be read: the id of the first
    /// channel with the same ends that came up after it and that no main channel has claimed.
    pub(crate) fn claim(&self, connection: &Arc<Connection>, since: Timestamp) -> Option<i32> {
        if self.unclaimed.is_empty() {
            return None;
        }
        let newest = self.unclaimed.get(&Ends::of(connection))?.values().rev().take(NEWEST);
        let after = newest.filter(|(at, id)| *at >= since && !self.has(connection, *id));
        after.reduce(|_, earlier| earlier).map(|(_, id)| *id)
    }

    /// Main channels that wait for an id, by their ends.
    #[cfg(feature = "serde")]
    pub(crate) fn waiting(&self) -> Vec<WaitingState> {
        let of = |waiting: &Waiting| {
            let flow = *waiting.flows.first_key_value()?.1;
            Some(WaitingState { flow, next: waiting.next, ambiguous: waiting.ambiguous })
        };
        self.nameless.values().filter_map(of).collect()
    }

    /// Since when the channel that joined as number `turn` is up, if no main channel has claimed it.
    #[cfg(feature = "serde")]
    pub(crate) fn unclaimed(&self, connection: &Connection, turn: u64) -> Option<Timestamp> {
        if self.unclaimed.is_empty() {
            return None;
        }
        self.unclaimed.get(&Ends::of(connection))?.get(&turn).map(|(since, _)| *since)
    }

    /// Adds a channel of another process's tracker, in the order in which they joined.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(
        &mut self,
        connection: &Arc<Connection>,
        channel: Channel,
        turn: u64,
        unclaimed: Option<Timestamp>,
    ) {
        if channel.channel_type == ChannelType::MAIN {
            self.add(connection, channel.connection_id);
        } else if let Some(since) = unclaimed {
            let channels = self.unclaimed.entry(Ends::of(connection)).or_default();
            channels.insert(turn, (since, channel.connection_id));
        }
    }

    /// Adds a main channel of another process's tracker that waits for an id. `false`: another one has its turn.
    #[cfg(feature = "serde")]
    pub(crate) fn restore_waiting(&mut self, connection: &Connection, flow: FlowId, turn: u64) -> bool {
        let waiting = self.nameless.entry(Ends::of(connection)).or_default();
        waiting.next = waiting.next.max(turn.saturating_add(1));
        turn < MAX_COUNT && waiting.flows.insert(turn, flow).is_none()
    }

    /// Sets which turn is next where this main channel waits. `false`: none waits there.
    #[cfg(feature = "serde")]
    pub(crate) fn restore_turn(&mut self, connection: &Connection, state: &WaitingState) -> bool {
        let Some(waiting) = self.nameless.get_mut(&Ends::of(connection)) else { return false };
        waiting.next = waiting.next.max(state.next.min(MAX_COUNT));
        waiting.ambiguous = state.ambiguous;
        true
    }

    /// Adds a main channel with a known id.
    fn add(&mut self, connection: &Arc<Connection>, connection_id: i32) {
        let server = Server(Arc::clone(connection));
        match self.named.entry(connection_id) {
            hash_map::Entry::Vacant(place) => {
                place.insert(server);
            }
            hash_map::Entry::Occupied(_) => *self.more.entry((connection_id, server)).or_default() += 1,
        }
    }

    /// Removes a main channel with a known id.
    fn remove(&mut self, connection: &Arc<Connection>, connection_id: i32) {
        let server = Server(Arc::clone(connection));
        if self.named.get(&connection_id) == Some(&server) {
            self.named.remove(&connection_id);
        } else if let btree_map::Entry::Occupied(mut count) = self.more.entry((connection_id, server)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Whether a main channel of this server is known to have the id.
    fn has(&self, connection: &Arc<Connection>, connection_id: i32) -> bool {
        let server = Server(Arc::clone(connection));
        self.named.get(&connection_id) == Some(&server) || self.more.contains_key(&(connection_id, server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, Auth};

    #[test]
    fn closed_channels_leave_nothing_in_memory() {
        let connection = |port: &str| {
            let client = Address { port: port.into(), ..Address::unix("") };
            Arc::new(Connection { endpoints: Endpoints { server: Address::unix(port), client }, tls: false })
        };
        let channel =
            |channel_type, connection_id| Channel { connection_id, channel_type, channel_id: 0, auth: Auth::Spice };
        let (main, other) = (channel(ChannelType::MAIN, 1), channel(ChannelType::INPUTS, 2));
        let at = Timestamp { seconds: 0, microseconds: 0 };
        let mut sessions = Sessions::default();
        let joined: Vec<_> = ["a", "b", "a", "b"].into_iter().flat_map(|port| [(port, main), (port, other)]).collect();
        for (turn, &(port, channel)) in (0..).zip(&joined) {
            assert_eq!(sessions.join(&connection(port), channel, at, turn), None);
        }
        assert_eq!(sessions.claim(&connection("b"), at), Some(2));
        let turn = sessions.wait(&connection("c"), FlowId(9));
        for (turn, &(port, channel)) in (0..).zip(&joined) {
            sessions.leave(&connection(port), channel, turn);
        }
        assert_eq!(sessions.claim(&connection("b"), at), None);
        sessions.forget(&connection("c"), turn);
        let Sessions { named, more, nameless, unclaimed } = sessions;
        assert!(named.is_empty() && more.is_empty() && nameless.is_empty() && unclaimed.is_empty());
    }
}
