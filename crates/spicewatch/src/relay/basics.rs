//! What management asks any QEMU to learn whether it lives: `query-status`, `query-name`, `query-uuid` and `query-kvm`.
//!
//! With `--qemu-qmp` the answers are QEMU's own. Else they are the relay's: it runs, has the configured name, no UUID and no KVM.

use std::sync::Arc;

use qmp_server::{
    Command, Object, Reply, ServiceBuilder,
    schema::{Struct, Type},
};

use super::ask_qemu::Qemu;

/// QEMU's `RunState` (`qapi/run-state.json`).
const RUN_STATES: [&str; 16] = [
    "debug",
    "inmigrate",
    "internal-error",
    "io-error",
    "paused",
    "postmigrate",
    "prelaunch",
    "finish-migrate",
    "restore-vm",
    "running",
    "save-vm",
    "shutdown",
    "suspended",
    "watchdog",
    "guest-panicked",
    "colo",
];

/// QEMU's answer for a VM without a UUID.
const NO_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// Adds the commands. `name` is the configured name of the VM.
pub(super) fn add(service: ServiceBuilder, name: Option<&str>, qemu: Option<&Arc<Qemu>>) -> ServiceBuilder {
    let status = Struct::new().required("running", Type::Bool).required("status", Type::of(RUN_STATES));
    let kvm = Struct::new().required("enabled", Type::Bool).required("present", Type::Bool);
    let name_of = name.map_or_else(Object::new, |name| Object::new().with("name", name.to_owned()));
    let own = [
        ("query-status", status, Object::new().with("running", true).with("status", "running")),
        ("query-name", Struct::new().optional("name", Type::Str), name_of),
        ("query-uuid", Struct::new().required("UUID", Type::Str), Object::new().with("UUID", NO_UUID)),
        ("query-kvm", kvm, Object::new().with("enabled", false).with("present", false)),
    ];
    own.into_iter().fold(service, |service, (name, returns, answer)| {
        let command = match qemu {
            Some(qemu) => asked(name, qemu),
            None => Command::new(name, move |_| Ok(Reply::from(&answer))),
        };
        service.command(command.returns(returns))
    })
}

/// A command that QEMU answers.
fn asked(name: &'static str, qemu: &Arc<Qemu>) -> Command {
    let qemu = Arc::clone(qemu);
    Command::later(name, move |_, responder| {
        let qemu = Arc::clone(&qemu);
        tokio::spawn(async move { responder.answer(qemu.answer(name).await) });
    })
}
