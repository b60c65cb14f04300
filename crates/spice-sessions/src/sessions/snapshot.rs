//! The state of all sessions, for another process that goes on with them.

use std::{collections::HashSet, error, fmt};

use serde_derive::{Deserialize, Serialize};
use spice_events::{FlowId, Timestamp};

use super::{Counters, Recent, Sessions, Vm};
use crate::{Config, VmId, connection::Followed, ids::Ids, moment::after, retry::Retries, session::Session};

/// The largest counter that is restored. Each session and each record adds one, so that no counter gets from here to its end.
const MAX_COUNT: u64 = u64::MAX / 2;

/// The state of [`Sessions`]. It can be written with serde, as JSON for example, and read in another process.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionsState {
    ids: Ids,
    vms: Vec<Option<Box<str>>>,
    connections: Vec<(VmId, FlowId, Followed)>,
    live: Vec<(u64, Session)>,
    waiting: Vec<WaitingState>,
    recent: Vec<Recent>,
    retries: Retries,
    next_session: u64,
    next_sequence: u64,
    counters: Counters,
}

#[derive(Debug, Serialize, Deserialize)]
struct WaitingState {
    serial: u64,
    #[serde(with = "crate::moment::text")]
    ended_at: Timestamp,
    session: Session,
}

/// Why a [`SessionsState`] can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// A connection is there twice.
    Connection(FlowId),
    /// A session is there twice, or a connection belongs to none of them.
    Session(u64),
    /// There are more connections than the configuration allows.
    Connections(usize),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(flow) => write!(f, "expected each connection once, found {flow} twice"),
            Self::Session(serial) => write!(f, "expected one session number {serial}, found none or two"),
            Self::Connections(count) => write!(f, "expected fewer connections, found {count}"),
        }
    }
}

impl error::Error for RestoreError {}

impl Sessions {
    /// The state of all sessions and connections. Records that were not [polled](Self::poll) are no part of it.
    ///
    /// [`restore`](Self::restore) makes sessions of it that give the same records for the same inputs.
    pub fn state(&self) -> SessionsState {
        let mut connections: Vec<_> =
            self.connections.iter().map(|((vm, flow), followed)| (*vm, *flow, followed.clone())).collect();
        connections.sort_unstable_by_key(|(vm, flow, _)| (*vm, *flow));
        let waiting = self.deadlines.iter().filter_map(|(_, serial)| {
            let (session, ended_at) = self.waiting.get(serial)?;
            Some(WaitingState { serial: *serial, ended_at: *ended_at, session: session.clone() })
        });
        SessionsState {
            ids: self.ids.clone(),
            vms: self.vms.iter().map(|vm| vm.name.clone()).collect(),
            connections,
            live: self.live.iter().map(|(serial, session)| (*serial, session.clone())).collect(),
            waiting: waiting.collect(),
            recent: self.recent.iter().cloned().collect(),
            retries: self.retries.clone(),
            next_session: self.next_session,
            next_sequence: self.next_sequence,
            counters: self.counters,
        }
    }

    /// Goes on with these sessions. Their ids and numbers go on too: [`Config::seed`] and [`Config::first_sequence`] have no effect.
    ///
    /// # Errors
    ///
    /// The state contradicts itself, or has more connections than the configuration allows.
    pub fn restore(config: Config, state: SessionsState) -> Result<Self, RestoreError> {
        let SessionsState { ids, vms, connections, live, waiting, recent, retries, .. } = state;
        let mut sessions = Self::new(config);
        if connections.len() > sessions.config.max_connections {
            return Err(RestoreError::Connections(connections.len()));
        }
        sessions.ids = ids.limited(MAX_COUNT);
        if !vms.is_empty() {
            sessions.vms = vms.into_iter().map(|name| Vm { name, ..Vm::default() }).collect();
        }
        (sessions.recent, sessions.retries) = (recent.into(), retries);
        sessions.counters = limited(state.counters);
        sessions.next_sequence = state.next_sequence.min(MAX_COUNT);
        let mut serials = HashSet::new();
        for (serial, mut session) in live {
            if serial >= MAX_COUNT || !serials.insert(serial) {
                return Err(RestoreError::Session(serial));
            }
            session.limit();
            sessions.list(serial, &session);
            sessions.live.insert(serial, session);
        }
        for WaitingState { serial, ended_at, mut session } in waiting {
            if serial >= MAX_COUNT || !serials.insert(serial) {
                return Err(RestoreError::Session(serial));
            }
            session.limit();
            for place in &session.places {
                sessions.places.entry(place.clone()).or_default().waiting.insert(serial);
            }
            sessions.deadlines.push_back((after(ended_at, Config::TAKE_OVER_WAIT), serial));
            sessions.waiting.insert(serial, (session, ended_at));
        }
        let last = serials.into_iter().max().map_or(0, |serial| serial + 1);
        sessions.next_session = state.next_session.min(MAX_COUNT).max(last);
        for (vm, flow, followed) in connections {
            match followed.session {
                None => sessions.places.entry(followed.place.clone()).or_default().linking += 1,
                Some(serial) if !sessions.live.contains_key(&serial) => return Err(RestoreError::Session(serial)),
                Some(_) => {}
            }
            if sessions.insert(vm, flow, followed).is_some() {
                return Err(RestoreError::Connection(flow));
            }
        }
        Ok(sessions)
    }

    /// Adds a live session to all lists.
    fn list(&mut self, serial: u64, session: &Session) {
        let vm = session.vm();
        for place in &session.places {
            self.places.entry(place.clone()).or_default().live.insert(serial);
            if session.is_unreadable {
                self.unreadable.insert((place.clone(), session.connection.endpoints.client.host.clone()), serial);
            }
        }
        if let Some(id) = session.connection_id {
            let serials = self.named.entry((id, vm)).or_default();
            serials.push(serial);
            if serials.len() > Config::MAX_SAME_ID {
                serials.remove(0);
            }
        }
        if session.is_reported {
            self.reported += 1;
            if let Some(vm) = self.vms.get_mut(vm.0 as usize) {
                vm.live += 1;
            }
        }
    }
}

fn limited(counters: Counters) -> Counters {
    let Counters { started, ended, refused, retries, health_checks, not_followed } = counters;
    let [started, ended, refused, retries, health_checks, not_followed] =
        [started, ended, refused, retries, health_checks, not_followed].map(|count| count.min(MAX_COUNT));
    Counters { started, ended, refused, retries, health_checks, not_followed }
}
