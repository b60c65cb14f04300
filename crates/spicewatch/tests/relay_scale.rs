//! Thousands of connections at once, and what is left of them.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod relay_lab;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use relay_lab::{PATIENCE, Qmp, Relay, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spice_testkit::lab::{self, CHANNELS, Client, Peer, Scratch, Vm, link::Mess};

/// Channels that are linked and idle.
const LINKED: usize = 4500;
/// Connections that stop in the middle of their handshake.
const STALLED: usize = 500;

/// A link reply that accepts, with mechanism selection, tickets and mini headers offered.
fn reply() -> Vec<u8> {
    let mut reply = b"REDQ\x02\0\0\0\x02\0\0\0".to_vec();
    reply.extend(186u32.to_le_bytes());
    reply.extend([0; 4]);
    reply.extend([0x30; 162]);
    reply.extend([1u32, 1, 178, 0xb, 0].map(u32::to_le_bytes).concat());
    reply
}

/// Links an inputs channel through the relay, both ends by hand; they stay open.
fn link(relay: SocketAddr, server: &TcpListener, port_of_id: u32) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(relay).unwrap();
    let mess = Mess::new(port_of_id, 3, 0).bytes();
    client.write_all(&mess).unwrap();
    let mut inside = server.accept().unwrap().0;
    inside.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    inside.read_exact(&mut vec![0; mess.len()]).unwrap();
    let reply = reply();
    inside.write_all(&reply).unwrap();
    client.read_exact(&mut vec![0; reply.len()]).unwrap();
    client.write_all(&[&[1, 0, 0, 0][..], &[7; 128]].concat()).unwrap();
    inside.read_exact(&mut [0; 132]).unwrap();
    inside.write_all(&[0; 4]).unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    (client, inside)
}

#[test]
fn five_thousand_at_once_and_nothing_is_left_when_they_go() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    assert!(limit.maximum.is_none_or(|most| most >= 12_000), "needs 12000 descriptors, has {limit:?}");

    let (port, scratch) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets = [scratch.join("real.qmp"), scratch.join("made.qmp")];
    let config = format!(
        "log-format = \"json\"\n\
         [[vm]]\nlisten = \"127.0.0.1:0\"\nupstream = \"127.0.0.1:{port}\"\nauth = \"none\"\nqmp = \"unix:{}\"\n\
         [[vm]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{}\"\nqmp = \"unix:{}\"\n",
        sockets[0].display(),
        server.local_addr().unwrap(),
        sockets[1].display()
    );
    fs::write(scratch.join("relay.toml"), config).unwrap();
    let relay = Relay::start_with(&scratch.join("relay.toml"));
    let [real, made] = [0, 1].map(|index| relay.addresses()[index].parse::<SocketAddr>().unwrap());
    let qmp = [Qmp::connect(&sockets[0]), Qmp::connect(&sockets[1])];
    let start = (relay.descriptors(), relay.memory());

    // A session lives through all of it.
    let client = Client::start(&["--port", &real.port().to_string()]).unwrap();
    qmp[0].lines.wait_for("SPICE_INITIALIZED", CHANNELS);
    let with_session = relay.descriptors();
    let mut rounds = Vec::new();
    for round in 1..=3 {
        // Cut off in the magic, the header, the message and the wait for a reply.
        let stalled: Vec<_> = (0..STALLED)
            .map(|number| {
                let mut stream = TcpStream::connect(real).unwrap();
                stream.write_all(&Mess::new(0, 1, 0).bytes()[..[0, 3, 15, 30, 38][number % 5]]).unwrap();
                stream
            })
            .collect();
        let linked: Vec<_> = (0..LINKED).map(|_| link(made, &server, 5)).collect();
        qmp[0].lines.wait_for("SPICE_CONNECTED", CHANNELS + round * STALLED);
        qmp[1].lines.wait_for("SPICE_INITIALIZED", round * LINKED);
        let full = (relay.descriptors(), relay.memory());
        assert!(full.0 >= 2 * (LINKED + STALLED + CHANNELS));
        assert_eq!(qmp[1].execute("query-spice").matches("connection-id").count(), LINKED);
        assert_eq!(qmp[0].execute("query-spice").matches("connection-id").count(), CHANNELS);
        drop((stalled, linked));
        qmp[0].lines.wait_for("SPICE_DISCONNECTED", round * STALLED);
        qmp[1].lines.wait_for("SPICE_DISCONNECTED", round * LINKED);
        eventually("the descriptors are closed", || relay.descriptors() <= with_session);
        rounds.push((full, relay.memory()));
    }
    let kb = |bytes: usize| bytes / 1024;
    for (((descriptors, full), after), round) in rounds.iter().zip(1..) {
        println!(
            "round {round}: {descriptors} descriptors and {} kB with {} connections, {} kB after; {} kB before any",
            kb(*full),
            LINKED + STALLED,
            kb(*after),
            kb(start.1)
        );
    }
    // What an allocator keeps for the next round it keeps once.
    let [_, second, third] = rounds[..] else { panic!("three rounds") };
    assert!(third.1 < second.1 + (1 << 20), "{} kB after two rounds, {} after three", kb(second.1), kb(third.1));

    thread::sleep(std::time::Duration::from_millis(100));
    assert!(client.leave().unwrap().success(), "the session was harmed");
    vm.events().wait_for_quiet().unwrap();
    qmp[0].lines.wait_for("SPICE_DISCONNECTED", 3 * STALLED + CHANNELS);
    eventually("the session's descriptors are closed", || relay.descriptors() <= start.0);
    assert!(qmp[0].execute("query-spice").contains("\"channels\": []"));
    relay.signal("-TERM");
    let log = relay.log.clone();
    assert!(relay.wait().success());
    assert!(!log.all().iter().any(|line| line.contains("waiting for live connections")), "no connection was left");
}
