//! `cargo xtask bench --check`: counts instructions with callgrind and compares them with the committed counts.
//!
//! Other load on the machine does not change a count, so this check is reliable on CI. The compiler does change it, so with another
//! compiler than that of the committed counts, the check only warns.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_derive::{Deserialize, Serialize};

use crate::{
    machine,
    table::{Table, right},
};

const RECORD: &str = "benches/records/instructions.toml";

/// The largest accepted increase over the committed count.
const MARGIN: f64 = 0.03;

/// Each row runs `FEW` times, then `FEW + MORE` times. The difference of the two counts is the cost of `MORE` runs.
const FEW: u64 = 100;
const MORE: u64 = 200;

/// The committed counts.
#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    rustc: String,
    valgrind: String,
    /// Instructions of one run of each row.
    instructions: BTreeMap<String, f64>,
}

pub(crate) fn run(accept: bool) -> Result<()> {
    let Ok(valgrind) = machine::output("valgrind", &["--version"]) else {
        let message = "valgrind is not installed (Debian package valgrind): no instructions were counted";
        ensure!(std::env::var_os("CI").is_none(), message);
        eprintln!("bench: {message}");
        return Ok(());
    };
    let counted = Counts { rustc: machine::rustc()?, valgrind, instructions: count_all(&build()?)? };
    if accept {
        let text =
            format!("# Made by `cargo xtask bench --check --accept`; do not edit.\n{}", toml::to_string(&counted)?);
        return fs::write(RECORD, text).context(RECORD);
    }
    let text = fs::read_to_string(RECORD).context(RECORD)?;
    let committed: Counts = toml::from_str(&text).context(RECORD)?;
    judge(&committed, &counted)
}

fn judge(committed: &Counts, counted: &Counts) -> Result<()> {
    let mut table = Table::new(&["instructions", "committed", "now", "change", ""], &right(1..4));
    let mut worse = Vec::new();
    for (row, now) in &counted.instructions {
        let before = committed.instructions.get(row);
        let change = before.map(|before| now / before - 1.0);
        let verdict = match change {
            None => "new",
            Some(change) if change > MARGIN => "more",
            Some(change) if change < -MARGIN => "less: use --accept to keep the gain",
            Some(_) => "",
        };
        if verdict == "more" {
            worse.push(row.as_str());
        }
        let [before, change] = [before.map(|n| format!("{n:.1}")), change.map(|n| format!("{:+.1} %", n * 100.0))];
        table.row([
            row.clone(),
            before.unwrap_or_default(),
            format!("{now:.1}"),
            change.unwrap_or_default(),
            verdict.into(),
        ]);
    }
    println!("{table}");
    for row in committed.instructions.keys().filter(|row| !counted.instructions.contains_key(*row)) {
        println!("{row}: the committed counts have it, the benches do not");
    }
    if committed.rustc != counted.rustc {
        println!("counted with {}, committed with {}: differences are only a warning", counted.rustc, committed.rustc);
        return Ok(());
    }
    if !worse.is_empty() {
        bail!("over {} % more instructions than committed: {}", MARGIN * 100.0, worse.join(", "));
    }
    Ok(())
}

/// Builds the bench `count` and returns its path.
fn build() -> Result<PathBuf> {
    let mut cargo = shell::cargo(&["bench", "--quiet", "-p", "spicewatch-benches", "--bench", "count", "--no-run"]);
    let output = cargo.arg("--message-format=json").stderr(Stdio::inherit()).output().context("can't run cargo")?;
    ensure!(output.status.success(), "the bench count: {}", output.status);
    let executable = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "count")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.context("cargo named no executable for the bench count")
}

fn count_all(program: &Path) -> Result<BTreeMap<String, f64>> {
    let output = Command::new(program).output().context("can't run the bench count")?;
    let rows = String::from_utf8(output.stdout)?;
    let folder = tempfile::tempdir()?;
    rows.lines().map(|row| Ok((row.to_owned(), count(program, row, folder.path())?))).collect()
}

/// Instructions of one run of a row.
fn count(program: &Path, row: &str, folder: &Path) -> Result<f64> {
    let [few, more] = [FEW, FEW + MORE].map(|times| instructions(program, row, times, folder));
    let difference = more?.checked_sub(few?).with_context(|| format!("{row}: fewer instructions for more work"))?;
    // Far below 2⁵².
    #[allow(clippy::cast_precision_loss)]
    Ok(difference as f64 / MORE as f64)
}

/// Instructions of the process that runs a row this many times.
fn instructions(program: &Path, row: &str, times: u64, folder: &Path) -> Result<u64> {
    let out = folder.join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([row, &times.to_string()])
        .output()
        .context("can't run valgrind")?;
    ensure!(output.status.success(), "{row} under callgrind: {}", String::from_utf8_lossy(&output.stderr));
    let profile = fs::read_to_string(&out).context("callgrind's output")?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    total.and_then(|total| total.trim().parse().ok()).context("callgrind's output has no total")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rustc: &str, row: f64) -> Counts {
        let instructions = BTreeMap::from([("row".to_owned(), row)]);
        Counts { rustc: rustc.into(), valgrind: "valgrind-3.19.0".into(), instructions }
    }

    #[test]
    fn only_more_instructions_with_the_same_compiler_fail() {
        let committed = counts("rustc 1.95.0", 1000.0);
        assert!(judge(&committed, &counts("rustc 1.95.0", 1029.0)).is_ok());
        assert!(judge(&committed, &counts("rustc 1.95.0", 500.0)).is_ok());
        assert!(judge(&committed, &counts("rustc 1.96.0", 2000.0)).is_ok());
        let error = judge(&committed, &counts("rustc 1.95.0", 1031.0)).unwrap_err();
        assert_eq!(error.to_string(), "over 3 % more instructions than committed: row");
    }
}
