//! `cargo xtask differential`: generated conversations against the real spice-server, in a process of its own.

use std::{env, path::Path};

use anyhow::{Result, ensure};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many cases to run.
    #[arg(long, default_value_t = 3000)]
    cases: u64,
    /// The seed of the generator: the same seed gives the same cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many of a hundred cases know how to get in. Each of them takes at least one RSA key, some milliseconds.
    #[arg(long, default_value_t = 5)]
    deep: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { cases: 3000, seed: 1, deep: 5 }
    }
}

/// A short run, as a step of `cargo xtask test`. A missing library is an error where `CI` is set, and a notice elsewhere.
pub(crate) fn check() -> Result<()> {
    if is_here() || env::var_os("CI").is_some_and(|value| !value.is_empty()) {
        return run(&Args::default());
    }
    eprintln!("  libspice-server-dev is missing: nothing is compared with the real spice-server (`cargo xtask setup`)");
    Ok(())
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(is_here(), "libspice-server-dev is missing; `cargo xtask setup` installs it");
    let numbers = [("--cases", args.cases), ("--seed", args.seed), ("--deep", args.deep)];
    let mut cargo =
        shell::cargo(&["run", "--quiet", "--release", "--manifest-path", "fuzz/differential/Cargo.toml", "--"]);
    for (name, value) in numbers {
        cargo.arg(name).arg(value.to_string());
    }
    shell::run(&mut cargo)
}

fn is_here() -> bool {
    Path::new("/usr/include/spice-server/spice.h").exists()
}
