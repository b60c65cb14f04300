//! `cargo xtask record-captures`: records the committed captures again, from real peers.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use spice_testkit::{
    captures,
    lab::scenarios::{self, Scenario},
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
    let wanted = |scenario: &&Scenario| args.names.is_empty() || args.names.iter().any(|name| name == scenario.name);
    for scenario in scenarios::all().filter(wanted) {
        record(scenario).with_context(|| format!("recording `{}`", scenario.name))?;
    }
    Ok(())
}

fn record(scenario: &Scenario) -> Result<()> {
    if let Some(missing) = scenario.peers().iter().find(|peer| !peer.is_here()) {
        bail!("{missing:?} is missing; `cargo xtask setup` installs it");
    }
    let recording = scenario.run()?;
    let write = |extension: &str, bytes: &[u8]| {
        let path = captures::folder().join(format!("{}.{extension}", scenario.name));
        fs::write(&path, bytes).with_context(|| format!("can't write {}", path.display()))
    };
    write(recording.extension, &recording.capture)?;
    write("qmp", &recording.qmp)?;
    if let Some(key_log) = &recording.key_log {
        write("keylog", key_log)?;
    }
    let note = "# Made by `cargo xtask record-captures`; not for editing.\n";
    write("toml", format!("{note}{}", toml::to_string(&recording.manifest)?).as_bytes())?;
    let lines = String::from_utf8_lossy(&recording.qmp).lines().count();
    println!(
        "{:12} {} bytes, {} event lines, {} links by hand",
        scenario.name,
        recording.capture.len(),
        lines,
        recording.manifest.links.len()
    );
    Ok(())
}
