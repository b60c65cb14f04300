//! Addresses at which clients choose one of several VMs: by the server name of TLS, or by an HTTP CONNECT.

use std::collections::HashMap;

use spice_relay::net::NetAddress;

use super::config::{Config, VmConfig};

/// Checks that every name leads to one VM.
pub(super) fn check(config: &Config) -> Result<(), String> {
    connect_names(config)?;
    let mut names = HashMap::new();
    let mut first: HashMap<&NetAddress, (usize, &VmConfig)> = HashMap::new();
    let mut unnamed = HashMap::new();
    for (index, vm) in config.vm.iter().enumerate() {
        let prefix = || config.error_prefix(index);
        let of = |other: usize| config.error_prefix(other).trim_end_matches(": ").to_owned();
        if !vm.tls_name.is_empty() && vm.tls_listen.is_empty() {
            return Err(prefix() + "tls-name needs tls-listen");
        }
        for address in &vm.shared {
            if address.is_any_port() {
                return Err(format!("{}expected a port from 1 to 65535 with tls-name, found `{address}`", prefix()));
            }
            let (first_index, first_vm) = *first.entry(address).or_insert((index, vm));
            if first_vm.proxy_from != vm.proxy_from {
                return Err(format!(
                    "{}expected the proxy-from of {}, which has {address} too, found another one: the header comes before the name",
                    prefix(),
                    of(first_index)
                ));
            }
            if vm.tls_name.is_empty()
                && let Some(other) = unnamed.insert(address, index)
            {
                return Err(format!(
                    "{}expected a tls-name at {address}, found none: {} has no tls-name either, and gets all other connections",
                    prefix(),
                    of(other)
                ));
            }
            for name in &vm.tls_name {
                if let Some(other) = names.insert((address, name), index) {
                    return Err(format!(
                        "{}expected a tls-name of its own at {address}, found `{name}`, a tls-name of {}",
                        prefix(),
                        of(other)
                    ));
                }
            }
        }
    }
    Ok(())
}

fn connect_names(config: &Config) -> Result<(), String> {
    let mut names = HashMap::new();
    for (index, vm) in config.vm.iter().enumerate() {
        let prefix = config.error_prefix(index);
        for (key, name) in vm
            .connect
            .iter()
            .map(|name| ("connect", name))
            .chain(vm.tls_connect.iter().map(|name| ("tls-connect", name)))
        {
            if config.connect_listen.is_empty() {
                return Err(format!("{prefix}expected connect-listen with {key}, found none"));
            }
            if let Some((other, other_key)) = names.insert(name, (index, key)) {
                let hint = "a port can tell them apart: HOST:PORT";
                let other = config.error_prefix(other);
                return Err(format!(
                    "{prefix}expected another {key} than `{name}`: it is in {other}{other_key} too; {hint}"
                ));
            }
        }
    }
    if !config.connect_listen.is_empty() && names.is_empty() && config.vm_dir.is_none() {
        return Err("expected a VM with connect or tls-connect for connect-listen, found none".into());
    }
    if config.connect_listen.is_empty() && !config.connect_proxy_from.is_empty() {
        return Err("expected connect-listen with connect-proxy-from, found none".into());
    }
    Ok(())
}
