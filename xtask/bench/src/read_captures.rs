//! `spicewatch read` and tshark on the same captures, from ten megabytes to ten gigabytes, by turns and from the page cache.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use spice_testkit::captures;

use crate::{
    bench_record::Measured,
    figure::{Figure, short},
    machine,
    program::{self, Run},
    synthesize,
};

const LOOPBACK: &str = "read a large capture";
/// The same as a network card would have it.
const ETHERNET: &str = "read a large capture, in packets of 1500 bytes";
/// A session as it went over the wire, pictures and all; the large captures are this one again and again.
const CAPTURE: &str = "quit";
/// How many bytes, how often ours runs, and how often tshark does: for the largest it would hold gigabytes.
const SIZES: [(&str, u64, usize, usize); 6] = [
    (LOOPBACK, 10_000_000, 21, 3),
    (LOOPBACK, 100_000_000, 11, 3),
    (LOOPBACK, 1_000_000_000, 7, 3),
    (LOOPBACK, 10_000_000_000, 3, 0),
    (ETHERNET, 100_000_000, 11, 3),
    (ETHERNET, 1_000_000_000, 5, 1),
];
/// Payload of a packet of 1500 bytes, with TCP's timestamps.
const MSS: usize = 1448;

/// Measures all sizes.
pub(crate) fn measure() -> Result<Measured> {
    shell::run(&mut shell::cargo(&["build", "--release", "--quiet", "-p", "spicewatch"]))?;
    let version = machine::output("tshark", &["--version"]);
    let is_there = version.is_ok();
    let capture = captures::load(CAPTURE).with_context(|| format!("no capture {CAPTURE}"))?;
    let port = *capture.manifest.ports.first().context("the capture has no plain port")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("large.pcap");
    let mut figures = Vec::new();
    for (row, size, our_runs, their_runs) in SIZES {
        eprintln!("bench: {row}, {size} bytes");
        let mss = (row == ETHERNET).then_some(MSS);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let (bytes, _) = synthesize::synthesize(&capture.bytes()?, port, mss, size, &mut out)?;
        drop(out);
        // What was just written goes to the disk first, so that it is not in anyone's way.
        shell::run(&mut Command::new("sync"))?;
        let their_runs = if is_there { their_runs } else { 0 };
        let mut ours =
            Side { who: "spicewatch", lines: program::lines(&mut spicewatch(&path, port))?, runs: Vec::new() };
        let mut theirs = Side { who: "tshark", lines: 0, runs: Vec::new() };
        for turn in 0..our_runs {
            ours.runs.push(program::measure(&mut spicewatch(&path, port))?);
            if turn < their_runs {
                theirs.runs.push(program::measure(&mut tshark(&path, port))?);
            }
        }
        if their_runs > 0 {
            theirs.lines = program::lines(&mut tshark(&path, port))?;
        }
        let ours = ours.figures(row, size, bytes, &[]);
        let theirs = theirs.figures(row, size, bytes, &ours);
        figures.extend(ours.into_iter().chain(theirs));
        fs::remove_file(&path)?;
    }
    let (missing, versions) = match version {
        Ok(version) => (Vec::new(), vec![version]),
        Err(_) => (vec!["tshark".to_owned()], Vec::new()),
    };
    Ok(Measured { figures, missing, versions })
}

fn spicewatch(path: &Path, port: u16) -> Command {
    let mut command = Command::new(shell::target().join("release/spicewatch"));
    command.args(["read", "--port", &port.to_string()]).arg(path);
    command
}

/// Its SPICE dissector, and a filter that prints what it dissected.
fn tshark(path: &Path, port: u16) -> Command {
    let mut command = Command::new("tshark");
    command.args(["-d", &format!("tcp.port=={port},spice"), "-Y", "spice", "-r"]).arg(path);
    command
}

/// One program's runs on one capture.
struct Side {
    who: &'static str,
    lines: usize,
    runs: Vec<Run>,
}

impl Side {
    /// Times, with how many times ours they are, then what follows from them; nothing for who did not run.
    #[allow(clippy::cast_precision_loss, reason = "far below 2⁵²")]
    fn figures(&self, row: &str, size: u64, bytes: u64, ours: &[Figure]) -> Vec<Figure> {
        // The fastest run is the one that the rest of the machine disturbed least.
        let least = |time: fn(&Run) -> Duration| self.runs.iter().map(time).min();
        let Some((elapsed, cpu)) = least(|run| run.elapsed).zip(least(|run| run.cpu)) else { return Vec::new() };
        let peak = self.runs.iter().map(|run| run.peak_kb).max().unwrap_or_default() as f64 * 1024.0;
        let figure = |what: &str, unit: &str, value: f64| Figure {
            row: row.to_owned(),
            who: self.who.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            at: Some(size),
            value: short(value),
            spread: None,
            ratio: None,
        };
        let timed = |what: &str, time: Duration| {
            let figure = figure(what, "ns", time.as_nanos() as f64);
            let ours = ours.iter().find(|ours| ours.what == what);
            Figure { ratio: Some(short(ours.map_or(1.0, |ours| figure.value / ours.value))), ..figure }
        };
        vec![
            timed("CPU time", cpu),
            timed("time", elapsed),
            figure("throughput", "B/s", bytes as f64 / elapsed.as_secs_f64()),
            figure("peak memory", "B", peak),
            figure("lines printed", "", self.lines as f64),
        ]
    }
}
