//! A finding as a capture file that Wireshark reads.

use std::net::Ipv4Addr;

use spice_link::Side;

/// Both ends: documentation addresses (RFC 5737), and the port that Wireshark takes for SPICE's.
const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 40_000);
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 2), 5900);

/// pcap's link type of packets that start with an IP header.
const LINKTYPE_RAW: u32 = 101;
/// The most payload of a packet, in bytes.
const MAX_PAYLOAD: usize = 1400;

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// A pcap file of one TCP connection with these bytes: handshake, data, and FIN of the client. Times start at 0.
pub(super) fn connection(bytes: &[(Side, &[u8])]) -> Vec<u8> {
    let mut file = Writer { out: Vec::new(), next: [0, 0], packets: 0 };
    for field in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, LINKTYPE_RAW] {
        file.out.extend(u32::to_le_bytes(field));
    }
    file.packet(Side::Client, SYN, &[]);
    file.packet(Side::Server, SYN | ACK, &[]);
    file.packet(Side::Client, ACK, &[]);
    for (side, bytes) in bytes {
        for part in bytes.chunks(MAX_PAYLOAD) {
            file.packet(*side, ACK, part);
        }
    }
    file.packet(Side::Client, FIN | ACK, &[]);
    file.out
}

struct Writer {
    out: Vec<u8>,
    /// The next sequence number of the client and of the server.
    next: [u32; 2],
    packets: u32,
}

impl Writer {
    fn packet(&mut self, from: Side, flags: u8, payload: &[u8]) {
        let ((source, destination), (own, peer)) = match from {
            Side::Client => ((CLIENT, SERVER), (0, 1)),
            Side::Server => ((SERVER, CLIENT), (1, 0)),
        };
        let ack = if flags & ACK == 0 { 0 } else { self.next[peer] };
        let len = 40 + crate::message::word(payload.len());
        // Seconds, microseconds, and both lengths.
        for field in [0, self.packets, len, len] {
            self.out.extend(field.to_le_bytes());
        }
        self.packets += 1;
        let mut head = vec![0x45, 0];
        head.extend(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        // Identification and offset, time to live, TCP, and the checksum, which is filled in below.
        head.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        head.extend(source.0.octets());
        head.extend(destination.0.octets());
        let sum = checksum(&head);
        head[10..12].copy_from_slice(&sum.to_be_bytes());
        head.extend(source.1.to_be_bytes());
        head.extend(destination.1.to_be_bytes());
        head.extend(self.next[own].to_be_bytes());
        head.extend(ack.to_be_bytes());
        // The header's length, the flags, the window; no checksum, as on the machine that sends, and no urgent data.
        head.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        self.out.extend(head);
        self.out.extend(payload);
        self.next[own] += crate::message::word(payload.len()) + u32::from(flags & (SYN | FIN) != 0);
    }
}

/// The internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)
}
