//! What Linux says of this process, for the `process_` metrics.

use std::fs;

/// This process, as in `/proc/self`. What can't be read is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    /// User and system time, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    /// In bytes, likewise the next.
    pub(super) virtual_memory: Option<u64>,
    pub(super) resident_memory: Option<u64>,
    pub(super) threads: Option<u64>,
    /// Seconds since 1970.
    pub(super) start: Option<f64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the process is in parentheses and may have any content. Field 3 follows it (proc_pid_stat(5)).
        let fields: Vec<_> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        #[expect(clippy::cast_precision_loss, reason = "a double is exact up to 2^53 ticks")]
        let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| seconds(user + system)),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as u64),
            max_fds: limit.and_then(|line| line.split_whitespace().next()?.parse().ok()),
            virtual_memory: field(23),
            resident_memory: field(24).map(|pages| pages.saturating_mul(rustix::param::page_size() as u64)),
            threads: field(20),
            start: boot.zip(field(22)).map(|(boot, ticks)| boot + seconds(ticks)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read() {
        let process = Process::read();
        assert!(process.open_fds > Some(2) && process.max_fds > process.open_fds, "{process:?}");
        assert!(process.resident_memory > Some(100_000) && process.virtual_memory >= process.resident_memory);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let age = now - process.start.unwrap();
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}
