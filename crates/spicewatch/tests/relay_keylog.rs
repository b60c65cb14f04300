//! `relay --keylog`: a capture of the relay's own TLS, and the secrets that it has written.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use relay_lab::{Relay, compare::stories};
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Pki, Scratch, Sniffer, Vm},
};

fn read(args: &[&str]) -> (Vec<String>, String) {
    let Output { stdout, stderr, .. } =
        Command::new(env!("CARGO_BIN_EXE_spicewatch")).arg("read").args(args).output().unwrap();
    let lines = String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect();
    (lines, String::from_utf8(stderr).unwrap())
}

#[test]
fn capture_of_both_sides_is_read_with_the_secrets_of_the_relay() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl, Peer::Tcpdump]) {
        return;
    }
    let (pki, scratch) = (Pki::new().unwrap(), Scratch::new().unwrap());
    let [port, tls_port] = [lab::free_port().unwrap(), lab::free_port().unwrap()];
    let dir = pki.dir().display().to_string();
    let _vm = Vm::boot(&format!("tls-port={tls_port},x509-dir={dir},addr=127.0.0.1,password-secret=password")).unwrap();
    let sniffer = Sniffer::start(&[port, tls_port]).unwrap();
    let [keys, capture] = ["keys", "both.pcap"].map(|name| scratch.join(name).display().to_string());
    let relay = Relay::start(&[
        &format!("--tls-listen=127.0.0.1:{port}"),
        &format!("--upstream=127.0.0.1:{tls_port}"),
        &format!("--x509-dir={dir}"),
        "--upstream-tls",
        "--upstream-name=localhost",
        &format!("--keylog={keys}"),
    ]);
    let (ca, at) = (pki.ca().display().to_string(), port.to_string());
    let client = Client::start(&["--tls-port", &at, "--ca", &ca, "--password", PASSWORD]).unwrap();
    relay.events.wait_for("SPICE_INITIALIZED", CHANNELS);
    assert!(client.leave().unwrap().success());
    relay.events.wait_for("SPICE_DISCONNECTED", CHANNELS);
    relay.log.wait_for("keylog undoes the secrecy of TLS", 1);
    fs::write(&capture, sniffer.stop().unwrap()).unwrap();
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);

    // Without a port: SPICE is recognised inside TLS. The client's side has the relay's events, and QEMU's side as many.
    let (lines, said) = read(&["--keylog", &keys, &capture]);
    let server_port = format!("\"port\": \"{port}\"");
    let (client_side, server_side): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.contains(&server_port));
    let sorted = |lines: &[String]| {
        let mut stories = stories(lines);
        stories.sort();
        stories
    };
    assert!(sorted(&client_side) == sorted(&relay.events.all()), "{said}{client_side:#?}");
    let initialized = |lines: &[String]| lines.iter().filter(|line| line.contains("SPICE_INITIALIZED")).count();
    assert_eq!((initialized(&server_side), server_side.len()), (CHANNELS, 3 * CHANNELS), "{said}");
    let (lines, said) = read(&[&format!("--tls-port={port}"), &format!("--tls-port={tls_port}"), &capture]);
    assert_eq!((initialized(&lines), lines.len()), (0, 4 * CHANNELS), "{said}");
}

#[test]
fn key_log_without_tls_or_without_a_folder_is_refused() {
    let check = |args: &[&str], expected: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
        let output = command.args(["relay", "--upstream", "127.0.0.1:1"]).args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(expected), "{said}");
    };
    check(&["--listen", "127.0.0.1:0", "--keylog", "keys"], "keylog needs --tls-listen or --upstream-tls");
    if !lab::have(&[Peer::Openssl]) {
        return;
    }
    let pki = Pki::new().unwrap();
    let dir = pki.dir().display().to_string();
    let tls = ["--tls-listen", "127.0.0.1:0", "--x509-dir", &dir];
    check(
        &[&tls[..], &["--keylog", "/does/not/exist/keys"]].concat(),
        "can't write the key log /does/not/exist/keys: ",
    );
}
