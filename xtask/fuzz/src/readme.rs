//! `cargo xtask fuzz readme`: writes the figures of the record into the table of fuzz/README.md.

use std::{fs, path::PathBuf};

use anyhow::Result;

use super::runs::{Record, Runs};

fn path() -> PathBuf {
    shell::root().join("fuzz/README.md")
}

/// Writes the figures.
pub(super) fn write() -> Result<()> {
    let text = fs::read_to_string(path())?;
    Ok(fs::write(path(), with_figures(&text)?)?)
}

/// Replaces the figures in each row that starts with the name of a target.
fn with_figures(text: &str) -> Result<String> {
    let record = Record::load(&shell::root().join("fuzz/record.toml"))?;
    let line = |line: &str| match line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
        Some((name, _)) => {
            // The first three cells are written by hand.
            let words: String = line.split_inclusive('|').take(4).collect();
            format!("{words} {} |\n", figures(record.0.get(name)))
        }
        None => format!("{line}\n"),
    };
    Ok(text.lines().map(line).collect())
}

fn figures(runs: Option<&Runs>) -> String {
    let Some(runs) = runs.filter(|runs| runs.core_seconds > 0) else { return ["—"; 5].join(" | ") };
    let minutes = runs.core_seconds / 60;
    [minutes, runs.executions, runs.corpus, runs.edges, runs.crashes].map(grouped).join(" | ")
}

/// Formats `1000000` as `1,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_figures_are_those_of_the_record() {
        let text = fs::read_to_string(path()).unwrap();
        assert!(
            with_figures(&text).unwrap() == text,
            "fuzz/README.md differs from fuzz/record.toml: `cargo xtask fuzz readme`"
        );
    }
}
