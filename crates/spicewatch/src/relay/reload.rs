//! Reading the configuration again: what is checked and bound before anything changes, and what changes then.

use std::fmt;

use spice_relay::net::NetAddress;
use tokio::sync::{mpsc, oneshot};

use super::{
    check,
    config::{Config, VmConfig},
    passed::PassedSockets,
    plan::{BoundVm, Plan, PlanError},
    shared_listeners::{self, BoundShared},
    vm::RunningVm,
};
use crate::outputs::Failure;

/// A valid configuration whose files are read and whose new addresses are bound.
pub(super) struct Prepared {
    pub(super) config: Config,
    /// Each VM, with the index of the running VM that it continues.
    pub(super) vms: Vec<(BoundVm, Option<usize>)>,
    /// The addresses that VMs share.
    pub(super) shared: Vec<BoundShared>,
}

/// Checks a configuration, and binds what is new in it. After an error nothing has changed.
///
/// Reads files and asks name servers, and so may block. Must run inside a tokio runtime, to which the QMP listeners belong.
pub(super) fn prepare(config: Config, running: &[VmConfig], passed: &PassedSockets) -> Result<Prepared, Failure> {
    let (plans, continued) = check(&config, running, passed)?;
    let mut vms = Vec::new();
    for ((plan, continued), vm) in plans.into_iter().zip(&continued).zip(&config.vm) {
        match plan.bind(continued.map(|index| &running[index]), running, passed) {
            Ok(bound) => vms.push((bound, *continued)),
            Err(error) if vm.optional && continued.is_none() => {
                let name = vm.shown_name();
                tracing::error!(vm = name, error, "the VM is not served; the next reload tries again");
            }
            Err(error) => return Err(Failure::Listen(error)),
        }
    }
    let shared = shared_listeners::bind(&config, running, passed)?;
    Ok(Prepared { config, vms, shared })
}

/// What a reload with this configuration would change. The first VMs of `running` are served, `serving` of them. Binds nothing.
pub(super) fn preview(
    config: &Config,
    running: &[VmConfig],
    serving: usize,
    process: &Config,
    passed: &PassedSockets,
) -> Result<Changes, Failure> {
    let (_, continued) = check(config, running, passed)?;
    let mut changes = Changes { after_restart: after_restart(process, config), ..Changes::default() };
    for (vm, continued) in config.vm.iter().zip(&continued) {
        let name = vm.shown_name();
        match continued.map(|index| &running[index]) {
            None => changes.added.push(name),
            Some(old) if old.shown_name() != name => changes.renamed.push((old.shown_name(), name)),
            Some(old) if old != vm => changes.changed.push(name),
            Some(_) => {}
        }
    }
    let is_removed = |(index, _): &(usize, &VmConfig)| !continued.contains(&Some(*index));
    let removed = running.iter().take(serving).enumerate().filter(is_removed);
    changes.removed.extend(removed.map(|(_, vm)| vm.shown_name()));
    Ok(changes)
}

/// A plan for each VM, and the index of the running VM that it continues.
type Checked = (Vec<Plan>, Vec<Option<usize>>);

fn check(config: &Config, running: &[VmConfig], passed: &PassedSockets) -> Result<Checked, Failure> {
    check::whole(config).map_err(Failure::Configuration)?;
    let continued = match_up(running, &config.vm);
    let is_held = |index: usize, address: &NetAddress| {
        let of_qmp = continued[index].is_some_and(|running_index| running[running_index].qmp.contains(address));
        of_qmp || listens(running, address) || passed.has(address)
    };
    let prefix = |index: usize| config.error_prefix(index);
    let mut plans = Vec::new();
    for (index, vm) in config.vm.iter().enumerate() {
        if let Some(address) = vm.qmp.iter().find(|address| !address.is_any_port() && listens(running, address)) {
            let error = format!("{address} is a listener for SPICE: it can be a QMP socket after another reload");
            return Err(Failure::Configuration(prefix(index) + &error));
        }
        let plan = Plan::check(vm.clone(), |address| is_held(index, address)).map_err(|error| match error {
            PlanError::Other(error) => error,
            PlanError::Identity(error) => {
                log_old_file(running, "can't use the new certificate; the old one stays in use", &error);
                error
            }
            PlanError::UpstreamCa(error) => {
                log_old_file(running, "can't use the new CA of the upstream; the old one stays in use", &error);
                error
            }
        });
        plans.push(plan.map_err(|error| Failure::Configuration(prefix(index) + &error))?);
    }
    Ok((plans, continued))
}

/// At a reload, the log says what happens without the file.
fn log_old_file(running: &[VmConfig], message: &str, error: &str) {
    if !running.is_empty() {
        tracing::error!(error, "{message}");
    }
}

/// Whether a VM listens on this address for SPICE.
fn listens(vms: &[VmConfig], address: &NetAddress) -> bool {
    vms.iter().any(|vm| vm.listen.contains(address) || vm.tls_listen.contains(address))
}

/// For each VM of the new configuration, the index of the running VM that it continues.
///
/// That is the one of the same name. A VM with a new name continues a running one whose name is gone, if both have the same
/// upstream, and an address or nothing to listen on in common: it was renamed.
fn match_up(running: &[VmConfig], new: &[VmConfig]) -> Vec<Option<usize>> {
    let names: Vec<_> = running.iter().map(VmConfig::shown_name).collect();
    let mut continued: Vec<_> = new.iter().map(|vm| names.iter().position(|name| *name == vm.shown_name())).collect();
    for (index, vm) in new.iter().enumerate() {
        if continued[index].is_none() {
            let is_renamed = |old: &VmConfig| {
                let keeps_name = old
                    .connect
                    .iter()
                    .chain(&old.tls_connect)
                    .any(|name| vm.connect.contains(name) || vm.tls_connect.contains(name));
                let mut addresses = old.listen.iter().chain(&old.tls_listen).chain(&old.qmp);
                old.upstream == vm.upstream && (keeps_name || addresses.any(|address| RunningVm::holds(vm, address)))
            };
            continued[index] =
                (0..running.len()).find(|old| !continued.contains(&Some(*old)) && is_renamed(&running[*old]));
        }
    }
    continued
}

/// What a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// The names of new VMs.
    pub(super) added: Vec<String>,
    /// The names of VMs that accept no more connections.
    pub(super) removed: Vec<String>,
    /// Old and new names.
    pub(super) renamed: Vec<(String, String)>,
    /// The names of VMs with other settings.
    pub(super) changed: Vec<String>,
    /// Keys that have changed, and have an effect only after a restart.
    pub(super) after_restart: Vec<&'static str>,
    /// The names of VMs that the system refused to serve, and why.
    pub(super) failed: Vec<(String, String)>,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let renamed: Vec<_> = self.renamed.iter().map(|(old, new)| format!("{old} to {new}")).collect();
        let failed: Vec<_> = self.failed.iter().map(|(name, error)| format!("{name} ({error})")).collect();
        let restart: Vec<_> = self.after_restart.iter().map(|key| (*key).to_owned()).collect();
        let mut is_first = true;
        for (what, names) in [
            ("added", &self.added),
            ("removed", &self.removed),
            ("renamed", &renamed),
            ("changed", &self.changed),
            ("after a restart", &restart),
            ("failed", &failed),
        ] {
            if !names.is_empty() {
                write!(f, "{}{what}: {}", if is_first { "" } else { "; " }, names.join(", "))?;
                is_first = false;
            }
        }
        if is_first { f.write_str("no changes") } else { Ok(()) }
    }
}

/// The keys of the process that have changed, and have an effect only after a restart.
pub(super) fn after_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("workers", old.workers != new.workers),
        ("log", old.log != new.log),
        ("log-format", old.log_format != new.log_format),
        ("format", old.format != new.format),
        ("sessions", old.sessions != new.sessions),
        ("sessions-to", old.sessions_to != new.sessions_to),
        #[cfg(feature = "history")]
        ("history", old.history != new.history),
        #[cfg(feature = "history")]
        ("history-days", old.history_days != new.history_days),
        #[cfg(feature = "history")]
        ("history-bytes", old.history_bytes != new.history_bytes),
        ("control", old.control != new.control),
        ("control-group", old.control_group != new.control_group),
        ("control-mode", old.control_mode != new.control_mode),
        #[cfg(feature = "http")]
        ("http", old.http != new.http),
        #[cfg(feature = "http")]
        ("http-group", old.http_group != new.http_group),
        #[cfg(feature = "http")]
        ("http-mode", old.http_mode != new.http_mode),
    ];
    changed.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key)).collect()
}

/// Takes these keys of the old configuration, so that the next reload names them again.
pub(super) fn keep_until_restart(old: &Config, new: &mut Config) {
    let old = old.clone();
    (new.workers, new.log, new.log_format) = (old.workers, old.log, old.log_format);
    new.format = old.format;
    (new.sessions, new.sessions_to) = (old.sessions, old.sessions_to);
    #[cfg(feature = "history")]
    {
        (new.history, new.history_days, new.history_bytes) = (old.history, old.history_days, old.history_bytes);
    }
    (new.control, new.control_group, new.control_mode) = (old.control, old.control_group, old.control_mode);
    #[cfg(feature = "http")]
    {
        (new.http, new.http_group, new.http_mode) = (old.http, old.http_group, old.http_mode);
    }
}

/// Asks the running relay to change, or to say what would change.
#[derive(Clone, Debug)]
pub(super) struct ReloadHandle(mpsc::Sender<Request>);

/// A request, and the sender of its outcome.
#[derive(Debug)]
pub(super) enum Request {
    Reload(Outcome),
    Preview(Outcome),
    /// How many connections of the VM of this name are open.
    Drain(String, oneshot::Sender<Result<usize, String>>),
}

pub(super) type Outcome = oneshot::Sender<Result<Changes, String>>;

impl ReloadHandle {
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, requests) = mpsc::channel(1);
        (Self(sender), requests)
    }

    /// Reads the configuration again. An error is one line, and means that nothing has changed.
    ///
    /// All of these are for a thread of its own: they wait for the outcome, and panic inside a tokio runtime.
    pub(super) fn reload(&self) -> Result<Changes, String> {
        self.request(Request::Reload)
    }

    /// Says what a reload would change.
    pub(super) fn preview(&self) -> Result<Changes, String> {
        self.request(Request::Preview)
    }

    /// Lets a VM accept no more connections. Returns how many are open.
    pub(super) fn drain(&self, vm: &str) -> Result<usize, String> {
        self.request(|outcome| Request::Drain(vm.to_owned(), outcome))
    }

    fn request<T>(&self, request: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Request) -> Result<T, String> {
        let (sender, outcome) = oneshot::channel();
        let gone = "the relay is shutting down";
        self.0.blocking_send(request(sender)).map_err(|_| gone.to_owned())?;
        outcome.blocking_recv().map_err(|_| gone.to_owned())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(name: &str, listen: &str, upstream: &str) -> VmConfig {
        VmConfig {
            name: Some(name.to_owned()),
            listen: vec![listen.parse().unwrap()],
            upstream: Some(upstream.parse().unwrap()),
            ..VmConfig::default()
        }
    }

    #[test]
    fn vm_continues_the_one_of_its_name_or_the_one_that_it_was() {
        let running = [vm("a", ":1", "h:1"), vm("b", ":2", "h:2"), vm("c", ":3", "h:3")];
        for (new, expected) in [
            (vec![vm("a", ":1", "h:1"), vm("b", ":9", "h:9")], vec![Some(0), Some(1)]),
            (vec![vm("new", ":2", "h:2")], vec![Some(1)]),
            (vec![vm("new", ":9", "h:2"), vm("newer", ":2", "h:9")], vec![None, None]),
            // b is still there, so that this is another one.
            (vec![vm("new", ":2", "h:2"), vm("b", ":9", "h:2")], vec![None, Some(1)]),
            (vec![vm("b", ":1", "h:1"), vm("a", ":2", "h:2")], vec![Some(1), Some(0)]),
        ] {
            assert_eq!(match_up(&running, &new), expected, "{new:?}");
        }
    }

    #[test]
    fn changes_are_one_line() {
        assert_eq!(Changes::default().to_string(), "no changes");
        let changes = Changes {
            added: vec!["x".into(), "y".into()],
            renamed: vec![("a".into(), "b".into())],
            after_restart: vec!["workers"],
            ..Changes::default()
        };
        assert_eq!(changes.to_string(), "added: x, y; renamed: a to b; after a restart: workers");
    }
}
