//! What proxies put in front of SPICE: the same events and facts for any cut.

use std::net::Ipv4Addr;

use spice_capture::{
    Capture, Config, Notice, Output,
    file::Packet,
    link::LinkType,
    packet::Flags,
    spice_events::{Side, Timestamp},
};

use super::tls::pieces;

/// The address of client and server, and their ports.
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
const PORTS: [u16; 2] = [50_000, 3128];
/// A longer conversation than this meets limits, and where depends on the cut.
const MAX_STREAM: usize = 4000;

/// Pieces of the two directions of one connection: two bytes of side (the top bit says server) and length, big-endian, then as many bytes.
///
/// Any cut of the pieces gives the same events and the same facts of proxies, whether the port is named or not, and whether the proxies are trusted or not.
/// A connection has one such fact at most.
pub fn prefaces(data: &[u8]) {
    let mut left = [MAX_STREAM; 2];
    let pieces: Vec<_> = pieces(data)
        .into_iter()
        .map(|(from, data)| {
            let left = &mut left[usize::from(from == Side::Server)];
            let data = &data[..data.len().min(*left)];
            *left -= data.len();
            (from, data)
        })
        .collect();
    let trusting = ADDRESSES.into_iter().fold(Config::new(), |config, address| config.trust_proxy(address.into()));
    for config in [Config::new(), Config::new().port(PORTS[1]), trusting] {
        let whole = said(config.clone(), &pieces, MAX_STREAM);
        for cut in [1, 1 + usize::from(data.last().copied().unwrap_or_default())] {
            assert_eq!(whole, said(config.clone(), &pieces, cut), "in pieces of {cut} bytes");
        }
    }
}

/// The events and facts of a connection whose pieces come in such segments.
fn said(config: Config, pieces: &[(Side, &[u8])], cut: usize) -> Vec<String> {
    let mut wire = Wire { capture: Capture::new(config), sent: [1000, 5000], seconds: 0, said: Vec::new() };
    wire.send(Side::Client, Flags::SYN, b"");
    wire.send(Side::Server, Flags::SYN.and(Flags::ACK), b"");
    wire.send(Side::Client, Flags::ACK, b"");
    for (from, data) in pieces {
        wire.seconds += 1;
        for data in data.chunks(cut) {
            wire.send(*from, Flags::ACK, data);
        }
    }
    wire.seconds += 1;
    wire.send(Side::Server, Flags::ACK.and(Flags::FIN), b"");
    wire.capture.finish().expect("there were packets");
    wire.drain();
    let facts = wire.said.iter().filter(|line| line.starts_with("proxied")).count();
    assert!(facts <= 1, "{:?}", wire.said);
    wire.said
}

/// A connection that is captured.
struct Wire {
    capture: Capture,
    /// The next sequence number of client and server.
    sent: [u32; 2],
    seconds: i64,
    said: Vec<String>,
}

impl Wire {
    fn send(&mut self, from: Side, flags: Flags, data: &[u8]) {
        let [from, to] = if from == Side::Client { [0, 1] } else { [1, 0] };
        let length = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
        let is_first = flags.has(Flags::SYN);
        let bits = [(Flags::FIN, 1), (Flags::SYN, 2), (Flags::ACK, 16)];
        let bits = bits.into_iter().filter(|(flag, _)| flags.has(*flag)).fold(0, |bits, (_, bit)| bits | bit);
        let ip = [
            &[0x45, 0][..],
            &length(40 + data.len()),
            &[0, 0, 0x40, 0, 64, 6, 0, 0],
            &ADDRESSES[from].octets(),
            &ADDRESSES[to].octets(),
            &PORTS[from].to_be_bytes(),
            &PORTS[to].to_be_bytes(),
            &self.sent[from].to_be_bytes(),
            &self.sent[to].to_be_bytes(),
            &[0x50, bits, 0xff, 0xff, 0, 0, 0, 0],
            data,
        ]
        .concat();
        self.sent[from] += u32::try_from(data.len()).unwrap_or(0) + u32::from(is_first || flags.has(Flags::FIN));
        let at = Timestamp { seconds: self.seconds, microseconds: 0 };
        let len = u32::try_from(ip.len()).unwrap_or(u32::MAX);
        let packet = Packet { at, interface: 0, link: LinkType::RAW, data: &ip, captured: len, wire_len: len };
        self.capture.packet(&packet);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.capture.poll() {
            match output {
                Output::Event(event) => self.said.push(event.to_string()),
                Output::Notice(Notice::Proxied { .. }) => self.said.push(format!("proxied: {output}")),
                Output::Notice(notice) => self.said.push(notice.to_string()),
                // An anomaly may name the bytes that were there.
                _ => {}
            }
        }
    }
}
