//! `spicewatch relay --sessions`: who was connected, and why it ended, with a real QEMU and real clients.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{fs, io::Write as _};

use relay_lab::{
    Lines, Relay,
    by_hand::{Server, connect},
};
use serde_json::Value;
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Pki, Scratch, Vm},
};

fn records(lines: &Lines) -> Vec<Value> {
    lines.all().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A record's members that do not depend on the run.
fn line(record: &Value) -> String {
    let (event, spice) = (&record["event"], &record["spice"]);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let action = text(&event["action"]);
    if event["reason"].is_null() {
        return action;
    }
    format!("{action} {} by={} at={}", text(&event["reason"]), text(&spice["ended_by"]), text(&spice["stage"]))
}

/// Waits for this many records with this action.
fn wait(relay: &Relay, action: &str, count: usize) {
    relay.events.wait_for(&format!("\"action\":\"{action}\""), count);
}

#[test]
fn logins_of_real_clients_are_told() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let (port, folder) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let file = folder.join("sessions.json");
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let upstream = format!("127.0.0.1:{port}");
    let arguments =
        ["--listen", "127.0.0.1:0", "--upstream", &upstream, "--name", "desk", "--sessions", "--sessions-to"];
    let relay = Relay::start(&[&arguments[..], &[file.to_str().unwrap()]].concat());
    let through = relay.address().port().to_string();
    let client = |password: &str| Client::start(&["--port", &through, "--password", password]).unwrap();

    // A login, a wrong password, a take-over, and a client that is killed.
    let first = client(PASSWORD);
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    first.leave().unwrap();
    wait(&relay, "session-ended", 1);
    let wrong = client("wrong");
    wait(&relay, "link-refused", 1);
    drop(wrong);
    let old = client(PASSWORD);
    vm.events().wait_for("SPICE_INITIALIZED", 2 * CHANNELS).unwrap();
    let new = client(PASSWORD);
    vm.events().wait_for("SPICE_INITIALIZED", 3 * CHANNELS).unwrap();
    wait(&relay, "session-ended", 2);
    drop(old);
    new.kill().unwrap();
    wait(&relay, "session-ended", 3);

    let seen = records(&relay.events);
    let mut lines: Vec<_> = seen.iter().map(line).collect();
    let killed = lines.pop().unwrap();
    assert_eq!(
        lines,
        [
            "session-started",
            "session-ended client_left by=client at=channel",
            "link-refused permission_denied by=server at=auth",
            "session-started",
            "session-ended replaced by=server at=channel",
            "session-started",
        ]
    );
    // The kernel ends a killed client's connections with FIN, or with RST if the client had bytes to read.
    let ends = ["client_left", "client_reset"].map(|reason| format!("session-ended {reason} by=client at=channel"));
    assert!(ends.contains(&killed), "{killed}");
    assert_eq!(seen[5]["session"]["previous_id"], seen[4]["session"]["id"]);
    for (sequence, record) in (0_u64..).zip(&seen) {
        assert_eq!((&record["vm"]["name"], &record["event"]["sequence"]), (&"desk".into(), &sequence.into()));
        assert_eq!(record["server"]["port"], relay.address().port(), "{record:#}");
        assert_eq!(record["spice"]["source"], "relay");
        assert!(record["host"]["name"].is_string());
    }
    for ended in seen.iter().filter(|record| record["event"]["action"] == "session-ended") {
        let channels = ended["spice"]["channels"].as_array().unwrap();
        assert_eq!(channels.len(), CHANNELS, "{ended:#}");
        // The bytes of a session are those of its channels. Each client sends more than a link stage on each, and gets a picture.
        for (end, member, least) in [("client", "bytes_to_server", 2000), ("server", "bytes_to_client", 200_000)] {
            let sum: u64 = channels.iter().map(|channel| channel[member].as_u64().unwrap()).sum();
            assert_eq!(ended[end]["bytes"], sum);
            assert!(sum > least, "{ended:#}");
        }
        assert!(ended["spice"]["inputs_last_at"].is_string());
        assert!(ended["event"]["duration"].as_u64() > Some(100_000_000), "a client stays for 300 ms at least");
    }
    let refused = &seen[2];
    assert_eq!(
        (&refused["client"]["bytes"], &refused["server"]["bytes"]),
        (&174.into(), &206.into()),
        "as on the wire"
    );

    let events = relay.events.clone();
    relay.signal("-TERM");
    assert!(relay.wait().success());
    assert_eq!(fs::read_to_string(file).unwrap().lines().collect::<Vec<_>>(), events.all());
}

#[test]
fn session_inside_tls_has_its_version_and_ends_with_the_relay() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl]) {
        return;
    }
    let (port, pki) = (lab::free_port().unwrap(), Pki::new().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
    let (upstream, dir) = (format!("127.0.0.1:{port}"), pki.dir().display().to_string());
    let relay = Relay::start(&[
        "--tls-listen",
        "127.0.0.1:0",
        "--x509-dir",
        &dir,
        "--upstream",
        &upstream,
        "--auth",
        "none",
        "--sessions",
        "--drain-seconds",
        "0",
    ]);
    let ca = pki.dir().join("ca-cert.pem");
    let through = relay.address().port().to_string();
    let client = Client::start(&["--host", "localhost", "--tls-port", &through, "--ca", ca.to_str().unwrap()]).unwrap();
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    let events = relay.events.clone();
    relay.signal("-TERM");
    relay.wait();
    events.wait_for_end();
    let records = records(&events);
    let lines: Vec<_> = records.iter().map(line).collect();
    assert_eq!(lines, ["session-started", "session-ended drained by=relay at=channel"]);
    let tls = &records[1]["tls"];
    assert_eq!((&tls["established"], &tls["version"]), (&true.into(), &"1.3".into()), "{tls}");
    assert!(tls["cipher"].as_str().unwrap().starts_with("TLS_AES_"), "{tls}");
    drop(client);
}

/// What no real client does on demand.
#[test]
fn links_that_fail_have_the_reason_that_the_relay_knows() {
    let server = Server::new();
    let relay = server.relay(&["--sessions", "--link-seconds", "1"]);
    // Bytes that are not SPICE, which the server answers with a close.
    let client = connect(&relay);
    (&client).write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    let inside = server.accept();
    inside.peek(&mut [0]).unwrap();
    drop(inside);
    wait(&relay, "link-refused", 1);
    // A client that sends half a message, and waits.
    let client = connect(&relay);
    (&client).write_all(b"REDQ").unwrap();
    let _inside = server.accept();
    wait(&relay, "link-refused", 2);
    let lines: Vec<_> = records(&relay.events).iter().map(line).collect();
    let [not_spice, timeout] = &lines[..] else { panic!("{lines:?}") };
    assert!(not_spice.starts_with("link-refused not_spice by=server"), "{not_spice}");
    assert_eq!(timeout, "link-refused link_timeout by=relay at=link");

    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--sessions"]);
    let _client = connect(&relay);
    wait(&relay, "link-refused", 1);
    assert_eq!(line(&records(&relay.events)[0]), "link-refused upstream_unreachable by=relay at=link");
}

#[test]
fn health_check_makes_no_record() {
    let server = Server::new();
    let relay = server.relay(&["--sessions"]);
    drop(connect(&relay));
    drop(server.accept());
    let events = relay.events.clone();
    relay.signal("-TERM");
    assert!(relay.wait().success());
    events.wait_for_end();
    assert_eq!(events.all(), [""; 0]);
}
