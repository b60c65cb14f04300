//! `cargo xtask record-captures`: records the committed captures again, from real peers. With `LAB_QEMU=11.1`, it records those with
//! QEMU 11.1.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use spice_testkit::{
    captures,
    lab::{
        Qemu,
        scenarios::{self, Scenario},
    },
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Captures to record; all of them if none is named.
    names: Vec<String>,
    /// List the captures and what they show, and record nothing.
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for scenario in scenarios::all() {
            println!("{:12} {}", scenario.name, scenario.about);
        }
        return Ok(());
    }
    for name in &args.names {
        ensure!(scenarios::all().any(|scenario| scenario.name == name), "no capture is called `{name}`; try --list");
    }
    let is_newer = match Qemu::chosen() {
        qemu if qemu == Qemu::of_this_machine() => false,
        qemu if qemu == Qemu::of_version("11.1") => true,
        qemu => bail!("captures are recorded with QEMU 7.2 or 11.1, and {} asks for {qemu:?}", Qemu::VARIABLE),
    };
    let wanted = |scenario: &&Scenario| {
        let is_named = args.names.is_empty() || args.names.iter().any(|name| name == scenario.name);
        is_named && (!is_newer || scenarios::WITH_NEWER_QEMU.contains(&scenario.name))
    };
    for scenario in scenarios::all().filter(wanted) {
        let name = if is_newer { scenarios::newer_name(scenario.name) } else { scenario.name.to_owned() };
        record(scenario, &name).with_context(|| format!("recording `{name}`"))?;
    }
    Ok(())
}

fn record(scenario: &Scenario, name: &str) -> Result<()> {
    if let Some(missing) = scenario.peers().iter().find(|peer| !peer.is_here()) {
        bail!("{missing:?} is missing; `cargo xtask setup` installs it");
    }
    let recording = scenario.run()?;
    let write = |extension: &str, bytes: &[u8]| {
        let path = captures::folder().join(format!("{name}.{extension}"));
        fs::write(&path, bytes).with_context(|| format!("can't write {}", path.display()))
    };
    write(recording.extension, &recording.capture)?;
    write("qmp", &recording.qmp)?;
    if let Some(key_log) = &recording.key_log {
        write("keylog", key_log)?;
    }
    let note = "# Made by `cargo xtask record-captures`; do not edit.\n";
    write("toml", format!("{note}{}", toml::to_string(&recording.manifest)?).as_bytes())?;
    let lines = String::from_utf8_lossy(&recording.qmp).lines().count();
    println!(
        "{name:22} {} bytes, {} event lines, {} links by hand",
        recording.capture.len(),
        lines,
        recording.manifest.links.len()
    );
    Ok(())
}
