//! The PROXY protocol: a header from a load balancer in front of the relay, and one to the upstream.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::io::{Read, Write};

use relay_lab::{
    Relay,
    by_hand::{Server, connect, read_all},
};
use spice_testkit::lab::Scratch;

#[test]
fn proxy_header_is_read_and_sent() {
    let server = Server::new();
    let outer = server.relay(&["--proxy-from", "127.0.0.0/8", "--send-proxy", "v2"]);
    let mut client = connect(&outer);
    client.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 4321 5900\r\nREDQ").unwrap();
    let mut inside = server.accept();
    let mut head = [0; 28 + 4];
    inside.read_exact(&mut head).unwrap();
    assert_eq!(&head[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
    assert_eq!(&head[16..20], [192, 0, 2, 7]);
    assert_eq!(&head[24..26], 4321u16.to_be_bytes());
    assert_eq!(&head[28..], b"REDQ");
    outer.events.wait_for("\"client\": {\"port\": \"4321\", \"family\": \"ipv4\", \"host\": \"192.0.2.7\"}", 1);
    // These sources must send one.
    let mut other = connect(&outer);
    other.write_all(b"REDQ\x02\0\0\0\x02\0\0\0").unwrap();
    assert_eq!(other.read(&mut [0]).unwrap_or(0), 0);
    outer.log.wait_for("no PROXY header", 1);
    assert_eq!(outer.events.all().len(), 1);
    // A header of other sources is forwarded like any bytes.
    let relay = server.relay(&["--proxy-from", "192.0.2.0/24"]);
    connect(&relay).write_all(b"PROXY UNKNOWN\r\n").unwrap();
    let mut seen = [0; 15];
    server.accept().read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"PROXY UNKNOWN\r\n");
}

/// HAProxy's health check with version 1 has a header that names HAProxy, and no byte after it. A client on the proxy's machine has one.
#[test]
fn health_check_with_the_proxys_own_address_is_no_client() {
    let server = Server::new();
    let relay = server.relay(&["--proxy-from", "127.0.0.0/8"]);
    for _ in 0..3 {
        let mut check = connect(&relay);
        check.write_all(b"PROXY TCP4 127.0.0.1 127.0.0.1 4321 5900\r\n").unwrap();
        check.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_all(&check), b"");
    }
    relay.log.wait_for("closed without a byte after the proxy's own header", 3);
    let mut client = connect(&relay);
    client.write_all(b"PROXY TCP4 127.0.0.1 127.0.0.1 4321 5900\r\nREDQ").unwrap();
    server.accept().read_exact(&mut [0; 4]).unwrap();
    relay.events.wait_for("SPICE_CONNECTED", 1);
    assert_eq!(relay.events.count("SPICE_CONNECTED"), 1);
}

/// A load balancer on the same machine connects over a unix socket. The client's address goes to the upstream and into the events.
#[test]
fn proxy_header_passes_through_a_unix_socket() {
    let (server, scratch) = (Server::new(), Scratch::new().unwrap());
    let (listen, upstream) = (format!("unix:{}", scratch.join("in").display()), server.address());
    let args = ["--listen", &listen, "--upstream", &upstream, "--proxy-from", "unix", "--send-proxy", "v1"];
    let relay = Relay::start(&args);
    for (header, expected) in [
        (
            &b"PROXY TCP4 192.0.2.7 198.51.100.1 4321 5900\r\n"[..],
            &b"PROXY TCP4 192.0.2.7 198.51.100.1 4321 5900\r\nREDQ"[..],
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\x02",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nREDQ",
        ),
    ] {
        let mut client = std::os::unix::net::UnixStream::connect(scratch.join("in")).unwrap();
        client.write_all(&[header, b"REDQ"].concat()).unwrap();
        let mut seen = vec![0; expected.len()];
        server.accept().read_exact(&mut seen).unwrap();
        assert_eq!(seen, expected, "{}", seen.escape_ascii());
    }
    relay.events.wait_for("\"host\": \"192.0.2.7\"", 1);
}

/// Behind a load balancer all connections come from one address, and each client still has its own limit.
#[test]
fn client_of_a_proxy_header_counts_for_its_own_limit() {
    let server = Server::new();
    let relay = server.relay(&["--proxy-from", "127.0.0.1", "--max-per-source", "2"]);
    let from = |host: u8| {
        let mut client = connect(&relay);
        write!(client, "PROXY TCP4 192.0.2.{host} 198.51.100.1 4321 5900\r\n").unwrap();
        client
    };
    let mut clients = Vec::new();
    for host in [1, 2, 1, 2] {
        clients.push((from(host), server.accept()));
    }
    assert_eq!(read_all(&from(1)), b"", "the third of one client");
    relay.log.wait_for("\"source\":\"192.0.2.1\"", 1);
    clients.push((from(3), server.accept()));
    assert_eq!(relay.log.count("accepting connections again"), 0, "the limited client is not accepted again");
    // A health check of the load balancer is not reported.
    drop(connect(&relay));
    relay.log.wait_for("closed without a byte", 1);
    assert_eq!(relay.log.count("no PROXY header"), 0);
    // Nor is one with a header without addresses: there is no event, and no connection to the server.
    for local in [&b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..], b"PROXY UNKNOWN\r\n"] {
        connect(&relay).write_all(local).unwrap();
    }
    relay.log.wait_for("closed without a byte after the PROXY header", 2);
    let mut itself = connect(&relay);
    itself.write_all(b"PROXY UNKNOWN\r\nREDQ").unwrap();
    server.accept().read_exact(&mut [0; 4]).unwrap();
    relay.events.wait_for("SPICE_CONNECTED", clients.len() + 1);
    assert_eq!(relay.events.count("SPICE_CONNECTED"), clients.len() + 1);
}
