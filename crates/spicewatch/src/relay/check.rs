//! Checks that span several configuration values. They run before anything is bound.
//!
//! clap checks some of it for flags; for a file, this is the only check.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

use spice_relay::net::NetAddress;

use super::{
    config::{Config, VmConfig},
    shared_addresses,
};

/// The most threads that may be configured: more than any machine has cores.
const MAX_WORKERS: usize = 1024;

/// The fewest bytes that a QMP client may be behind: a take-over of a session with all its channels is some 40 events of 300 bytes.
const MIN_QMP_BEHIND: usize = 64 << 10;

/// Checks the settings of the process, and the VMs against each other.
pub(super) fn whole(config: &Config) -> Result<(), String> {
    if config.vm.is_empty() && config.vm_dir.is_none() {
        return Err("expected at least one [[vm]] in the configuration, found none".into());
    }
    if let Some(workers) = config.workers.filter(|workers| workers.get() > MAX_WORKERS) {
        return Err(format!("expected at most {MAX_WORKERS} workers, found {workers}"));
    }
    if config.format.is_some() && config.sessions {
        return Err("expected either format or sessions, found both: stdout has events or session records".into());
    }
    if let Some(bits) = config.source_ipv6_prefix.filter(|bits| !(1..=128).contains(bits)) {
        return Err(format!("expected source-ipv6-prefix to be from 1 to 128, found {bits}"));
    }
    if let Some(bytes) = config.max_qmp_behind.filter(|bytes| bytes.get() < MIN_QMP_BEHIND) {
        return Err(format!("expected max-qmp-behind to be at least {MIN_QMP_BEHIND}, found {bytes}"));
    }
    config.hook_table()?;
    names(config)?;
    rings(config)?;
    own_clients(config)?;
    shared_addresses::check(config)?;
    let mut seen: Vec<(&NetAddress, String)> = Vec::new();
    for address in &config.connect_listen {
        if seen.iter().any(|(other, _)| *other == address) {
            return Err(format!("{address} is configured in connect-listen twice"));
        }
        seen.push((address, "connect-listen: ".into()));
    }
    for (index, vm) in config.vm.iter().enumerate() {
        let prefix = config.error_prefix(index);
        let of_tls = vm.tls_listen.iter();
        for (number, address) in vm.listen.iter().chain(of_tls.clone()).chain(&vm.qmp).enumerate() {
            let before = seen.iter().find(|(other, _)| *other == address && !address.is_any_port());
            let is_tls = (vm.listen.len()..vm.listen.len() + vm.tls_listen.len()).contains(&number);
            let is_others = |other: &VmConfig| other.shared.contains(address) && !other.listen.contains(address);
            match before {
                // Names tell the VMs apart.
                Some((_, other))
                    if *other != prefix
                        && is_tls
                        && vm.shared.contains(address)
                        && config.vm[..index].iter().any(is_others)
                        && !config.connect_listen.contains(address) => {}
                None => seen.push((address, prefix.clone())),
                Some((_, other)) if *other == prefix => {
                    return Err(format!("{prefix}{address} is configured as a listener twice"));
                }
                Some((_, other)) => {
                    let other = other.trim_end_matches(": ");
                    let hint = if is_tls {
                        "; several VMs can share an address of tls-listen if each has a tls-name"
                    } else {
                        ""
                    };
                    return Err(format!("{prefix}{address} is already a listener of {other}{hint}"));
                }
            }
        }
    }
    Ok(())
}

/// Two VMs must not have the same name: the log could not tell them apart.
fn names(config: &Config) -> Result<(), String> {
    let mut seen = HashMap::new();
    for (index, vm) in config.vm.iter().enumerate() {
        let Some(name) = &vm.name else { continue };
        if let Some(before) = seen.insert(name, index) {
            let (before, index) = (before + 1, index + 1);
            return Err(format!(
                "vm number {index}: expected a name of its own, found `{name}`, the name of vm number {before}"
            ));
        }
    }
    Ok(())
}

/// No upstream may lead back to a VM's own listener, over any number of other VMs: each connection would open another one.
fn rings(config: &Config) -> Result<(), String> {
    let leads_to = |from: &VmConfig, to: &VmConfig| {
        let listeners = || to.listen.iter().chain(&to.tls_listen);
        from.upstream.as_ref().is_some_and(|upstream| listeners().any(|listen| is_itself(upstream, listen)))
    };
    let vms = &config.vm;
    let next: Vec<Vec<usize>> =
        vms.iter().map(|from| (0..vms.len()).filter(|to| leads_to(from, &vms[*to])).collect()).collect();
    for start in 0..vms.len() {
        let (mut reached, mut waiting) = (vec![false; vms.len()], next[start].clone());
        while let Some(at) = waiting.pop() {
            // A VM that is its own upstream has an error of its own.
            if at == start && next[start] != [start] {
                let upstream = vms[start].upstream.as_ref().map(ToString::to_string).unwrap_or_default();
                let prefix = config.error_prefix(start);
                return Err(format!(
                    "{prefix}expected an upstream other than the relay itself, found {upstream}, which leads back over another VM"
                ));
            }
            if !std::mem::replace(&mut reached[at], true) {
                waiting.extend(&next[at]);
            }
        }
    }
    Ok(())
}

/// No VM may connect to a QMP socket of the relay as if it were a client: two servers would answer each other's errors.
fn own_clients(config: &Config) -> Result<(), String> {
    for (index, vm) in config.vm.iter().enumerate() {
        let is_own = |client: &&NetAddress| config.vm.iter().flat_map(|vm| &vm.qmp).any(|own| is_itself(client, own));
        if let Some(client) = vm.qmp_connect.iter().find(is_own) {
            let prefix = config.error_prefix(index);
            return Err(format!(
                "{prefix}expected a QMP client to connect to, found {client}, a QMP socket of the relay"
            ));
        }
    }
    Ok(())
}

/// Checks the settings of one VM. Returns its upstream.
pub(super) fn vm(config: &VmConfig) -> Result<NetAddress, String> {
    let upstream = config.upstream.clone().ok_or("expected an upstream (--upstream ADDR), found none")?;
    let has_names = !config.connect.is_empty() || !config.tls_connect.is_empty();
    if config.listen.is_empty() && config.tls_listen.is_empty() && !has_names {
        return Err("expected an address to listen on (--listen ADDR or --tls-listen ADDR), found none".into());
    }
    if upstream.host() == Some("*") {
        return Err(format!("expected a host in the upstream, found `{upstream}`"));
    }
    if upstream.is_any_port() {
        return Err(format!("expected a port from 1 to 65535 in the upstream, found `{upstream}`"));
    }
    if config.listen.iter().chain(&config.tls_listen).any(|listen| is_itself(&upstream, listen)) {
        return Err(format!(
            "expected an upstream other than the relay itself, found {upstream}, which is one of its listeners"
        ));
    }
    if !config.upstream_tls {
        for (key, given) in [
            ("ca", config.ca.is_some()),
            ("upstream-name", config.upstream_name.is_some()),
            ("host-subject", config.host_subject.is_some()),
        ] {
            if given {
                return Err(format!(
                    "expected upstream-tls with {key}, found none: without it, the upstream connection is plain"
                ));
            }
        }
    }
    if config.keylog.is_some() && !config.serves_tls() && !config.upstream_tls {
        return Err("keylog needs --tls-listen or --upstream-tls".into());
    }
    if !config.serves_tls() {
        if config.cert.is_some() || config.key.is_some() {
            return Err("a certificate needs --tls-listen".into());
        }
        if config.x509_dir.is_some() && !config.upstream_tls {
            return Err("x509-dir needs --tls-listen or --upstream-tls".into());
        }
    }
    if config.auth.is_some() && config.qemu_qmp.is_some() {
        return Err("expected either auth or qemu-qmp, found both".into());
    }
    Ok(upstream)
}

/// Whether a connection to the upstream would be accepted by this listener: each connection would open another one.
///
/// Only addresses and `localhost` are compared. Other names of this machine would need a name server, which may answer slowly.
fn is_itself(upstream: &NetAddress, listen: &NetAddress) -> bool {
    match (upstream, listen) {
        (NetAddress::Tcp(host, to), NetAddress::Tcp(_, port))
            if to == port && (host == "localhost" || host.parse::<IpAddr>().is_ok()) =>
        {
            let (Ok(targets), Ok(bound)) = (upstream.resolve(), listen.resolve()) else { return false };
            let accepts = |target: &SocketAddr| {
                let ip = target.ip().to_canonical();
                bound.iter().any(|bound| {
                    let all = bound.ip().is_unspecified() && (bound.is_ipv6() || ip.is_ipv4());
                    bound.ip().to_canonical() == ip || all && is_local(ip)
                })
            };
            !targets.is_empty() && targets.iter().all(accepts)
        }
        (NetAddress::Unix(to), NetAddress::Unix(path)) => to == path || canonical(to) == canonical(path),
        _ => false,
    }
}

/// Whether an address belongs to this machine: only then can a socket be bound to it.
fn is_local(ip: IpAddr) -> bool {
    ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}

/// A path whose folder has no symbolic link and no relative part. `None`: there is no such folder.
fn canonical(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relay_as_its_own_upstream_is_found() {
        let itself = |upstream: &str, listen: &str| is_itself(&upstream.parse().unwrap(), &listen.parse().unwrap());
        for (upstream, listen) in [
            ("127.0.0.1:5900", "127.0.0.1:5900"),
            ("127.0.0.1:5900", ":5900"),
            ("[::1]:5900", "[::]:5900"),
            ("0.0.0.0:5900", "0.0.0.0:5900"),
            ("localhost:5900", ":5900"),
            ("[::ffff:127.0.0.1]:5900", "127.0.0.1:5900"),
            ("127.0.0.1:5900", "[::ffff:127.0.0.1]:5900"),
            ("127.8.9.1:5900", ":5900"),
            ("unix:/run/vm", "unix:/run//vm"),
            ("unix:/tmp/../tmp/vm", "unix:/tmp/vm"),
        ] {
            assert!(itself(upstream, listen), "{upstream} {listen}");
        }
        for (upstream, listen) in [
            ("127.0.0.1:5900", "127.0.0.1:5901"),
            ("127.0.0.1:5900", "127.0.0.2:5900"),
            ("[::1]:5900", "0.0.0.0:5900"),
            ("192.0.2.1:5900", ":5900"),
            ("no.such.host.invalid:5900", ":5900"),
            ("unix:/run/vm", "unix:/run/vm2"),
        ] {
            assert!(!itself(upstream, listen), "{upstream} {listen}");
        }
    }

    #[test]
    fn rings_of_upstreams_are_found() {
        let config = |vms: &[(&str, &str)]| {
            let vm = |(listen, upstream): &(&str, &str)| VmConfig {
                listen: vec![listen.parse().unwrap()],
                upstream: Some(upstream.parse().unwrap()),
                ..VmConfig::default()
            };
            Config { vm: vms.iter().map(vm).collect(), ..Config::default() }
        };
        let [a, b, c] = ["127.0.0.1:5901", "127.0.0.1:5902", "unix:/run/c"];
        for (vms, is_ring) in [
            (&[(a, b), (b, a)][..], true),
            (&[(a, b), (b, c), (c, "[::ffff:127.0.0.1]:5901")], true),
            (&[(":5901", b), (":5902", a)], true),
            (&[(c, "192.0.2.1:1"), (a, b), (b, a)], true),
            (&[(a, b), (b, c)], false),
            (&[(a, c), (b, c), (c, "192.0.2.1:1")], false),
        ] {
            assert_eq!(whole(&config(vms)).is_err(), is_ring, "{vms:?}");
        }
    }
}
