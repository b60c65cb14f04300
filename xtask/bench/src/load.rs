//! `cargo xtask load`: measures our relay and its alternatives by turns in one run.
//!
//! This process holds both ends: a server that accepts any link and then streams, echoes or stays idle, and its clients. All
//! connections stay on loopback. `cargo xtask bench --only relay` measures the same and adds it to the bench record.

mod args;
mod client;
mod measure;
mod peers;
mod process;
mod server;

use anyhow::{Result, ensure};
use spice_testkit::lab::Pki;

pub(crate) use self::args::Args;
use self::{measure::Samples, server::Server};
use crate::{
    bench_record::{Measured, Part, PartRecord, Record},
    machine::Machine,
    table::everything,
};

pub(crate) fn run(args: &Args) -> Result<()> {
    let measured = measure(args)?;
    if args.json {
        for figure in &measured.figures {
            println!("{}", serde_json::to_string(figure)?);
        }
        return Ok(());
    }
    print!("{}", everything(&Record::of(Machine::here()?, PartRecord::new(Part::Relay, measured)?)));
    Ok(())
}

/// Measures all peers, one after another in each turn.
pub(crate) fn measure(args: &Args) -> Result<Measured> {
    if !args.built {
        shell::run(&mut shell::cargo(&["build", "--release", "--quiet", "-p", "spicewatch"]))?;
    }
    let channels = args.channels.min(process::raise_descriptor_limit()?);
    if channels < args.channels {
        eprintln!("load: the descriptor limit allows only {channels} channels");
    }
    let pki = Pki::new()?;
    let server = Server::start()?;
    let (peers, missing) = peers::start(&server.address(), &pki, args)?;
    ensure!(!peers.is_empty(), "none of the chosen peers is installed");
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
