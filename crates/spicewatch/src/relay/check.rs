//! What each value by itself allows, and all of them together do not: found before anything is bound.
//!
//! Flags are held to some of it by clap already; a file is held to it here alone.

use std::net::{IpAddr, SocketAddr};

use super::{
    config::{Config, VmConfig},
    endpoint::Endpoint,
};

/// More threads than any machine has cores, and fewer than break it.
const MAX_WORKERS: usize = 1024;

/// The VMs together, and the process.
pub(super) fn whole(config: &Config) -> Result<(), String> {
    if config.vm.is_empty() {
        return Err("expected at least one [[vm]] in the configuration, found none".into());
    }
    if let Some(workers) = config.workers.filter(|workers| workers.get() > MAX_WORKERS) {
        return Err(format!("expected at most {MAX_WORKERS} workers, found {workers}"));
    }
    let mut named: Vec<(&Endpoint, String)> = Vec::new();
    for (index, vm) in config.vm.iter().enumerate() {
        let by = called(config, index);
        for endpoint in vm.listen.iter().chain(&vm.tls_listen).chain(&vm.qmp) {
            let before = named.iter().find(|(other, _)| *other == endpoint && !endpoint.is_any_port());
            match before {
                None => named.push((endpoint, by.clone())),
                Some((_, other)) if *other == by => return Err(format!("{by}{endpoint} is listened on twice")),
                Some((_, other)) => {
                    return Err(format!("{by}{endpoint} is what {} listens on", other.trim_end_matches(": ")));
                }
            }
        }
    }
    Ok(())
}

/// How an error begins that is about one VM of several.
pub(super) fn called(config: &Config, index: usize) -> String {
    match config.vm.get(index).and_then(|vm| vm.name.as_ref()) {
        _ if config.vm.len() == 1 => String::new(),
        Some(name) => format!("vm `{name}`: "),
        None => format!("vm number {}: ", index + 1),
    }
}

/// One VM; its upstream.
pub(super) fn vm(config: &VmConfig) -> Result<Endpoint, String> {
    let upstream = config.upstream.clone().ok_or("expected an upstream (--upstream ADDR), found none")?;
    if config.listen.is_empty() && config.tls_listen.is_empty() {
        return Err("expected something to listen on (--listen ADDR or --tls-listen ADDR), found nothing".into());
    }
    if upstream.host() == Some("*") {
        return Err(format!("expected a host in the upstream, found `{upstream}`"));
    }
    if upstream.is_any_port() {
        return Err(format!("expected a port from 1 to 65535 in the upstream, found `{upstream}`"));
    }
    if config.listen.iter().chain(&config.tls_listen).any(|listen| is_itself(&upstream, listen)) {
        return Err(format!("expected an upstream other than the relay itself, found {upstream}, which it listens on"));
    }
    if !config.upstream_tls {
        for (key, given) in [
            ("ca", config.ca.is_some()),
            ("upstream-name", config.upstream_name.is_some()),
            ("host-subject", config.host_subject.is_some()),
        ] {
            if given {
                return Err(format!(
                    "expected upstream-tls with {key}, found none: the upstream would not be asked for TLS"
                ));
            }
        }
    }
    if config.tls_listen.is_empty() {
        if config.cert.is_some() || config.key.is_some() {
            return Err("a certificate is of no use without --tls-listen".into());
        }
        if config.x509_dir.is_some() && !config.upstream_tls {
            return Err("x509-dir is of no use without --tls-listen or --upstream-tls".into());
        }
    }
    if config.auth.is_some() && config.qemu_qmp.is_some() {
        return Err("expected either auth or qemu-qmp, found both".into());
    }
    Ok(upstream)
}

/// Whether whoever connects to the upstream would be accepted by this listener: each connection would make another.
///
/// Of the names for this machine, those are known that need neither a list of its interfaces nor a name server, which may
/// be long in answering.
fn is_itself(upstream: &Endpoint, listen: &Endpoint) -> bool {
    match (upstream, listen) {
        (Endpoint::Tcp(host, there), Endpoint::Tcp(_, here))
            if there == here && (host == "localhost" || host.parse::<IpAddr>().is_ok()) =>
        {
            let (Ok(there), Ok(here)) = (upstream.resolve(), listen.resolve()) else { return false };
            let taken = |address: &SocketAddr| {
                let local = address.ip().is_loopback() || address.ip().is_unspecified();
                here.iter().any(|here| {
                    let all = here.ip().is_unspecified() && (here.is_ipv6() || address.is_ipv4());
                    here.ip() == address.ip() || all && local
                })
            };
            !there.is_empty() && there.iter().all(taken)
        }
        (Endpoint::Unix(there), Endpoint::Unix(here)) => there == here,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_not_its_own_upstream() {
        let itself = |upstream: &str, listen: &str| is_itself(&upstream.parse().unwrap(), &listen.parse().unwrap());
        for (upstream, listen) in [
            ("127.0.0.1:5900", "127.0.0.1:5900"),
            ("127.0.0.1:5900", ":5900"),
            ("[::1]:5900", "[::]:5900"),
            ("0.0.0.0:5900", "0.0.0.0:5900"),
            ("localhost:5900", ":5900"),
            ("unix:/run/vm", "unix:/run//vm"),
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
}
