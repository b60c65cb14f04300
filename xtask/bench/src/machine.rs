//! The machine and the versions that a record was measured with.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use serde_derive::{Deserialize, Serialize};

/// The kind of machine, its kernel, and the compiler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
}

impl Machine {
    /// Describes this machine.
    pub(crate) fn here() -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let meminfo = fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
        let cpu = field(&cpuinfo, "model name").unwrap_or("unknown").to_owned();
        let kb: u64 = field(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0);
        Ok(Self {
            cpu,
            cores: std::thread::available_parallelism()?.get(),
            memory_gb: kb.div_ceil(1 << 20),
            kernel: output("uname", &["-sr"])?,
            rustc: rustc()?,
        })
    }

    /// The kind of machine as a part of a file name.
    pub(crate) fn slug(&self) -> String {
        let words = format!("{} {} cores", self.cpu, self.cores).to_lowercase();
        words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

pub(crate) fn rustc() -> Result<String> {
    output("rustc", &["--version"])
}

/// The date in UTC, like `2026-11-22`.
pub(crate) fn today() -> Result<String> {
    output("date", &["-u", "+%F"])
}

/// The commit, with a `+` if the work tree has uncommitted changes.
pub(crate) fn commit() -> Result<String> {
    output("git", &["describe", "--always", "--dirty=+", "--exclude=*"])
}

/// Runs a program and returns the first line that it prints.
pub(crate) fn output(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| format!("can't run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
