//! `spicewatch read --keylog`: sessions inside TLS, against QEMU's own lines and against Wireshark's plaintext.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use spice_capture::{
    packet::Segment,
    spice_events::Timestamp,
    tcp::{Connection, Handler, Interest, Reassembler, Side},
    tls::{Decryptor, KeyLog, Next},
};
use spice_testkit::{
    captures::{self, Capture},
    events,
    lab::{self, Peer},
};

/// Runs `spicewatch read` with what the capture's manifest says of authentication.
fn read(capture: &Capture, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    command.args(["read", "--auth", &capture.manifest.auth]).args(args).arg(&capture.path).output().unwrap()
}

fn key_log(capture: &Capture) -> String {
    fs::read_to_string(capture.key_log().unwrap()).unwrap()
}

#[track_caller]
fn check_same_events(capture: &Capture, output: &Output) {
    let printed = str::from_utf8(&output.stdout).unwrap();
    let qemu = capture.spice_events().unwrap();
    let found = events::disagreements(printed.lines(), qemu.iter().map(String::as_str), false);
    assert!(found.is_empty(), "{}:\n{}", capture.name, found.join("\n"));
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// The connection that made the TLS session for the others never spoke SPICE, so only its named port makes it one.
#[test]
fn spice_inside_tls_is_recognised_on_any_port() {
    let inside = captures::load("tls13-keylog").unwrap();
    check_same_events(&inside, &read(&inside, &[]));
    let beside = captures::load("tls12-keylog").unwrap();
    let output = read(&beside, &["--keylog", beside.key_log().unwrap().to_str().unwrap()]);
    let printed = str::from_utf8(&output.stdout).unwrap();
    assert_eq!((printed.lines().count(), printed.matches("SPICE_INITIALIZED").count()), (33, 11));
}

/// Each port's connections are SPICE, whatever is in them.
fn ports(capture: &Capture) -> Vec<String> {
    capture.manifest.tls_ports.iter().map(|port| format!("--tls-port={port}")).collect()
}

#[test]
fn wrong_secrets_are_reported_for_each_connection() {
    let capture = captures::load("tls12-keylog").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keylog");
    // Another last digit in every secret.
    let flip = |line: &str| {
        let (rest, last) = line.split_at(line.len() - 1);
        format!("{rest}{}\n", if last == "0" { "1" } else { "0" })
    };
    let wrong: String = key_log(&capture).lines().filter(|line| !line.starts_with('#')).map(flip).collect();
    fs::write(&path, wrong).unwrap();
    let mut args = ports(&capture);
    args.extend(["--keylog".to_owned(), path.to_str().unwrap().to_owned()]);
    let output = read(&capture, &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0));
    let printed = str::from_utf8(&output.stdout).unwrap();
    assert_eq!((printed.lines().count(), printed.matches("SPICE_INITIALIZED").count()), (24, 0));
    assert_eq!(stderr(&output).matches("the key log's secrets are wrong").count(), 12, "{}", stderr(&output));
}

#[test]
fn missing_secrets_are_counted_at_the_end() {
    let capture = captures::load("tls12-keylog").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keylog");
    let some: Vec<String> = key_log(&capture).lines().map(|line| format!("{line}\n")).collect();
    fs::write(&path, some[..4].concat()).unwrap();
    let known = some[..4].iter().filter(|line| line.starts_with("CLIENT_RANDOM")).count();
    let mut args = ports(&capture);
    args.extend(["--keylog".to_owned(), path.to_str().unwrap().to_owned()]);
    let output = read(&capture, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let expected = format!("the secrets of {} TLS connections are not in the key log", 12 - known);
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    // Of the one connection that spoke no SPICE this is true; of those that can't be read it is not known.
    assert_eq!(stderr(&output).matches("ended in the link stage").count(), 1, "{}", stderr(&output));
    assert_eq!(output.stdout.split(|byte| *byte == b'\n').count() - 1, 24 + known - 1);
}

#[test]
fn a_key_log_that_can_not_be_used_is_reported() {
    let capture = captures::load("tls12-keylog").unwrap();
    let output = read(&capture, &["--keylog", "/does/not/exist"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert_eq!(stderr(&output), "spicewatch: /does/not/exist: No such file or directory (os error 2)\n");
    let output = read(&capture, &["--keylog", capture.path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("lines are not of a key log"), "{}", stderr(&output));
    assert!(stderr(&output).contains("no secrets of TLS connections are in it"), "{}", stderr(&output));
}

/// What each client and server said inside TLS, by the client's port.
type Plaintext = BTreeMap<u16, [Vec<u8>; 2]>;

/// Decrypts every connection.
struct Collect {
    keys: KeyLog,
    plaintext: Plaintext,
}

#[derive(Default)]
struct State(u16, Decryptor);

impl Collect {
    fn drain(&mut self, State(port, decryptor): &mut State) -> Interest {
        loop {
            match decryptor.next(&self.keys) {
                Ok(Next::Plaintext(plain)) => {
                    let said = self.plaintext.entry(*port).or_default();
                    said[usize::from(plain.from == Side::Server)].extend_from_slice(plain.data);
                }
                Ok(Next::Need(_)) => return Interest::Bytes,
                Err(_) => {}
            }
        }
    }
}

impl Handler for Collect {
    type State = State;

    fn opened(&mut self, state: &mut State, connection: &Connection) -> Interest {
        state.0 = connection.endpoints.client.port();
        Interest::Bytes
    }

    fn bytes(&mut self, state: &mut State, at: Timestamp, from: Side, data: &[u8]) -> Interest {
        for piece in data.chunks(16_000) {
            state.1.push(at, from, piece);
            self.drain(state);
        }
        Interest::Bytes
    }

    fn gap(&mut self, state: &mut State, _: Timestamp, from: Side, len: u64) -> Interest {
        state.1.lose(from, len);
        self.drain(state)
    }

    fn closed(&mut self, _: &mut State, _: Timestamp, _: Option<Side>) {}
}

fn ours(capture: &[u8], secrets: &[u8]) -> Plaintext {
    let mut keys = KeyLog::new();
    keys.push(secrets);
    let (mut tcp, mut collect) = (Reassembler::default(), Collect { keys, plaintext: Plaintext::new() });
    spice_capture::file::Reader::new()
        .push(capture, |packet| {
            if let Ok(segment) = Segment::parse(packet.at, packet.link, packet.data, packet.wire_len) {
                tcp.segment(&segment, &mut collect);
            }
        })
        .unwrap();
    tcp.finish(&mut collect);
    collect.plaintext
}

fn tshark(capture: &Path, args: &[String]) -> String {
    let output = Command::new("tshark").arg("-r").arg(capture).args(args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What `tshark` decrypts of each stream: bytes in hexadecimal, those of the client behind a tab.
fn tsharks(capture: &Path, key_log: Option<&Path>) -> Plaintext {
    let syn = ["-Y", "tcp.flags.syn == 1 and tcp.flags.ack == 0", "-T", "fields", "-e", "tcp.srcport"];
    let clients: Vec<u16> =
        tshark(capture, &syn.map(str::to_owned)).lines().map(|port| port.parse().unwrap()).collect();
    let mut args = vec!["-q".to_owned()];
    if let Some(key_log) = key_log {
        args.extend(["-o".to_owned(), format!("tls.keylog_file:{}", key_log.display())]);
    }
    args.extend((0..clients.len()).flat_map(|stream| ["-z".to_owned(), format!("follow,tls,raw,{stream}")]));
    let (mut plaintext, mut client) = (Plaintext::new(), 0);
    for line in tshark(capture, &args).lines() {
        if let Some(stream) = line.strip_prefix("Filter: tcp.stream eq ") {
            client = clients[stream.parse::<usize>().unwrap()];
        } else if !line.is_empty() && line.trim_start().bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let bytes = line.trim_start().as_bytes().chunks(2);
            let bytes = bytes.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
            plaintext.entry(client).or_default()[usize::from(!line.starts_with('\t'))].extend(bytes);
        }
    }
    plaintext
}

/// Both read up to the same byte, or until a trimmed packet ends what can be decrypted.
#[test]
fn the_plaintext_is_wiresharks() {
    if !lab::have(&[Peer::Tshark]) {
        return;
    }
    for name in ["tls12-keylog", "tls13-keylog"] {
        let capture = captures::load(name).unwrap();
        let theirs = tsharks(&capture.path, capture.key_log().as_deref());
        let secrets = match capture.key_log() {
            Some(path) => fs::read(path).unwrap(),
            None => secrets_inside(&capture.bytes().unwrap()),
        };
        let ours = ours(&capture.bytes().unwrap(), &secrets);
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{name}");
        assert_eq!(ours.len(), 11, "{name}");
        for (port, ours) in &ours {
            for (side, (ours, theirs)) in ours.iter().zip(&theirs[port]).enumerate() {
                let common = ours.len().min(theirs.len());
                assert!(common > 100, "{name}, port {port}, side {side}: {} and {} bytes", ours.len(), theirs.len());
                assert_eq!(ours[..common], theirs[..common], "{name}, port {port}, side {side}");
            }
        }
    }
}

/// The data of a pcapng file's decryption secrets blocks.
fn secrets_inside(capture: &[u8]) -> Vec<u8> {
    use spice_capture::file::{Enough, Packet, Reader, SecretsType, Sink};
    struct Secrets(Vec<u8>);
    impl Sink for Secrets {
        fn packet(&mut self, _: Packet<'_>) -> Enough {
            Enough::Yes
        }
        fn secrets(&mut self, kind: SecretsType, data: &[u8]) {
            assert_eq!(kind, SecretsType::TLS_KEY_LOG);
            self.0.extend_from_slice(data);
        }
    }
    let mut secrets = Secrets(Vec::new());
    Reader::new().push_to(capture, &mut secrets).unwrap();
    secrets.0
}
