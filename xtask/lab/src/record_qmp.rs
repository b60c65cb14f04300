//! `cargo xtask record-qmp`: records what a real QEMU answers to the table of good and bad input.
//!
//! In `crates/qmp-server/tests/table`, `cases.txt` is the input, `qemu-7.2.txt` the record, and `schema-7.2.txt` a part of QEMU's
//! introspection. The tests of the crate compare its own answers with the record, and with a live QEMU if one is installed.

#[path = "../../../crates/qmp-server/tests/table/qemu.rs"]
mod qemu;
#[path = "../../../crates/qmp-server/tests/table/mod.rs"]
mod table;

use std::path::Path;
use std::{env, fs, process};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const RECORD: &str = "crates/qmp-server/tests/table/qemu-7.2.txt";
const HEAD: &str =
    "# What QEMU answered to cases.txt: each line after its number of repetitions. Made by `cargo xtask record-qmp`.";

const SCHEMA: &str = "crates/qmp-server/tests/table/schema-7.2.txt";
pub(crate) fn run() -> Result<()> {
    let folder = env::temp_dir().join(format!("record-qmp-{}", process::id()));
    fs::create_dir(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let recorded = record(&folder);
    fs::remove_dir_all(&folder).with_context(|| format!("can't remove {}", folder.display()))?;
    let (answers, schema) = recorded?;
    let write = |path, text| fs::write(path, text).with_context(|| format!("can't write {path}"));
    write(RECORD, answers.text(HEAD))?;
    write(SCHEMA, schema)?;
    println!("{} cases, {}", answers.cases.len(), answers.greeting);
    Ok(())
}

fn record(folder: &Path) -> Result<(table::Answers, String)> {
    let Some(qemu) = qemu::Qemu::start(folder)? else {
        bail!("qemu-system-x86_64 is missing; `cargo xtask setup` installs it");
    };
    let schema: Value = serde_json::from_str(&qemu.schema()?).context("QEMU's schema")?;
    let entries = schema["return"].as_array().context("QEMU's schema is no array")?;
    Ok((qemu.answers(&table::cases())?, reachable(entries)))
}

/// The entries that can be reached from [`table::NAMES`], one on each line, in QEMU's order.
fn reachable(entries: &[Value]) -> String {
    let mut wanted: Vec<&str> = table::NAMES.to_vec();
    let mut at = 0;
    while at < wanted.len() {
        let entry = entries.iter().find(|entry| entry["name"] == wanted[at]);
        let members = entry.and_then(|entry| entry["members"].as_array()).into_iter().flatten();
        let direct = ["arg-type", "ret-type", "element-type"].map(|key| entry.and_then(|entry| entry[key].as_str()));
        let types = members.map(|member| member["type"].as_str()).chain(direct).flatten();
        let new: Vec<&str> = types.filter(|name| !wanted.contains(name)).collect();
        wanted.extend(new);
        at += 1;
    }
    let kept = entries.iter().filter(|entry| wanted.iter().any(|name| entry["name"] == *name));
    let lines: Vec<String> = kept.map(Value::to_string).collect();
    lines.join("\n") + "\n"
}
