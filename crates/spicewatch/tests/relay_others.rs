//! The relay with peers that share no code with QEMU and spice-gtk: the servers Xspice and andris, and the client ryll.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use qmp_schema::{Event, EventMessage};
use relay_lab::{
    Relay,
    compare::{Comparison, names},
    eventually, signal,
};
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, Client, Peer, Process, Scratch, Vm, XSPICE_CHANNELS, Xspice},
};

/// A client that was written from scratch, in Rust.
const RYLL: &str = "ryll==0.3.0";
/// How many of the [`lab::CHANNELS`] of a VM it opens.
const RYLL_CHANNELS: usize = 9;
/// A server that was written from scratch, in Rust.
const ANDRIS: &str = "andris==0.1.0";

/// The program of one of these packages.
fn program(package: &str) -> Option<PathBuf> {
    let programs = lab::python_packages(&[package], Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    Some(programs.join(package.split_once('=')?.0))
}

/// ryll's session with the server behind the relay. It ends at SIGINT.
struct Ryll {
    process: Process,
    _scratch: Scratch,
}

impl Ryll {
    fn connect(program: &Path, port: u16) -> Self {
        let scratch = Scratch::new().unwrap();
        let file = scratch.join("session.vv");
        let text = format!("[virt-viewer]\ntype=spice\nhost=127.0.0.1\nport={port}\npassword={PASSWORD}\n");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.args(["--headless", "--file"]).arg(&file).env("HOME", scratch.path()).current_dir(scratch.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { process: Process::spawn(&mut command).unwrap(), _scratch: scratch }
    }

    fn leave(mut self) {
        signal(self.process.id(), "-INT");
        self.process.wait().unwrap();
    }
}

/// Checks that the relay has reported one session with these channel types, as QEMU reports one.
#[track_caller]
fn check_session(relay: &Relay, types: &[i64]) {
    relay.events.wait_for("SPICE_DISCONNECTED", types.len());
    let lines = relay.events.all();
    let complete = ["CONNECTED", "INITIALIZED", "DISCONNECTED"].map(str::to_owned).to_vec();
    assert_eq!(names(&lines), vec![complete; types.len()], "{lines:#?}");
    let link = |line: &String| {
        let message: EventMessage<'_> = qmp_schema::from_str(line).unwrap();
        let Event::SpiceInitialized(data) = message.event else { return None };
        let auth = data.server.auth.map(|auth| auth.to_string());
        Some((data.client.channel_type, data.client.channel_id, data.client.connection_id, data.client.tls, auth))
    };
    let mut links: Vec<_> = lines.iter().filter_map(link).collect();
    links.sort_unstable();
    let session = links[0].2;
    assert_ne!(session, 0);
    let ticket = || Some("spice".to_owned());
    let expected: Vec<_> = types.iter().map(|&channel_type| (channel_type, 0, session, false, ticket())).collect();
    assert_eq!(links, expected);
}

/// A relay in front of a server on this port.
fn relay_to(port: u16) -> Relay {
    Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &format!("127.0.0.1:{port}")])
}

#[test]
fn ryll_and_qemu_have_the_same_session_as_the_relay() {
    if !lab::have(&[Peer::Qemu]) {
        return;
    }
    let Some(ryll) = program(RYLL) else { return };
    let port = lab::free_port().unwrap();
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let relay = relay_to(port);
    let client = Ryll::connect(&ryll, relay.address().port());
    relay.events.wait_for("SPICE_INITIALIZED", RYLL_CHANNELS);
    vm.settle().unwrap();
    client.leave();
    let comparison = Comparison { relay: &relay, vm: &vm, before: 0, tls_at_the_relay: false, behind: &[] };
    assert_eq!(comparison.check("ryll"), (RYLL_CHANNELS, 3 * RYLL_CHANNELS));
}

#[test]
fn xspice_has_a_session_of_spice_gtk_and_one_of_ryll() {
    if !lab::have(&[Peer::Xspice, Peer::SpiceGtk]) {
        return;
    }
    let Some(ryll) = program(RYLL) else { return };
    let server = Xspice::start(PASSWORD).unwrap();
    assert_eq!(XSPICE_CHANNELS, 4);

    let relay = relay_to(server.port());
    let client = Client::start(&["--port", &relay.address().port().to_string(), "--password", PASSWORD]).unwrap();
    relay.events.wait_for("SPICE_INITIALIZED", XSPICE_CHANNELS);
    assert!(client.leave().unwrap().success());
    check_session(&relay, &[1, 2, 3, 4]);

    let relay = relay_to(server.port());
    let client = Ryll::connect(&ryll, relay.address().port());
    relay.events.wait_for("SPICE_INITIALIZED", XSPICE_CHANNELS);
    client.leave();
    check_session(&relay, &[1, 2, 3, 4]);
}

#[test]
fn xspice_passes_the_conformance_cases_of_the_protocol() {
    if !lab::have(&[Peer::Xspice]) {
        return;
    }
    let server = Xspice::start(PASSWORD).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    let address = format!("127.0.0.1:{}", server.port());
    command.args(["conformance", &address, "--password", PASSWORD, "--level", "protocol"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    // The skipped ones need TLS or SASL.
    assert!(text.contains("27 passed, 0 failed, 5 skipped"), "{text}");
}

#[test]
fn andris_has_a_session_of_spice_gtk_and_one_of_ryll() {
    if !lab::have(&[Peer::SpiceGtk]) {
        return;
    }
    let (Some(ryll), Some(andris)) = (program(RYLL), program(ANDRIS)) else { return };
    let (port, scratch) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let ticket = scratch.join("ticket");
    fs::write(&ticket, PASSWORD).unwrap();
    fs::set_permissions(&ticket, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(andris);
    command.args(["--platform", "synthetic", "--no-audio", "--listen", &format!("127.0.0.1:{port}"), "--ticket-file"]);
    command.arg(&ticket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Process::spawn(&mut command).unwrap();
    eventually("andris listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());

    let relay = relay_to(port);
    let client = Client::start(&["--port", &relay.address().port().to_string(), "--password", PASSWORD]).unwrap();
    relay.events.wait_for("SPICE_INITIALIZED", 4);
    client.leave().unwrap();
    check_session(&relay, &[1, 2, 3, 4]);

    let relay = relay_to(port);
    let client = Ryll::connect(&ryll, relay.address().port());
    relay.events.wait_for("SPICE_INITIALIZED", 4);
    client.leave();
    check_session(&relay, &[1, 2, 3, 4]);
}
