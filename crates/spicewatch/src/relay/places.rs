//! Where VMs listen for SPICE, and sockets that move from one VM to another at a reload.

use spice_relay::net::{Listener, NetAddress};

use super::config::VmConfig;

/// A configured address, and whether clients speak TLS there.
pub(super) type Place = (NetAddress, bool);

/// The addresses of one VM, without those that it shares with others.
pub(super) fn places(config: &VmConfig) -> Vec<Place> {
    let plain = config.listen.iter().map(|address| (address.clone(), false));
    let own = config.tls_listen.iter().filter(|address| !config.shared.contains(address));
    plain.chain(own.map(|address| (address.clone(), true))).collect()
}

/// Sockets that a VM has released at a reload.
pub(super) struct Released {
    /// The VM's index among those that were running.
    pub(super) owner: usize,
    pub(super) place: Place,
    pub(super) listeners: Vec<Listener>,
}

/// Takes the sockets of one place. An address may have moved from another VM, except one whose port the system picked.
pub(super) fn take(released: &mut [Released], place: &Place, owner: Option<usize>) -> Vec<Listener> {
    let fits = |found: &&mut Released| {
        if place.0.is_any_port() {
            found.place == *place && Some(found.owner) == owner && !found.listeners.is_empty()
        } else {
            found.place.0 == place.0
        }
    };
    released.iter_mut().find(fits).map(|found| std::mem::take(&mut found.listeners)).unwrap_or_default()
}
