//! How a relay ends: by a signal, by two, by kill -9; what its peers and listeners are left with.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

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
fn sigterm_lets_live_connections_end_and_sends_their_last_events() {
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
    // The live one still lives.
    client.write_all(b"x").unwrap();
    inside.read_exact(&mut [0]).unwrap();
    drop((client, inside));
    assert_eq!(relay.wait().code(), Some(0));
    qmp.lines.wait_for("SPICE_DISCONNECTED", 1);
    assert_eq!(names(&qmp.events())[0], ["CONNECTED", "DISCONNECTED"]);
    assert!(!socket.exists());
}

#[test]
fn the_drain_has_an_end_and_a_second_signal_cuts_it_short() {
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

/// timeout(1), for one, signals a process and then its group, the process included.
#[test]
fn a_signal_that_comes_twice_cuts_nothing_short_where_nobody_is_left() {
    for _ in 0..10 {
        let relay = Server::new().relay(&[]);
        relay.signal("-TERM");
        relay.signal("-TERM");
        assert_eq!(relay.wait().code(), Some(0));
    }
}

#[test]
fn kill_9_leaves_the_peers_with_an_end_and_a_stale_socket_that_the_next_one_replaces() {
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
