//! How many connections there may be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spice_relay::connection::MAX_PIPES;

use super::config::Config;

/// The default limit on concurrent connections of the whole process, if there are enough descriptors.
const MAX_CONNECTIONS: usize = 10_000;

/// Raises the limit on descriptors to what the system allows. Returns how many connections there may be.
pub(super) fn max_connections(config: &Config, workers: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "can't raise the limit on descriptors");
    }
    // Each thread has a descriptor for each listener. A pipe has two. The rest is for QMP clients.
    let listeners = config
        .vm
        .iter()
        .map(|vm| (vm.listen.len() + vm.tls_listen.len()) * (workers + 1) + vm.qmp.len() + vm.qmp_connect.len());
    let shared = config.connect_listen.len() * (workers + 1);
    let own = listeners.sum::<usize>() + shared + 2 * MAX_PIPES + 256;
    let most = limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    // Each connection has two sockets.
    let room = (most.saturating_sub(own) / 2).max(1);
    match config.max_connections {
        None => MAX_CONNECTIONS.min(room),
        Some(most) => {
            let most = most.get();
            if most > room {
                tracing::warn!(
                    most,
                    room,
                    "the limit on open files leaves room for fewer connections; further ones wait in the backlog"
                );
            }
            most
        }
    }
}
