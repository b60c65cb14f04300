//! `spicewatch read --sessions`: the records of real sessions are right in every field that the wire shows.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{collections::HashMap, process::Command};

use serde_json::Value;
use spice_testkit::captures::{self, Capture, Ender, Manifest};

fn arguments(manifest: &Manifest) -> Vec<String> {
    let ports = manifest.ports.iter().map(|port| format!("--port={port}"));
    let tls_ports = manifest.tls_ports.iter().map(|port| format!("--tls-port={port}"));
    let options = [format!("--auth={}", manifest.auth), "--anomalies=0".to_owned()];
    options.into_iter().chain(ports).chain(tls_ports).collect()
}

fn records(capture: &Capture) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    command.args(["read", "--sessions"]).args(arguments(&capture.manifest)).arg(&capture.path);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A record's members that do not depend on the run.
fn line(record: &Value) -> String {
    let (event, spice) = (&record["event"], &record["spice"]);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut parts = vec![text(&event["action"]), text(&event["outcome"])];
    if let Some(reason) = event["reason"].as_str() {
        parts.push(format!("{reason} by={} at={}", text(&spice["ended_by"]), text(&spice["stage"])));
    }
    if let Some(channels) = spice["channels"].as_array().filter(|_| event["action"] == "session-ended") {
        let names = channels.iter().map(|channel| {
            let tls = if channel["tls"] == true { "+tls" } else { "" };
            format!(
                "{}{}{tls}",
                channel["name"].as_str().unwrap_or("?"),
                channel["id"].as_u64().filter(|id| *id > 0).map_or(String::new(), |id| id.to_string())
            )
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        parts.push(names.join(","));
    }
    parts.join(" ")
}

const CHANNELS: &str = "cursor,cursor1,display,display1,inputs,main,playback,record,usbredir,usbredir1,webdav";

/// Sessions of spice-gtk, which `cargo xtask record-captures` has recorded.
#[test]
fn sessions_of_real_clients_are_told() {
    let started = "session-started success";
    let left = format!("session-ended success client_left by=client at=channel {CHANNELS}");
    let expected: HashMap<_, Vec<String>> = HashMap::from([
        ("open", vec![started.into(), left.clone()]),
        ("ticket", vec![started.into(), left.clone()]),
        ("sasl", vec![started.into(), left.clone()]),
        ("killed", vec![started.into(), left.clone()]),
        ("dual-stack", vec![started.into(), left.clone(), started.into(), left.clone()]),
        (
            "kick",
            vec![
                started.into(),
                format!("session-ended success replaced by=server at=channel {CHANNELS}"),
                started.into(),
                left.clone(),
            ],
        ),
        ("quit", vec![started.into(), format!("session-ended success server_closed by=server at=channel {CHANNELS}")]),
        ("wrong-password", vec!["link-refused failure permission_denied by=server at=auth".into()]),
        ("sasl-wrong-password", vec!["link-refused failure sasl_rejected by=server at=sasl".into()]),
        // TLS without keys: that somebody was there, and for how long.
        (
            "tls",
            vec![
                "session-started unknown".into(),
                format!("session-ended unknown client_left by=client at=tls {}", ["?+tls"; 11].join(",")),
            ],
        ),
    ]);
    for (name, expected) in expected {
        let lines: Vec<_> = records(&captures::load(name).unwrap()).iter().map(line).collect();
        assert_eq!(lines, expected, "{name}");
    }
}

#[test]
fn session_that_takes_over_names_the_one_before() {
    for name in ["kick", "kick-by-hand"] {
        let records = records(&captures::load(name).unwrap());
        let ended: Vec<_> = records.iter().filter(|record| record["event"]["action"] == "session-ended").collect();
        let [first, second] = ended[..] else { panic!("{name}: {ended:?}") };
        assert_eq!(first["event"]["reason"], "replaced", "{name}");
        assert_eq!(second["session"]["previous_id"], first["session"]["id"], "{name}");
        assert!(first["session"].get("previous_id").is_none(), "{name}");
    }
}

/// A client that is told to use TLS, and does, is no failure.
#[test]
fn need_secured_with_a_retry_is_not_reported() {
    let records = records(&captures::load("need-secured").unwrap());
    assert!(records.iter().all(|record| record["event"]["action"] != "link-refused"), "{records:#?}");
}

/// Bytes, ends and reasons of links that were made by hand, against what the recorder saw of each.
#[test]
fn refused_links_have_the_reason_and_the_bytes_of_the_wire() {
    let mut compared = 0;
    for capture in captures::all().unwrap() {
        let records = records(&capture);
        for link in &capture.manifest.links {
            let is_refused =
                link.result.is_some_and(|result| result != 0) || link.replies.last().is_some_and(|reply| *reply != 0);
            let record = records.iter().find(|record| {
                record["client"]["port"] == link.client_port && record["event"]["action"] == "link-refused"
            });
            let case = format!("{}: {}", capture.name, link.case);
            let Some(record) = record else {
                assert!(!is_refused, "{case}: no record");
                continue;
            };
            let code = link.result.filter(|code| *code != 0).or(link.replies.last().copied().filter(|code| *code != 0));
            let is_second = link.replies.len() > 1;
            let reasons: &[&str] = match code {
                Some(2) => &["bad_magic"],
                Some(3) if is_second => &["bad_mechanism", "invalid_data"],
                Some(3) => &["invalid_data"],
                Some(4) if is_second => &["bad_mechanism"],
                Some(4) => &["bad_version"],
                Some(5) => &["need_secured"],
                Some(7) => &["permission_denied"],
                Some(8) => &["bad_connection_id"],
                Some(other) => panic!("{case}: {other}"),
                None if link.case.starts_with("major") => &["bad_version"],
                None if link.case.starts_with("channel type") || link.case == "inputs 5" => &["no_such_channel"],
                None if link.case.starts_with("FIN") || link.case == "SASL where it is off" => &["client_left"],
                None if link.case.starts_with("mechanism name") => &["bad_mechanism"],
                None if link.case == "later data of more than 1 MiB" => &["invalid_data"],
                None if link.case == "inputs with a wrong id" => &["server_closed"],
                None => &["sasl_rejected"],
            };
            let reason = record["event"]["reason"].as_str().unwrap();
            assert!(reasons.contains(&reason), "{case}: {record:#}");
            // What spice-server forgets is reported before its end.
            if record["spice"]["anomalies"].as_array().is_some_and(|names| names.contains(&"leaked".into())) {
                continue;
            }
            let bytes = (record["client"]["bytes"].as_u64(), record["server"]["bytes"].as_u64());
            assert_eq!(bytes, (Some(link.sent), Some(link.received)), "{case}");
            if link.ended_by != Ender::Client && !link.case.starts_with("FIN") {
                assert_eq!(record["spice"]["ended_by"], "server", "{case}");
            }
            compared += 1;
        }
    }
    assert!(compared > 40, "only {compared} links were compared");
}

/// Of each session and refused link: ids, addresses, times and encryption, against QEMU's own events.
#[test]
fn records_agree_with_qemus_events() {
    let mut compared = 0;
    for capture in captures::all().unwrap() {
        let events: Vec<Value> =
            capture.spice_events().unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let initialized = |channel: &Value, record: &Value| {
            events.iter().any(|event| {
                let client = &event["data"]["client"];
                event["event"] == "SPICE_INITIALIZED"
                    && client["channel-type"] == channel["type"]
                    && client["channel-id"] == channel["id"]
                    && client["tls"] == channel["tls"]
                    && client["connection-id"] == record["spice"]["connection_id"]
                    && client["host"] == record["client"]["address"]
                    && event["data"]["server"]["auth"] == record["spice"]["auth"]
                    && event["data"]["server"]["host"] == record["server"]["address"]
            })
        };
        for record in records(&capture) {
            let is_readable = record["spice"].get("connection_id").is_some();
            for channel in record["spice"]["channels"].as_array().into_iter().flatten().filter(|_| is_readable) {
                assert!(initialized(channel, &record), "{}: {channel} of {record:#}", capture.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "only {compared} channels were compared");
}

#[test]
fn file_has_the_records_and_standard_output_the_events() {
    let capture = captures::load("ticket").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.json");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
        command.arg("read").args(arguments).arg(&capture.path).output().unwrap()
    };
    let output = run(&["--sessions-to", path.to_str().unwrap()]);
    assert!(output.status.success());
    assert_eq!(output.stdout, run(&[]).stdout);
    let records = std::fs::read(&path).unwrap();
    assert_eq!(records, run(&["--sessions"]).stdout, "the same records, with the same ids");
    assert_eq!(records.split(|byte| *byte == b'\n').count(), 2 + 1, "two lines");

    let output = run(&["--sessions-to", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("spicewatch: /dev/full: No space left on device"), "{stderr}");
    assert!(!run(&["--sessions-to", "/dev/full", "--sessions"]).status.success(), "one or the other");
}
