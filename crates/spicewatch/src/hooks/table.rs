//! Which hooks each VM has.

use std::{collections::HashMap, time::Duration};

use super::HookCommand;

/// The default of `vm-empty-seconds`: a client that lost its network is back, or has given up.
const EMPTY_SECONDS: u64 = 60;

/// The default of `hook-seconds`.
const HOOK_SECONDS: u64 = 30;

/// The longest time that can be configured, a year.
const MAX_SECONDS: u64 = 366 * 86_400;

/// What a hook is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HookKind {
    SessionStart,
    SessionEnd,
    LinkRefused,
    VmEmpty,
}

impl HookKind {
    /// The key of the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SessionStart => "on-session-start",
            Self::SessionEnd => "on-session-end",
            Self::LinkRefused => "on-link-refused",
            Self::VmEmpty => "on-vm-empty",
        }
    }
}

/// The hooks of one VM, or the defaults of all. What is not set is taken from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HookSettings {
    pub(crate) on_session_start: Option<HookCommand>,
    pub(crate) on_session_end: Option<HookCommand>,
    pub(crate) on_link_refused: Option<HookCommand>,
    pub(crate) on_vm_empty: Option<HookCommand>,
    pub(crate) vm_empty_seconds: Option<u64>,
    pub(crate) hook_seconds: Option<u64>,
}

impl HookSettings {
    /// Checks that the programs are there, and the times possible.
    pub(crate) fn check(&self) -> Result<(), String> {
        let all = [HookKind::SessionStart, HookKind::SessionEnd, HookKind::LinkRefused, HookKind::VmEmpty];
        for kind in all {
            let command = self.command(kind);
            command.map_or(Ok(()), HookCommand::check).map_err(|error| format!("{}: {error}", kind.name()))?;
        }
        for (key, seconds) in [("vm-empty-seconds", self.vm_empty_seconds), ("hook-seconds", self.hook_seconds)] {
            if let Some(seconds) = seconds.filter(|seconds| !(1..=MAX_SECONDS).contains(seconds)) {
                return Err(format!("expected {key} to be from 1 to {MAX_SECONDS}, found {seconds}"));
            }
        }
        Ok(())
    }

    /// The program, if this hook is turned on.
    pub(super) fn command(&self, kind: HookKind) -> Option<&HookCommand> {
        let command = match kind {
            HookKind::SessionStart => &self.on_session_start,
            HookKind::SessionEnd => &self.on_session_end,
            HookKind::LinkRefused => &self.on_link_refused,
            HookKind::VmEmpty => &self.on_vm_empty,
        };
        command.as_ref().filter(|command| command.parts().is_some())
    }

    /// How long a VM has no session before `on-vm-empty` runs.
    pub(super) fn empty_after(&self) -> Duration {
        Duration::from_secs(self.vm_empty_seconds.unwrap_or(EMPTY_SECONDS))
    }

    /// How long a hook may run.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.hook_seconds.unwrap_or(HOOK_SECONDS))
    }

    fn or(self, defaults: &Self) -> Self {
        let or = |own: Option<HookCommand>, default: &Option<HookCommand>| own.or_else(|| default.clone());
        Self {
            on_session_start: or(self.on_session_start, &defaults.on_session_start),
            on_session_end: or(self.on_session_end, &defaults.on_session_end),
            on_link_refused: or(self.on_link_refused, &defaults.on_link_refused),
            on_vm_empty: or(self.on_vm_empty, &defaults.on_vm_empty),
            vm_empty_seconds: self.vm_empty_seconds.or(defaults.vm_empty_seconds),
            hook_seconds: self.hook_seconds.or(defaults.hook_seconds),
        }
    }
}

/// The hooks of all VMs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HookTable {
    defaults: HookSettings,
    /// VMs with settings of their own, completed with the defaults.
    vms: HashMap<String, HookSettings>,
}

impl HookTable {
    /// All VMs have these hooks.
    pub(crate) fn new(defaults: HookSettings) -> Self {
        Self { defaults, vms: HashMap::new() }
    }

    /// A VM has settings of its own.
    pub(crate) fn insert(&mut self, vm: String, settings: HookSettings) {
        if settings != HookSettings::default() {
            self.vms.insert(vm, settings.or(&self.defaults));
        }
    }

    /// Whether no VM has a hook.
    pub(crate) fn is_empty(&self) -> bool {
        let all = [HookKind::SessionStart, HookKind::SessionEnd, HookKind::LinkRefused, HookKind::VmEmpty];
        std::iter::once(&self.defaults)
            .chain(self.vms.values())
            .all(|settings| all.iter().all(|kind| settings.command(*kind).is_none()))
    }

    /// The hooks of a VM.
    pub(super) fn of(&self, vm: &str) -> &HookSettings {
        self.vms.get(vm).unwrap_or(&self.defaults)
    }
}
