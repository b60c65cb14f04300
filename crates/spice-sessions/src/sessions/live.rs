//! What is live now.

use std::collections::BTreeMap;

use spice_events::{FlowId, Timestamp};

use super::{Counters, Sessions};
use crate::{Action, Record, Traffic, VmId, session::Session};

/// Names a live session within one [`Sessions`]. Later sessions have greater keys, and no key is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LiveKey(u64);

impl LiveKey {
    /// The key as a number, for a caller that hands it to another process and gets it back.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The key with this number. It need not be that of a session.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// What is open at a VM.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AtVm<'a> {
    /// The VM's name; empty for connections of a source that names none.
    pub name: &'a str,
    /// Live sessions.
    pub sessions: usize,
    /// Open connections.
    pub connections: usize,
    /// Those of them that belong to no session yet: their link stage is not over.
    pub linking: usize,
    /// Open channels, by the number of their type.
    pub channels: &'a BTreeMap<u8, usize>,
}

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

    /// Whether this session is live.
    pub fn is_live(&self, LiveKey(serial): LiveKey) -> bool {
        self.live.get(&serial).is_some_and(|session| session.is_reported)
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

    /// What is open at each VM. Without a walk over sessions or connections.
    pub fn at_vms(&self) -> impl Iterator<Item = AtVm<'_>> + '_ {
        self.vms.iter().filter(|vm| vm.name.is_some() || vm.connections > 0).map(|vm| AtVm {
            name: vm.name.as_deref().unwrap_or_default(),
            sessions: vm.live,
            connections: vm.connections,
            linking: vm.connections.saturating_sub(vm.joined),
            channels: &vm.channels,
        })
    }

    /// The name of a VM, if it has one.
    pub fn vm_name(&self, vm: VmId) -> Option<&str> {
        self.vms.get(vm.0 as usize)?.name.as_deref()
    }

    /// When an open connection began.
    pub fn opened_at(&self, vm: VmId, flow: FlowId) -> Option<Timestamp> {
        self.connections.get(&(vm, flow)).map(|followed| followed.opened_at)
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
