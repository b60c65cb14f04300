//! A day in the life of a VM: the same sessions, with the same reasons, from the relay, from packets, and from QEMU itself.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use relay_lab::{Lines, Relay, eventually, signal};
use serde_json::Value;
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Process, Scratch, Sniffer, Vm},
};

/// A spicewatch that watches beside the relay, and its records.
struct Watcher {
    process: Process,
    records: Lines,
}

impl Watcher {
    #[track_caller]
    fn start(arguments: &[&str], ready: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command).unwrap();
        let records = Lines::follow(process.child().stdout.take().unwrap());
        let log = Lines::follow(process.child().stderr.take().unwrap());
        log.wait_for(ready, 1);
        Self { process, records }
    }

    fn stop(mut self) -> Vec<Value> {
        signal(self.process.id(), "-TERM");
        assert!(self.process.wait().unwrap().success());
        self.records.wait_for_end();
        values(&self.records.all())
    }
}

fn values(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// What a record says, without what depends on the run.
fn line(record: &Value) -> String {
    let (event, spice) = (&record["event"], &record["spice"]);
    let action = text(&event["action"]);
    match event["reason"].as_str() {
        None => action.to_owned(),
        Some(reason) => {
            let channels = spice["channels"].as_array().map_or(0, Vec::len);
            format!(
                "{action} {reason} by {} at {}, {channels} channels",
                text(&spice["ended_by"]),
                text(&spice["stage"])
            )
        }
    }
}

/// The members of a record that the wire shows to all who see it: who, when it began, its channels and their bytes.
fn shown(record: &Value) -> Value {
    let channel = |channel: &Value| {
        let members = ["type", "name", "id", "tls", "bytes_to_server", "bytes_to_client"];
        members.map(|member| channel[member].clone()).into_iter().collect::<Value>()
    };
    let mut channels: Vec<_> = record["spice"]["channels"].as_array().into_iter().flatten().map(channel).collect();
    channels.sort_by_key(ToString::to_string);
    serde_json::json!({
        "action": record["event"]["action"],
        "client": [record["client"]["ip"], record["client"]["port"], record["client"]["bytes"]],
        "server": [record["server"]["ip"], record["server"]["port"], record["server"]["bytes"]],
        "network": record["network"],
        "tls": record["tls"]["established"],
        "spice": [record["spice"]["connection_id"], record["spice"]["auth"], record["spice"]["stage"]],
        "channels": channels,
    })
}

#[test]
#[expect(clippy::too_many_lines, reason = "a day has many parts, in one order")]
fn relay_packets_and_qemu_tell_the_same_day() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Tcpdump]) {
        return;
    }
    let (port, through, folder) = (lab::free_port().unwrap(), lab::free_port().unwrap(), Scratch::new().unwrap());
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let (listen, upstream) = (format!("127.0.0.1:{through}"), format!("127.0.0.1:{port}"));
    let sniffer = Sniffer::start(&[through]).unwrap();
    let through = through.to_string();
    let tap = Watcher::start(&["tap", "--sessions", "--port", &through, "lo"], "capturing on");
    let qmp = format!("desk={}", vm.qmp_socket().display());
    let follow = Watcher::start(&["follow", &qmp], "connected to QEMU");
    let relay = Relay::start(&[
        "--listen",
        &listen,
        "--upstream",
        &upstream,
        "--name",
        "desk",
        "--sessions",
        "--control",
        &control,
    ]);
    let client = |password: &str| Client::start(&["--port", &through, "--password", password]).unwrap();
    let (mut started, mut ended, mut refused) = (0, 0, 0);
    let mut told = |what: &str| {
        let count = match what {
            "session-started" => &mut started,
            "session-ended" => &mut ended,
            _ => &mut refused,
        };
        *count += 1;
        let part = format!("\"action\":\"{what}\"");
        for records in [&relay.events, &tap.records] {
            records.wait_for(&part, *count);
        }
        if what == "session-ended" {
            follow.records.wait_for(&part, *count);
        }
    };
    let mut channels = 0;
    let mut login = || {
        let client = client(PASSWORD);
        channels += CHANNELS;
        vm.events().wait_for("SPICE_INITIALIZED", channels).unwrap();
        client
    };

    let who = || {
        let who = Command::new(env!("CARGO_BIN_EXE_spicewatch"))
            .args(["who", "--json", "--control", &control])
            .output()
            .unwrap();
        values(&String::from_utf8(who.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
    };
    // The relay has seen all channels of the only session. Returns its id.
    let settled = || {
        let has_all = |who: &[Value]| matches!(who, [session] if session["spice"]["channels"].as_array().unwrap().len() == CHANNELS);
        eventually("one session with all channels", || has_all(&who()));
        text(&who()[0]["session"]["id"]).to_owned()
    };

    // A load balancer looks whether the port is open.
    drop(TcpStream::connect(&listen).unwrap());
    // A user types a wrong password, then the right one, and leaves.
    let wrong = client("wrong");
    told("link-refused");
    drop(wrong);
    login().leave().unwrap();
    told("session-started");
    told("session-ended");
    // The ticket expires, and is renewed.
    vm.events()
        .execute("{\"execute\": \"expire_password\", \"arguments\": {\"protocol\": \"spice\", \"time\": \"now\"}}")
        .unwrap();
    let late = client(PASSWORD);
    told("link-refused");
    drop(late);
    vm.events()
        .execute("{\"execute\": \"expire_password\", \"arguments\": {\"protocol\": \"spice\", \"time\": \"never\"}}")
        .unwrap();
    // The user logs in twice: the second session takes over.
    let old = login();
    told("session-started");
    let new = login();
    told("session-ended");
    told("session-started");
    drop(old);
    // An operator ends that one.
    let id = settled();
    let end =
        Command::new(env!("CARGO_BIN_EXE_spicewatch")).args(["end", "--control", &control, &id]).output().unwrap();
    assert!(end.status.success(), "{end:?}");
    told("session-ended");
    drop(new);
    // Something that speaks another protocol.
    let mut stranger = TcpStream::connect(&listen).unwrap();
    stranger.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    std::io::copy(&mut stranger, &mut std::io::sink()).unwrap();
    drop(stranger);
    told("link-refused");
    // The machine of the last client fails.
    let last = login();
    told("session-started");
    settled();
    last.kill().unwrap();
    told("session-ended");

    let events = relay.events.clone();
    relay.signal("-TERM");
    assert!(relay.wait().success());
    events.wait_for_end();
    let (from_relay, from_tap, from_qemu) = (values(&events.all()), in_order(tap.stop()), follow.stop());
    let capture = folder.join("day.pcap");
    fs::write(&capture, sniffer.stop().unwrap()).unwrap();
    let from_read = in_order(read(&capture, &through));

    let lines = |records: &[Value]| records.iter().map(line).collect::<Vec<_>>();
    let mut of_relay = lines(&from_relay);
    // The kernel ends a killed client's connections with FIN, or with RST if the client had bytes to read.
    let killed = of_relay.pop().unwrap();
    let ends = ["client_left", "client_reset"]
        .map(|reason| format!("session-ended {reason} by client at channel, {CHANNELS} channels"));
    assert!(ends.contains(&killed), "{killed}");
    let ended = |reason: &str, by: &str| format!("session-ended {reason} by {by} at channel, {CHANNELS} channels");
    let refused = |reason: &str, by: &str, stage: &str| format!("link-refused {reason} by {by} at {stage}, 0 channels");
    let started = || "session-started".to_owned();
    // Only the relay knows that an operator ended a session: on the wire, that is a server that closes.
    let day = |terminated: String| {
        [
            refused("permission_denied", "server", "auth"),
            started(),
            ended("client_left", "client"),
            refused("permission_denied", "server", "auth"),
            started(),
            ended("replaced", "server"),
            started(),
            terminated,
            refused("bad_magic", "server", "link"),
            started(),
        ]
    };
    assert_eq!(of_relay, day(ended("terminated", "relay")));
    let mut of_tap = lines(&from_tap);
    assert_eq!(of_tap.pop().unwrap(), killed);
    assert_eq!(of_tap, day(ended("server_closed", "server")));
    // The same in every member that the wire shows, up to the bytes of each channel.
    assert_eq!(from_read.iter().map(shown).collect::<Vec<_>>(), from_tap.iter().map(shown).collect::<Vec<_>>());
    assert_eq!(lines(&from_read), lines(&from_tap));
    for (relay, tap) in from_relay.iter().zip(&from_tap) {
        // Bytes for a client that is gone may be counted by the relay, and not be on the wire.
        if ["terminated", "client_reset"].contains(&text(&relay["event"]["reason"])) || line(relay) == killed {
            continue;
        }
        assert_eq!(shown(relay), shown(tap));
    }
    // QEMU shows neither why nor by whom, and a health check is a link to it. It does show the take-over.
    let (unknown, nothing) = (ended("unknown", "unknown"), refused("unknown", "unknown", "link"));
    let of_qemu = [
        nothing.clone(),
        nothing.clone(),
        started(),
        unknown.clone(),
        nothing.clone(),
        started(),
        ended("replaced", "unknown"),
        started(),
        unknown.clone(),
        nothing,
        started(),
        unknown,
    ];
    assert_eq!(lines(&from_qemu), of_qemu);
    let ids = |records: &[Value]| {
        let ended = records.iter().filter(|record| record["event"]["action"] == "session-ended");
        ended.map(|record| record["spice"]["connection_id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&from_qemu), ids(&from_relay));
    for records in [&from_relay, &from_tap, &from_read, &from_qemu] {
        let at = |action: &str, number: usize| {
            records.iter().filter(|record| record["event"]["action"] == action).nth(number).unwrap()
        };
        let (replaced, next) = (at("session-ended", 1), at("session-ended", 2));
        assert_eq!(next["session"]["previous_id"], replaced["session"]["id"]);
    }
}

/// Behind the relay, the ends of the replaced session's connections may be on the wire after the beginning of the next session: each of them
/// is forwarded by itself.
fn in_order(mut records: Vec<Value>) -> Vec<Value> {
    let is_replaced = |record: &Value| record["event"]["reason"] == "replaced";
    let position = records.iter().position(is_replaced).unwrap();
    let before = &records[position - 1];
    if before["event"]["action"] == "session-started" && before["session"]["id"] != records[position]["session"]["id"] {
        records.swap(position - 1, position);
    }
    records
}

/// The records of "spicewatch read" for a capture.
fn read(capture: &Path, port: &str) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    let output = command.args(["read", "--sessions", "--port", port]).arg(capture).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
