//! Which sessions there are: channel events in, session records out.

use std::collections::{BTreeMap, HashMap, VecDeque};

use spice_events::{
    Anomaly, AnomalyKind, Channel, ChannelEvent, EventKind, FlowId, Timestamp, spice_link::ChannelType,
};

use crate::{
    Action, Config, Ending, Input, Name, Reason, Record, Source, Traffic, VmId,
    connection::{Followed, TlsParameters},
    ids::Ids,
    moment::{after, between, from_micros, micros},
    place::{AtPlace, Place},
    retry::Retries,
    session::{self, Main, Session},
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
}

/// A session that ended, for a migration's target that comes later.
#[derive(Debug)]
struct Recent {
    connection_id: i32,
    client: Box<str>,
    id: uuid::Uuid,
    at: Timestamp,
}

/// Ended sessions that are remembered.
const MAX_RECENT: usize = 256;

/// Addresses and ports of servers that one session is followed at: QEMU has a plain one and one with TLS.
const MAX_PLACES: usize = 8;

/// Live sessions at one place that a new one may replace: spice-server has one at a time.
const MAX_REPLACED: usize = 16;

/// The id that spice-server up to 0.15.0 gives the first session of nearly every process: its generator (`rand`) is not seeded. Two
/// sessions that share it need not have anything in common.
const UNSEEDED_FIRST_ID: i32 = 1_804_289_383;

/// What was seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
            self.vms.push(Vm { name: Some(name.into()), live: 0 });
            self.vms.len() - 1
        });
        VmId(u32::try_from(index).unwrap_or(u32::MAX))
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
        let open: Vec<_> = self.connections.keys().copied().collect();
        for (vm, flow) in open {
            let Some(followed) = self.connections.get_mut(&(vm, flow)) else { continue };
            followed.ending.get_or_insert(ending);
            if followed.session.is_some() {
                self.close(at, vm, flow);
            } else {
                self.connections.remove(&(vm, flow));
            }
        }
        self.places.retain(|_, place| {
            place.linking = 0;
            !place.is_unused()
        });
        self.flush();
    }

    /// The live sessions, the oldest first, each as a record with the action [`Action::SessionUpdated`].
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = Record> + '_ {
        let record = move |session: &Session| {
            let record = session.record(Action::SessionUpdated, now, self.config.source, None);
            self.named_record(session.vm(), record)
        };
        self.live.values().filter(|session| session.is_reported).map(record)
    }

    /// How many sessions are live.
    pub fn len(&self) -> usize {
        self.reported
    }

    /// Whether no session is live.
    pub fn is_empty(&self) -> bool {
        self.reported == 0
    }

    /// How many sessions of a VM are live.
    pub fn live_at(&self, vm: VmId) -> usize {
        self.vms.get(vm.0 as usize).map_or(0, |vm| vm.live)
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// What was seen so far.
    pub fn counters(&self) -> Counters {
        self.counters
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
                self.connections.insert((vm, *flow), Followed::new(connection.clone(), place, *at));
            }
            EventKind::Initialized(channel) => {
                let Some(followed) = self.connections.get_mut(&(vm, *flow)) else { return };
                if followed.session.is_some() {
                    return;
                }
                followed.channel = Some(*channel);
                followed.is_unreadable = false;
                followed.connection = connection.clone();
                self.initialized(*at, vm, *flow, *channel);
            }
            EventKind::Disconnected => self.close(*at, vm, *flow),
        }
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

    /// A channel came up: which session is it of?
    fn initialized(&mut self, at: Timestamp, vm: VmId, flow: FlowId, channel: Channel) {
        let Some(followed) = self.connections.get(&(vm, flow)) else { return };
        let is_main = channel.channel_type == ChannelType::MAIN;
        let serial = match self.session_of(vm, followed, channel.connection_id, is_main) {
            Some(serial) => serial,
            None => self.start(at, vm, flow, is_main),
        };
        self.join(at, vm, flow, serial);
    }

    /// The live session that a new channel belongs to: of those with its id the newest at the same place; or, where no VM is
    /// named, at another port of the same host for the same client. A main channel belongs to a session whose own was not seen.
    fn session_of(&self, vm: VmId, followed: &Followed, connection_id: i32, is_main: bool) -> Option<u64> {
        let serials = self.named.get(&(connection_id, vm)).filter(|_| connection_id != 0)?;
        let ends = &followed.connection.endpoints;
        let mut elsewhere = None;
        for serial in serials.iter().rev() {
            let Some(session) = self.live.get(serial) else { continue };
            if is_main && session.main != Main::Unseen {
                continue;
            }
            let is_same_client = session.client_host() == &*ends.client.host;
            if session.places.contains(&followed.place) && (is_same_client || !is_main) {
                return Some(*serial);
            }
            let has_room = session.places.len() < MAX_PLACES;
            if is_same_client && has_room && session.connection.endpoints.server.host == ends.server.host {
                elsewhere = elsewhere.or(Some(*serial));
            }
        }
        elsewhere
    }

    /// A session begins with this channel.
    fn start(&mut self, at: Timestamp, vm: VmId, flow: FlowId, is_main: bool) -> u64 {
        let serial = self.next_session;
        self.next_session += 1;
        let Some(followed) = self.connections.get(&(vm, flow)) else { return serial };
        let place = followed.place.clone();
        let endpoints = &followed.connection.endpoints;
        let content = format!(
            "{}\0{}\0{}\0{}",
            endpoints.client.host, endpoints.client.port, endpoints.server.host, endpoints.server.port
        );
        let mut session = Session::new(self.ids.next(at, content.as_bytes()), at, followed);
        if is_main {
            session.previous = self.migrated_from(at, vm, flow).or_else(|| self.replaced_by(at, &place, serial));
        }
        if let Some(id) = session.connection_id {
            let serials = self.named.entry((id, vm)).or_default();
            serials.push(serial);
            if serials.len() > Config::MAX_SAME_ID {
                serials.remove(0);
            }
        }
        self.live.insert(serial, session);
        serial
    }

    /// A connection joins a live session; the first one makes its record.
    fn join(&mut self, at: Timestamp, vm: VmId, flow: FlowId, serial: u64) {
        let Some(followed) = self.connections.get_mut(&(vm, flow)) else { return };
        let Some(session) = self.live.get_mut(&serial) else { return };
        followed.session = Some(serial);
        session.join(at, flow, followed);
        let place = self.places.entry(followed.place.clone()).or_default();
        place.linking = place.linking.saturating_sub(1);
        place.live.insert(serial);
        if !session.places.contains(&followed.place) {
            session.places.push(followed.place.clone());
        }
        let place = followed.place.clone();
        self.report_start(Some(serial));
        self.settle(&place);
    }

    /// Makes the record of a session's start, once.
    fn report_start(&mut self, serial: Option<u64>) {
        let Some(session) = serial.and_then(|serial| self.live.get_mut(&serial)) else { return };
        if session.is_reported || (session.is_unreadable && !session.has_bytes()) {
            return;
        }
        session.is_reported = true;
        let record = session.record(Action::SessionStarted, session.started_at, self.config.source, None);
        let vm = session.vm();
        self.counters.started += 1;
        self.reported += 1;
        if let Some(vm) = self.vms.get_mut(vm.0 as usize) {
            vm.live += 1;
        }
        self.report(vm, record);
    }

    /// A connection's content can't be read: all those of one client to one server are one session.
    fn join_unreadable(&mut self, at: Timestamp, vm: VmId, flow: FlowId) {
        let Some(followed) = self.connections.get(&(vm, flow)) else { return };
        let key = (followed.place.clone(), followed.connection.endpoints.client.host.clone());
        if let Some(serial) = self.unreadable.get(&key) {
            return self.join(at, vm, flow, *serial);
        }
        let serial = self.start(at, vm, flow, false);
        self.unreadable.insert(key, serial);
        self.join(at, vm, flow, serial);
    }

    /// The session that a migration's target takes up.
    fn migrated_from(&mut self, at: Timestamp, vm: VmId, flow: FlowId) -> Option<uuid::Uuid> {
        let followed = self.connections.get(&(vm, flow))?;
        let id = followed.channel?.connection_id;
        // QEMU's events do not show whether the client brought its id. Where two servers have a session with the same one, it did.
        let brought = followed.is_migration_target || (self.config.source == Source::Follow && id != UNSEEDED_FIRST_ID);
        if id == 0 || !brought {
            return None;
        }
        let client = &followed.connection.endpoints.client.host;
        let serials =
            self.named.range((id, VmId(0))..=(id, VmId(u32::MAX))).flat_map(|(_, serials)| serials.iter().rev());
        let source = serials.copied().find(|serial| {
            let is_source = |session: &Session| {
                session.client_host() == &**client && !session.places.contains(&followed.place) && !session.is_migrated
            };
            self.live.get(serial).is_some_and(is_source)
        });
        if let Some(session) = source.and_then(|serial| self.live.get_mut(&serial)) {
            session.is_migrated = true;
            return Some(session.id);
        }
        let is_source = |recent: &&Recent| {
            recent.connection_id == id && recent.client == *client && between(recent.at, at) <= Config::MIGRATION_WAIT
        };
        self.recent.iter().rev().find(is_source).map(|recent| recent.id)
    }

    /// A new session comes up at this place. Returns the session that it takes over.
    fn replaced_by(&mut self, at: Timestamp, place: &Place, serial: u64) -> Option<uuid::Uuid> {
        let at_place = self.places.get(place)?;
        let waiting = at_place.waiting.clone();
        let live: Vec<_> = at_place.live.iter().rev().take(MAX_REPLACED).copied().collect();
        let mut previous = None;
        for old in waiting {
            previous = self.waiting.get(&old).map(|(session, _)| session.id).or(previous);
            self.release(old, Some(Reason::Replaced));
        }
        for old in live {
            let Some(session) = self.live.get_mut(&old) else { continue };
            session.challenger = Some((serial, at));
            if matches!(session.main, Main::Closed { .. }) && session.may_be_replaced() {
                previous = Some(session.id);
            }
        }
        previous
    }

    /// A connection ended.
    fn close(&mut self, at: Timestamp, vm: VmId, flow: FlowId) {
        let Some(followed) = self.connections.remove(&(vm, flow)) else { return };
        let Some(serial) = followed.session else { return self.close_unlinked(at, vm, flow, &followed) };
        let Some(session) = self.live.get_mut(&serial) else { return };
        if !session.leave(at, flow, followed.ending()) {
            return;
        }
        let Some(session) = self.live.remove(&serial) else { return };
        let is_reported = session.is_reported;
        let mut is_awaited = false;
        for place in &session.places {
            if let Some(at_place) = self.places.get_mut(place) {
                at_place.live.remove(&serial);
                is_awaited |= at_place.linking > 0;
            }
        }
        self.unlist(vm, serial, &session, at);
        let is_challenged = |(_, since): (u64, Timestamp)| between(since, at) <= Config::TAKE_OVER_WAIT;
        let challenger = session.challenger.filter(|challenger| is_challenged(*challenger));
        if !is_reported {
            let record = self.named_record(vm, session::refused(&followed, at, self.config.source));
            self.report_refusal(record);
        } else if session.is_migrated {
            self.ended(at, &session, Some(Reason::Migrated));
        } else if let Some((new, _)) = challenger.filter(|_| session.may_be_replaced()) {
            if let Some(new) = self.live.get_mut(&new) {
                new.previous.get_or_insert(session.id);
            }
            self.ended(at, &session, Some(Reason::Replaced));
        } else if is_awaited && session.may_be_replaced() {
            for place in &session.places {
                self.places.entry(place.clone()).or_default().waiting.insert(serial);
            }
            self.waiting.insert(serial, (session, at));
            self.deadlines.push_back((after(at, Config::TAKE_OVER_WAIT), serial));
            if self.waiting.len() > Config::MAX_WAITING
                && let Some((&oldest, _)) = self.waiting.first_key_value()
            {
                self.release(oldest, None);
            }
            return;
        } else {
            self.ended(at, &session, None);
        }
        for place in &session.places {
            self.settle(place);
        }
    }

    /// A connection ended before it was a channel.
    fn close_unlinked(&mut self, at: Timestamp, vm: VmId, flow: FlowId, followed: &Followed) {
        if let Some(at_place) = self.places.get_mut(&followed.place) {
            at_place.linking = at_place.linking.saturating_sub(1);
        }
        let record = self.named_record(vm, session::refused(followed, at, self.config.source));
        if followed.wants_retry().is_none() {
            self.report_refusal(record);
        } else if let Some(record) = self.retries.ended(vm, flow, record) {
            self.report_refusal(record);
        }
        self.settle(&followed.place);
    }

    /// The source will not tell of this connection any more.
    fn forget(&mut self, at: Timestamp, vm: VmId, flow: FlowId) {
        if let Some(followed) = self.connections.get_mut(&(vm, flow)) {
            followed.ending = Some(Ending::closed(None, false));
            if followed.session.is_some() {
                return self.close(at, vm, flow);
            }
            let place = followed.place.clone();
            self.connections.remove(&(vm, flow));
            if let Some(at_place) = self.places.get_mut(&place) {
                at_place.linking = at_place.linking.saturating_sub(1);
            }
            self.settle(&place);
        }
    }

    /// A session is live no longer: takes it out of the indices.
    fn unlist(&mut self, vm: VmId, serial: u64, session: &Session, at: Timestamp) {
        if session.is_reported {
            self.reported -= 1;
            if let Some(vm) = self.vms.get_mut(vm.0 as usize) {
                vm.live -= 1;
            }
        }
        if session.is_unreadable {
            let client = &session.connection.endpoints.client.host;
            for place in &session.places {
                self.unreadable.remove(&(place.clone(), client.clone()));
            }
        }
        let Some(connection_id) = session.connection_id else { return };
        if let Some(serials) = self.named.get_mut(&(connection_id, vm)) {
            serials.retain(|other| *other != serial);
            if serials.is_empty() {
                self.named.remove(&(connection_id, vm));
            }
        }
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { connection_id, client: session.client_host().into(), id: session.id, at });
    }

    /// A session that waited for the one that takes over has waited long enough, or was replaced.
    fn release(&mut self, serial: u64, reason: Option<Reason>) {
        let Some((session, at)) = self.waiting.remove(&serial) else { return };
        self.deadlines.retain(|(_, other)| *other != serial);
        for place in &session.places {
            if let Some(at_place) = self.places.get_mut(place) {
                at_place.waiting.remove(&serial);
            }
        }
        self.ended(at, &session, reason);
        for place in &session.places {
            self.settle(place);
        }
    }

    /// With no connection left that could become a session, those that wait for one need wait no longer.
    fn settle(&mut self, place: &Place) {
        let Some(at_place) = self.places.get(place) else { return };
        if at_place.linking > 0 {
            return;
        }
        let waiting = at_place.waiting.clone();
        if at_place.is_unused() {
            self.places.remove(place);
        }
        for serial in waiting {
            let is_awaited = |place: &Place| self.places.get(place).is_some_and(|at_place| at_place.linking > 0);
            if self.waiting.get(&serial).is_some_and(|(session, _)| !session.places.iter().any(is_awaited)) {
                self.release(serial, None);
            }
        }
    }

    fn ended(&mut self, at: Timestamp, session: &Session, reason: Option<Reason>) {
        let ending = session.ending();
        let ending = Ending { reason: reason.unwrap_or(ending.reason), ..ending };
        let record = session.record(Action::SessionEnded, at, self.config.source, Some(ending));
        self.counters.ended += 1;
        self.report(session.vm(), record);
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
