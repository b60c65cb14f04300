//! `spicewatch read` on captures as operators have them: tunnelled, proxied, cut, rotated or incomplete.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use spice_testkit::{captures, events};

fn field(name: &str) -> PathBuf {
    captures::folder().join("field").join(name)
}

fn run(args: &[&str], files: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    command.arg("read").args(args).args(files.iter().map(|file| field(file))).output().unwrap()
}

/// The lines that QEMU sent, and those that are printed.
fn compare(args: &[&str], files: &[&str], qmp: &str) -> (Vec<String>, String) {
    let output = run(args, files);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{files:?}: {stderr}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let qemu = captures::spice_events(&fs::read(field(qmp)).unwrap()).unwrap();
    assert!(!qemu.is_empty(), "{qmp}");
    let qemu = events::observable(qemu.iter().map(String::as_str));
    (events::disagreements(printed.lines(), qemu.iter().map(String::as_str), false), stderr)
}

/// QEMU's lines are printed, and `expected` is all else that is said before the summary.
#[track_caller]
fn check(args: &[&str], files: &[&str], qmp: &str, expected: &[&str]) {
    let (differences, stderr) = compare(args, files, qmp);
    assert!(differences.is_empty(), "{files:?}:\n{}\n{stderr}", differences.join("\n"));
    let said: Vec<_> = stderr.lines().filter(|line| !line.contains(" packets, ")).collect();
    assert_eq!(said.len(), expected.len(), "{files:?}: {stderr}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{files:?}: {stderr}");
    }
}

#[test]
fn tunnelled_sessions_give_qemus_events() {
    check(&[], &["08-vxlan-real.pcap"], "08-vxlan-real.qmp", &[]);
    for file in ["08-gre_teb.pcap", "08-mpls.pcap", "10-nflog.pcap"] {
        check(&[], &[file], "09-snaplen.qmp", &[]);
    }
}
