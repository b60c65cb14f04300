//! The unit file in docs/systemd: systemd accepts it, and it gives the relay no privileges.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    fs,
    process::{Command, Output},
};

use spice_testkit::lab::Scratch;

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/systemd/spicewatch.service");
/// The highest exposure that is accepted, in tenths: systemd calls up to 2.0 "OK". It was 1.5 when this was written.
const MAX_EXPOSURE: &str = "20";

fn analyze(args: &[&str]) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(args).output().ok();
    if output.is_none() {
        eprintln!("systemd-analyze is not installed");
    }
    output
}

#[test]
fn systemd_accepts_the_unit_and_finds_it_sandboxed() {
    // A package does not contain the file.
    let Ok(text) = fs::read_to_string(UNIT) else { return };
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("spicewatch.service");
    fs::write(&path, text.replace("/usr/bin/spicewatch", env!("CARGO_BIN_EXE_spicewatch"))).unwrap();
    let path = path.display().to_string();
    let Some(verified) = analyze(&["verify", &path]) else { return };
    let said = String::from_utf8(verified.stderr).unwrap();
    let ours: Vec<_> = said.lines().filter(|line| line.contains("spicewatch")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");
    let security = analyze(&["security", "--offline=true", "--no-pager", "--threshold", MAX_EXPOSURE, &path]).unwrap();
    let said = String::from_utf8(security.stdout).unwrap();
    assert!(security.status.success(), "{said}{}", String::from_utf8_lossy(&security.stderr));
}

#[test]
fn unit_runs_without_privileges_and_writes_no_core_file() {
    let Ok(text) = fs::read_to_string(UNIT) else { return };
    for line in [
        "LimitCORE=0",
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "Type=notify",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line}");
    }
    // The manual shows the same file.
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RELAY.md")).unwrap();
    assert!(manual.contains("(systemd/spicewatch.service)"));
}
