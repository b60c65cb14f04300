//! The certificates that clients are shown, for the metrics.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use spice_relay::net::tls::ServerIdentity;

/// The certificates of all VMs. A clone shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates(Arc<Mutex<Vec<OfVm>>>);

/// A VM's name, and its certificate as long as the VM shows it.
type OfVm = (String, Weak<ServerIdentity>);

impl Certificates {
    /// A VM shows this certificate from now on, or none.
    pub(crate) fn set(&self, vm: &str, identity: Option<&Arc<ServerIdentity>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(name, identity)| name != vm && identity.strong_count() > 0);
        all.extend(identity.map(|identity| (vm.to_owned(), Arc::downgrade(identity))));
    }

    /// For each VM, until when its certificate is valid, in seconds since 1970.
    pub(super) fn not_after(&self) -> Vec<(String, i64)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(|(vm, identity)| Some((vm.clone(), identity.upgrade()?.not_after()?))).collect()
    }
}
