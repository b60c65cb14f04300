//! `cargo xtask bench-read`: `spicewatch read` and tshark on the same large capture, in one run.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use spice_testkit::captures;

use crate::{multiply, shell};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The committed capture whose sessions are repeated; one that is not trimmed is a session as it went over the wire.
    #[arg(long, default_value = "quit")]
    capture: String,
    /// Size of the large capture, in MB
    #[arg(long, default_value_t = 500)]
    megabytes: u64,
    /// Runs of each program, in turns; the fastest of each counts.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Leave tshark out.
    #[arg(long)]
    no_tshark: bool,
    /// Keep the large capture here instead of removing it.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// One program's run.
#[derive(Clone, Copy)]
struct Run {
    elapsed: Duration,
    peak_kb: u64,
    lines: usize,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    shell::run(&mut shell::cargo(&["build", "--release", "--quiet", "-p", "spicewatch"]))?;
    let capture = captures::load(&args.capture).with_context(|| format!("no capture {}", args.capture))?;
    let port = *capture.manifest.ports.first().context("the capture has no plain port")?;
    let folder = tempfile::tempdir()?;
    let path = args.keep.clone().unwrap_or_else(|| folder.path().join("large.pcap"));
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let (bytes, times) = multiply::multiply(&capture.bytes()?, port, args.megabytes * 1_000_000, &mut out)?;
    drop(out);
    println!("{}: {bytes} bytes, {times} times {}", path.display(), args.capture);

    let (mut ours, mut theirs): (Option<Run>, Option<Run>) = (None, None);
    for _ in 0..args.runs {
        fastest(&mut ours, measure(&spicewatch(&path, port))?);
        if !args.no_tshark {
            fastest(&mut theirs, measure(&tshark(&path, port))?);
        }
    }
    let rate = |run: Run| bytes as f64 / run.elapsed.as_secs_f64() / 1e6;
    println!("program      seconds      MB/s   peak RSS     lines");
    for (name, run) in [("spicewatch", ours), ("tshark", theirs)] {
        if let Some(run) = run {
            let Run { elapsed, peak_kb, lines } = run;
            println!("{name:10} {:9.3} {:9.0} {peak_kb:7} kB {lines:9}", elapsed.as_secs_f64(), rate(run));
        }
    }
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        println!("ratio {:.0}", theirs.elapsed.as_secs_f64() / ours.elapsed.as_secs_f64());
    }
    Ok(())
}

fn fastest(best: &mut Option<Run>, run: Run) {
    if best.is_none_or(|best| run.elapsed < best.elapsed) {
        *best = Some(run);
    }
}

fn spicewatch(path: &Path, port: u16) -> Vec<String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from);
    let program = target.join("release/spicewatch").display().to_string();
    [&program, "read", "--port", &port.to_string(), &path.display().to_string()].map(str::to_owned).to_vec()
}

fn tshark(path: &Path, port: u16) -> Vec<String> {
    let decode = format!("tcp.port=={port},spice");
    ["tshark", "-r", &path.display().to_string(), "-d", &decode, "-Y", "spice"].map(str::to_owned).to_vec()
}

/// Runs a program, counts the lines of its output, and watches its memory.
fn measure(command: &[String]) -> Result<Run> {
    let started = Instant::now();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("can't run {}", command[0]))?;
    let stdout = child.stdout.take().context("no pipe")?;
    let lines = thread::spawn(move || BufReader::with_capacity(1 << 16, stdout).split(b'\n').count());
    let mut peak_kb = 0;
    let status = loop {
        if let Some(kb) = peak_rss_kb(child.id()) {
            peak_kb = kb;
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let elapsed = started.elapsed();
    ensure!(status.success(), "{}: {status}", command.join(" "));
    let lines = lines.join().ok().context("the line counter failed")?;
    Ok(Run { elapsed, peak_kb, lines })
}

/// The kernel's own high-water mark, so that no peak falls between two looks.
fn peak_rss_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
