use arbitrary::{Arbitrary, Result, Unstructured};
use spice_link::Side;

use super::{Conversation, Delivery, rarely, word};

/// A TCP segment of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Who sent it.
    pub from: Side,
    /// Its sequence number, on the wire: it wraps.
    pub seq: u32,
    /// What it acknowledges.
    pub ack: u32,
    /// TCP's flags: 1 FIN, 2 SYN, 4 RST, 16 ACK.
    pub flags: u8,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// A connection as it was captured: handshake, data of both sides, end; or with segments doubled and out of place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    /// In the order of the capture.
    pub segments: Vec<Segment>,
    /// What each side sent: the client's stream, the server's.
    pub streams: [Vec<u8>; 2],
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

impl Segments {
    /// In order, once each: these streams in these chunks. The initial sequence numbers may lie right before the wrap.
    pub fn plain(u: &mut Unstructured<'_>, streams: [Vec<u8>; 2], delivery: &Delivery) -> Result<Self> {
        let isn = [*u.choose(&[1000, u32::MAX - 20, u32::MAX])?, *u.choose(&[7000, u32::MAX - 100, 0])?];
        let mut next = isn.map(|isn| isn.wrapping_add(1));
        let mut segments = vec![
            Segment { from: Side::Client, seq: isn[0], ack: 0, flags: SYN, payload: Vec::new() },
            Segment { from: Side::Server, seq: isn[1], ack: next[0], flags: SYN | ACK, payload: Vec::new() },
            Segment { from: Side::Client, seq: next[0], ack: next[1], flags: ACK, payload: Vec::new() },
        ];
        for (from, data) in delivery.play(&streams[0], &streams[1]) {
            let (own, peer) = if from == Side::Client { (0, 1) } else { (1, 0) };
            segments.push(Segment { from, seq: next[own], ack: next[peer], flags: ACK, payload: data.to_vec() });
            next[own] = next[own].wrapping_add(word(data.len()));
        }
        segments.push(Segment {
            from: Side::Client,
            seq: next[0],
            ack: next[1],
            flags: FIN | ACK,
            payload: Vec::new(),
        });
        let ack = next[0].wrapping_add(1);
        segments.push(Segment { from: Side::Server, seq: next[1], ack, flags: FIN | ACK, payload: Vec::new() });
        Ok(Self { segments, streams })
    }

    /// Doubles segments and swaps neighbours, like a network can do. No byte is lost, and the handshake stays first.
    pub fn disturb(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (first, last) = (3, self.segments.len().saturating_sub(2));
        for _ in 0..u.int_in_range(0..=12)? {
            if last <= first + 1 {
                return Ok(());
            }
            let at = u.int_in_range(first..=last - 1)?;
            if u.arbitrary()? {
                let again = self.segments[at].clone();
                let to = (at + u.int_in_range(1..=4)?).min(last);
                self.segments.insert(to, again);
            } else if at + 1 < last {
                self.segments.swap(at, at + 1);
            }
        }
        Ok(())
    }

    /// A pcap file of the connection from 10.0.0.2:40000 to 10.0.0.1:5900: Ethernet, little-endian, a packet each 10 µs.
    pub fn pcap(&self) -> Vec<u8> {
        let mut out = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
        out.extend([2u16, 4].map(u16::to_le_bytes).concat());
        out.extend([0u32, 0, 262_144, 1].map(u32::to_le_bytes).concat());
        for (index, segment) in self.segments.iter().enumerate() {
            let packet = segment.packet();
            let at = word(index) * 10;
            let len = word(packet.len());
            out.extend([1_700_000_000 + at / 1_000_000, at % 1_000_000, len, len].map(u32::to_le_bytes).concat());
            out.extend(packet);
        }
        out
    }
}

impl Segment {
    /// The segment in an Ethernet frame; checksums are zero, as on a sending machine.
    pub fn packet(&self) -> Vec<u8> {
        let (client, server) = (([10, 0, 0, 2], 40_000u16), ([10, 0, 0, 1], 5900u16));
        let (source, target) = if self.from == Side::Client { (client, server) } else { (server, client) };
        let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
        let total = u16::try_from(40 + self.payload.len()).unwrap_or(u16::MAX);
        out.extend([0x45, 0]);
        out.extend(total.to_be_bytes());
        out.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        out.extend(source.0);
        out.extend(target.0);
        out.extend(source.1.to_be_bytes());
        out.extend(target.1.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.extend(self.ack.to_be_bytes());
        out.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        out.extend(&self.payload);
        out
    }
}

impl<'a> Arbitrary<'a> for Segments {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let disturbed = rarely(u, 2)?;
        let story = Conversation::arbitrary(u)?;
        let streams = [story.stream(Side::Client), story.stream(Side::Server)];
        let delivery = Delivery::of(u, [streams[0].len(), streams[1].len()])?;
        let mut segments = Self::plain(u, streams, &delivery)?;
        if disturbed {
            segments.disturb(u)?;
        }
        Ok(segments)
    }
}
