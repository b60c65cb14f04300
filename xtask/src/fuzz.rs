//! `cargo xtask fuzz`: seeds from the real captures, dictionaries from the constants, runs, and the check that a missing bound
//! is found.

mod dictionaries;
pub(crate) mod mutants;
mod oss_fuzz;
pub(crate) mod readme;
mod runs;
mod seeds;

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand)]
enum Task {
    /// Make fuzz/seeds again: from the committed captures, with tickets and SASL data zeroed, and from the generators.
    Seeds,
    /// Make fuzz/dictionaries again.
    Dictionaries,
    /// Take bounds out of the parsers, one at a time, in a copy: the smoke test on stable has to find each within a minute.
    Mutants,
    /// Fuzz (nightly, cargo-fuzz): each target for a while, one after the other; what was seen is added to fuzz/record.toml.
    Run(runs::Args),
    /// Run oss-fuzz/build.sh as OSS-Fuzz would, and see that each target comes out (nightly, cargo-fuzz, zip).
    OssFuzz,
    /// Write the record's figures into fuzz/README.md.
    Readme,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.task {
        Task::Seeds => seeds::write(),
        Task::Dictionaries => dictionaries::write(),
        Task::Mutants => mutants::run(),
        Task::Run(args) => runs::run(args),
        Task::OssFuzz => oss_fuzz::check(),
        Task::Readme => readme::write(),
    }
}
