//! The chores of the project: `cargo xtask --help` lists them.
//!
//! This program is small, so that `setup` and `test` start soon. A heavy chore is a package of its own below `xtask/`,
//! which compiles only when it is asked for. A new chore is a package, a variant of [`Task`] and an arm of `main`.

#[cfg(test)]
mod architecture;
mod debian_13;
mod differential;
#[cfg(test)]
mod forge;
mod setup;
mod test;

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;

/// The chores of the project.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Install the Debian packages of the real peers, and a Debian 13 for QEMU 11.1 (as root on Debian; elsewhere, print what is
    /// missing).
    Setup,
    /// Run every check: format, lints, documentation, tests, packages, and the tests against real peers.
    Test(test::Args),
    /// Boot a real QEMU, put the relay in front of it, connect real clients, and print the events of both side by side.
    #[command(disable_help_flag = true)]
    Demo(Rest),
    /// Send generated conversations to the real spice-server and to our acceptor, and compare (needs libspice-server-dev).
    Differential(differential::Args),
    /// Run the fuzzers, make their seeds and dictionaries, check that they find a missing bound.
    #[command(disable_help_flag = true)]
    Fuzz(Rest),
    /// Measure everything beside the peers and write PERFORMANCE.md; with --check, compare instruction counts.
    #[command(disable_help_flag = true)]
    Bench(Rest),
    /// Measure the relay beside HAProxy and others: set-up, memory, throughput, latency.
    #[command(disable_help_flag = true)]
    Load(Rest),
    /// Measure how many lines the tests run, for each crate that reads what peers send (needs cargo-tarpaulin).
    #[command(disable_help_flag = true)]
    Coverage(Rest),
    /// Generate the types of qmp-schema, their codecs and the table of its README from the facts file.
    #[command(disable_help_flag = true)]
    Codegen(Rest),
    /// Compare qmp-schema with what a real QEMU says of its events; record lines of them.
    #[command(disable_help_flag = true)]
    Schema(Rest),
    /// Record the committed captures again, from a real QEMU and real clients.
    #[command(disable_help_flag = true)]
    RecordCaptures(Rest),
    /// Record again what a real QEMU answers to the table of good and bad QMP input.
    #[command(disable_help_flag = true)]
    RecordQmp(Rest),
}

/// Arguments that are handed on to the package of the chore.
#[derive(clap::Args)]
struct Rest {
    /// The arguments of the chore; --help lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

fn main() -> Result<ExitCode> {
    shell::enter_workspace()?;
    match Task::parse() {
        Task::Setup => setup::run().map(|()| ExitCode::SUCCESS),
        Task::Test(args) => test::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Differential(args) => differential::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Demo(rest) => {
            setup::install_packages()?;
            chore("xtask-lab", &["demo"], &rest)
        }
        Task::Fuzz(rest) => chore("xtask-fuzz", &[], &rest),
        Task::Bench(rest) => chore("xtask-bench", &["bench"], &rest),
        Task::Load(rest) => chore("xtask-bench", &["load"], &rest),
        Task::Coverage(rest) => chore("xtask-coverage", &[], &rest),
        Task::Codegen(rest) => chore("xtask-codegen", &["codegen"], &rest),
        Task::Schema(rest) => chore("xtask-codegen", &["schema"], &rest),
        Task::RecordCaptures(rest) => chore("xtask-lab", &["record-captures"], &rest),
        Task::RecordQmp(rest) => chore("xtask-lab", &["record-qmp"], &rest),
    }
}

/// Builds and runs the package of a chore. The exit code is that of the chore, which has printed its own error.
fn chore(package: &str, name: &[&str], rest: &Rest) -> Result<ExitCode> {
    let mut cargo = shell::cargo(&["run", "--quiet", "--package", package, "--"]);
    let status = cargo.args(name).args(&rest.arguments).status().context("can't run cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
