//! Which sessions there are, as far as it takes to name a main channel whose own id could not be read.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::Arc,
};

use crate::{Connection, FlowId};

/// Main channels, with and without a known id.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// How many live main channels have each known id.
    named: BTreeMap<Named, u32>,
    /// Main channels without an id, by who is connected to what, each in the order in which they came up.
    nameless: HashMap<Ends, Waiting>,
}

/// An id, and the server that drew it: another server may have drawn the same. Up to spice-server 0.15.0 it mostly has, for
/// the first session of each, as the generator was not seeded.
#[derive(Debug)]
struct Named {
    connection_id: i32,
    /// Any connection to that server.
    connection: Arc<Connection>,
}

impl Named {
    fn new(connection: &Arc<Connection>, connection_id: i32) -> Self {
        Self { connection_id, connection: Arc::clone(connection) }
    }
}

impl Ord for Named {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (&self.connection.server, &other.connection.server);
        let servers = || ours.host.cmp(&theirs.host).then_with(|| ours.port.cmp(&theirs.port));
        self.connection_id.cmp(&other.connection_id).then_with(servers)
    }
}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Named {}

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
        *self.named.entry(Named::new(connection, connection_id)).or_default() += 1;
    }

    /// A main channel with a known id is gone.
    pub(crate) fn remove(&mut self, connection: &Arc<Connection>, connection_id: i32) {
        if let Entry::Occupied(mut count) = self.named.entry(Named::new(connection, connection_id)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
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
        if self.nameless.is_empty() || self.named.contains_key(&Named::new(connection, connection_id)) {
            return None;
        }
        let (&turn, &main) = self.nameless.get(&Ends::of(connection))?.flows.last_key_value()?;
        self.forget(connection, turn);
        Some(main)
    }
}
