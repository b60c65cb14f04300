//! Which sessions there are: channel events in, session records out.

mod ending;
mod joining;
mod live;
mod snapshot;

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_derive::{Deserialize, Serialize};
use spice_events::{Anomaly, AnomalyKind, ChannelEvent, EventKind, FlowId, Timestamp};

pub use live::{AtVm, LiveKey};
pub use snapshot::{RestoreError, SessionsState};

use crate::{
    Config, Ending, Input, Name, Reason, Record, Traffic, VmId,
    connection::{Followed, TlsParameters},
    ids::Ids,
    moment::{after, from_micros, micros},
    place::{AtPlace, Place},
    retry::Retries,
    session::Session,
};

/// Makes sessions out of channels.
///
/// Sans-IO, in steps:
///
/// 1. Hand in what happened: [`handle`](Self::handle).
/// 2. Take the records that follow: call [`poll`](Self::poll) until it returns `None`.
/// 3. When [`next_timeout`](Self::next_timeout) is over, call [`handle_timeout`](Self::handle_timeout), and go to 2.
/// 4. At the end, call [`flush`](Self::flush) or [`end_all`](Self::end_all), and go to 2 once more.
#[derive(Debug)]
pub struct Sessions {
    config: Config,
    ids: Ids,
    vms: Vec<Vm>,
    connections: HashMap<(VmId, FlowId), Followed>,
    /// Live sessions, the oldest first.
    live: BTreeMap<u64, Session>,
    /// How many of them have a record.
    reported: usize,
    /// Sessions that ended and may have been replaced, with their end.
    waiting: BTreeMap<u64, (Session, Timestamp)>,
    /// When they have waited long enough, in microseconds since 1970.
    deadlines: VecDeque<(i64, u64)>,
    places: HashMap<Place, AtPlace>,
    /// Live sessions by connection id; where several have one, the newest last.
    named: BTreeMap<(i32, VmId), Vec<u64>>,
    /// Live sessions whose content can't be read, by place and client.
    unreadable: HashMap<(Place, Box<str>), u64>,
    /// Sessions that ended lately.
    recent: VecDeque<Recent>,
    retries: Retries,
    next_session: u64,
    next_sequence: u64,
    records: VecDeque<Record>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Vm {
    name: Option<Box<str>>,
    live: usize,
    /// Open connections.
    connections: usize,
    /// Those of them that belong to a session.
    joined: usize,
    /// Open channels, by their type.
    channels: BTreeMap<u8, usize>,
}

/// A session that ended, for a migration's target that comes later.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Recent {
    connection_id: i32,
    client: Box<str>,
    id: uuid::Uuid,
    #[serde(with = "crate::moment::text")]
    at: Timestamp,
}

/// What was seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counters {
    /// Sessions that began.
    pub started: u64,
    /// Sessions that ended.
    pub ended: u64,
    /// Links that were refused, without retries and health checks.
    pub refused: u64,
    /// Refusals that the client answered with the TLS that the server asked for, or without.
    pub retries: u64,
    /// Connections that ended before the client sent a byte.
    pub health_checks: u64,
    /// Connections that were not followed, as there were more than [`Config::max_connections`].
    pub not_followed: u64,
}

impl Sessions {
    /// Without sessions.
    pub fn new(config: Config) -> Self {
        Self {
            ids: Ids::new(config.seed),
            next_sequence: config.first_sequence,
            config,
            vms: vec![Vm::default()],
            connections: HashMap::new(),
            live: BTreeMap::new(),
            reported: 0,
            waiting: BTreeMap::new(),
            deadlines: VecDeque::new(),
            places: HashMap::new(),
            named: BTreeMap::new(),
            unreadable: HashMap::new(),
            recent: VecDeque::new(),
            retries: Retries::default(),
            next_session: 0,
            records: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Names a virtual machine: `vm.name` of its records. The same name gives the same id.
    pub fn vm(&mut self, name: &str) -> VmId {
        let known = self.vms.iter().position(|vm| vm.name.as_deref() == Some(name));
        let index = known.unwrap_or_else(|| {
            self.vms.push(Vm { name: Some(name.into()), ..Vm::default() });
            self.vms.len() - 1
        });
        VmId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Gives a virtual machine another name. Its live sessions have it from now on.
    pub fn rename(&mut self, vm: VmId, name: &str) {
        if let Some(vm) = self.vms.get_mut(vm.0 as usize) {
            vm.name = Some(name.into());
        }
    }

    /// Takes what happened at a VM, and when. Inputs for connections that are not open are ignored.
    pub fn handle(&mut self, at: Timestamp, vm: VmId, input: Input<'_>) {
        self.handle_timeout(at);
        match input {
            Input::Event(event) => self.event(vm, event),
            Input::Anomaly(anomaly) => self.anomaly(vm, anomaly),
            Input::Traffic { flow, traffic } => self.traffic(vm, flow, traffic),
            Input::Unreadable { flow } => {
                if let Some(followed) = self.connections.get_mut(&(vm, flow)).filter(|flow| flow.session.is_none()) {
                    followed.is_unreadable = true;
                    let opened_at = followed.opened_at;
                    self.join_unreadable(opened_at, vm, flow);
                }
            }
            Input::Tls { flow, version, cipher } => {
                if let Some(followed) = self.connections.get_mut(&(vm, flow)) {
                    followed.tls = Some(TlsParameters { version: version.into(), cipher: cipher.into() });
                }
            }
            Input::Ending { flow, ending } => {
                if let Some(followed) = self.connections.get_mut(&(vm, flow)) {
                    followed.ending.get_or_insert(ending);
                }
            }
            Input::Forgotten { flow } => self.forget(at, vm, flow),
        }
    }

    /// The next record, oldest first.
    pub fn poll(&mut self) -> Option<Record> {
        self.records.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if nothing waits.
    pub fn next_timeout(&self) -> Option<Timestamp> {
        let ends = self.deadlines.front().map(|(deadline, _)| *deadline);
        ends.into_iter().chain(self.retries.deadline()).min().map(from_micros)
    }

    /// Reports what has waited long enough.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((_, serial)) = self.deadlines.front().copied().filter(|(deadline, _)| *deadline <= micros(now)) {
            self.release(serial, None);
        }
        for record in self.retries.expired(micros(now)) {
            self.report_refusal(record);
        }
    }

    /// Reports everything that waits, at the end of the input. Live sessions stay live.
    pub fn flush(&mut self) {
        while let Some((&serial, _)) = self.waiting.first_key_value() {
            self.release(serial, None);
        }
        for record in self.retries.expired(i64::MAX) {
            self.report_refusal(record);
        }
    }

    /// Ends all live sessions for the same reason, for example because the relay shuts down, and reports everything that waits.
    pub fn end_all(&mut self, at: Timestamp, ending: Ending) {
        self.flush();
        let mut open: Vec<_> = self.connections.keys().copied().collect();
        // A hash map has no order, and the same inputs must give the same records.
        open.sort_unstable();
        for (vm, flow) in open {
            let Some(followed) = self.connections.get_mut(&(vm, flow)) else { continue };
            followed.ending.get_or_insert(ending);
            if followed.session.is_some() {
                self.close(at, vm, flow);
            } else {
                self.remove(vm, flow);
            }
        }
        self.places.retain(|_, place| {
            place.linking = 0;
            !place.is_unused()
        });
        self.flush();
    }

    fn event(&mut self, vm: VmId, event: &ChannelEvent) {
        let ChannelEvent { at, flow, connection, kind } = event;
        match kind {
            EventKind::Connected => {
                if self.connections.contains_key(&(vm, *flow)) {
                    self.close(*at, vm, *flow);
                }
                if self.retries.opened(vm, connection) {
                    self.counters.retries += 1;
                }
                if self.connections.len() >= self.config.max_connections {
                    self.counters.not_followed += 1;
                    return;
                }
                let place = Place::of(vm, connection);
                self.places.entry(place.clone()).or_default().linking += 1;
                self.insert(vm, *flow, Followed::new(connection.clone(), place, *at));
            }
            EventKind::Initialized(channel) => {
                let Some(followed) = self.connections.get_mut(&(vm, *flow)) else { return };
                if followed.session.is_some() {
                    return;
                }
                followed.channel = Some(*channel);
                followed.is_unreadable = false;
                followed.connection = connection.clone();
                if let Some(vm) = self.vms.get_mut(vm.0 as usize) {
                    *vm.channels.entry(channel.channel_type.0).or_default() += 1;
                }
                self.initialized(*at, vm, *flow, *channel);
            }
            EventKind::Disconnected => self.close(*at, vm, *flow),
        }
    }

    /// A connection is open from now on. Returns the one with the same number that was.
    fn insert(&mut self, vm: VmId, flow: FlowId, followed: Followed) -> Option<Followed> {
        let before = self.remove(vm, flow);
        if let Some(vm) = self.vms.get_mut(vm.0 as usize) {
            vm.connections += 1;
            vm.joined += usize::from(followed.session.is_some());
            if let Some(channel) = followed.channel {
                *vm.channels.entry(channel.channel_type.0).or_default() += 1;
            }
        }
        self.connections.insert((vm, flow), followed);
        before
    }

    /// A connection is open no longer.
    fn remove(&mut self, vm: VmId, flow: FlowId) -> Option<Followed> {
        let followed = self.connections.remove(&(vm, flow))?;
        if let Some(vm) = self.vms.get_mut(vm.0 as usize) {
            vm.connections -= 1;
            vm.joined -= usize::from(followed.session.is_some());
            if let Some(channel) = followed.channel {
                let kind = channel.channel_type.0;
                match vm.channels.get_mut(&kind) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => drop(vm.channels.remove(&kind)),
                }
            }
        }
        Some(followed)
    }

    fn anomaly(&mut self, vm: VmId, anomaly: &Anomaly) {
        let Anomaly { at, flow, kind, .. } = anomaly;
        let Some(followed) = self.connections.get_mut(&(vm, *flow)) else { return };
        followed.note(kind);
        if let Some(session) = followed.session.and_then(|serial| self.live.get_mut(&serial)) {
            session.note(kind.name());
        }
        if let (AnomalyKind::Refused { .. }, Some(wants)) = (kind, followed.wants_retry()) {
            let deadline = after(*at, Config::RETRY_WAIT);
            if let Some(record) = self.retries.refused(deadline, vm, *flow, &followed.connection, wants) {
                self.report_refusal(record);
            }
        }
        // The tracker says nothing of the end of such a connection.
        if *kind == AnomalyKind::Leaked {
            self.close(*at, vm, *flow);
        }
    }

    fn traffic(&mut self, vm: VmId, flow: FlowId, traffic: Traffic) {
        let Some(followed) = self.connections.get_mut(&(vm, flow)) else { return };
        let old = followed.traffic.replace(traffic);
        if let Some(session) = followed.session.and_then(|serial| self.live.get_mut(&serial)) {
            session.traffic(flow, old, traffic);
            let serial = followed.session;
            self.report_start(serial);
        }
    }

    fn report_refusal(&mut self, record: Record) {
        if record.event.reason == Some(Reason::HealthCheck) {
            self.counters.health_checks += 1;
            if !self.config.health_checks {
                return;
            }
        } else {
            self.counters.refused += 1;
        }
        self.push(record);
    }

    fn report(&mut self, vm: VmId, record: Record) {
        let record = self.named_record(vm, record);
        self.push(record);
    }

    fn push(&mut self, mut record: Record) {
        record.event.sequence = Some(self.next_sequence);
        record.event.id = Some(self.ids.next(record.timestamp, &[]));
        self.next_sequence += 1;
        self.records.push_back(record);
    }

    /// With the names of the VM and of this machine.
    fn named_record(&self, vm: VmId, record: Record) -> Record {
        let vm = self.vms.get(vm.0 as usize).and_then(|vm| vm.name.as_deref()).map(Name::new);
        Record { vm, host: self.config.host.as_deref().map(Name::new), ..record }
    }
}
