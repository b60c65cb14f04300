//! `spicewatch follow`: sessions through QEMU's own QMP socket.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::process::{Command, Output, Stdio};

use relay_lab::{Lines, eventually};
use serde_json::Value;
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Process, Scratch, Vm},
};

fn spicewatch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spicewatch")).args(arguments).output().unwrap()
}

/// `spicewatch follow`, killed on drop.
struct Follow {
    process: Process,
    records: Lines,
    log: Lines,
}

impl Follow {
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
        command.arg("follow").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command).unwrap();
        let records = Lines::follow(process.child().stdout.take().unwrap());
        let log = Lines::follow(process.child().stderr.take().unwrap());
        let follow = Self { process, records, log };
        follow.log.wait_for("connected to QEMU", 1);
        follow
    }

    /// What happened, and to which VM.
    fn lines(&self) -> Vec<String> {
        let line = |line: &String| {
            let record: Value = serde_json::from_str(line).unwrap();
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            let event = &record["event"];
            format!("{} {} {}", text(&record["vm"]["name"]), text(&event["action"]), text(&event["reason"]))
        };
        self.records.all().iter().map(line).collect()
    }

    fn wait_for_ends(&self, count: usize) {
        self.records.wait_for("\"action\":\"session-ended\"", count);
    }
}

#[test]
fn sessions_are_those_that_qemu_reports() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let (port, folder) = (lab::free_port().unwrap().to_string(), Scratch::new().unwrap());
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let mut vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let client = || Client::start(&["--port", &port, "--password", PASSWORD]).unwrap();

    // This session is there before the command starts, which learns it from query-spice.
    let early = client();
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    let address = format!("desk={}", vm.qmp_socket().display());
    let follow = Follow::start(&[&address, "--control", &control]);
    follow.records.wait_for("\"action\":\"session-started\"", 1);
    let who = || {
        let output = spicewatch(&["who", "--json", "--control", &control]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let has_all = |records: &[Value]| {
        records.len() == 1 && records[0]["spice"]["channels"].as_array().is_some_and(|all| all.len() == CHANNELS)
    };
    eventually("all channels", || has_all(&who()));
    let record = who().remove(0);
    assert_eq!((&record["spice"]["source"], &record["client"]["ip"]), (&"follow".into(), &"127.0.0.1".into()));
    assert!(record["client"]["bytes"].is_null(), "QEMU shows no bytes");
    let id = record["session"]["id"].as_str().unwrap();
    let end = spicewatch(&["end", "--control", &control, id]);
    let line = String::from_utf8(end.stderr).unwrap();
    assert_eq!(end.status.code(), Some(2));
    assert!(line.starts_with("spicewatch end: the session's connections can't be ended"), "{line}");
    early.leave().unwrap();
    follow.wait_for_ends(1);

    // A session that another one takes over, which ends with QEMU.
    let old = client();
    vm.events().wait_for("SPICE_INITIALIZED", 2 * CHANNELS).unwrap();
    let new = client();
    vm.events().wait_for("SPICE_INITIALIZED", 3 * CHANNELS).unwrap();
    follow.wait_for_ends(2);
    eventually("all channels", || has_all(&who()));
    drop(old);
    vm.kill().unwrap();
    follow.wait_for_ends(3);
    assert_eq!(
        follow.lines(),
        [
            "desk session-started -",
            "desk session-ended unknown",
            "desk session-started -",
            "desk session-ended replaced",
            "desk session-started -",
            "desk session-ended unknown",
        ]
    );
    assert!(who().is_empty());
    assert_eq!(follow.log.count("not connected to QEMU"), 1);
    drop(new);
    relay_lab::signal(follow.process.id(), "-TERM");
    let mut process = follow.process;
    assert!(process.wait().unwrap().success());
}

#[test]
fn wrong_addresses_are_one_line() {
    let run = |arguments: &[&str]| {
        let output = spicewatch(&[&["follow"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        run(&["/run/a/desk.qmp", "/run/b/desk.qmp"]),
        "spicewatch follow: expected a name for each VM, found `desk` twice; NAME=ADDRESS gives another\n"
    );
    assert!(run(&["/run/a.qmp,server=on"]).contains("/run/a.qmp,server=on"));
}
