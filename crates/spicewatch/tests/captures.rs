//! `spicewatch read` against QEMU: the committed captures, and a session that is recorded on the spot.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
};

use spice_testkit::{
    captures::{self, Capture, Manifest, PASSWORD},
    events::{self, EventLine},
    lab::{self, Peer, scenarios},
};

/// Reads a capture with what its manifest says of the server.
fn read(manifest: &Manifest, capture: &Path) -> io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    command.args(["read", "--auth", &manifest.auth]);
    for port in &manifest.ports {
        command.args(["--port", &port.to_string()]);
    }
    for port in &manifest.tls_ports {
        command.args(["--tls-port", &port.to_string()]);
    }
    let key_log = capture.with_extension("keylog");
    if key_log.exists() {
        command.arg("--keylog").arg(key_log);
    }
    command.arg(capture).output()
}

/// Each line where what was printed differs from what QEMU sent and an observer can know.
fn differences(manifest: &Manifest, capture: &Path, qemu: &[String]) -> io::Result<Vec<String>> {
    let output = read(manifest, capture)?;
    if !output.status.success() {
        return Ok(vec![format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))]);
    }
    let printed = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    let qemu = if manifest.decrypts { qemu.to_vec() } else { events::observable(qemu.iter().map(String::as_str)) };
    Ok(events::disagreements(printed.lines(), qemu.iter().map(String::as_str), manifest.quits))
}

#[test]
fn every_committed_capture_gives_qemus_events_and_nothing_more() {
    let mut found = Vec::new();
    for Capture { name, path, manifest } in captures::all().unwrap() {
        let qemu = captures::load(&name).unwrap().spice_events().unwrap();
        assert!(!qemu.is_empty(), "{name}: QEMU sent nothing");
        found.extend(differences(&manifest, &path, &qemu).unwrap().into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// Not the events alone: given QEMU's timestamp, the line is QEMU's line.
#[test]
fn a_printed_line_with_qemus_timestamp_is_qemus_line() {
    let mut compared = 0;
    for capture in captures::all().unwrap() {
        let qemu = capture.spice_events().unwrap();
        let printed = String::from_utf8(read(&capture.manifest, &capture.path).unwrap().stdout).unwrap();
        for line in printed.lines() {
            let EventLine { body, .. } = EventLine::parse(line).unwrap();
            let Some(theirs) = qemu.iter().find(|line| line.ends_with(body)) else { continue };
            let EventLine { seconds, microseconds, .. } = EventLine::parse(theirs).unwrap();
            assert_eq!(EventLine { seconds, microseconds, body }.to_line(), *theirs);
            compared += 1;
        }
    }
    assert!(compared > 300, "only {compared} lines were found in QEMU's");
}

/// Where no port is named, what was never seen to be SPICE is left out: the rest is the same.
#[test]
fn connections_are_recognised_by_their_first_bytes() {
    for name in ["open", "ticket", "kick", "websocket", "sasl"] {
        let mut capture = captures::load(name).unwrap();
        capture.manifest.ports.clear();
        let qemu = capture.spice_events().unwrap();
        let found = differences(&capture.manifest, &capture.path, &qemu).unwrap();
        assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
    }
}

/// `captures/dual-stack` needs no word, as both families reach its port. Where only IPv4 does, `--dual-stack` says it.
#[test]
fn a_listener_of_both_families_can_be_named() {
    let capture = captures::load("open").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    let output = command.args(["read", "--dual-stack"]).arg(&capture.path).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), 33);
    for line in printed.lines() {
        assert_eq!(line.matches(r#""family": "ipv6", "#).count(), 2, "{line}");
        assert_eq!(line.matches(r#""host": "::ffff:127.0.0.1""#).count(), 2, "{line}");
    }
}

const ON_THE_SPOT: &[&str] = &["ticket", "sasl", "websocket", "kick", "tls12-keylog", "tls13-keylog"];

/// Sessions that no commit holds: each is recorded here and now, and read.
#[test]
fn a_session_recorded_on_the_spot_gives_qemus_events() {
    for scenario in scenarios::all().filter(|scenario| ON_THE_SPOT.contains(&scenario.name)) {
        if !lab::have(&scenario.peers()) {
            return;
        }
        let recording = scenario.run().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture");
        fs::write(&path, &recording.capture).unwrap();
        if let Some(key_log) = &recording.key_log {
            fs::write(path.with_extension("keylog"), key_log).unwrap();
        }
        let qemu = captures::spice_events(&recording.qmp).unwrap();
        let found = differences(&recording.manifest, &path, &qemu).unwrap();
        assert!(found.is_empty(), "{}:\n{}", scenario.name, found.join("\n"));
    }
}

/// The capture comes through a pipe while the session goes on, as `tcpdump -w - | spicewatch read -` has it.
#[test]
fn a_live_capture_is_read_while_it_happens() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Tcpdump]) {
        return;
    }
    let port = lab::free_port().unwrap();
    let vm = lab::Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let (tcpdump, packets) = lab::Sniffer::pipe(&[port]).unwrap();
    let mut spicewatch = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    spicewatch.args(["read", "--port", &port.to_string(), "--auth", "spice", "-"]);
    let mut spicewatch = spicewatch.stdin(packets).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (sender, lines) = mpsc::channel();
    let stdout = BufReader::new(spicewatch.stdout.take().unwrap());
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let next = |n: usize| (0..n).map(|_| lines.recv_timeout(lab::PATIENCE).unwrap()).collect::<Vec<_>>();

    // All of them are there while tcpdump still runs: nothing waits for an end of input that may never come.
    let client = lab::Client::start(&["--port", &port.to_string(), "--password", PASSWORD]).unwrap();
    let mut printed = next(2 * lab::CHANNELS);
    vm.events().wait_for("SPICE_INITIALIZED", lab::CHANNELS).unwrap();
    client.leave().unwrap();
    printed.extend(next(lab::CHANNELS));
    vm.events().wait_for_quiet().unwrap();
    drop(tcpdump);
    assert!(spicewatch.wait().unwrap().success());
    printed.extend(lines);
    let qemu = captures::spice_events(&vm.events().raw()).unwrap();
    let found = events::disagreements(printed.iter().map(String::as_str), qemu.iter().map(String::as_str), false);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The lines that the README shows are those that its command prints.
#[test]
fn the_readme_shows_what_is_printed() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let capture = captures::folder().join("ticket.pcap");
    assert!(readme.contains("read crates/spice-testkit/captures/ticket.pcap"));
    let output = Command::new(env!("CARGO_BIN_EXE_spicewatch")).arg("read").arg(capture).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let shown: Vec<&str> = readme.lines().filter(|line| line.starts_with("{\"timestamp\"")).collect();
    assert!(!shown.is_empty());
    for line in shown {
        assert!(printed.lines().any(|printed| printed == line), "not printed: {line}");
    }
}
