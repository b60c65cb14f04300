//! Measures the project: `cargo xtask bench` and `cargo xtask load`.

mod bench;
mod bench_record;
mod figure;
mod instructions;
mod load;
mod machine;
mod page;
mod plot;
mod program;
mod read_captures;
mod synthesize;
mod table;
mod targets;

use clap::Parser;

#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Measure everything beside the peers and write the record; with --check, compare instruction counts.
    Bench(bench::Args),
    /// Measure the relay beside HAProxy and others: set-up, memory, throughput, latency.
    Load(load::Args),
}

fn main() -> anyhow::Result<()> {
    shell::enter_workspace()?;
    match Task::parse() {
        Task::Bench(args) => bench::run(&args),
        Task::Load(args) => load::run(&args),
    }
}
