//! What a process has used.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for ten thousand channels, two for each on either side of a relay.
const ENOUGH: u64 = 1 << 16;

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
    for id in family(id) {
        for task in fs::read_dir(format!("/proc/{id}/task"))?.flatten() {
            let stat = fs::read_to_string(task.path().join("schedstat"))?;
            nanoseconds += stat.split_whitespace().next().and_then(|run| run.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    Ok(nanoseconds as f64 / 1e9)
}

/// A process and those that it started.
fn family(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(id).chain(children.flat_map(family)).collect()
}

/// User and system time of a process and of its children that have ended, in hundredths of a second.
fn ticks(id: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<_> = stat.rsplit_once(')').context("no stat")?.1.split_whitespace().collect();
    Ok([11, 12, 13, 14].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum())
}

/// Resident bytes, of the process and those that it started.
pub(super) fn memory(id: u32) -> Result<u64> {
    let resident = |id| {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    };
    family(id).into_iter().map(resident).sum()
}

/// Both ends of every connection are ours. Returns how many channels there are descriptors for.
pub(super) fn raise_descriptor_limit() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    // More than the hard limit is for root; what is not granted is not needed for fewer channels.
    let more = Rlimit { current: Some(ENOUGH), maximum: Some(ENOUGH) };
    if limit.maximum.is_some_and(|maximum| maximum < ENOUGH) && setrlimit(Resource::Nofile, more).is_err() {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
    Ok(usize::try_from(granted / 2)?.saturating_sub(RESERVE))
}

/// Descriptors of a relay beside its channels', halved.
pub(super) const RESERVE: usize = 1000;
