//! `cargo xtask setup`: the Debian packages of the real peers.

use std::{path::Path, process::Command};

use anyhow::Result;
use spice_testkit::lab::Peer;

use crate::shell;

/// What tests need beside the peers of the lab.
const MORE: &[&str] = &[
    "python3-venv",        // the clients that come from the Python package index
    "libspice-server-dev", // the reference harness links spice-server
    "valgrind",            // `cargo xtask bench --check` counts instructions with callgrind
];

pub(crate) fn run() -> Result<()> {
    let packages = Peer::ALL.iter().flat_map(|peer| peer.packages()).chain(MORE).copied();
    let missing: Vec<_> = packages.filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        eprintln!("setup: every package is there");
        return Ok(());
    }
    if !is_root() || !Path::new("/etc/debian_version").exists() {
        eprintln!("setup: the tests against real peers need these packages; without them they are skipped:");
        eprintln!("  sudo apt-get install -y --no-install-recommends {}", missing.join(" "));
        return Ok(());
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        command
    };
    shell::run(apt().arg("update"))?;
    shell::run(apt().args(["install", "-y", "--no-install-recommends"]).args(&missing))
}

fn installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]).output();
    query.is_ok_and(|output| output.stdout == b"installed")
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
