//! The flags of commands that have no configuration file.

use super::{HookCommand, HookSettings, HookTable};

// Hooks. A doc comment would replace the command's own help.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Hooks")]
pub(crate) struct HookArgs {
    /// Run this program when a session starts: an absolute path, or a JSON array of the path and arguments
    ///
    /// No shell is involved. The session record is on the program's stdin, and its main members are in the environment (SPICEWATCH_*).
    #[arg(long, value_name = "PROGRAM")]
    on_session_start: Option<HookCommand>,
    /// Run this program when a session has ended
    #[arg(long, value_name = "PROGRAM")]
    on_session_end: Option<HookCommand>,
    /// Run this program when a link was refused: a login failed
    #[arg(long, value_name = "PROGRAM")]
    on_link_refused: Option<HookCommand>,
    /// Run this program when a VM's last session has ended, and no other one has started for --vm-empty-seconds
    #[arg(long, value_name = "PROGRAM")]
    on_vm_empty: Option<HookCommand>,
    /// Seconds without a session after which --on-vm-empty runs [default: 60]
    #[arg(long, value_name = "N")]
    vm_empty_seconds: Option<u64>,
    /// Seconds after which a hook that still runs is ended [default: 30]
    #[arg(long, value_name = "N")]
    hook_seconds: Option<u64>,
}

impl HookArgs {
    /// Whether there is a hook.
    pub(crate) fn is_set(&self) -> bool {
        [&self.on_session_start, &self.on_session_end, &self.on_link_refused, &self.on_vm_empty]
            .iter()
            .any(|hook| hook.is_some())
    }

    /// The hooks of all VMs.
    pub(crate) fn table(&self) -> Result<HookTable, String> {
        let hooks = self.clone();
        let settings = HookSettings {
            on_session_start: hooks.on_session_start,
            on_session_end: hooks.on_session_end,
            on_link_refused: hooks.on_link_refused,
            on_vm_empty: hooks.on_vm_empty,
            vm_empty_seconds: hooks.vm_empty_seconds,
            hook_seconds: hooks.hook_seconds,
        };
        settings.check()?;
        Ok(HookTable::new(settings))
    }
}
