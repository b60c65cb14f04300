//! `cargo xtask setup`: the Debian packages of the real peers.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::shell;

/// What each package is for stands in `spice_testkit::lab::Peer`.
const PACKAGES: &[&str] = &[
    "qemu-system-x86",
    "spice-client-gtk",
    "gir1.2-spiceclientglib-2.0",
    "python3-gi",
    "python3-venv", // for the clients that come from the Python package index
    "openssl",
    "tcpdump",
    "tshark",
    "socat",
    "haproxy",
    "sasl2-bin",
    "libsasl2-modules",
    "libspice-server-dev",
];

pub(crate) fn run() -> Result<()> {
    let missing: Vec<_> = PACKAGES.iter().copied().filter(|name| !installed(name)).collect();
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
