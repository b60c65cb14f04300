//! `cargo xtask differential`: generated conversations against the real spice-server, in a process of its own.

use anyhow::{Result, ensure};

use crate::shell;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many cases.
    #[arg(long, default_value_t = 3000)]
    cases: u64,
    /// Which row of cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Of a hundred cases, so many may get in; each takes an RSA key or more, some milliseconds.
    #[arg(long, default_value_t = 5)]
    deep: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { cases: 3000, seed: 1, deep: 5 }
    }
}

/// A short run, as a part of every test run. Without the library it is a failure on a build machine, and said elsewhere.
pub(crate) fn check() -> Result<()> {
    if is_here() || std::env::var_os("CI").is_some_and(|value| !value.is_empty()) {
        return run(&Args::default());
    }
    eprintln!("  no libspice-server-dev here: nothing is compared with the real spice-server (`cargo xtask setup`)");
    Ok(())
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(is_here(), "libspice-server-dev is not here; `cargo xtask setup` says how to install it");
    let numbers = [("--cases", args.cases), ("--seed", args.seed), ("--deep", args.deep)];
    let mut cargo = shell::cargo(&["run", "--quiet", "--release", "--manifest-path", "reference/Cargo.toml", "--"]);
    for (name, value) in numbers {
        cargo.arg(name).arg(value.to_string());
    }
    shell::run(&mut cargo)
}

fn is_here() -> bool {
    std::path::Path::new("/usr/include/spice-server/spice.h").exists()
}
