//! Measures `spicewatch read` and tshark by turns on the same captures: ten megabytes to ten gigabytes, from the page cache.

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
/// The same session in packets that fit a network card.
const ETHERNET: &str = "read a large capture, in packets of 1500 bytes";
/// A complete session with its pictures. The large captures repeat this one.
const CAPTURE: &str = "quit";
/// Size in bytes, runs of ours, and runs of tshark. tshark does not run on the largest, which would take gigabytes of memory.
const SIZES: [(&str, u64, usize, usize); 6] = [
    (LOOPBACK, 10_000_000, 21, 3),
    (LOOPBACK, 100_000_000, 11, 3),
    (LOOPBACK, 1_000_000_000, 7, 3),
    (LOOPBACK, 10_000_000_000, 3, 0),
    (ETHERNET, 100_000_000, 11, 3),
    (ETHERNET, 1_000_000_000, 5, 1),
];
/// Payload of a packet of 1500 bytes with TCP timestamps, in bytes.
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
        // Write the new file to the disk before the measurement, so that writing does not disturb it.
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

/// tshark with its SPICE dissector, and a filter that prints the dissected messages.
fn tshark(path: &Path, port: u16) -> Command {
    let mut command = Command::new("tshark");
    command.args(["-d", &format!("tcp.port=={port},spice"), "-Y", "spice", "-r"]).arg(path);
    command
}

/// The runs of one program on one capture.
struct Side {
    who: &'static str,
    lines: usize,
    runs: Vec<Run>,
}

impl Side {
    /// Computes times and their ratio to ours, then the figures that follow from them. A program without runs has no figures.
    #[allow(clippy::cast_precision_loss, reason = "far below 2⁵²")]
    fn figures(&self, row: &str, size: u64, bytes: u64, ours: &[Figure]) -> Vec<Figure> {
        // The machine disturbed the fastest run least.
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
