//! Where a session takes place: spice-server has one session at a time, and a new one ends the old.

use std::{collections::BTreeSet, sync::Arc};

use serde_derive::{Deserialize, Serialize};
use spice_events::{Address, Connection};

use crate::VmId;

/// A VM, or for a source that does not know VMs, a server's address and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) vm: VmId,
    server: Option<Arc<Address>>,
}

impl Place {
    pub(crate) fn of(vm: VmId, connection: &Connection) -> Self {
        let server = (vm == VmId::default()).then(|| Arc::new(connection.endpoints.server.clone()));
        Self { vm, server }
    }
}

/// What is known of a place.
#[derive(Debug, Default)]
pub(crate) struct AtPlace {
    /// Connections that are neither a channel yet nor refused.
    pub(crate) linking: usize,
    /// Live sessions.
    pub(crate) live: BTreeSet<u64>,
    /// Sessions that ended, and may have been replaced.
    pub(crate) waiting: BTreeSet<u64>,
}

impl AtPlace {
    pub(crate) fn is_unused(&self) -> bool {
        self.linking == 0 && self.live.is_empty() && self.waiting.is_empty()
    }
}
