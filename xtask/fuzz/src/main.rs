//! The chores of the fuzzers: `cargo xtask fuzz`.

mod dictionaries;
mod export;
mod hunt;
mod mutants;
mod oss_fuzz;
mod readme;
mod runs;
mod seeds;
mod tls_sessions;

use anyhow::Result;
use clap::Parser;

/// Run the fuzzers, make what they start from, and check that they find a missing bound.
#[derive(Parser)]
#[command(bin_name = "cargo xtask fuzz")]
enum Task {
    /// Fuzz one target after the other (needs nightly and cargo-fuzz).
    Run(runs::Args),
    /// Write fuzz/seeds: from the committed captures, with tickets and SASL data zeroed, and from the generators.
    Seeds,
    /// Write fuzz/dictionaries, from the constants of the two protocols.
    Dictionaries,
    /// Remove one bound at a time from a copy of the code: the smoke test on stable must find each within a minute.
    Mutants,
    /// Write seeds as raw files and the dictionaries into one archive, for users of other fuzzers: see docs/FUZZING.md.
    Export(export::Args),
    /// Hunt in this project's own acceptor: nearly valid first messages, and whole conversations.
    Hunt(hunt::Args),
    /// Run oss-fuzz/build.sh like OSS-Fuzz does, and check that each target comes out (needs nightly, cargo-fuzz and zip).
    OssFuzz,
    /// Write the figures of fuzz/record.toml into fuzz/README.md.
    Readme,
}

fn main() -> Result<()> {
    shell::enter_workspace()?;
    match Task::parse() {
        Task::Run(args) => runs::run(&args),
        Task::Seeds => seeds::write(),
        Task::Dictionaries => dictionaries::write(),
        Task::Mutants => mutants::run(),
        Task::Export(args) => export::run(&args),
        Task::Hunt(args) => hunt::run(&args),
        Task::OssFuzz => oss_fuzz::check(),
        Task::Readme => readme::write(),
    }
}
