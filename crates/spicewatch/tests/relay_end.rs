//! The end of a relay: by one signal, by two, by kill -9, and what its peers and QMP clients see.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
};

use relay_lab::{
    Qmp,
    by_hand::{Server, connect},
    compare::names,
};
use spice_testkit::lab::Scratch;

#[test]
fn sigterm_waits_for_open_connections_and_sends_their_last_events() {
    let (server, scratch) = (Server::new(), Scratch::new().unwrap());
    let socket = scratch.join("vm.qmp");
    let relay = server.relay(&["--qmp", &format!("unix:{}", socket.display()), "--drain-seconds", "20"]);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let qmp = Qmp::connect(&socket);
    let (mut client, address) = (connect(&relay), relay.address());
    let mut inside = server.accept();
    relay.signal("-TERM");
    relay.log.wait_for("waiting for open connections", 1);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    // The open connection still works.
    client.write_all(b"x").unwrap();
    inside.read_exact(&mut [0]).unwrap();
    drop((client, inside));
    assert_eq!(relay.wait().code(), Some(0));
    qmp.lines.wait_for("SPICE_DISCONNECTED", 1);
    assert_eq!(names(&qmp.events())[0], ["CONNECTED", "DISCONNECTED"]);
    assert!(!socket.exists());
}

#[test]
fn drain_is_bounded_and_a_second_signal_ends_it() {
    let server = Server::new();
    let relay = server.relay(&["--drain-seconds", "1"]);
    let (_client, _inside) = (connect(&relay), server.accept());
    relay.signal("-INT");
    let events = relay.events.clone();
    assert_eq!(relay.wait().code(), Some(0));
    events.wait_for("SPICE_DISCONNECTED", 1);

    let relay = server.relay(&["--drain-seconds", "600"]);
    let (_client, _inside) = (connect(&relay), server.accept());
    relay.signal("-TERM");
    relay.log.wait_for("waiting for open connections", 1);
    relay.signal("-TERM");
    let events = relay.events.clone();
    assert_eq!(relay.wait().code(), Some(143));
    events.wait_for("SPICE_DISCONNECTED", 1);
}

/// timeout(1) signals a process and then its group, which includes the process.
#[test]
fn second_signal_changes_nothing_if_no_connection_is_left() {
    for _ in 0..10 {
        let relay = Server::new().relay(&[]);
        relay.signal("-TERM");
        relay.signal("-TERM");
        assert_eq!(relay.wait().code(), Some(0));
    }
}

#[test]
fn killed_relay_ends_its_connections_and_the_next_one_replaces_its_stale_socket() {
    let (server, scratch) = (Server::new(), Scratch::new().unwrap());
    let qmp = format!("unix:{}", scratch.join("vm.qmp").display());
    let mut relay = server.relay(&["--qmp", &qmp]);
    let (client, inside) = (connect(&relay), server.accept());
    relay.kill();
    assert_eq!((&client).read(&mut [0]).unwrap_or(0), 0);
    assert_eq!((&inside).read(&mut [0]).unwrap_or(0), 0);
    assert!(scratch.join("vm.qmp").exists());
    let _relay = server.relay(&["--qmp", &qmp]);
    Qmp::connect(&scratch.join("vm.qmp"));
}
