//! Cuts, doubles and reorders a capture's packets and writes them again, as another network could have delivered the same
//! conversation. A reader of captures must report the same events for both.
//!
//! It shares no code with spice-capture, which it tests, and reads the files under `captures/` only.

use std::{collections::HashMap, io};

mod encapsulate;
mod file;
mod rng;

pub use encapsulate::{ENCAPSULATIONS, Encapsulation, UNKNOWN};
pub use rng::Rng;

/// The packets of a capture that carry TCP, in order; all others are dropped.
#[derive(Clone, Debug)]
pub struct Packets {
    header: [u8; 24],
    packets: Vec<Packet>,
}

/// What a TCP segment says.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// The sender's address and port, in network byte order.
    pub from: Vec<u8>,
    /// The receiver's.
    pub to: Vec<u8>,
    /// A SYN without ACK.
    pub opens: bool,
    /// FIN or RST.
    pub ends: bool,
    /// The payload, as far as the file holds it.
    pub payload: &'a [u8],
}

/// One TCP segment with all its headers.
#[derive(Clone, Debug)]
struct Packet {
    /// Seconds and fraction, in the file's form.
    time: [u8; 8],
    bytes: Vec<u8>,
    /// Where the IP header starts.
    ip: usize,
    /// Where the TCP header starts.
    tcp: usize,
    /// Where the payload starts.
    data: usize,
    /// Payload bytes that were on the wire; the file may hold fewer.
    payload: usize,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const PUSH: u8 = 8;

impl Packets {
    /// Reads a little-endian pcap or pcapng file with one interface: Ethernet or Linux cooked headers.
    pub fn parse(file: &[u8]) -> io::Result<Self> {
        let (header, records) = file::records(file)?;
        let link_header = match u32::from_le_bytes([header[20], header[21], header[22], header[23]]) {
            1 => 14,
            113 => 16,
            276 => 20,
            other => return Err(invalid(&format!("link type {other} is not one of ours"))),
        };
        let packets = records.into_iter().filter_map(|(time, bytes)| Packet::parse(time, bytes, link_header)).collect();
        Ok(Self { header, packets })
    }

    /// The packets as a pcap file.
    pub fn to_pcap(&self) -> Vec<u8> {
        let mut out = self.header.to_vec();
        for packet in &self.packets {
            let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
            let original = u32::try_from(packet.data + packet.payload).unwrap_or(u32::MAX);
            out.extend(packet.time);
            out.extend(captured.to_le_bytes());
            out.extend(original.to_le_bytes());
            out.extend(&packet.bytes);
        }
        out
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The segments, in the order of the file.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.packets.iter().map(|packet| {
            let (mut from, flags) = (packet.direction(), packet.flags());
            let ports = from.split_off(from.len() - 4);
            let (addresses, to) = (from.split_off(from.len() / 2), &ports[2..]);
            let [from, to] = [[&from, &ports[..2]].concat(), [&addresses, to].concat()];
            let payload = &packet.bytes[packet.data..];
            Segment { from, to, opens: flags & (SYN | ACK) == SYN, ends: flags & (FIN | RST) != 0, payload }
        })
    }

    /// How many payload bytes the file holds.
    pub fn payload(&self) -> usize {
        self.packets.iter().map(|packet| packet.bytes.len() - packet.data).sum()
    }

    /// Cuts payload after each direction's first `keep` bytes. The packets keep their headers and original lengths, so
    /// that a reader sees how much is missing, as with a snap length.
    pub fn trim(&mut self, keep: usize) {
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        for packet in &mut self.packets {
            let before = seen.entry(packet.direction()).or_default();
            packet.bytes.truncate(packet.data + packet.payload.min(keep.saturating_sub(*before)));
            *before += packet.payload;
        }
    }

    /// Cuts every segment into segments of at most `size` bytes.
    pub fn cut(&mut self, size: usize) {
        let size = size.max(1);
        self.packets = self.packets.iter().flat_map(|packet| packet.cut(size)).collect();
    }

    /// Sends some segments again, right away or a few packets later: `chance` in 256 of those with payload.
    pub fn duplicate(&mut self, chance: u8, rng: &mut Rng) {
        let mut out = Vec::with_capacity(self.packets.len() * 2);
        let mut again: Vec<(usize, Packet)> = Vec::new();
        for (n, packet) in self.packets.drain(..).enumerate() {
            // A second copy after the end of its connection would belong to no connection.
            let ends = packet.flags() & (FIN | RST | SYN) != 0;
            let due = |(at, copy): &mut (usize, Packet)| *at <= n || ends && copy.connection() == packet.connection();
            out.extend(again.extract_if(.., due).map(|(_, copy)| Packet { time: packet.time, ..copy }));
            if packet.payload > 0 && !ends && rng.below(256) < usize::from(chance) {
                again.push((n + 1 + rng.below(4), packet.clone()));
            }
            out.push(packet);
        }
        out.extend(again.into_iter().map(|(_, copy)| copy));
        self.packets = out;
    }

    /// Lets packets of one connection overtake each other, by at most `reach` places. Those that open or end it, or
    /// acknowledge the opening, stay where they are.
    pub fn reorder(&mut self, reach: usize, rng: &mut Rng) {
        let times = self.times();
        for n in 1..self.packets.len() {
            let back = n.saturating_sub(rng.below(reach + 1));
            let blocks = |other: &Packet| {
                let (this, other_flags) = (self.packets[n].flags(), other.flags());
                other.connection() == self.packets[n].connection() && (this | other_flags) & (FIN | RST | SYN) != 0
            };
            let free = (back..n).rev().take_while(|&at| !blocks(&self.packets[at])).last();
            if let Some(at) = free.filter(|_| self.packets[n].payload > 0) {
                self.packets[at..=n].rotate_right(1);
            }
        }
        self.set_times(&times);
    }

    /// Delivers the two directions of each connection in another interleaving: packets swap places with those before
    /// them that go the other way. Each direction keeps its order.
    ///
    /// Only the first `ahead` payload bytes of each direction move, so that neither gets further ahead than that.
    pub fn interleave(&mut self, ahead: usize, rng: &mut Rng) {
        let times = self.times();
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        for n in 0..self.packets.len() {
            let this = &self.packets[n];
            let before = seen.entry(this.direction()).or_default();
            *before += this.payload;
            if *before > ahead || this.payload == 0 || this.flags() & (FIN | RST | SYN) != 0 || rng.below(2) == 0 {
                continue;
            }
            let passes = |other: &Packet| {
                let stays = other.direction() == this.direction() || other.flags() & (FIN | RST | SYN) != 0;
                other.connection() != this.connection() || !stays
            };
            let farthest = self.packets[n.saturating_sub(64)..n].iter().rev().take_while(|other| passes(other)).count();
            let at = n - rng.below(farthest + 1);
            self.packets[at..=n].rotate_right(1);
        }
        self.set_times(&times);
    }

    fn times(&self) -> Vec<[u8; 8]> {
        self.packets.iter().map(|packet| packet.time).collect()
    }

    /// Packets that change places do not take their times with them: a capture stamps packets in the order in which they arrive.
    fn set_times(&mut self, times: &[[u8; 8]]) {
        for (packet, time) in self.packets.iter_mut().zip(times) {
            packet.time = *time;
        }
    }
}

impl Packet {
    fn parse(time: [u8; 8], bytes: Vec<u8>, ip: usize) -> Option<Self> {
        let head = bytes.get(ip..)?;
        let (header, total, protocol) = match head.first()? >> 4 {
            4 => (usize::from(head[0] & 15) * 4, usize::from(be16(head, 2)?), *head.get(9)?),
            6 => (40, 40 + usize::from(be16(head, 4)?), *head.get(6)?),
            _ => return None,
        };
        if protocol != 6 {
            return None;
        }
        let tcp = ip + header;
        let data = tcp + usize::from(bytes.get(tcp + 12)? >> 4) * 4;
        let payload = (ip + total).checked_sub(data)?;
        let mut packet = Self { time, bytes, ip, tcp, data, payload };
        packet.bytes.truncate(data + payload);
        (packet.bytes.len() >= data).then_some(packet)
    }

    fn flags(&self) -> u8 {
        self.bytes[self.tcp + 13]
    }

    /// Addresses and ports, the sender's first.
    fn direction(&self) -> Vec<u8> {
        let addresses = if self.bytes[self.ip] >> 4 == 4 { 12..20 } else { 8..40 };
        let addresses = self.ip + addresses.start..self.ip + addresses.end;
        [&self.bytes[addresses], &self.bytes[self.tcp..self.tcp + 4]].concat()
    }

    /// The same for both directions.
    fn connection(&self) -> [Vec<u8>; 2] {
        let direction = self.direction();
        let (addresses, ports) = direction.split_at(direction.len() - 4);
        let (from, to) = addresses.split_at(addresses.len() / 2);
        let mut ends = [[from, &ports[..2]].concat(), [to, &ports[2..]].concat()];
        ends.sort_unstable();
        ends
    }

    fn cut(&self, size: usize) -> Vec<Self> {
        let held = self.bytes.len() - self.data;
        if self.payload <= size || held == 0 {
            return vec![self.clone()];
        }
        // Payload that the file does not hold stays in one piece, after the pieces that it holds.
        let mut pieces: Vec<_> =
            (0..held).step_by(size).map(|at| (at, size.min(held - at), size.min(held - at))).collect();
        if held < self.payload {
            pieces.push((held, 0, self.payload - held));
        }
        let last = pieces.len() - 1;
        pieces
            .into_iter()
            .enumerate()
            .map(|(n, (at, held, payload))| self.piece(at, held, payload, n == last))
            .collect()
    }

    fn piece(&self, at: usize, held: usize, payload: usize, last: bool) -> Self {
        let from = self.data + at;
        let mut bytes = self.bytes[..self.data].to_vec();
        bytes.extend_from_slice(&self.bytes[from..from + held]);
        let mut piece = Self { bytes, payload, ..self.clone() };
        let sequence = be32(&piece.bytes, piece.tcp + 4).wrapping_add(u32::try_from(at).unwrap_or(0));
        piece.bytes[piece.tcp + 4..piece.tcp + 8].copy_from_slice(&sequence.to_be_bytes());
        if !last {
            piece.bytes[piece.tcp + 13] &= !(FIN | PUSH);
        }
        let v4 = piece.bytes[piece.ip] >> 4 == 4;
        let length = piece.data + payload - if v4 { piece.ip } else { piece.ip + 40 };
        let at = piece.ip + if v4 { 2 } else { 4 };
        piece.bytes[at..at + 2].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        piece
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_be_bytes)
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("capture: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Each direction's payload in the order of sequence numbers, without gaps and duplicates.
    fn streams(packets: &Packets) -> BTreeMap<Vec<u8>, BTreeMap<u32, u8>> {
        let mut streams = BTreeMap::<_, BTreeMap<_, _>>::new();
        for packet in &packets.packets {
            let stream = streams.entry(packet.direction()).or_default();
            let first = be32(&packet.bytes, packet.tcp + 4);
            for (n, byte) in (0..).zip(&packet.bytes[packet.data..]) {
                assert!(stream.insert(first.wrapping_add(n), *byte).is_none_or(|before| before == *byte));
            }
        }
        streams
    }

    fn check(damage: impl Fn(&mut Packets, &mut Rng)) {
        for capture in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/captures")).unwrap() {
            let path = capture.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "pcap" && extension != "pcapng") {
                continue;
            }
            let before = Packets::parse(&std::fs::read(&path).unwrap()).unwrap();
            let mut after = before.clone();
            damage(&mut after, &mut Rng::new(7));
            let after = Packets::parse(&after.to_pcap()).unwrap();
            assert_eq!(streams(&before), streams(&after), "{}", path.display());
            let order =
                |packets: &Packets| packets.packets.iter().map(|packet| packet.bytes.clone()).collect::<Vec<_>>();
            assert_ne!(order(&before), order(&after), "{}: nothing was done", path.display());
        }
    }

    #[test]
    fn damage_keeps_every_payload_byte() {
        check(|packets, _| packets.cut(5));
        check(|packets, rng| packets.duplicate(128, rng));
        check(|packets, rng| packets.reorder(3, rng));
        check(|packets, rng| packets.interleave(4096, rng));
    }
}
