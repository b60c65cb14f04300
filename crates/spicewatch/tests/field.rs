//! `spicewatch read` on captures as operators have them: tunnelled, proxied, cut, rotated or incomplete.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
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

/// QEMU's lines are printed, and `expected` is everything else that `read` prints before the summary.
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

#[test]
fn a_server_reply_alone_makes_a_connection_recognised() {
    let (differences, stderr) = compare(&[], &["01-link-message-dropped.pcap"], "01-link-message-dropped.qmp");
    // Type and id of the channels were in the link messages: the two INITIALIZED lines can't be known.
    let missing = differences.iter().filter(|line| line.contains("SPICE_INITIALIZED")).count();
    assert_eq!(missing, 2, "{differences:?}");
    assert_eq!(stderr.matches(" bytes of the link stage were lost").count(), 2, "{stderr}");
    assert!(stderr.contains("2 connections, 4 events, 2 anomalies"), "{stderr}");
}

#[test]
fn a_snaplen_that_keeps_type_and_id_suffices() {
    let cut = "bytes of the link message were lost; what QEMU reports of it was there";
    check(&[], &["09-snaplen-96.pcap"], "09-snaplen.qmp", &[cut, cut]);
}

/// Prints the addresses and channel types of a file's SPICE connections as `EVENT client server type`.
fn events(args: &[&str], files: &[&str]) -> (Vec<String>, String) {
    let output = run(args, files);
    let field = |line: &str, end: &str, name: &str| {
        let rest = line.split(&format!("\"{end}\": ")).nth(1).unwrap();
        rest.split(&format!("\"{name}\": \"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| {
        let event = line.split("\"SPICE_").nth(1).unwrap().split('"').next().unwrap();
        let [client, server] =
            ["client", "server"].map(|end| format!("{}:{}", field(line, end, "host"), field(line, end, "port")));
        format!("{event} {client} {server}")
    });
    (lines.collect(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn sessions_behind_a_proxy_are_those_of_what_is_behind() {
    let squid = "127.0.0.1:31500";
    for args in [&[][..], &["--port", "31500"]] {
        let (lines, stderr) = events(args, &["02-http-connect-squid.pcap"]);
        let expected = ["CONNECTED", "INITIALIZED", "CONNECTED", "INITIALIZED", "DISCONNECTED", "DISCONNECTED"];
        assert_eq!(lines.iter().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(), expected, "{stderr}");
        assert!(lines.iter().all(|line| line.ends_with(squid)), "{lines:?}");
        assert!(stderr.contains("127.0.0.1:40650 -> 127.0.0.1:31500: CONNECT to 127.0.0.1:31498"), "{stderr}");
        assert!(stderr.contains("2 connections, 6 events, 0 anomalies"), "{stderr}");
    }
    let (lines, _) = events(&["--trust-proxy", "127.0.0.1"], &["02-http-connect-squid.pcap"]);
    assert!(lines.len() == 6 && lines.iter().all(|line| line.ends_with(" 127.0.0.1:31498")), "{lines:?}");
}

#[test]
fn proxmox_names_the_machine_in_clear() {
    let (lines, stderr) = events(&[], &["03-http-connect-proxmox-tls.pcap"]);
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("CONNECTED")), "{lines:?}");
    assert!(stderr.contains(": CONNECT to pvespiceproxy:66aabbcc:100:node1"), "{stderr}");
    assert!(!stderr.contains("0123456789abcdef"), "the signature is a secret: {stderr}");
}

#[test]
fn a_proxy_header_names_the_client() {
    for args in [&[][..], &["--port", "28324"]] {
        let (lines, stderr) = events(args, &["05-proxy-header-v1.pcap"]);
        assert_eq!(lines.len(), 6, "{lines:?} {stderr}");
        assert!(stderr.contains(": PROXY v1 for 127.0.0.1:49368"), "{stderr}");
        assert!(stderr.contains("2 connections, 6 events, 0 anomalies"), "{stderr}");
        let trust = [args, &["--trust-proxy", "127.0.0.1"]].concat();
        let (lines, _) = events(&trust, &["05-proxy-header-v1.pcap"]);
        assert_eq!(lines.iter().filter(|line| line.contains(" 127.0.0.1:49368 ")).count(), 3, "{lines:?}");
    }
}

#[test]
fn a_ring_buffer_is_one_capture() {
    let files = ["11-ring-9.pcapng", "11-ring-6.pcapng", "11-ring-8.pcapng", "11-ring-5.pcapng", "11-ring-7.pcapng"];
    for args in [&[][..], &["--port", "30273"]] {
        check(args, &files, "11-ring.qmp", &[]);
        // The same file twice, under any name, changes nothing.
        check(args, &[&files[..], &files[..2]].concat(), "11-ring.qmp", &[]);
    }
}

#[test]
fn a_client_that_vanished_is_disconnected() {
    let ended = "no packet ends this connection; it ended with the other channels of its session";
    check(&[], &["06-client-asleep.pcap"], "06-client-asleep.qmp", &[ended]);
    check(&[], &["07-client-roams.pcap"], "07-client-roams.qmp", &[ended]);
}

/// Where a packet of these captures has its time, and its IPv4 addresses and ports behind Ethernet; the header of its record is part of it.
const SECONDS: Range<usize> = 0..4;
const ADDRESSES: Range<usize> = 16 + 26..16 + 34;
const PORTS: Range<usize> = 16 + 34..16 + 38;

/// A capture whose packets are changed or left out. It goes on for a while with its last packet.
fn edited(name: &str, goes_on: u32, mut edit: impl FnMut(&mut [u8]) -> bool) -> (tempfile::TempDir, PathBuf) {
    let bytes = fs::read(field(name)).unwrap();
    let (mut made, mut rest, mut last) = (bytes[..24].to_vec(), &bytes[24..], Vec::new());
    while let Some(len) = rest.get(8..12) {
        let (packet, after) = rest.split_at(16 + u32::from_le_bytes(len.try_into().unwrap()) as usize);
        rest = after;
        last = packet.to_vec();
        if edit(&mut last) {
            made.extend(&last);
        }
    }
    for _ in 0..4 {
        let seconds = u32::from_le_bytes(last[SECONDS].try_into().unwrap()) + goes_on / 4;
        last[SECONDS].copy_from_slice(&seconds.to_le_bytes());
        made.extend(&last);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edited.pcap");
    fs::write(&path, made).unwrap();
    (folder, path)
}

/// The main channel of a client that sleeps, as if its session's other channel were one of another server.
#[test]
fn a_client_that_vanished_is_disconnected_when_its_server_gives_up() {
    const SERVER: [u8; 2] = 31696_u16.to_be_bytes();
    const OTHER_CHANNEL: [u8; 2] = 58030_u16.to_be_bytes();
    let (_folder, path) = edited("06-client-asleep.pcap", 8, |packet| {
        if packet[PORTS].chunks(2).any(|port| port == OTHER_CHANNEL) {
            packet[PORTS].chunks_mut(2).filter(|port| *port == SERVER).for_each(|port| port[1] ^= 1);
        }
        true
    });
    let (lines, stderr) = lines(&path);
    let end = lines.iter().find(|line| line.contains("DISCONNECTED") && line.contains("\"57918\"")).unwrap();
    // When the next retransmission was due. QEMU said it at 1795820207.009750, by its own clock.
    assert!(end.starts_with(r#"{"timestamp": {"seconds": 1795820207, "microseconds": 5121}"#), "{end}");
    let told = "10.9.0.2:57918 -> 10.9.0.1:31696: no packet ends this connection; the server gave up sending again to a client that does not answer";
    assert!(stderr.contains(told), "{stderr}");
}

/// A client that roams to another network, where the capture does not see its old one any more.
#[test]
fn a_client_that_vanished_is_disconnected_when_another_session_takes_over() {
    const OLD: [u8; 4] = [10, 9, 0, 2];
    const NEW: [u8; 4] = [10, 9, 0, 3];
    for (goes_on, took_over) in [(80, true), (40, false)] {
        let mut roamed = false;
        let (_folder, path) = edited("07-client-roams.pcap", goes_on, |packet| {
            let has = |address| packet[ADDRESSES].chunks(4).any(|end| end == address);
            roamed |= has(NEW);
            !(roamed && has(OLD))
        });
        let (lines, stderr) = lines(&path);
        let ends =
            |port: &str| lines.iter().filter(|line| line.contains("DISCONNECTED") && line.contains(port)).count();
        assert_eq!(ends("\"59670\""), 1, "{lines:?}");
        for port in ["\"42190\"", "\"42290\""] {
            assert_eq!(ends(port), usize::from(took_over), "{port}: {lines:?} {stderr}");
        }
        let told = "10.9.0.2:42190 -> 10.9.0.1:26288: no packet ends this connection; another session began at its server, and no packet came since";
        assert_eq!(stderr.contains(told), took_over, "{stderr}");
        assert_eq!(stderr.contains("2 connections are open at the end: 10.9.0.2:4"), !took_over, "{stderr}");
    }
}

/// The lines that are printed for a file, and everything else.
fn lines(path: &Path) -> (Vec<String>, String) {
    let output = run(&[path.to_str().unwrap()], &[]);
    let lines = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    (lines, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn two_sessions_that_start_together_behind_sasl_are_reported_as_ambiguous() {
    let (_, stderr) = compare(&[], &["12-sasl-two-sessions-swapped.pcap"], "12-sasl-two-sessions-swapped.qmp");
    let text = "the main channel's connection-id was learned from another channel, but several main channels waited";
    for port in [50396, 50398] {
        assert!(stderr.contains(&format!("127.0.0.1:{port} -> 127.0.0.1:31461: {text}")), "{stderr}");
    }
}
