//! CPU time, memory and descriptors of a process.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough descriptors for ten thousand channels: a relay needs two for each, and so does this process, which holds both ends.
const ENOUGH: u64 = 1 << 16;

/// CPU seconds of a process and of all processes that it has started: user and system time of all threads.
///
/// `schedstat` counts nanoseconds but forgets threads that ended. `stat` counts ticks and keeps ended threads and children. No peer
/// here ends threads, so `schedstat` is used, except for peers that start processes (`with_children`).
pub(super) fn cpu(id: u32, with_children: bool) -> Result<f64> {
    if with_children {
        // `stat` includes children that have ended. Children that still run are added, and may end at any moment.
        let living = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let living = living.split_whitespace().filter_map(|child| ticks(child.parse().ok()?).ok());
        let ticks = ticks(id)? + living.sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        return Ok(ticks as f64 / 100.0);
    }
    let mut nanoseconds = 0;
    for id in family(id) {
        for task in fs::read_dir(format!("/proc/{id}/task"))?.flatten() {
            let stat = fs::read_to_string(task.path().join("schedstat"))?;
            nanoseconds += stat.split_whitespace().next().and_then(|run| run.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    Ok(nanoseconds as f64 / 1e9)
}

/// The ids of a process and of all its descendants.
fn family(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(id).chain(children.flat_map(family)).collect()
}

/// User and system time of a process and of its ended children, in hundredths of a second.
fn ticks(id: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<_> = stat.rsplit_once(')').context("no stat")?.1.split_whitespace().collect();
    Ok([11, 12, 13, 14].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum())
}

/// Resident memory of a process and of all its descendants, in bytes.
pub(super) fn memory(id: u32) -> Result<u64> {
    let resident = |id| {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    };
    family(id).into_iter().map(resident).sum()
}

/// Raises the descriptor limit. Returns for how many channels the descriptors suffice: this process holds both ends of each.
pub(super) fn raise_descriptor_limit() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    // Only root may raise the hard limit. Without that, fewer channels are measured.
    let more = Rlimit { current: Some(ENOUGH), maximum: Some(ENOUGH) };
    if limit.maximum.is_some_and(|maximum| maximum < ENOUGH) && setrlimit(Resource::Nofile, more).is_err() {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
    Ok(usize::try_from(granted / 2)?.saturating_sub(RESERVE))
}

/// Half of the descriptors that a relay needs for anything but channels.
pub(super) const RESERVE: usize = 1000;
