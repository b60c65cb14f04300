//! The VMs that are served, and what happens to them at a reload.

use std::mem;

use spice_relay::spice_events::Auth;

use super::{
    common::Common,
    config::VmConfig,
    limits::max_connections,
    places::Released,
    plan::BoundVm,
    reload::{Changes, Prepared, after_restart, keep_until_restart},
    shared_listeners::{BoundShared, SharedListeners},
    vm::RunningVm,
};
use crate::outputs::FLUSH_PATIENCE;

/// The VMs that are served.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) common: Common,
    vms: Vec<RunningVm>,
    /// VMs that were removed while connections were open. They accept no more.
    draining: Vec<RunningVm>,
    shared: SharedListeners,
}

impl Service {
    pub(super) fn new(common: Common) -> Self {
        Self { common, vms: Vec::new(), draining: Vec::new(), shared: SharedListeners::default() }
    }

    /// Starts to serve a VM. `asked` is QEMU's answer.
    pub(super) fn add(&mut self, vm: BoundVm, asked: Option<Auth>) -> Result<(), String> {
        let vm = vm.start(&self.common, &mut [], asked).map_err(|error| error.to_string())?;
        self.vms.push(vm);
        Ok(())
    }

    /// Starts to accept at the addresses that VMs share.
    pub(super) fn share(&mut self, bound: Vec<BoundShared>) -> Result<(), String> {
        self.shared.start(bound, &self.vms, &self.common, &mut []).map_err(|error| error.to_string())
    }

    /// The VMs that are served.
    pub(super) fn vms(&self) -> &[RunningVm] {
        &self.vms
    }

    /// VMs that were removed and still have connections.
    pub(super) fn draining(&self) -> &[RunningVm] {
        &self.draining
    }

    /// The listeners that VMs share.
    pub(super) fn shared(&self) -> &SharedListeners {
        &self.shared
    }

    /// How many VMs are served: the first ones of [`running`](Self::running).
    pub(super) fn len(&self) -> usize {
        self.vms.len()
    }

    /// The configurations of all VMs that have sockets or connections, in the order that [`apply`](Self::apply) expects. After them
    /// comes one that has the addresses of `connect-listen`.
    pub(super) fn running(&self) -> Vec<VmConfig> {
        let connect = VmConfig { listen: self.common.process.connect_listen.clone(), ..VmConfig::default() };
        self.vms.iter().chain(&self.draining).map(|vm| vm.config.clone()).chain([connect]).collect()
    }

    /// Serves what was prepared from [`running`](Self::running). Open connections go on.
    pub(super) async fn apply(&mut self, Prepared { mut config, vms, shared }: Prepared) -> Changes {
        let mut changes = Changes { after_restart: after_restart(&self.common.process, &config), ..Changes::default() };
        keep_until_restart(&self.common.process, &mut config);
        let is_retimed = config.timeouts() != self.common.process.timeouts();
        self.common.process = config;
        self.set_hooks();
        let most = max_connections(&self.common.process, self.common.workers);
        self.common.status.limit.set(most, self.common.process.per_source());

        let was_draining = self.vms.len();
        let all = mem::take(&mut self.vms).into_iter().chain(mem::take(&mut self.draining));
        let mut old: Vec<_> = all.map(Some).collect();
        let mut released = Vec::new();
        for (index, vm) in old.iter_mut().enumerate() {
            let new = vms.iter().find(|(_, continued)| *continued == Some(index)).map(|(new, _)| new);
            let is_same = |vm: &RunningVm| new.is_some_and(|new| *new.config() == vm.config) && !is_retimed;
            if let Some(vm) = vm.as_mut().filter(|vm| !is_same(vm)) {
                vm.release(index, &mut released).await;
            }
        }
        self.shared.release(&mut released).await;
        for (new, continued) in vms {
            let name = new.config().shown_name();
            let earlier = continued.and_then(|index| Some((index, old[index].take()?)));
            if let Err(error) = self.take_over(new, earlier, is_retimed, &mut released, &mut changes) {
                tracing::error!(vm = name, %error, "can't serve the VM after the reload");
                changes.failed.push((name, error));
            }
        }
        for (index, mut vm) in old.into_iter().enumerate().filter_map(|(index, vm)| Some((index, vm?))) {
            if index < was_draining {
                let name = vm.config.shown_name();
                tracing::info!(vm = name, "removed; its connections go on until they end");
                changes.removed.push(name);
            }
            vm.config.listen.clear();
            vm.config.tls_listen.clear();
            self.draining.push(vm);
        }
        if let Err(error) = self.shared.start(shared, &self.vms, &self.common, &mut released) {
            tracing::error!(%error, "can't serve shared addresses after the reload");
        }
        changes
    }

    fn take_over(
        &mut self,
        new: BoundVm,
        earlier: Option<(usize, RunningVm)>,
        is_retimed: bool,
        released: &mut [Released],
        changes: &mut Changes,
    ) -> Result<(), String> {
        let name = new.config().shown_name();
        let Some((owner, mut vm)) = earlier else {
            let vm = new.start(&self.common, released, None).map_err(|error| error.to_string())?;
            self.vms.push(vm);
            changes.added.push(name);
            return Ok(());
        };
        let old_name = vm.config.shown_name();
        let is_same = *new.config() == vm.config;
        let outcome = if is_same && !is_retimed {
            vm.refresh(&new);
            Ok(())
        } else {
            vm.change(new, &self.common, owner, released).map_err(|error| error.to_string())
        };
        if outcome.is_err() {
            // Its sockets are gone: the next reload binds them again.
            vm.config.listen.clear();
            vm.config.tls_listen.clear();
        }
        self.vms.push(vm);
        outcome?;
        if old_name != name {
            changes.renamed.push((old_name, name));
        } else if !is_same {
            changes.changed.push(name);
        }
        Ok(())
    }

    /// Hooks of the configuration run from now on.
    pub(super) fn set_hooks(&self) {
        let Ok(hooks) = self.common.process.hook_table() else { return };
        match &self.common.sessions {
            Some(sessions) => {
                if let Err(error) = sessions.set_hooks(hooks) {
                    tracing::error!(%error, "can't start the thread that runs hooks");
                }
            }
            None if hooks.is_empty() => {}
            None => tracing::error!("hooks run after a restart: this process follows no sessions"),
        }
    }

    /// Lets a VM accept no more connections until the next reload. Returns how many are open. `None`: there is no such VM.
    pub(super) async fn drain(&mut self, name: &str) -> Option<usize> {
        let vm = self.vms.iter_mut().find(|vm| vm.config.shown_name() == name)?;
        let open = vm.drain().await;
        self.shared.set_routes(&self.vms);
        tracing::info!(
            vm = name,
            connections = open,
            "draining: the VM accepts no more connections until the next reload"
        );
        Some(open)
    }

    /// Whether a removed VM may still have connections.
    pub(super) fn is_draining(&self) -> bool {
        !self.draining.is_empty()
    }

    /// Ends removed VMs that have no more connections.
    pub(super) fn finish_drained(&mut self) {
        for vm in self.draining.extract_if(.., |vm| vm.is_idle()) {
            tracing::info!(vm = vm.config.shown_name(), "the removed VM's last connection has ended");
            tokio::spawn(vm.finish(FLUSH_PATIENCE));
        }
    }

    /// Stops accepting.
    pub(super) async fn stop_accepting(&mut self) {
        self.shared.stop_accepting();
        for vm in &mut self.vms {
            vm.stop_accepting().await;
        }
    }

    /// Another process has taken over: stops accepting, and serves QMP no more. Socket files stay. Connections go on.
    pub(super) async fn leave(&mut self) {
        let mut released = Vec::new();
        self.shared.release(&mut released).await;
        for (index, vm) in self.vms.iter_mut().enumerate() {
            vm.release(index, &mut released).await;
        }
        for listener in released.iter_mut().flat_map(|released| &mut released.listeners) {
            listener.leave_file();
        }
        drop(released);
        let leaving: Vec<_> = self.vms.iter_mut().map(|vm| tokio::spawn(vm.leave(FLUSH_PATIENCE))).collect();
        for leaving in leaving {
            let _ = leaving.await;
        }
    }

    /// All VMs, for the end of the process.
    pub(super) fn into_vms(self) -> (Common, Vec<RunningVm>) {
        (self.common, self.vms.into_iter().chain(self.draining).collect())
    }
}
