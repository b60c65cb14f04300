//! Builds packets and files byte by byte, without the crate under test.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its part")]

use spice_capture::{Capture, Config, Counters, Output, link::LinkType};
use std::net::{IpAddr, SocketAddr};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

pub const CLIENT: &str = "192.0.2.1:50123";
pub const SERVER: &str = "192.0.2.2:5930";
pub const CLIENT_V6: &str = "[2001:db8::1]:50123";
pub const SERVER_V6: &str = "[2001:db8::2]:5930";

/// magic, 2.2, size 26; session 0, main 0, one word of common and one of channel capabilities at 18
pub const LINK: &[u8] =
    b"REDQ\x02\0\0\0\x02\0\0\0\x1a\0\0\0\0\0\0\0\x01\0\x01\0\0\0\x01\0\0\0\x12\0\0\0\x09\0\0\0\x0f\0\0\0";

pub fn socket(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A TCP segment without options, the payload of an IP packet.
pub fn segment(from: SocketAddr, to: SocketAddr, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend(ack.to_be_bytes());
    bytes.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// IPv4 with `options` (a multiple of four bytes) and a value for the fragment field.
pub fn ipv4(from: SocketAddr, to: SocketAddr, options: &[u8], fragment: u16, body: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (from.ip(), to.ip()) else { panic!("not IPv4") };
    let header = 20 + options.len();
    let mut bytes = vec![0x40 | u8::try_from(header / 4).unwrap(), 0];
    bytes.extend(u16::try_from(header + body.len()).unwrap().to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, 6, 0, 0]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(options);
    bytes.extend(body);
    bytes
}

/// IPv6 with `extensions`, of which the first has the number `next`.
pub fn ipv6(from: SocketAddr, to: SocketAddr, next: u8, extensions: &[u8], body: &[u8]) -> Vec<u8> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (from.ip(), to.ip()) else { panic!("not IPv6") };
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(u16::try_from(extensions.len() + body.len()).unwrap().to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(extensions);
    bytes.extend(body);
    bytes
}

pub fn ip(from: SocketAddr, to: SocketAddr, body: &[u8]) -> Vec<u8> {
    if from.is_ipv4() { ipv4(from, to, &[], 0, body) } else { ipv6(from, to, 6, &[], body) }
}

/// The packet behind the header of a link type.
pub fn frame(link: LinkType, ip: &[u8]) -> Vec<u8> {
    let v6 = ip[0] >> 4 == 6;
    let ethertype: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
    let family = if v6 { 30_u32 } else { 2 };
    let header = match link {
        LinkType::ETHERNET => [&[2; 12][..], &ethertype].concat(),
        LinkType::LINUX_SLL => [&[0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0][..], &ethertype].concat(),
        LinkType::LINUX_SLL2 => [&ethertype[..], &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0]].concat(),
        LinkType::NULL => family.to_le_bytes().to_vec(),
        LinkType::LOOP => family.to_be_bytes().to_vec(),
        _ => Vec::new(),
    };
    [header, ip.to_vec()].concat()
}

/// A packet of a capture: time in nanoseconds, bytes, length on the wire.
#[derive(Clone, Debug)]
pub struct Frame {
    pub at: u64,
    pub data: Vec<u8>,
    pub wire_len: usize,
}

impl Frame {
    pub fn new(at: u64, data: Vec<u8>) -> Self {
        Self { at, wire_len: data.len(), data }
    }
}

/// A connection that sends one link message and is closed by the server: five packets, one a millisecond from 1000 s on.
pub fn conversation(
    client: SocketAddr,
    server: SocketAddr,
    wrap: impl Fn(SocketAddr, SocketAddr, &[u8]) -> Vec<u8>,
) -> Vec<Frame> {
    let packets = [
        (client, server, segment(client, server, SYN, 100, 0, b"")),
        (server, client, segment(server, client, SYN | ACK, 900, 101, b"")),
        (client, server, segment(client, server, ACK, 101, 901, b"")),
        (client, server, segment(client, server, ACK, 101, 901, LINK)),
        (server, client, segment(server, client, FIN | ACK, 901, 143, b"")),
    ];
    let at = (0..).map(|n| 1_000_000_000_000 + n * 1_000_000);
    packets.iter().zip(at).map(|((from, to, body), at)| Frame::new(at, wrap(*from, *to, body))).collect()
}

pub fn put32(out: &mut Vec<u8>, big: bool, value: u32) {
    out.extend(if big { value.to_be_bytes() } else { value.to_le_bytes() });
}

pub fn put16(out: &mut Vec<u8>, big: bool, value: u16) {
    out.extend(if big { value.to_be_bytes() } else { value.to_le_bytes() });
}

fn low32(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap()
}

pub fn pcap(big: bool, nano: bool, link: LinkType, frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    put32(&mut out, big, if nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
    put16(&mut out, big, 2);
    put16(&mut out, big, 4);
    for value in [0, 0, 262_144, link.0] {
        put32(&mut out, big, value);
    }
    for frame in frames {
        let fraction = frame.at % 1_000_000_000 / if nano { 1 } else { 1000 };
        for value in [frame.at / 1_000_000_000, fraction, frame.data.len() as u64, frame.wire_len as u64] {
            put32(&mut out, big, low32(value));
        }
        out.extend(&frame.data);
    }
    out
}

/// A pcapng block.
pub fn block(out: &mut Vec<u8>, big: bool, kind: u32, body: &[u8]) {
    let padded = body.len().next_multiple_of(4);
    let length = u32::try_from(12 + padded).unwrap();
    put32(out, big, kind);
    put32(out, big, length);
    out.extend(body);
    out.resize(out.len() + padded - body.len(), 0);
    put32(out, big, length);
}

pub fn section(out: &mut Vec<u8>, big: bool) {
    let mut body = Vec::new();
    put32(&mut body, big, 0x1a2b_3c4d);
    put16(&mut body, big, 1);
    put16(&mut body, big, 0);
    body.extend([0xff; 8]);
    block(out, big, 0x0a0d_0d0a, &body);
}

pub fn interface(out: &mut Vec<u8>, big: bool, link: LinkType, resolution: Option<u8>, offset: Option<i64>) {
    let mut body = Vec::new();
    put16(&mut body, big, u16::try_from(link.0).unwrap());
    put16(&mut body, big, 0);
    put32(&mut body, big, 0);
    if let Some(resolution) = resolution {
        put16(&mut body, big, 9);
        put16(&mut body, big, 1);
        body.extend([resolution, 0, 0, 0]);
    }
    if let Some(offset) = offset {
        put16(&mut body, big, 14);
        put16(&mut body, big, 8);
        body.extend(if big { offset.to_be_bytes() } else { offset.to_le_bytes() });
    }
    body.extend([0; 4]);
    block(out, big, 1, &body);
}

/// An enhanced packet block whose time is `units` of the interface.
pub fn enhanced(out: &mut Vec<u8>, big: bool, interface: u32, units: u64, frame: &Frame) {
    let mut body = Vec::new();
    for value in [u64::from(interface), units >> 32, units, frame.data.len() as u64, frame.wire_len as u64] {
        put32(&mut body, big, low32(value));
    }
    body.extend(&frame.data);
    block(out, big, 6, &body);
}

/// All output for a file, as lines: events, then anomalies and notices.
pub fn read_with(config: Config, file: &[u8]) -> (Vec<String>, Vec<String>, Counters) {
    let (mut events, mut odd) = (Vec::new(), Vec::new());
    let counters = Capture::new(config)
        .read(file, |output| match output {
            Output::Event(event) => events.push(event.to_string()),
            other => odd.push(other.to_string()),
        })
        .unwrap();
    (events, odd, counters)
}

/// The events of [`conversation`] are there, at their times: to the microsecond, or as precise as `tolerance` (µs) says.
#[track_caller]
pub fn check_conversation(file: &[u8], client: SocketAddr, server: SocketAddr, tolerance: i64) {
    let (events, odd, counters) = read_with(Config::new().port(server.port()), file);
    assert_eq!(events.len(), 2, "{events:?} {odd:?} {counters:?}");
    for (line, name, microseconds) in [(&events[0], "SPICE_CONNECTED", 2000), (&events[1], "SPICE_DISCONNECTED", 4000)]
    {
        assert!(line.contains(&format!("\"event\": \"{name}\"")), "{line}");
        for end in [client, server] {
            assert!(line.contains(&format!("\"port\": \"{}\"", end.port())), "{line}");
            assert!(line.contains(&format!("\"host\": \"{}\"", end.ip())), "{line}");
        }
        let number = |name: &str| -> i64 {
            let rest = line.split(&format!("\"{name}\": ")).nth(1).unwrap();
            rest.split([',', '}']).next().unwrap().parse().unwrap()
        };
        assert_eq!(number("seconds"), 1000, "{line}");
        assert!((number("microseconds") - microseconds).abs() <= tolerance, "{line}");
    }
}
