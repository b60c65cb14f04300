//! What is live now.

use spice_events::{FlowId, Timestamp};

use super::{Counters, Sessions};
use crate::{Action, Record, Traffic, VmId, session::Session};

/// Names a live session within one [`Sessions`]. Later sessions have greater keys, and no key is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LiveKey(u64);

impl Sessions {
    /// The live sessions, the oldest first, each as a record with the action [`Action::SessionUpdated`].
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = Record> + '_ {
        self.live.values().filter(|session| session.is_reported).map(move |session| self.updated(session, now))
    }

    /// The keys of the live sessions after this one, the oldest first. Lets a caller that holds a lock read a long table in pages.
    pub fn live_keys(&self, after: Option<LiveKey>) -> impl Iterator<Item = LiveKey> + '_ {
        let first = after.map_or(0, |LiveKey(serial)| serial.saturating_add(1));
        self.live.range(first..).filter(|(_, session)| session.is_reported).map(|(serial, _)| LiveKey(*serial))
    }

    /// The live sessions whose id is this, or ends in it: `0190a5b2-3c4d-7e8f-9a0b-1c2d3e4f5a6b`, or `3e4f5a6b`.
    ///
    /// An id begins with its time, so that sessions of one minute share its first digits. Its last ones are random.
    pub fn live_keys_matching<'a>(&'a self, id: &'a str) -> impl Iterator<Item = LiveKey> + 'a {
        self.live_keys(None).filter(move |LiveKey(serial)| {
            self.live.get(serial).is_some_and(|session| !id.is_empty() && session.id.to_string().ends_with(id))
        })
    }

    /// A live session as a record with the action [`Action::SessionUpdated`]. `counts` gives the byte counts of its open connections, where
    /// the source knows them.
    pub fn live_record(
        &mut self,
        LiveKey(serial): LiveKey,
        now: Timestamp,
        mut counts: impl FnMut(FlowId) -> Option<Traffic>,
    ) -> Option<Record> {
        let session = self.live.get(&serial)?;
        let (vm, flows) = (session.vm(), session.flows().collect::<Vec<_>>());
        for flow in flows {
            if let Some(traffic) = counts(flow) {
                self.traffic(vm, flow, traffic);
            }
        }
        self.live.get(&serial).map(|session| self.updated(session, now))
    }

    /// The open connections of a live session.
    pub fn live_flows(&self, LiveKey(serial): LiveKey) -> impl Iterator<Item = FlowId> + '_ {
        self.live.get(&serial).into_iter().flat_map(Session::flows)
    }

    /// How many sessions are live.
    pub fn len(&self) -> usize {
        self.reported
    }

    /// Whether no session is live.
    pub fn is_empty(&self) -> bool {
        self.reported == 0
    }

    /// The VMs that have a name, and how many sessions of each are live.
    pub fn vms(&self) -> impl Iterator<Item = (&str, usize)> + '_ {
        self.vms.iter().filter_map(|vm| Some((vm.name.as_deref()?, vm.live)))
    }

    /// How many sessions of a VM are live.
    pub fn live_at(&self, vm: VmId) -> usize {
        self.vms.get(vm.0 as usize).map_or(0, |vm| vm.live)
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How many open connections belong to no session yet: their link stage is not over.
    pub fn linking(&self) -> usize {
        self.places.values().map(|place| place.linking).sum()
    }

    /// What was seen so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn updated(&self, session: &Session, now: Timestamp) -> Record {
        let record = session.record(Action::SessionUpdated, now, self.config.source, None);
        self.named_record(session.vm(), record)
    }
}
