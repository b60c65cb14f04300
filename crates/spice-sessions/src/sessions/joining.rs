//! Which session a channel belongs to, and how sessions begin.

use spice_events::{Channel, FlowId, Timestamp, spice_link::ChannelType};
use uuid::Uuid;

use super::{Recent, Sessions};
use crate::{
    Action, Config, Reason, Source, VmId,
    connection::Followed,
    moment::between,
    place::Place,
    session::{Challenger, Main, Session},
};

/// Addresses and ports of servers that one session is followed at: QEMU has a plain one and one with TLS.
const MAX_PLACES: usize = 8;

/// Live sessions at one place that a new one may replace: spice-server has one at a time.
const MAX_REPLACED: usize = 16;

/// The id that spice-server up to 0.15.0 gives the first session of nearly every process: its generator (`rand`) is not seeded. Two
/// sessions that share it need not have anything in common.
const UNSEEDED_FIRST_ID: i32 = 1_804_289_383;

impl Sessions {
    /// A channel came up: which session is it of?
    pub(super) fn initialized(&mut self, at: Timestamp, vm: VmId, flow: FlowId, channel: Channel) {
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
    pub(super) fn session_of(&self, vm: VmId, followed: &Followed, connection_id: i32, is_main: bool) -> Option<u64> {
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
    pub(super) fn start(&mut self, at: Timestamp, vm: VmId, flow: FlowId, is_main: bool) -> u64 {
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
    pub(super) fn join(&mut self, at: Timestamp, vm: VmId, flow: FlowId, serial: u64) {
        let Some(followed) = self.connections.get_mut(&(vm, flow)) else { return };
        let Some(session) = self.live.get_mut(&serial) else { return };
        if followed.session.replace(serial).is_none()
            && let Some(vm) = self.vms.get_mut(vm.0 as usize)
        {
            vm.joined += 1;
        }
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
    pub(super) fn report_start(&mut self, serial: Option<u64>) {
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
    pub(super) fn join_unreadable(&mut self, at: Timestamp, vm: VmId, flow: FlowId) {
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
    pub(super) fn migrated_from(&mut self, at: Timestamp, vm: VmId, flow: FlowId) -> Option<Uuid> {
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
    pub(super) fn replaced_by(&mut self, at: Timestamp, place: &Place, serial: u64) -> Option<Uuid> {
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
            session.challenger = Some(Challenger { serial, since: at });
            if matches!(session.main, Main::Closed { .. }) && session.may_be_replaced() {
                previous = Some(session.id);
            }
        }
        previous
    }
}
