//! `cargo xtask record-qmp`: what a real QEMU answers to the table of good and bad input.
//!
//! `crates/qmp-server/tests/table/cases.txt` is the input, `qemu-7.2.txt` beside it the record. The crate's tests hold its
//! own answers against the record, and against a live QEMU where there is one.

#[path = "../../crates/qmp-server/tests/table/qemu.rs"]
mod qemu;
#[path = "../../crates/qmp-server/tests/table/mod.rs"]
mod table;

use std::{env, fs, process};

use anyhow::{Context, Result, bail};

const RECORD: &str = "crates/qmp-server/tests/table/qemu-7.2.txt";
const HEAD: &str =
    "# What QEMU answered to cases.txt: each line after its number of repetitions. Made by `cargo xtask record-qmp`.";

pub(crate) fn run() -> Result<()> {
    let folder = env::temp_dir().join(format!("record-qmp-{}", process::id()));
    fs::create_dir(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let answers =
        qemu::Qemu::start(&folder).and_then(|qemu| qemu.map(|qemu| qemu.answers(&table::cases())).transpose());
    fs::remove_dir_all(&folder).with_context(|| format!("can't remove {}", folder.display()))?;
    let Some(answers) = answers? else {
        bail!("qemu-system-x86_64 is not here; `cargo xtask setup` says how to install it");
    };
    fs::write(RECORD, answers.text(HEAD)).with_context(|| format!("can't write {RECORD}"))?;
    println!("{} cases, {}", answers.cases.len(), answers.greeting);
    Ok(())
}
