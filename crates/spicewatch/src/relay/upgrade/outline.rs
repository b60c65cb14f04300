//! Which VMs the two processes of an upgrade have.

use spice_relay::net::NetAddress;

use super::message::VmOutline;
use crate::relay::config::{Config, VmConfig};

/// What has to be the same in both processes: an upgrade changes the program, and a reload the configuration.
pub(super) fn outlines(vms: &[VmConfig]) -> Vec<VmOutline> {
    let shown = |addresses: &[NetAddress]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    let outline = |vm: &VmConfig| VmOutline {
        name: vm.shown_name(),
        listeners: [shown(&vm.listen), shown(&vm.tls_listen)].concat(),
        qmp: shown(&vm.qmp),
    };
    vms.iter().map(outline).collect()
}

/// The one line that says why these VMs can't be taken over, if they can't.
pub(super) fn difference(running: &[VmOutline], new: &[VmOutline]) -> Option<String> {
    let hint = "an upgrade changes the program only: reload the configuration first (SIGHUP), then upgrade";
    for old in running {
        match new.iter().find(|vm| vm.name == old.name) {
            None => return Some(format!("the new configuration has no VM `{}`; {hint}", old.name)),
            Some(vm) if vm != old => {
                return Some(format!("the new configuration has other addresses for VM `{}`; {hint}", old.name));
            }
            Some(_) => {}
        }
    }
    let added = new.iter().find(|vm| running.iter().all(|old| old.name != vm.name));
    added.map(|vm| format!("the running relay has no VM `{}`; {hint}", vm.name))
}

/// An address whose port the system picks, if it is configured twice: its sockets can't be told apart.
pub(super) fn ambiguous(config: &Config) -> Option<String> {
    let mut seen = Vec::new();
    for vm in &config.vm {
        for address in vm.listen.iter().chain(&vm.tls_listen).chain(&vm.qmp).filter(|address| address.is_any_port()) {
            if seen.contains(&address) {
                return Some(format!("{address} is configured twice, and its sockets can't be told apart"));
            }
            seen.push(address);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_vms_are_one_line() {
        let vm = |name: &str, listener: &str| VmOutline {
            name: name.to_owned(),
            listeners: vec![listener.to_owned()],
            qmp: Vec::new(),
        };
        let running = [vm("a", ":1"), vm("b", ":2")];
        assert_eq!(difference(&running, &[vm("b", ":2"), vm("a", ":1")]), None, "the order does not matter");
        for (new, expected) in [
            (vec![vm("a", ":1")], "the new configuration has no VM `b`"),
            (vec![vm("a", ":1"), vm("b", ":3")], "the new configuration has other addresses for VM `b`"),
            (vec![vm("a", ":1"), vm("b", ":2"), vm("c", ":3")], "the running relay has no VM `c`"),
        ] {
            assert!(difference(&running, &new).unwrap().starts_with(expected), "{new:?}");
        }
    }
}
