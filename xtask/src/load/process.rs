//! What a process has used, and where it runs.

use std::{fs, process::Command};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// CPU seconds of the process and of all that it has started: user and system, over all threads.
///
/// schedstat counts nanoseconds, but forgets threads that ended; stat remembers them in ticks. No peer here ends threads,
/// and those that start processes are read by ticks.
pub(super) fn cpu(id: u32, with_children: bool) -> Result<f64> {
    if with_children {
        // Its own ticks and those of children that have ended; then those of the living, which may end any moment.
        let living = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let living = living.split_whitespace().filter_map(|child| ticks(child.parse().ok()?).ok());
        let ticks = ticks(id)? + living.sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        return Ok(ticks as f64 / 100.0);
    }
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{id}/task"))?.flatten() {
        let stat = fs::read_to_string(task.path().join("schedstat"))?;
        nanoseconds += stat.split_whitespace().next().and_then(|run| run.parse::<u64>().ok()).unwrap_or(0);
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    Ok(nanoseconds as f64 / 1e9)
}

/// User and system time of a process and of its children that have ended, in hundredths of a second.
fn ticks(id: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<_> = stat.rsplit_once(')').context("no stat")?.1.split_whitespace().collect();
    Ok([11, 12, 13, 14].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum())
}

/// Resident bytes.
pub(super) fn memory(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Both ends of every connection are ours.
pub(super) fn raise_descriptor_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// `2026-11-22`
pub(super) fn date() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The CPU's name, how many cores, the kernel.
pub(super) fn machine() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{}, {cores} cores, Linux {}", name.map_or("unknown", |(_, name)| name), kernel.trim()))
}
