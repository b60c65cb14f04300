//! `cargo xtask record-qmp`: records what a real QEMU answers to the table of good and bad input.
//!
//! In `crates/qmp-server/tests/table`, `cases.txt` is the input, `qemu-VERSION.txt` the record, and `schema-VERSION.txt` a part of
//! QEMU's introspection. The environment variable `QEMU` names another program than `qemu-system-x86_64`. The tests of the crate compare its own answers with the record, and with a live QEMU if one is installed.

#[path = "../../../crates/qmp-server/tests/table/qemu.rs"]
mod qemu;
#[path = "../../../crates/qmp-server/tests/table/mod.rs"]
mod table;

use std::path::Path;
use std::{env, fs, process};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const TABLE: &str = "crates/qmp-server/tests/table";
const HEAD: &str =
    "# What QEMU answered to cases.txt: each line after its number of repetitions. Made by `cargo xtask record-qmp`.";

pub(crate) fn run() -> Result<()> {
    let folder = env::temp_dir().join(format!("record-qmp-{}", process::id()));
    fs::create_dir(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let recorded = record(&folder);
    fs::remove_dir_all(&folder).with_context(|| format!("can't remove {}", folder.display()))?;
    let (answers, schema) = recorded?;
    let write = |path: String, text| fs::write(&path, text).with_context(|| format!("can't write {path}"));
    let version = version(&answers.greeting)?;
    write(format!("{TABLE}/qemu-{version}.txt"), answers.text(HEAD))?;
    write(format!("{TABLE}/schema-{version}.txt"), schema)?;
    println!("{} cases, {}", answers.cases.len(), answers.greeting);
    Ok(())
}

fn record(folder: &Path) -> Result<(table::Answers, String)> {
    let program = env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
    let Some(qemu) = qemu::Qemu::start(&program, folder)? else {
        bail!("{} is missing; `cargo xtask setup` installs it", program.display());
    };
    let schema: Value = serde_json::from_str(&qemu.schema()?).context("QEMU's schema")?;
    let entries = schema["return"].as_array().context("QEMU's schema is no array")?;
    Ok((qemu.answers(&table::cases())?, reachable(entries)))
}

/// `7.2`
fn version(greeting: &str) -> Result<String> {
    let greeting: Value = serde_json::from_str(greeting).context("QEMU's greeting")?;
    let qemu = &greeting["QMP"]["version"]["qemu"];
    Ok(format!("{}.{}", qemu["major"], qemu["minor"]))
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
