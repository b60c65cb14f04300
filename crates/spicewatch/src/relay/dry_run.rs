//! `relay --check`: whether a configuration is valid, and what it would change about a relay that runs with it.

use std::{fmt::Write as _, path::Path};

use spice_relay::net::NetAddress;

use super::{
    check,
    config::{Config, Source},
    plan::{Plan, PlanError},
};
use crate::{
    control::{self, Command, client::ask},
    outputs::Failure,
    write_stdout,
};

/// Checks all that can be checked while another process may listen on the addresses, and prints the result.
pub(super) fn check_only(source: &Source, config: &Config) -> Result<(), Failure> {
    check::whole(config).map_err(Failure::Configuration)?;
    for (index, vm) in config.vm.iter().enumerate() {
        Plan::check(vm.clone(), |_| true).map_err(|error| {
            let (PlanError::Identity(error) | PlanError::UpstreamCa(error) | PlanError::Other(error)) = error;
            Failure::Configuration(config.error_prefix(index) + &error)
        })?;
    }
    let mut text = format!("the configuration is valid; {} VMs:\n", config.vm.len());
    for vm in &config.vm {
        let shown = |addresses: &[NetAddress]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let (name, plain, tls) = (vm.shown_name(), shown(&vm.listen), shown(&vm.tls_listen));
        let upstream = vm.upstream.as_ref().map(ToString::to_string).unwrap_or_default();
        let names: Vec<_> = vm.connect.iter().chain(&vm.tls_connect).map(ToString::to_string).collect();
        let connect = if names.is_empty() { String::new() } else { format!(", connect {}", names.join(" ")) };
        let _ = writeln!(text, "{name}: listen {plain}, tls-listen {tls}{connect}, upstream {upstream}");
    }
    let changes = of_running(source, config)?;
    if let Some(changes) = changes {
        let _ = writeln!(text, "{changes}");
    }
    write_stdout(&text).map_err(|error| Failure::System(format!("standard output: {error}")))
}

/// What a relay that runs with this file would change. `None`: no relay runs with it.
fn of_running(source: &Source, config: &Config) -> Result<Option<String>, Failure> {
    let control = config.control.as_deref().unwrap_or(Path::new(control::DEFAULT_PATH));
    let Some(file) = source.file().filter(|_| control.exists()) else { return Ok(None) };
    let file = file.display().to_string();
    // The relay's own user may not read the file, or it lacks something else that this user has.
    let failed =
        |error: String| Failure::Configuration(format!("the running relay can't use the configuration: {error}"));
    let answer = match ask(control, Command::Preview, drop) {
        Ok(answer) => answer,
        // A socket that a relay left behind.
        Err(error) if error.contains("No relay listens there") => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    Ok((answer.file == Some(file))
        .then(|| format!("a reload of the running relay would change: {}", answer.changes.unwrap_or_default())))
}
