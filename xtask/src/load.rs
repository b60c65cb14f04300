//! `cargo xtask load`: the relay and what people would use instead, by turns in one run.
//!
//! Both ends are here: a server that accepts any link and then streams, echoes or stays idle, and its clients. Everything
//! stays on loopback, and ends by itself. `cargo xtask bench --only relay` measures the same and puts it on record.

mod client;
mod measure;
mod peers;
mod process;
mod server;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use spice_testkit::lab::Pki;

use crate::{
    bench::{Figure, Machine, Measured, PartRecord, Record, everything},
    shell,
};
use measure::Samples;
use server::Server;

/// How much is measured.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns that each peer gets
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// Seconds of each stream
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Channels set up in a turn
    #[arg(long, default_value_t = 1000)]
    setups: usize,
    /// Channels that are up at the same time, at most
    #[arg(long, default_value_t = 10_000)]
    channels: usize,
    /// Round trips of a ping-pong
    #[arg(long, default_value_t = 5000)]
    pings: usize,
    /// Only these peers, by their names in the table
    #[arg(long, value_delimiter = ';')]
    only: Vec<String>,
    /// Another build of spicewatch, to be measured beside this one; may be given more than once
    #[arg(long, value_name = "FILE")]
    beside: Vec<PathBuf>,
    /// Only these parts of the work
    #[arg(long, value_delimiter = ',')]
    work: Vec<Work>,
    /// Sizes of the messages of a single stream, in bytes
    #[arg(long, value_delimiter = ',', default_values_t = SIZES)]
    sizes: Vec<usize>,
    /// Print the figures as JSON, one a line
    #[arg(long)]
    json: bool,
    /// Measure the release build that is there
    #[arg(long)]
    built: bool,
}

/// A part of the work, with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Work {
    /// Channels that are set up
    SetUp,
    /// One stream, by the size of its messages
    Stream,
    /// Several streams at the same time
    Together,
    /// Idle channels, and a ping-pong beside them
    Idle,
    /// A ping-pong beside a stream
    Beside,
}

/// Message sizes of the streams, in bytes.
const SIZES: [usize; 3] = [64, 1024, 64 * 1024];

impl Args {
    /// What goes on record.
    pub(crate) fn for_the_record() -> Self {
        let (turns, seconds, setups, channels, pings) = (3, 0.5, 1000, 10_000, 5000);
        let (only, beside, work, sizes) = (Vec::new(), Vec::new(), Vec::new(), SIZES.to_vec());
        Self { turns, seconds, setups, channels, pings, only, beside, work, sizes, json: false, built: false }
    }

    fn wants(&self, work: Work) -> bool {
        self.work.is_empty() || self.work.contains(&work)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let measured = measure(args)?;
    if args.json {
        for figure in &measured.figures {
            println!("{}", serde_json::to_string(figure)?);
        }
        return Ok(());
    }
    print!("{}", everything(&Record::of(Machine::here()?, PartRecord::new(crate::bench::Part::Relay, measured)?)));
    Ok(())
}

/// Measures all peers, one after the other in each turn.
pub(crate) fn measure(args: &Args) -> Result<Measured> {
    if !args.built {
        shell::run(&mut shell::cargo(&["build", "--release", "--quiet", "-p", "spicewatch"]))?;
    }
    let channels = args.channels.min(process::raise_descriptor_limit()?);
    if channels < args.channels {
        eprintln!("load: descriptors for {channels} channels only");
    }
    let pki = Pki::new()?;
    let server = Server::start()?;
    let (peers, missing) = peers::start(&server.address(), &pki, args)?;
    ensure!(!peers.is_empty(), "no peer is left to measure");
    let mut versions = peers::versions();
    for peer in peers.iter().filter(|peer| peer.dial.tls.is_some()) {
        versions.push(format!("{}: {}", peer.name, client::negotiated(&peer.dial)?));
    }
    let mut samples = Samples::default();
    for turn in 1..=args.turns {
        for peer in &peers {
            eprintln!("load: turn {turn} of {}: {}", args.turns, peer.name);
            measure::peer(peer, args, channels, turn == 1, &mut samples)?;
        }
    }
    Ok(Measured { figures: samples.figures(), missing, versions })
}

/// Whose figures the others' are compared with.
fn ours(who: &str) -> &'static str {
    if who.ends_with("TLS") { "spicewatch TLS" } else { "spicewatch" }
}

type Figures = Vec<Figure>;
