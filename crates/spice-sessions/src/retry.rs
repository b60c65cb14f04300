//! Refusals that ask the client to try again: NEED_SECURED and NEED_UNSECURED.

use std::collections::VecDeque;

use serde_derive::{Deserialize, Serialize};
use spice_events::{Connection, FlowId};

use crate::{Config, Record, VmId, connection::Retry};

/// Refusals that wait for the client's next try.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Retries {
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    deadline: i64,
    vm: VmId,
    flow: FlowId,
    wants: Retry,
    client: Box<str>,
    server: Box<str>,
    is_answered: bool,
    /// Once the refused connection has ended.
    record: Option<Record>,
}

impl Retries {
    /// A server refused this connection, and asked for another try. Returns a record that waits no longer, to make room.
    pub(crate) fn refused(
        &mut self,
        deadline: i64,
        vm: VmId,
        flow: FlowId,
        connection: &Connection,
        wants: Retry,
    ) -> Option<Record> {
        let (client, server) = (connection.endpoints.client.host.clone(), connection.endpoints.server.host.clone());
        let waiting = Waiting { deadline, vm, flow, wants, client, server, is_answered: false, record: None };
        self.waiting.push_back(waiting);
        let is_full = self.waiting.len() > Config::MAX_WAITING;
        is_full.then(|| self.waiting.pop_front()).flatten()?.record
    }

    /// A connection was opened. Whether it is a try that was asked for: one connection answers one refusal, the oldest.
    pub(crate) fn opened(&mut self, vm: VmId, connection: &Connection) -> bool {
        let (client, server) = (&connection.endpoints.client.host, &connection.endpoints.server.host);
        let answered = self.waiting.iter().position(|waiting| {
            let has_ends = waiting.client == *client && (vm != VmId::default() || waiting.server == *server);
            !waiting.is_answered && waiting.vm == vm && waiting.wants.tls == connection.tls && has_ends
        });
        let Some(index) = answered else { return false };
        if self.waiting[index].record.is_some() {
            self.waiting.remove(index);
        } else {
            self.waiting[index].is_answered = true;
        }
        true
    }

    /// The refused connection ended. Returns the record if it does not wait.
    pub(crate) fn ended(&mut self, vm: VmId, flow: FlowId, record: Record) -> Option<Record> {
        let index = self.waiting.iter().position(|waiting| waiting.vm == vm && waiting.flow == flow);
        let Some(index) = index else { return Some(record) };
        if self.waiting[index].is_answered {
            self.waiting.remove(index);
        } else {
            self.waiting[index].record = Some(record);
        }
        None
    }

    /// The records whose time is over.
    pub(crate) fn expired(&mut self, now: i64) -> Vec<Record> {
        let mut expired = Vec::new();
        while self.waiting.front().is_some_and(|waiting| waiting.deadline <= now) {
            expired.extend(self.waiting.pop_front().and_then(|waiting| waiting.record));
        }
        expired
    }

    pub(crate) fn deadline(&self) -> Option<i64> {
        self.waiting.front().map(|waiting| waiting.deadline)
    }
}
