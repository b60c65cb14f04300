//! Measures one run of a whole program.

use std::{
    fs,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Time and memory of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    /// CPU time of the main thread, where both measured programs do their work.
    pub(crate) cpu: Duration,
    pub(crate) peak_kb: u64,
}

/// Runs a program and discards its output.
pub(crate) fn measure(command: &mut Command) -> Result<Run> {
    let shown = shell::show(command);
    let started = Instant::now();
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().with_context(|| format!("can't run `{shown}`"))?;
    let id = child.id();
    let pid = Pid::from_raw(id.cast_signed()).context("a process has a number")?;
    // A thread waits for the end, so that a run of a few milliseconds is measured correctly. NOWAIT keeps the process as a zombie: the
    // kernel still reports its CPU time then, but no longer its memory.
    let (ended, end) = mpsc::channel::<()>();
    let waiter = thread::spawn(move || {
        let ending = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let elapsed = started.elapsed();
        drop(ended);
        ending.map(|_| elapsed)
    });
    let mut peak_kb = 0;
    while end.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
        peak_kb = peak_rss_kb(id).unwrap_or(peak_kb);
    }
    let elapsed = waiter.join().ok().context("the waiter failed")??;
    let cpu = cpu_time(id).with_context(|| format!("no CPU time of `{shown}`"))?;
    let status = child.wait()?;
    ensure!(status.success(), "`{shown}`: {status}");
    Ok(Run { elapsed, cpu, peak_kb })
}

/// Runs a program and counts the lines that it prints.
pub(crate) fn lines(command: &mut Command) -> Result<usize> {
    let shown = shell::show(command);
    let output = command.stderr(Stdio::null()).output().with_context(|| format!("can't run `{shown}`"))?;
    ensure!(output.status.success(), "`{shown}`: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).lines().count())
}

/// CPU time in nanoseconds, counted by the scheduler.
fn cpu_time(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Peak resident memory, recorded by the kernel, so no peak is missed between two samples.
fn peak_rss_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
