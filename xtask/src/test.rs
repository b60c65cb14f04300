//! `cargo xtask test`: everything that must hold, the cheap checks first and cargo's own test results last.

use anyhow::Result;

use crate::shell::{self, cargo};

/// The crates that are published; each must stand alone as a package.
const LIBRARIES: &[&str] =
    &["qmp-schema", "spice-link", "spice-events", "qmp-server", "spice-capture", "spice-testkit"];

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only the tests: no format, lint, doc or package checks.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.quick {
        checks()?;
    }
    shell::run(&mut cargo(&["test", "--workspace", "--all-features"]))
}

fn checks() -> Result<()> {
    shell::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    shell::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    shell::run(cargo(&["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    let packages = LIBRARIES.iter().flat_map(|name| ["-p", name]);
    shell::run(cargo(&["package", "--allow-dirty", "--no-verify"]).args(packages))
}
