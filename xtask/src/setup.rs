//! `cargo xtask setup`: the Debian packages of the real peers, and a Debian 13 for QEMU 11.1.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::debian_13;

/// One package a line; lines with `#` say what they are for.
const PACKAGES: &str = include_str!("../debian-packages.txt");

/// Installs everything.
pub(crate) fn run() -> Result<()> {
    install_packages()?;
    if debian_13::is_complete() {
        eprintln!("setup: QEMU 11.1 and libvirt are installed");
    } else if is_root_on_debian() {
        debian_13::make()?;
    } else {
        eprintln!(
            "setup: QEMU 11.1 or libvirt is missing. As root on Debian, `cargo xtask setup` makes a Debian 13 for them."
        );
    }
    Ok(())
}

/// Installs the packages only.
pub(crate) fn install_packages() -> Result<()> {
    let packages = PACKAGES.lines().filter(|line| !line.starts_with('#'));
    let missing: Vec<_> = packages.filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        eprintln!("setup: all packages are installed");
        return Ok(());
    }
    if !is_root_on_debian() {
        eprintln!("setup: the tests against real peers need these packages; tests without their peer are skipped:");
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

fn is_root_on_debian() -> bool {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    is_root && Path::new("/etc/debian_version").exists()
}
