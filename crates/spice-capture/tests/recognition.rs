//! Which connections are SPICE, in captures made by hand: recognised by their bytes, or because their port says so.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use spice_capture::{Config, link::LinkType};
use support::*;

const REQUEST: &[u8] = b"GET /vm HTTP/1.1\r\nHost: vm\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n";
const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

/// A connection: `true` is the client. The client's side of the handshake is left out if it began before the capture.
struct Talk<'a> {
    client: &'a str,
    server: &'a str,
    from_start: bool,
    says: &'a [(bool, &'a [u8])],
}

/// Each payload is cut into segments of `cut` bytes. Ends with the server's FIN.
fn capture(talks: &[Talk<'_>], cut: usize) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut at = 1_000_000_000_000;
    let mut push = |from: &str, to: &str, flags, seq, ack, data: &[u8]| {
        let (from, to) = (socket(from), socket(to));
        frames.push(Frame::new(at, ip(from, to, &segment(from, to, flags, seq, ack, data))));
        at += 1_000_000;
    };
    for Talk { client, server, from_start, says } in talks {
        let mut next = [100_u32, 9000];
        if *from_start {
            push(client, server, SYN, 99, 0, b"");
            push(server, client, SYN | ACK, 8999, 100, b"");
            push(client, server, ACK, 100, 9000, b"");
        }
        for (from_client, data) in *says {
            let me = usize::from(!from_client);
            let (from, to) = if *from_client { (client, server) } else { (server, client) };
            for data in data.chunks(cut) {
                push(from, to, ACK, next[me], next[1 - me], data);
                next[me] += u32::try_from(data.len()).unwrap();
            }
        }
        push(server, client, FIN | ACK, next[1], next[0], b"");
    }
    pcap(false, false, LinkType::RAW, &frames)
}

/// Checks the number of events and the other output. An empty `odd` means that the connection was not open before the capture.
#[track_caller]
fn check(config: &Config, talk: Talk<'_>, events: usize, odd: &str) {
    let talk = [talk];
    for cut in [1, 3, 7, 60_000] {
        let (lines, said, _) = read_with(config.clone(), &capture(&talk, cut));
        assert_eq!(lines.len(), events, "segments of {cut}: {lines:?} {said:?}");
        let expected = if odd.is_empty() { "already open" } else { odd };
        assert_eq!(said.iter().any(|said| said.contains(expected)), !odd.is_empty(), "segments of {cut}: {said:?}");
    }
}

fn from_start<'a>(says: &'a [(bool, &'a [u8])]) -> Talk<'a> {
    Talk { client: CLIENT, server: SERVER, from_start: true, says }
}

fn midstream<'a>(says: &'a [(bool, &'a [u8])]) -> Talk<'a> {
    Talk { from_start: false, ..from_start(says) }
}

#[test]
fn a_link_header_is_spice_on_any_port() {
    check(&Config::new(), from_start(&[(true, LINK)]), 2, "");
    check(&Config::new(), from_start(&[(true, b"REDQ")]), 2, "");
    check(&Config::new(), from_start(&[(true, b"SSH-2.0-x\r\n")]), 0, "");
    check(&Config::new(), from_start(&[(false, b"220 mail\r\n"), (true, b"EHLO x\r\n")]), 0, "");
}

#[test]
fn a_link_header_over_web_socket_is_spice() {
    let frame = [&[0x82, u8::try_from(LINK.len()).unwrap()][..], LINK].concat();
    check(&Config::new(), from_start(&[(true, REQUEST), (false, UPGRADE), (true, &frame)]), 2, "");
    check(&Config::new(), from_start(&[(true, REQUEST), (false, UPGRADE), (true, b"\x82\x05hello")]), 0, "");
    check(&Config::new(), from_start(&[(true, b"GET / HTTP/1.1\r\n\r\n"), (false, b"HTTP/1.1 200 OK\r\n\r\n")]), 0, "");
}

#[test]
fn every_connection_to_a_named_port_is_spice_and_no_other_is() {
    let config = Config::new().port(5930);
    check(&config, from_start(&[]), 2, "");
    check(&config, from_start(&[(true, b"\x16\x03\x01\x02\0\x01")]), 2, "magic");
    check(&config, Talk { server: "192.0.2.2:5931", ..from_start(&[(true, LINK)]) }, 0, "");
    check(&config, Talk { client: "192.0.2.1:5930", server: "192.0.2.2:80", ..from_start(&[(true, LINK)]) }, 0, "");
    check(&config, Talk { client: CLIENT_V6, server: SERVER_V6, ..from_start(&[]) }, 2, "");
}

#[test]
fn tls_ports_are_opaque() {
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    check(&Config::new().tls_port(5930), from_start(&[(true, hello), (false, b"\x16\x03\x03")]), 2, "");
    check(&Config::new().tls_port(5930), midstream(&[(true, hello)]), 2, "");
    check(&Config::new().tls_port(5930), midstream(&[(true, b"\x17\x03\x03\x00\x05hello")]), 0, "already open");
    // Beside a TLS port, plain connections are still recognised.
    let plain = Talk { server: "192.0.2.2:6000", ..from_start(&[(true, LINK)]) };
    check(&Config::new().tls_port(5930), plain, 2, "");
}

#[test]
fn a_connection_without_syn_that_begins_with_a_link_header_is_followed() {
    check(&Config::new(), midstream(&[(true, LINK)]), 2, "");
    check(&Config::new().port(5930), midstream(&[(true, LINK)]), 2, "");
}

#[test]
fn a_connection_without_syn_and_without_link_header_was_open_before() {
    check(&Config::new().port(5930), midstream(&[(true, b"\x03\0\x0c\0\0\0pong")]), 0, "already open");
    check(&Config::new(), midstream(&[(true, b"\x03\0\x0c\0\0\0pong")]), 0, "began before the capture");
}

#[test]
fn the_servers_reply_alone_is_spice() {
    let reply = [b"REDQ\x02\0\0\0\x02\0\0\0\xba\0\0\0", &[0; 186][..]].concat();
    for config in [Config::new(), Config::new().port(5930)] {
        check(&config, midstream(&[(false, &reply), (true, &[1; 128])]), 2, "34 bytes of the link stage were lost");
    }
    check(&Config::new(), from_start(&[(false, &reply)]), 2, "give no reason");
}

#[test]
fn connections_that_may_be_spice_and_are_not_recognised_are_counted() {
    check(
        &Config::new(),
        from_start(&[(true, b"\x16\x03\x01\x02\0\x01")]),
        0,
        "1 connections are TLS, server ports 5930",
    );
    check(&Config::new(), from_start(&[(true, b"RED")]), 0, "too few bytes of their client, server ports 5930");
    check(&Config::new(), from_start(&[]), 0, "too few bytes of their client, server ports 5930");
}

#[test]
fn dual_stack_addresses_are_mapped_and_only_those_of_ipv4() {
    let mut config = Config::new();
    config.dual_stack = true;
    let v6 = Talk { client: CLIENT_V6, server: SERVER_V6, ..from_start(&[(true, LINK)]) };
    let (lines, ..) = read_with(config, &capture(&[from_start(&[(true, LINK)]), v6], 1000));
    let hosts = |line: &str, host: &str| line.matches(&format!("\"family\": \"ipv6\", \"host\": \"{host}")).count();
    assert_eq!((hosts(&lines[0], "::ffff:192.0.2."), hosts(&lines[2], "2001:db8::")), (2, 2), "{lines:?}");
}

#[test]
fn many_connections_at_once_are_followed_side_by_side() {
    let clients: Vec<_> = (0..3000).map(|n| format!("198.51.100.{}:{}", n % 250 + 1, 1024 + n)).collect();
    let talks: Vec<_> = clients.iter().map(|client| Talk { client, ..from_start(&[(true, LINK)]) }).collect();
    let (lines, _, counters) = read_with(Config::new(), &capture(&talks, 1000));
    assert_eq!((lines.len(), counters.connections), (6000, 3000));
}

/// Packets between the two ends: from the client or not, flags, sequence and acknowledgement.
#[track_caller]
fn check_unopened(packets: &[(bool, u8, u32, u32)], config: &Config, expected: &[&str]) {
    let (client, server) = (socket(CLIENT), socket(SERVER));
    let frames = packets.iter().zip(1_000_000..).map(|(&(from_client, flags, seq, ack), at)| {
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        Frame::new(at * 1_000_000, ip(from, to, &segment(from, to, flags, seq, ack, b"")))
    });
    let frames: Vec<_> = frames.collect();
    let (events, said, _) = read_with(config.clone(), &pcap(false, false, LinkType::RAW, &frames));
    assert_eq!(events, [""; 0], "{packets:?}");
    assert_eq!(said, expected, "{packets:?}");
}

#[test]
fn connections_that_are_never_opened_are_counted() {
    let midstream = "1 connections began before the capture, server ports 5930: begin the capture before the sessions; if one of these ports is SPICE, name it";
    let handshake = "1 connections have a handshake that is never completed, server ports 5930: capture all packets of a connection; a filter for SYN and FIN is not enough";
    let config = Config::new();
    check_unopened(&[(false, FIN | ACK, 900, 100), (true, FIN | ACK, 100, 901)], &config, &[midstream]);
    check_unopened(&[(true, ACK, 100, 900), (false, ACK, 900, 101)], &config, &[midstream]);
    check_unopened(&[(true, ACK, 100, 900), (false, RST, 900, 0)], &config, &[midstream]);
    check_unopened(&[(true, SYN, 99, 0), (false, SYN | ACK, 899, 100)], &config, &[handshake]);
    check_unopened(&[(false, SYN | ACK, 899, 100)], &config.clone().port(5930), &[handshake]);
    // A refused connection, an attempt without an answer, and a reset of what is not in the capture are no connection of a client.
    check_unopened(&[(true, SYN, 99, 0), (false, RST | ACK, 0, 100)], &config, &[]);
    check_unopened(&[(true, SYN, 99, 0)], &config, &[]);
    check_unopened(&[(false, RST, 899, 0)], &config, &[]);
}

#[test]
fn shared_port_of_connections_that_began_before_the_capture_is_the_servers() {
    let client = |n: u16| format!("192.0.2.1:{}", 1000 + n);
    let mut frames = Vec::new();
    for (n, at) in (0..300).zip(1_000_000..) {
        let (from, to) = (socket(&client(n)), socket(SERVER));
        frames.push(Frame::new(at * 1_000_000, ip(from, to, &segment(from, to, FIN | ACK, 100, 900, b""))));
    }
    let (_, said, _) = read_with(Config::new(), &pcap(false, false, LinkType::RAW, &frames));
    assert!(said[0].starts_with("300 connections began before the capture, server ports 5930: "), "{said:?}");
}

#[test]
fn packets_of_other_ports_than_those_named_are_counted() {
    let talk = [from_start(&[(true, LINK)])];
    let (_, _, counters) = read_with(Config::new().port(1), &capture(&talk, 100));
    assert_eq!((counters.connections, counters.packets, counters.other_ports), (0, 5, 5));
}
