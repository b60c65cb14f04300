//! How connections and sessions end: a session that may have been replaced waits for the one that follows.

use spice_events::{FlowId, Timestamp};

use super::{Recent, Sessions};
use crate::{
    Action, Config, Ending, Reason, VmId,
    connection::Followed,
    moment::{after, between},
    place::Place,
    session::{self, Challenger, Session},
};

/// Ended sessions that are remembered.
const MAX_RECENT: usize = 256;

impl Sessions {
    /// A connection ended.
    pub(super) fn close(&mut self, at: Timestamp, vm: VmId, flow: FlowId) {
        let Some(followed) = self.remove(vm, flow) else { return };
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
        let is_challenged = |challenger: &Challenger| between(challenger.since, at) <= Config::TAKE_OVER_WAIT;
        let challenger = session.challenger.filter(is_challenged);
        if !is_reported {
            let record = self.named_record(vm, session::refused(&followed, at, self.config.source));
            self.report_refusal(record);
        } else if session.is_migrated {
            self.ended(at, &session, Some(Reason::Migrated));
        } else if let Some(Challenger { serial: new, .. }) = challenger.filter(|_| session.may_be_replaced()) {
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
    pub(super) fn close_unlinked(&mut self, at: Timestamp, vm: VmId, flow: FlowId, followed: &Followed) {
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
    pub(super) fn forget(&mut self, at: Timestamp, vm: VmId, flow: FlowId) {
        if let Some(followed) = self.connections.get_mut(&(vm, flow)) {
            followed.ending = Some(Ending::closed(None, false));
            if followed.session.is_some() {
                return self.close(at, vm, flow);
            }
            let place = followed.place.clone();
            self.remove(vm, flow);
            if let Some(at_place) = self.places.get_mut(&place) {
                at_place.linking = at_place.linking.saturating_sub(1);
            }
            self.settle(&place);
        }
    }

    /// A session is live no longer: takes it out of the indices.
    pub(super) fn unlist(&mut self, vm: VmId, serial: u64, session: &Session, at: Timestamp) {
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
    pub(super) fn release(&mut self, serial: u64, reason: Option<Reason>) {
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
    pub(super) fn settle(&mut self, place: &Place) {
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

    pub(super) fn ended(&mut self, at: Timestamp, session: &Session, reason: Option<Reason>) {
        let ending = session.ending();
        let ending = Ending { reason: reason.unwrap_or(ending.reason), ..ending };
        let record = session.record(Action::SessionEnded, at, self.config.source, Some(ending));
        self.counters.ended += 1;
        self.report(session.vm(), record);
    }
}
