//! The program: `spicewatch --help` says what it does.
//!
//! One module a command; this file only names them.

mod conformance;
mod dial;
mod probe;
mod read;
mod relay;

use clap::Parser;
use std::process::ExitCode;

/// Who is connected to which virtual machine, and when.
///
/// SPICE is the remote desktop protocol of QEMU's virtual machines. QEMU reports each SPICE connection to whatever manages the machine, with the events
/// SPICE_CONNECTED, SPICE_INITIALIZED and SPICE_DISCONNECTED. spicewatch makes the very same events from the outside, without asking QEMU.
#[derive(Parser)]
#[command(name = "spicewatch", version, max_term_width = 100)]
enum Command {
    Read(read::Args),
    Relay(Box<relay::Args>),
    Conformance(conformance::Args),
    Probe(probe::Args),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Read(args) => read::run(args),
        Command::Relay(args) => relay::run(*args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Probe(args) => probe::run(&args),
    }
}
