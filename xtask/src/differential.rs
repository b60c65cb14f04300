//! `cargo xtask differential`: generated conversations against the real spice-server, in a process of its own.

use std::{env, path::Path};

use anyhow::{Result, ensure};

use crate::debian_13;

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
    /// Which spice-server to compare with.
    #[arg(long, value_enum, default_value_t = SpiceServer::System)]
    spice_server: SpiceServer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SpiceServer {
    /// The library of this machine.
    System,
    /// The library of the Debian 13 that `cargo xtask setup` makes.
    #[value(name = "0.15.2")]
    Debian13,
}

impl SpiceServer {
    fn is_here(self) -> bool {
        match self {
            Self::System => Path::new("/usr/include/spice-server/spice.h").exists(),
            Self::Debian13 => Self::System.is_here() && debian_13::is_here(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::System => "libspice-server-dev",
            Self::Debian13 => "spice-server 0.15.2",
        }
    }
}

/// A short run against each spice-server, as a step of `cargo xtask test`. A missing one is an error if `CI` is set, and a notice
/// elsewhere.
pub(crate) fn check() -> Result<()> {
    let is_ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    for spice_server in [SpiceServer::System, SpiceServer::Debian13] {
        if spice_server.is_here() || is_ci {
            run(&Args { cases: 3000, seed: 1, deep: 5, spice_server })?;
        } else {
            eprintln!("  {} is missing: nothing is compared with it (`cargo xtask setup`)", spice_server.name());
        }
    }
    Ok(())
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.spice_server.is_here(), "{} is missing; `cargo xtask setup` installs it", args.spice_server.name());
    let numbers = [("--cases", args.cases), ("--seed", args.seed), ("--deep", args.deep)];
    let mut cargo =
        shell::cargo(&["run", "--quiet", "--release", "--manifest-path", "fuzz/differential/Cargo.toml", "--"]);
    for (name, value) in numbers {
        cargo.arg(name).arg(value.to_string());
    }
    if args.spice_server == SpiceServer::Debian13 {
        // The same program, with the libraries of the other Debian.
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", debian_13::RUNNER);
    }
    shell::run(&mut cargo)
}
