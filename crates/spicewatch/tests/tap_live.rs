//! The control socket, the history and hooks of `spicewatch tap` and of `spicewatch read --follow`: what a relay has, from packets.

#![cfg(feature = "history")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use relay_lab::{Lines, eventually, signal};
use serde_json::Value;
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Process, Scratch, Vm},
};

fn spicewatch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spicewatch")).args(arguments).output().unwrap()
}

fn values(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A session through loopback, watched by this command until it gets SIGTERM.
fn check(port: &str, vm: &Vm, arguments: &[&str], ready: &str) {
    let folder = Scratch::new().unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (control, history, hooked) = (path("control.sock"), format!("sqlite:{}", path("history.db")), path("hooked"));
    let hook = path("hook");
    fs::write(&hook, format!("echo $SPICEWATCH_HOOK $SPICEWATCH_VM $SPICEWATCH_REASON >> {hooked}\n")).unwrap();
    let hook = serde_json::json!(["/bin/sh", hook]).to_string();
    let named = format!("desk=127.0.0.1:{port}");
    let outputs = ["--control", &control, "--history", &history, "--on-session-end", &hook, "--vm", &named];
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    command.args(arguments).args(outputs).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command).unwrap();
    let events = Lines::follow(process.child().stdout.take().unwrap());
    let log = Lines::follow(process.child().stderr.take().unwrap());
    if !ready.is_empty() {
        log.wait_for(ready, 1);
    }
    let before = vm.events().count("SPICE_INITIALIZED");
    let client = Client::start(&["--port", port, "--password", PASSWORD]).unwrap();
    vm.events().wait_for("SPICE_INITIALIZED", before + CHANNELS).unwrap();
    let who = || values(&spicewatch(&["who", "--json", "--control", &control]));
    // A picture and the link stages have passed. Bytes are counted while the session is live.
    let has_all = |record: &Value| {
        record["spice"]["channels"].as_array().is_some_and(|all| all.len() == CHANNELS)
            && record["server"]["bytes"].as_u64() > Some(200_000)
            && record["client"]["bytes"].as_u64() > Some(2000)
    };
    eventually("a session with all its channels", || matches!(&who()[..], [record] if has_all(record)));
    let live = who().remove(0);
    assert_eq!((&live["vm"]["name"], &live["client"]["ip"]), (&"desk".into(), &"127.0.0.1".into()), "{live:#}");
    let id = live["session"]["id"].as_str().unwrap().to_owned();
    let last = || values(&spicewatch(&["last", "--json", "--history", &history]));
    eventually("its row", || last().len() == 1);
    let end = spicewatch(&["end", "--control", &control, &id]);
    assert_eq!(end.status.code(), Some(2), "only a relay can end sessions");
    client.leave().unwrap();
    eventually("no session", || who().is_empty());
    let status = values(&spicewatch(&["status", "--json", "--control", &control])).remove(0);
    assert_eq!((&status["started"], &status["ended"], &status["lost-records"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(status["source"], arguments[0]);
    eventually("its end in the history", || last()[0]["event"]["reason"] == "client_left");
    eventually("its hook", || {
        fs::read_to_string(&hooked).is_ok_and(|text| text == "on-session-end desk client_left\n")
    });
    assert_eq!(last()[0]["session"]["id"], id);
    // A session that is live when the command ends goes on unseen: no hook runs for it.
    let client = Client::start(&["--port", port, "--password", PASSWORD]).unwrap();
    eventually("the next session", || who().len() == 1);
    signal(process.id(), "-TERM");
    assert!(process.wait().unwrap().success(), "{}", log.all().join("\n"));
    events.wait_for_end();
    assert!(events.count("SPICE_INITIALIZED") >= CHANNELS, "events are printed beside them");
    assert_eq!(last()[0]["event"]["reason"], "unknown");
    assert_eq!(fs::read_to_string(&hooked).unwrap().lines().count(), 1);
    client.leave().unwrap();
}

#[test]
fn tap_answers_who_is_connected_keeps_a_history_and_runs_hooks() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Tcpdump]) {
        return;
    }
    let port = lab::free_port().unwrap().to_string();
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    check(&port, &vm, &["tap", "--port", &port, "lo"], "capturing on");
}

#[test]
fn growing_capture_does_so_too() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Tcpdump]) {
        return;
    }
    let (port, folder) = (lab::free_port().unwrap().to_string(), Scratch::new().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let capture = folder.join("growing.pcap");
    let capture = capture.to_str().unwrap();
    let mut tcpdump = Command::new("tcpdump");
    tcpdump
        .args(["-i", "lo", "-s", "0", "-U", "-w", capture, "-Z", "root", "tcp", "port", &port])
        .stderr(Stdio::piped());
    let mut tcpdump = Process::spawn(&mut tcpdump).unwrap();
    let said = Lines::follow(tcpdump.child().stderr.take().unwrap());
    said.wait_for("listening on", 1);
    eventually("the head of the file", || fs::metadata(capture).is_ok_and(|file| file.len() >= 24));
    check(&port, &vm, &["read", "--follow", "--port", &port, capture], "");
}

#[test]
fn live_outputs_of_a_capture_that_is_over_are_refused() {
    let output = spicewatch(&["read", "--control", "/tmp/x", "/dev/null"]);
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("are for --follow") && line.lines().count() == 1, "{line}");
}
