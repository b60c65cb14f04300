//! The project's own chores: `cargo xtask --help` lists them.
//!
//! One module a chore; this file only names them. A new chore is a module with `run`, a variant and an arm.

mod bench;
mod codegen;
mod coverage;
mod demo;
mod differential;
mod fuzz;
mod load;
mod multiply;
mod qmp_table;
mod record;
mod schema;
mod setup;
mod shell;
mod test;

use clap::Parser;

/// The project's own chores.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Boot a real QEMU, put the relay in front, connect real clients: what both say, side by side.
    Demo,
    /// The relay beside HAProxy and others, by turns in one run: set-up, memory, throughput, latency.
    Load(load::Args),
    /// Install the Debian packages of the real peers (as root on Debian; otherwise print the line that does).
    Setup,
    /// Everything that must hold: format, lints, docs, tests, packages, and the tests against real peers.
    Test(test::Args),
    /// Measure everything beside the peers and write the record; or, with --check, compare instruction counts.
    Bench(bench::Args),
    /// The share of lines that tests run, of each crate that reads what peers send (needs cargo-tarpaulin).
    Coverage(coverage::Args),
    /// Generated conversations against the real spice-server, in a process of its own (needs libspice-server-dev).
    Differential(differential::Args),
    /// Seeds, dictionaries, runs, and the check that a missing bound is found.
    Fuzz(fuzz::Args),
    /// Make qmp-schema's types, their codecs and its README's table from its facts file.
    Codegen(codegen::Args),
    /// Hold qmp-schema against what a real QEMU says of its events; record lines of them.
    Schema(schema::Args),
    /// Record the committed captures again, from a real QEMU and real clients.
    Record(record::Args),
    /// Record again what a real QEMU answers to the table of good and bad QMP input.
    RecordQmp,
}

fn main() -> anyhow::Result<()> {
    shell::enter_workspace()?;
    match Task::parse() {
        Task::Demo => demo::run(),
        Task::Load(args) => load::run(&args),
        Task::Setup => setup::run(),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Codegen(args) => codegen::run(&args),
        Task::Coverage(args) => coverage::run(&args),
        Task::Differential(args) => differential::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Schema(args) => schema::run(&args),
        Task::Record(args) => record::run(&args),
        Task::RecordQmp => qmp_table::run(),
    }
}
