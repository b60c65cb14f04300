//! `cargo xtask schema`: the facts of qmp-schema against what a real QEMU says of itself.

mod drive;
mod shape;
mod vm;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::codegen;

/// The versions whose schema is committed.
const VERSIONS: [&str; 2] = ["7.2", "11.1"];

/// Options of `cargo xtask schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also drive QEMU through its events and write the lines that it sends to qmp-schema's tests.
    #[arg(long)]
    record_events: bool,
    /// Write what QEMU says of itself to qmp-schema's tests, instead of comparing with what is there.
    #[arg(long)]
    write: bool,
}

/// Compares what a real QEMU says of its events with the facts file.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (version, answer) = ask()?;
    let live = shape::of_introspection(&answer)?;
    let committed = data(&format!("qemu-{version}.json"));
    if args.write {
        fs::write(&committed, shape::text(&live)?)?;
        println!("wrote {}", committed.display());
    }
    let events = live["events"].as_object().context("events")?.len();
    report("QEMU's own answer", &live, &committed.display().to_string(), &read(&committed)?)?;
    for version in VERSIONS {
        compare_with_facts(version, &read(&data(&format!("qemu-{version}.json")))?)?;
    }
    println!("QEMU {version}: {events} events, every member, type and value as in the facts");
    if args.record_events {
        let lines = drive::record()?;
        let kinds = lines.len();
        fs::write(data("qemu-7.2.events"), lines.join("\n") + "\n")?;
        println!("recorded {kinds} lines");
    }
    Ok(())
}

/// What the facts say of a version must be what that version says.
fn compare_with_facts(version: &str, theirs: &Value) -> anyhow::Result<()> {
    let ours = shape::of_facts(&codegen::facts(&package())?, version)?;
    report("the facts", &ours, &format!("QEMU {version}"), theirs)
}

fn report(name: &str, one: &Value, other_name: &str, other: &Value) -> anyhow::Result<()> {
    let differences = shape::differences(name, one, other_name, other);
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// Asks the installed QEMU for its version (`7.2`) and its schema.
fn ask() -> anyhow::Result<(String, Value)> {
    let folder = tempfile::tempdir()?;
    let mut vm = vm::Vm::start(folder.path(), "-M none")?;
    println!("{}", vm.greeting);
    let greeting: Value = serde_json::from_str(&vm.greeting).context("the greeting")?;
    let qemu = &greeting["QMP"]["version"]["qemu"];
    let version = format!("{}.{}", qemu["major"], qemu["minor"]);
    let answer = vm.execute("query-qmp-schema")?;
    vm.quit()?;
    Ok((version, answer))
}

fn package() -> PathBuf {
    shell::root().join("crates/qmp-schema")
}

fn data(name: &str) -> PathBuf {
    package().join("tests/data").join(name)
}

fn read(path: &PathBuf) -> anyhow::Result<Value> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_what_both_versions_say() {
        for version in VERSIONS {
            let theirs = read(&data(&format!("qemu-{version}.json"))).unwrap();
            compare_with_facts(version, &theirs).unwrap();
        }
    }

    #[test]
    fn a_difference_of_any_kind_is_told() {
        let theirs = read(&data("qemu-7.2.json")).unwrap();
        for (pointer, replacement) in [
            ("/events/SHUTDOWN/guest", "str"),
            ("/events/BLOCK_JOB_COMPLETED/error?", "int"),
            ("/events/SHUTDOWN/reason/0", "nothing"),
            ("/events/NETDEV_STREAM_CONNECTED/addr/cases/unix/path", "int"),
        ] {
            let mut changed = theirs.clone();
            *changed.pointer_mut(pointer).unwrap() = replacement.into();
            assert!(compare_with_facts("7.2", &changed).is_err(), "{pointer}");
        }
        let mut changed = theirs.clone();
        changed["events"]["NEW"] = serde_json::json!({});
        assert!(compare_with_facts("7.2", &changed).is_err());
        let mut changed = theirs;
        changed["events"]["SHUTDOWN"].as_object_mut().unwrap().remove("guest");
        assert!(compare_with_facts("7.2", &changed).is_err());
    }
}
