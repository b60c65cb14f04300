//! The relay as a QMP server beside QEMU: basics that management asks for, QEMU's version, addresses in QEMU's form, dialling.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
};

use relay_lab::{Lines, Qmp, Relay};
use spice_testkit::lab::{self, Peer, Scratch, Vm};

const BASICS: [&str; 4] = ["query-status", "query-name", "query-uuid", "query-kvm"];

/// A relay with this QMP socket and more flags. No SPICE server listens behind it.
fn relay(socket: &Path, more: &[&str]) -> Relay {
    let qmp = format!("unix:{}", socket.display());
    let args = ["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--qmp", &qmp];
    Relay::start(&[&args, more].concat())
}

fn greeting(qmp: &Qmp) -> String {
    qmp.lines.all()[0].clone()
}

#[test]
fn relay_without_qemu_answers_for_itself() {
    let scratch = Scratch::new().unwrap();
    let socket = scratch.join("vm.qmp");
    let _relay = relay(&socket, &["--name", "desktop-17"]);
    let qmp = Qmp::connect(&socket);
    assert_eq!(
        BASICS.map(|command| qmp.execute(command)),
        [
            r#"{"return": {"status": "running", "running": true}}"#,
            r#"{"return": {"name": "desktop-17"}}"#,
            r#"{"return": {"UUID": "00000000-0000-0000-0000-000000000000"}}"#,
            r#"{"return": {"enabled": false, "present": false}}"#,
        ]
    );
}

#[test]
fn configured_version_decides_greeting_and_error_texts() {
    let scratch = Scratch::new().unwrap();
    for (flags, version, error) in [
        (&[][..], r#"{"micro": 0, "minor": 1, "major": 11}"#, "2:1: JSON parse error, invalid keyword 'oops'"),
        (
            &["--qemu-version", "7.2.22"],
            r#"{"micro": 22, "minor": 2, "major": 7}"#,
            "JSON parse error, invalid keyword",
        ),
    ] {
        let socket = scratch.join("vm.qmp");
        let _relay = relay(&socket, flags);
        let qmp = Qmp::connect(&socket);
        assert!(greeting(&qmp).contains(version), "{}", greeting(&qmp));
        assert!(greeting(&qmp).contains(r#""package": "spicewatch "#));
        qmp.send("oops\n");
        qmp.lines.wait_for(&format!("\"desc\": \"{error}"), 1);
    }
}

/// A VM with a name and a UUID, and two more QMP sockets: a plain one on TCP, and one whose output is spread over lines.
fn vm(scratch: &Scratch) -> (Vm, String, PathBuf) {
    let (spice, tcp, pretty) = (lab::free_port().unwrap(), lab::free_port().unwrap(), scratch.join("pretty.qmp"));
    let vm = Vm::boot_with(&format!("port={spice},addr=127.0.0.1,disable-ticketing=on"), |command| {
        command.args(["-name", "vm-1", "-uuid", "12345678-1234-1234-1234-123456789abc"]);
        command.arg("-qmp").arg(format!("tcp:127.0.0.1:{tcp},server=on,wait=off"));
        command.arg("-chardev").arg(format!("socket,id=pretty,path={},server=on,wait=off", pretty.display()));
        command.args(["-mon", "chardev=pretty,mode=control,pretty=on"]);
    });
    (vm.unwrap(), format!("127.0.0.1:{tcp}"), pretty)
}

#[test]
fn basics_are_qemu_s_own_where_it_is_asked() {
    if !lab::have(&[Peer::Qemu]) {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (vm, tcp, pretty) = vm(&scratch);
    let theirs = |command: &str| vm.events().execute(&format!("{{\"execute\": \"{command}\"}}")).unwrap();
    let pretty = pretty.display().to_string();
    for address in [tcp.as_str(), &format!("tcp:{tcp}"), &pretty, &format!("unix:{pretty}")] {
        let socket = scratch.join("vm.qmp");
        let _relay = relay(&socket, &["--qemu-qmp", address, "--name", "another"]);
        let qmp = Qmp::connect(&socket);
        for command in BASICS.into_iter().chain(["query-version"]) {
            assert_eq!(qmp.execute(command), theirs(command), "{address}: {command}");
        }
    }
}

#[test]
fn status_follows_qemu_and_fails_with_it() {
    if !lab::have(&[Peer::Qemu]) {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (mut vm, tcp, _) = vm(&scratch);
    let socket = scratch.join("vm.qmp");
    let _relay = relay(&socket, &["--qemu-qmp", &tcp]);
    let qmp = Qmp::connect(&socket);
    assert!(qmp.execute("query-status").contains(r#""status": "running""#));
    vm.events().execute(r#"{"execute": "stop"}"#).unwrap();
    relay_lab::eventually("an answer that is not older than a second", || {
        qmp.execute("query-status").contains(r#""status": "paused""#)
    });
    vm.kill().unwrap();
    relay_lab::eventually("an error", || qmp.execute("query-status").contains("does not answer"));
    let status = qmp.execute("query-status");
    assert!(status.starts_with(r#"{"error": {"class": "GenericError", "desc": "QEMU at tcp:127.0.0.1:"#), "{status}");
}

#[test]
fn greeting_has_the_version_of_a_qemu_that_starts_later() {
    if !lab::have(&[Peer::Qemu]) {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (socket, late) = (scratch.join("vm.qmp"), scratch.join("late.qmp"));
    let relay = relay(&socket, &["--qemu-qmp", &late.display().to_string()]);
    assert!(greeting(&Qmp::connect(&socket)).contains("spicewatch"));
    let spice = lab::free_port().unwrap();
    let vm = Vm::boot_with(&format!("port={spice},addr=127.0.0.1,disable-ticketing=on"), |command| {
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", late.display()));
    })
    .unwrap();
    relay.log.wait_for("QEMU answered", 1);
    let qmp = Qmp::connect(&socket);
    let version = vm.events().execute(r#"{"execute": "query-version"}"#).unwrap();
    assert_eq!(qmp.execute("query-version"), version);
    let version = version.trim_start_matches("{\"return\": ").trim_end().trim_end_matches('}');
    assert!(greeting(&qmp).contains(version), "{}", greeting(&qmp));
}

#[test]
fn qmp_address_in_qemu_s_form_is_a_socket_of_the_given_mode() {
    let scratch = Scratch::new().unwrap();
    let socket = scratch.join("vm.qmp");
    let qmp = format!("unix:{},server=on,wait=off", socket.display());
    let args = ["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--qmp", &qmp, "--qmp-mode", "0660"];
    let _relay = Relay::start(&args);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    Qmp::connect(&socket);
}

/// As management that waits for its VMs: it gets the greeting of each connection, and the events after its negotiation.
#[test]
fn relay_connects_to_management_that_listens_and_reconnects() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("management");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::start(&[
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "127.0.0.1:1",
        "--qmp-connect",
        &format!("unix:{}", path.display()),
        "--qmp-connect",
        &tcp.local_addr().unwrap().to_string(),
    ]);
    for _ in 0..2 {
        let (mut one, mut other) = (unix.accept().unwrap().0, tcp.accept().unwrap().0);
        let lines = [Lines::follow(one.try_clone().unwrap()), Lines::follow(other.try_clone().unwrap())];
        one.write_all(b"{\"execute\":\"qmp_capabilities\"}").unwrap();
        other.write_all(b"{\"execute\":\"qmp_capabilities\"}").unwrap();
        for lines in &lines {
            lines.wait_for("{\"return\": {}}", 1);
        }
        drop(std::net::TcpStream::connect(relay.address()).unwrap());
        for lines in &lines {
            lines.wait_for("SPICE_DISCONNECTED", 1);
            assert!(lines.all()[0].starts_with("{\"QMP\": "));
        }
        assert!(relay.events.all().is_empty(), "the events are the clients', not stdout's");
        one.shutdown(std::net::Shutdown::Both).unwrap();
        other.shutdown(std::net::Shutdown::Both).unwrap();
    }
}
