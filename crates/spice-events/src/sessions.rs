//! Which sessions there are, as far as it takes to name a main channel whose own id could not be read.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, btree_map, hash_map},
    sync::Arc,
};

use crate::{Connection, FlowId};

/// Main channels, with and without a known id.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Those whose id is known, by it: one of each id.
    named: HashMap<i32, Server>,
    /// How many more have it, by server. Another one may have drawn the same: up to spice-server 0.15.0 it mostly has, for the
    /// first session of each, as the generator was not seeded. And a client may claim any id.
    more: BTreeMap<(i32, Server), u32>,
    /// Main channels without an id, by who is connected to what, each in the order in which they came up.
    nameless: HashMap<Ends, Waiting>,
}

/// A server, as one of its connections knows it.
#[derive(Debug)]
struct Server(Arc<Connection>);

impl Ord for Server {
    fn cmp(&self, other: &Self) -> Ordering {
        let [ours, theirs] = [self, other].map(|Self(connection)| &connection.server);
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

/// Main channels that wait for an id with the same ends, by their turn. Any of them may end first, and is not looked for among the others.
#[derive(Debug, Default)]
struct Waiting {
    flows: BTreeMap<u64, FlowId>,
    next: u64,
}

/// The server's address and the client's host. A session's channels share them; ports differ.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Ends(Box<str>);

impl Ends {
    fn of(connection: &Connection) -> Self {
        let Connection { server, client, .. } = connection;
        Self(format!("{}\0{}\0{}", server.host, server.port, client.host).into())
    }
}

impl Sessions {
    /// A main channel with a known id is up.
    pub(crate) fn add(&mut self, connection: &Arc<Connection>, connection_id: i32) {
        let server = Server(Arc::clone(connection));
        match self.named.entry(connection_id) {
            hash_map::Entry::Vacant(place) => {
                place.insert(server);
            }
            hash_map::Entry::Occupied(_) => *self.more.entry((connection_id, server)).or_default() += 1,
        }
    }

    /// A main channel with a known id is gone.
    pub(crate) fn remove(&mut self, connection: &Arc<Connection>, connection_id: i32) {
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

    /// A main channel is up whose id is not known. Returns its turn, by which it is forgotten.
    pub(crate) fn wait(&mut self, connection: &Connection, flow: FlowId) -> u64 {
        let waiting = self.nameless.entry(Ends::of(connection)).or_default();
        let turn = waiting.next;
        waiting.next += 1;
        waiting.flows.insert(turn, flow);
        turn
    }

    /// A main channel without an id is gone.
    pub(crate) fn forget(&mut self, connection: &Connection, turn: u64) {
        let ends = Ends::of(connection);
        if let Some(waiting) = self.nameless.get_mut(&ends) {
            waiting.flows.remove(&turn);
            if waiting.flows.is_empty() {
                self.nameless.remove(&ends);
            }
        }
    }

    /// Another channel with this id is up: the main channel that it must belong to. It is the newest one that waits with the
    /// same ends, as a server has one session at a time and a new one ends the old; and only if no main channel of the server is
    /// known to have the id.
    pub(crate) fn name(&mut self, connection: &Arc<Connection>, connection_id: i32) -> Option<FlowId> {
        if self.nameless.is_empty() || self.has(connection, connection_id) {
            return None;
        }
        let (&turn, &main) = self.nameless.get(&Ends::of(connection))?.flows.last_key_value()?;
        self.forget(connection, turn);
        Some(main)
    }
}
