//! The log of wrong use: each line says what happened, and which key solves it. No client hides the lines of another VM.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
};

use relay_lab::{
    Relay,
    by_hand::{link, read_all},
};
use spice_testkit::lab::Scratch;

/// The certificate of the relay library's tests.
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../spice-relay/tests/tls/");

/// A relay with an address for each VM: a, b, and one whose upstream does not exist; then the TLS listener of a.
fn relay(scratch: &Scratch, server: &TcpListener) -> (Relay, [SocketAddr; 4]) {
    let upstream = server.local_addr().unwrap();
    let config = format!(
        "log-format = \"json\"\n\
         [[vm]]\nname = \"a\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\nqmp = \"unix:{0}/a\"\n\
         [[vm]]\nname = \"b\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\nqmp = \"unix:{0}/b\"\n\
         [[vm]]\nname = \"gone\"\nlisten = \"127.0.0.1:0\"\nupstream = \"unix:{0}/gone\"\nqmp = \"unix:{0}/c\"\n\
         [[vm]]\nname = \"tls\"\ntls-listen = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\nqmp = \"unix:{0}/d\"\n\
         cert = \"{TLS}cert.pem\"\nkey = \"{TLS}key.pem\"\n",
        scratch.path().display()
    );
    fs::write(scratch.join("relay.toml"), config).unwrap();
    let relay = Relay::start_with(&scratch.join("relay.toml"));
    let addresses = relay.addresses();
    let addresses = [0, 1, 2, 3].map(|index: usize| addresses[index].parse().unwrap());
    (relay, addresses)
}

/// Sends bytes to the relay. A server accepts the connection, and closes it after the same number of bytes.
fn bad_link(to: SocketAddr, server: &TcpListener, bytes: &[u8]) {
    let mut client = TcpStream::connect(to).unwrap();
    client.write_all(bytes).unwrap();
    let mut inside = server.accept().unwrap().0;
    std::io::Read::read_exact(&mut inside, &mut vec![0; bytes.len()]).unwrap();
    drop(inside);
    read_all(&client);
}

#[test]
fn wrong_use_has_one_line_that_names_the_key() {
    let (scratch, server) = (Scratch::new().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (relay, [a, _, gone, tls]) = relay(&scratch, &server);
    for (bytes, part) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaa"[..], "this is a plain listener: use tls-listen"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "not expected from this source: use proxy-from"),
    ] {
        bad_link(a, &server, bytes);
        relay.log.wait_for(part, 1);
    }
    // A reset is no fault of the test's: the relay closes with unread bytes.
    let mut plain = TcpStream::connect(tls).unwrap();
    plain.write_all(b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0").unwrap();
    relay.log.wait_for("clients without TLS need an address of `listen`", 1);
    let client = TcpStream::connect(gone).unwrap();
    read_all(&client);
    relay.log.wait_for("can't reach the upstream", 1);
    // Written after all the others.
    bad_link(a, &server, b"xxxxxxxxxxxxxxxxxxxxxxxx");
    relay.log.wait_for("found \\\"xxxx\\\"", 1);
    assert_eq!(relay.log.count("gives no reason") + relay.log.count("give no reason"), 0, "one line for each");
}

#[test]
fn flood_at_one_vm_hides_no_line_of_another_and_is_counted_when_it_is_over() {
    let (scratch, server) = (Scratch::new().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (relay, [a, b, ..]) = relay(&scratch, &server);
    for _ in 0..130 {
        bad_link(a, &server, b"xxxxxxxxxxxxxxxxxxxxxxxx");
    }
    bad_link(b, &server, b"yyyyyyyyyyyyyyyyyyyyyyyy");
    relay.log.wait_for("found \\\"yyyy\\\"", 1);
    assert_eq!(relay.log.count("found \\\"xxxx\\\""), 100);
    // No further line is needed for that.
    relay.log.wait_for("\"left_out\":30,\"vm\":\"a\",\"kind\":\"unreadable\"", 1);
}

/// A session's start and end are lines at the level `info`.
#[test]
fn session_has_a_line_at_its_start_and_at_its_end() {
    let (scratch, server) = (Scratch::new().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (relay, [a, ..]) = relay(&scratch, &server);
    let (client, inside) = link(a, &server, 7);
    let port = client.local_addr().unwrap().port();
    relay.log.wait_for("\"session started\"", 1);
    drop(client);
    read_all(&inside);
    drop(inside);
    relay.log.wait_for("\"session ended\"", 1);
    let line = relay.log.all().into_iter().find(|line| line.contains("session ended")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["vm"], &line["client"], &line["channels"], &line["ended_by"]),
        (&"a".into(), &format!("127.0.0.1:{port}").into(), &1.into(), &"client".into())
    );
}
