//! Which sessions there are, as far as it takes to name a main channel whose own id could not be read.

use std::collections::{BTreeMap, HashMap};

use crate::{Connection, FlowId};

/// Main channels, with and without a known id.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// How many live main channels have each known id.
    named: HashMap<i32, u32>,
    /// Main channels without an id, by who is connected to what, each in the order in which they came up.
    nameless: HashMap<Ends, Waiting>,
}

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
    pub(crate) fn add(&mut self, connection_id: i32) {
        *self.named.entry(connection_id).or_default() += 1;
    }

    /// A main channel with a known id is gone.
    pub(crate) fn remove(&mut self, connection_id: i32) {
        if let Some(count) = self.named.get_mut(&connection_id) {
            *count -= 1;
            if *count == 0 {
                self.named.remove(&connection_id);
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
    /// same ends, as a server has one session at a time and a new one ends the old; and only if no main channel is known to
    /// have the id.
    pub(crate) fn name(&mut self, connection: &Connection, connection_id: i32) -> Option<FlowId> {
        if self.nameless.is_empty() || self.named.contains_key(&connection_id) {
            return None;
        }
        let (&turn, &main) = self.nameless.get(&Ends::of(connection))?.flows.last_key_value()?;
        self.forget(connection, turn);
        Some(main)
    }
}
