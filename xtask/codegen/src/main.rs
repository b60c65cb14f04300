//! Generates the code of qmp-schema, and compares its facts with a real QEMU: `cargo xtask codegen` and `cargo xtask schema`.

use clap::Parser;
use xtask_codegen::{codegen, schema};

#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Generate the types of qmp-schema, their codecs and the table of its README from the facts file.
    Codegen(codegen::Args),
    /// Compare qmp-schema with what a real QEMU says of its events; record lines of them.
    Schema(schema::Args),
}

fn main() -> anyhow::Result<()> {
    shell::enter_workspace()?;
    match Task::parse() {
        Task::Codegen(args) => codegen::run(&args),
        Task::Schema(args) => schema::run(&args),
    }
}
