//! `cargo xtask fuzz`: seeds from the real captures, dictionaries from the constants, runs, and the check that a missing bound
//! is found.

mod dictionaries;
mod mutants;
mod seeds;

use std::process::Command;

use anyhow::{Result, ensure};
use spice_testkit::oracles;

use crate::shell;

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
    /// Fuzz (nightly, cargo-fuzz): each target for a while, one after the other.
    Run {
        /// Which targets; all of them where none is named.
        targets: Vec<String>,
        /// Seconds for each.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.task {
        Task::Seeds => seeds::write(),
        Task::Dictionaries => dictionaries::write(),
        Task::Mutants => mutants::run(),
        Task::Run { targets, seconds } => fuzz(targets, *seconds),
    }
}

fn fuzz(targets: &[String], seconds: u32) -> Result<()> {
    for target in targets {
        ensure!(oracles::ALL.iter().any(|oracle| oracle.name == target), "no target is called `{target}`");
    }
    let wanted = |name: &str| targets.is_empty() || targets.iter().any(|target| target == name);
    for name in oracles::ALL.iter().map(|oracle| oracle.name).filter(|name| wanted(name)) {
        let dictionary = if name.starts_with("qmp") { "qmp" } else { "link" };
        let corpus = format!("corpus/{name}");
        std::fs::create_dir_all(shell::root().join("fuzz").join(&corpus))?;
        let mut cargo = Command::new("cargo");
        cargo.current_dir(shell::root()).args(["+nightly", "fuzz", "run", name]);
        // The first folder takes what is found; the seeds are only read.
        cargo.args([&format!("fuzz/{corpus}"), &format!("fuzz/seeds/{name}"), "--"]);
        cargo.arg(format!("-max_total_time={seconds}")).arg(format!("-dict=fuzz/dictionaries/{dictionary}.dict"));
        shell::run(cargo.args(["-print_final_stats=1", "-max_len=8192", "-timeout=10"]))?;
    }
    Ok(())
}
