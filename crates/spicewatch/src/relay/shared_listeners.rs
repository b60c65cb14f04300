//! The listeners that VMs share, at start and at each reload.

use std::sync::Arc;

use spice_relay::{
    Error, SharedListener, SharedRoutes,
    net::{Listener, NetAddress, Network},
};

use super::{
    common::Common,
    config::{Config, VmConfig},
    passed::PassedSockets,
    places::{Place, Released, take},
    vm::RunningVm,
};
use crate::outputs::Failure;

/// The owner of shared sockets among released ones: no VM has this index.
const OWNER: usize = usize::MAX;

/// A shared address of the configuration, and its new sockets. There are none if this process listens there already.
pub(super) struct BoundShared {
    place: SharedPlace,
    listeners: Vec<Listener>,
}

/// A shared address. Clients speak TLS there, or send an HTTP CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SharedPlace {
    address: NetAddress,
    is_tls: bool,
    proxy_from: Vec<Network>,
}

/// All shared listeners of the process.
#[derive(Debug, Default)]
pub(super) struct SharedListeners(Vec<(SharedPlace, SharedListener)>);

/// Binds the shared addresses at which none of the running VMs listens. A socket that was passed is used instead.
pub(super) fn bind(config: &Config, running: &[VmConfig], passed: &PassedSockets) -> Result<Vec<BoundShared>, Failure> {
    let is_held =
        |address: &NetAddress| running.iter().any(|vm| vm.listen.contains(address) || vm.tls_listen.contains(address));
    let mut bound = Vec::new();
    for place in shared_places(config) {
        let address = &place.address;
        if is_held(address) {
            bound.push(BoundShared { place, listeners: Vec::new() });
            continue;
        }
        let listeners = passed.listeners(address).map_err(Failure::Listen)?;
        if !listeners.is_empty() {
            bound.push(BoundShared { place, listeners });
            continue;
        }
        match Listener::bind(address) {
            Ok(listeners) => bound.push(BoundShared { place, listeners }),
            Err(error) => {
                let mut sharing = config.vm.iter().filter(|vm| vm.shared.contains(address)).peekable();
                if sharing.peek().is_none() || !sharing.all(|vm| vm.optional) {
                    return Err(Failure::Listen(error.to_string()));
                }
                tracing::error!(%address, %error, "an address of optional VMs is not served; the next reload tries again");
            }
        }
    }
    Ok(bound)
}

fn shared_places(config: &Config) -> Vec<SharedPlace> {
    let mut places: Vec<_> = config
        .connect_listen
        .iter()
        .map(|address| {
            let proxy_from = config.connect_proxy_from.clone();
            SharedPlace { address: address.clone(), is_tls: false, proxy_from }
        })
        .collect();
    for vm in &config.vm {
        for address in &vm.shared {
            let place = SharedPlace { address: address.clone(), is_tls: true, proxy_from: vm.proxy_from.clone() };
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

impl SharedListeners {
    /// All of them.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.0.iter().flat_map(|(_, listener)| listener.listeners())
    }

    /// Stops accepting, and adds the sockets to those that can be taken. Clients wait in their backlogs.
    pub(super) async fn release(&mut self, released: &mut Vec<Released>) {
        for (SharedPlace { address, is_tls, .. }, mut listener) in self.0.drain(..) {
            let listeners = listener.release().await;
            released.push(Released { owner: OWNER, place: (address, is_tls), listeners });
        }
    }

    /// Accepts for these VMs: at new sockets, and else at released ones.
    pub(super) fn start(
        &mut self,
        bound: Vec<BoundShared>,
        vms: &[RunningVm],
        common: &Common,
        released: &mut [Released],
    ) -> Result<(), Error> {
        for BoundShared { place, mut listeners } in bound {
            if listeners.is_empty() {
                let place: Place = (place.address.clone(), place.is_tls);
                listeners = take(released, &place, Some(OWNER));
            }
            let limit = Arc::clone(&common.status.limit);
            let routes = routes(&place, vms);
            let mut listener = if place.is_tls {
                SharedListener::by_server_name(listeners, limit)
            } else {
                SharedListener::by_http_connect(listeners, limit)
            };
            for network in &place.proxy_from {
                listener = listener.proxy_from(network.clone());
            }
            let listener = listener
                .name(place.address.to_string())
                .timeouts(common.process.timeouts())
                .accept_tasks(common.workers)
                .start_on(&common.status.data, routes)?;
            self.0.push((place, listener));
        }
        Ok(())
    }

    /// Connections from now on are those of these VMs.
    pub(super) fn set_routes(&self, vms: &[RunningVm]) {
        for (place, listener) in &self.0 {
            listener.set_routes(routes(place, vms));
        }
    }

    /// Stops accepting, and closes its sockets.
    pub(super) fn stop_accepting(&mut self) {
        self.0.clear();
    }
}

fn routes(place: &SharedPlace, vms: &[RunningVm]) -> SharedRoutes {
    if place.is_tls { tls_routes(&place.address, vms) } else { connect_routes(vms) }
}

fn tls_routes(address: &NetAddress, vms: &[RunningVm]) -> SharedRoutes {
    let mut routes = SharedRoutes::new();
    for vm in vms.iter().filter(|vm| vm.config.shared.contains(address)) {
        let Some(tls) = vm.server_tls() else { continue };
        if vm.config.tls_name.is_empty() {
            routes = routes.with_default(vm.relay(), tls.clone());
        }
        for name in &vm.config.tls_name {
            routes = routes.with(name.as_str(), vm.relay(), Some(tls.clone()));
        }
    }
    routes
}

fn connect_routes(vms: &[RunningVm]) -> SharedRoutes {
    let mut routes = SharedRoutes::new();
    for vm in vms {
        for name in &vm.config.connect {
            routes = routes.with(name.as_str(), vm.relay(), None);
        }
        for name in &vm.config.tls_connect {
            if let Some(tls) = vm.server_tls() {
                routes = routes.with(name.as_str(), vm.relay(), Some(tls.clone()));
            }
        }
    }
    routes
}
