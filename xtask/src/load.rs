//! `cargo xtask load`: the relay and what people would use instead, by turns in one run.
//!
//! Both ends are here: a server that accepts any link and then streams, echoes or stays idle, and its clients. Everything
//! stays on loopback. Of each peer are measured: the CPU time of a channel's set-up, the memory of an idle channel, the
//! throughput of one stream and the CPU time of each gigabyte, and what a ping-pong takes.

mod client;
mod peers;
mod process;
mod server;

use std::{collections::BTreeMap, fmt::Write as _, fs, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;
use spice_testkit::lab::Pki;

use crate::shell;
use client::Dial;
use peers::{Peer, Way};
use server::Server;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns that each peer gets
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Seconds of each stream
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Channels set up in a turn
    #[arg(long, default_value_t = 2000)]
    setups: usize,
    /// Idle channels
    #[arg(long, default_value_t = 4000)]
    idle: usize,
    /// Round trips of the ping-pong in a turn
    #[arg(long, default_value_t = 20_000)]
    pings: usize,
    /// Only these peers, by their names in the table
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Leave the committed record as it is
    #[arg(long)]
    dry: bool,
    /// Measure the release build that is there
    #[arg(long)]
    built: bool,
}

/// Message sizes of the streams, in bytes.
const SIZES: [usize; 3] = [64 * 1024, 1024, 64];
/// Channels that are set up at the same time.
const AT_ONCE: usize = 4;

/// Every value that was seen, by peer and figure.
type Figures = BTreeMap<(usize, &'static str), Vec<f64>>;

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.built {
        shell::run(&mut shell::cargo(&["build", "--release", "--quiet", "-p", "spicewatch"]))?;
    }
    process::raise_descriptor_limit()?;
    let pki = Pki::new()?;
    let server = Server::start()?;
    let (peers, missing) = peers::start(&server.address(), &pki, &args.only)?;
    ensure!(!peers.is_empty(), "no peer is left to measure");
    for name in &missing {
        println!("{name}: not installed; its row is left out");
    }
    let mut figures = Figures::new();
    for (place, peer) in peers.iter().enumerate() {
        let memory = idle_memory(peer, args.idle)?;
        figures.extend(memory.map(|memory| ((place, "idle"), vec![memory])));
    }
    for turn in 1..=args.turns {
        for (place, peer) in peers.iter().enumerate() {
            eprintln!("turn {turn} of {}: {}", args.turns, peer.name);
            let mut note = |what: &'static str, value: f64| figures.entry((place, what)).or_default().push(value);
            measure(peer, args, &mut note)?;
        }
    }
    let table = table(&peers, &figures, args);
    println!("{table}");
    if !args.dry {
        record(&peers, &missing, &figures, args, &table)?;
    }
    Ok(())
}

/// Memory of the peer for each idle channel, in bytes; `None` of no peer.
fn idle_memory(peer: &Peer, count: usize) -> Result<Option<f64>> {
    if peer.way == Way::Direct || peer.is_a_process_each {
        return Ok(None);
    }
    // What is set up once is not an idle channel's.
    client::set_up(&peer.dial, 100, AT_ONCE)?;
    let before = peer.memory()?;
    let open: Vec<_> = (0..count).map(|_| client::link(&peer.dial, server::Play::Idle)).collect::<Result<_>>()?;
    std::thread::sleep(Duration::from_millis(300));
    let after = peer.memory()?;
    drop(open);
    std::thread::sleep(Duration::from_millis(500));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    Ok(Some(after.saturating_sub(before) as f64 / count as f64))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn measure(peer: &Peer, args: &Args, note: &mut impl FnMut(&'static str, f64)) -> Result<()> {
    let cpu = peer.cpu()?;
    let seconds = client::set_up(&peer.dial, args.setups, AT_ONCE)?;
    note("set-ups/s", args.setups as f64 / seconds);
    note("set-up µs", (peer.cpu()? - cpu) * 1e6 / args.setups as f64);
    for (size, rate, cost) in [
        (SIZES[0], "64 KiB GB/s", "64 KiB s/GB"),
        (SIZES[1], "1 KiB GB/s", "1 KiB s/GB"),
        (SIZES[2], "64 B GB/s", "64 B s/GB"),
    ] {
        let cpu = peer.cpu()?;
        let (bytes, seconds) = client::stream(&peer.dial, size, Duration::from_secs_f64(args.seconds))?;
        note(rate, bytes as f64 / 1e9 / seconds);
        note(cost, (peer.cpu()? - cpu) / (bytes as f64 / 1e9));
    }
    let mut pings = client::pings(&peer.dial, args.pings)?;
    pings.sort_unstable();
    for (what, share) in [("p50 µs", 0.5), ("p99 µs", 0.99), ("p99.9 µs", 0.999)] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let place = ((pings.len() - 1) as f64 * share) as usize;
        note(what, pings[place].as_secs_f64() * 1e6);
    }
    Ok(())
}

const COLUMNS: [&str; 12] = [
    "set-ups/s",
    "set-up µs",
    "idle",
    "64 KiB GB/s",
    "64 KiB s/GB",
    "1 KiB GB/s",
    "1 KiB s/GB",
    "64 B GB/s",
    "64 B s/GB",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
];

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn table(peers: &[Peer], figures: &Figures, args: &Args) -> String {
    let mut out = format!(
        "Medians of {} turns; streams of {} s; {} set-ups, {AT_ONCE} at once; {} idle channels (bytes of the peer each); {} pings.\n",
        args.turns, args.seconds, args.setups, args.idle, args.pings
    );
    let _ = writeln!(
        out,
        "`set-up µs` and `s/GB` are the peer's CPU time, of a channel and of a gigabyte; p50 to p99.9 a round trip of 64 bytes.\n"
    );
    let _ = write!(out, "{:18}", "");
    for column in COLUMNS {
        let _ = write!(out, "{column:>13}");
    }
    for (place, peer) in peers.iter().enumerate() {
        let _ = write!(out, "\n{:18}", peer.name);
        for column in COLUMNS {
            let own = peer.way != Way::Direct
                || !(column.contains("s/GB") && !column.contains("GB/s") || column == "set-up µs");
            match figures.get(&(place, column)).filter(|_| own) {
                Some(values) if median(values) >= 100.0 => {
                    let _ = write!(out, "{:13.0}", median(values));
                }
                Some(values) => {
                    let _ = write!(out, "{:13.3}", median(values));
                }
                None => {
                    let _ = write!(out, "{:>13}", "-");
                }
            }
        }
    }
    out.push('\n');
    out
}

fn record(peers: &[Peer], missing: &[&str], figures: &Figures, args: &Args, table: &str) -> Result<()> {
    let rows: Vec<_> = figures
        .iter()
        .map(|((place, what), values)| json!({"who": peers[*place].name, "what": what, "median": median(values), "values": values}))
        .collect();
    let date = process::date()?;
    let machine = process::machine()?;
    let record = json!({
        "date": date,
        "machine": machine,
        "versions": peers::versions(),
        "missing": missing,
        "turns": args.turns, "seconds": args.seconds, "setups": args.setups, "idle": args.idle, "pings": args.pings,
        "figures": rows,
    });
    let folder = shell::root().join("benches/records/relay");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{date}.json")), format!("{record:#}\n"))?;
    let head = format!("cargo xtask load, {date}, on {machine}\n{}\n\n", peers::versions().join("\n"));
    fs::write(folder.join(format!("{date}.txt")), format!("{head}{table}"))?;
    println!("recorded in benches/records/relay/{date}.json and .txt");
    Ok(())
}
