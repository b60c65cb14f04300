//! Captures and TCP: any file is read without harm, and a byte that is passed on is the byte that was sent in its place.

use std::{collections::HashMap, ops::Range};

use spice_capture::{
    Capture, Config, Output,
    packet::{Endpoint, Flags, Segment},
    tcp::{Connection, Handler, Interest, MAX_BYTES_TOTAL, Reassembler, Side},
};
use spice_events::{EventKind, FlowId, Timestamp};

/// A port that the second reading of [`capture_file`] takes for SPICE, and one for TLS: those of QEMU's documentation.
const PORTS: [u16; 2] = [5930, 5931];

/// Any bytes as a capture file: read whole and in pieces, with connections recognised and with ports named.
///
/// Any cut of the file gives the same output; the events of a connection come in order, each at most once.
pub fn capture_file(data: &[u8]) {
    let piece = 1 + usize::from(data.last().copied().unwrap_or_default());
    for config in [Config::new(), Config::new().port(PORTS[0]).tls_port(PORTS[1])] {
        let whole = said(config.clone(), data, data.len().max(1));
        assert_eq!(whole, said(config, data, piece), "in pieces of {piece} bytes");
    }
}

/// The output for a capture that comes in such pieces, with the error.
fn said(config: Config, data: &[u8], piece: usize) -> Vec<String> {
    let mut capture = Capture::new(config);
    let (mut lines, mut states) = (Vec::new(), HashMap::new());
    let mut drain = |capture: &mut Capture, lines: &mut Vec<String>| {
        while let Some(output) = capture.poll() {
            lines.push(line(output, &mut states));
        }
    };
    let mut result = Ok(());
    for piece in data.chunks(piece) {
        result = capture.push(piece);
        drain(&mut capture, &mut lines);
        if result.is_err() {
            break;
        }
    }
    let finished = capture.finish();
    drain(&mut capture, &mut lines);
    lines.extend(result.and(finished).err().map(|error| error.to_string()));
    lines
}

/// How far a connection is in the events that were told of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Connected,
    Initialized,
    Disconnected,
}

fn line(output: Output, states: &mut HashMap<FlowId, Told>) -> String {
    match output {
        Output::Event(event) => {
            let now = match event.kind {
                EventKind::Connected => Told::Connected,
                EventKind::Initialized(_) => Told::Initialized,
                EventKind::Disconnected => Told::Disconnected,
            };
            let before = states.insert(event.flow, now);
            assert!(before.is_none() == (now == Told::Connected), "CONNECTED comes first, and once");
            assert!(before.is_none_or(|before| before < now), "each event at most once, in order");
            event.to_string()
        }
        other => other.to_string(),
    }
}

/// No segment of [`tcp_reassembly`] begins more than this behind the first byte.
const PLACES: u32 = 0x7ff;
/// Initial sequence numbers of client and server: one wraps soon.
const ISN: [u32; 2] = [u32::MAX - 500, 1_000_000];

/// Bytes as choices: segments of one connection, each true to what its side sends at that place, in any order, as often as
/// they like, or never.
///
/// A byte that is passed on is the one that was sent there. Bytes that are reported lost, or after the end of a direction, were never handed in;
/// what is kept is bounded, and nothing is kept at the end.
/// Six bytes make a segment: side and flags, place (2), acknowledgement (2), length and what of it was captured. A SYN always
/// comes with its ACK: so where a connection's start was seen, the place of each byte is known.
pub fn tcp_reassembly(choices: &[u8]) {
    replay(choices);
}

/// A name for what these choices of [`tcp_reassembly`] come to; for seeds.
pub fn outcome(choices: &[u8]) -> Option<String> {
    let reader = replay(choices);
    let start = if reader.from_start { "start" } else { "midway" };
    let told: Vec<_> =
        [("bytes", reader.bytes), ("gap", reader.gap), ("closed", reader.closed), ("again", reader.again)]
            .iter()
            .filter_map(|(name, seen)| seen.then_some(*name))
            .collect();
    (!told.is_empty()).then(|| format!("{start}-{}", told.join("-")))
}

fn replay(choices: &[u8]) -> Reader {
    let ends = [end(50_000), end(PORTS[0])];
    let mut tcp = Reassembler::new(4);
    let mut reader = Reader::default();
    let mut now = 0;
    let mut sent = [[0; 256]; 2];
    for choice in choices.chunks_exact(6) {
        let &[kind, place_low, place_high, ack_low, ack_high, length] = choice else { break };
        let side = usize::from(kind >> 7);
        let is_syn = Flags::from_bits(kind).has(Flags::SYN);
        let flags = Flags::from_bits(if is_syn { kind | 0x10 } else { kind });
        let place = if is_syn { 0 } else { 1 + (u32::from(u16::from_le_bytes([place_low, place_high])) & PLACES) };
        let ack = if is_syn { 1 } else { 1 + (u32::from(u16::from_le_bytes([ack_low, ack_high])) & PLACES) };
        let seq = ISN[side].wrapping_add(place);
        let payload = &mut sent[side][..usize::from(if is_syn { 0 } else { length & 0x7f })];
        for (byte, seq) in payload.iter_mut().zip(0..) {
            *byte = byte_at(ISN[side].wrapping_add(place).wrapping_add(seq));
        }
        // Up to 700 ms pass before each packet; so patience ends now and then.
        now += i64::from(kind & 0x60) * 7292;
        let captured = if length & 0x80 == 0 { payload.len() } else { payload.len() / 2 };
        if flags.has_any(Flags::RST.and(Flags::SYN)) && reader.open.is_none() {
            reader.handed.iter_mut().for_each(Handed::doubt);
        }
        let from = place as usize;
        reader.handed[side].lacks(from + captured..from + payload.len());
        tcp.segment(
            &Segment {
                at: Timestamp { seconds: now / 1_000_000, microseconds: now % 1_000_000 },
                from: ends[side],
                to: ends[1 - side],
                seq,
                ack: ISN[1 - side].wrapping_add(ack),
                flags,
                payload: &payload[..captured],
                missing: u32::try_from(payload.len() - captured).unwrap_or_default(),
            },
            &mut reader,
        );
        // What others have waited for too long is given up before a segment is looked at.
        reader.handed[side].has_come(from..from + captured, flags);
        assert!(tcp.kept() <= MAX_BYTES_TOTAL && tcp.flows() <= 1);
    }
    tcp.finish(&mut reader);
    reader.nothing_is_kept_back();
    reader
}

fn end(port: u16) -> Endpoint {
    std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()
}

/// What is sent with a sequence number.
fn byte_at(seq: u32) -> u8 {
    seq.wrapping_mul(0x9e37_79b1).to_be_bytes()[0]
}

/// What was handed in of one end.
#[derive(Default)]
struct Handed {
    /// By place: nothing, or whether every segment with this byte has it. What one lacks is told as lost with it, whatever another has.
    places: Vec<Option<bool>>,
    /// A FIN or an RST was: what is behind it need not be passed on.
    is_cut_off: bool,
}

impl Handed {
    /// A segment that is to come lacks what lies in these places.
    fn lacks(&mut self, places: Range<usize>) {
        self.at(places).fill(Some(false));
    }

    /// A segment has come with what lies in these places. Without an ACK, or with an RST, it has nothing that a receiver has to take.
    fn has_come(&mut self, places: Range<usize>, flags: Flags) {
        self.is_cut_off |= flags.has_any(Flags::FIN.and(Flags::RST));
        if flags.has(Flags::ACK) && !flags.has(Flags::RST) {
            for slot in self.at(places) {
                slot.get_or_insert(true);
            }
        }
    }

    /// What has come may be another connection's.
    fn doubt(&mut self) {
        self.places.iter_mut().filter(|slot| **slot == Some(true)).for_each(|slot| *slot = None);
    }

    fn at(&mut self, places: Range<usize>) -> &mut [Option<bool>] {
        self.places.resize(self.places.len().max(places.end), None);
        &mut self.places[places]
    }

    fn has(&self, place: u32) -> bool {
        !self.is_cut_off && self.places.get(place as usize) == Some(&Some(true))
    }
}

/// Compares what it is told with what was sent.
#[allow(clippy::struct_excessive_bools, reason = "what was seen, each on its own, for a name")]
#[derive(Default)]
struct Reader {
    /// Opened and not closed: the next sequence number of client and server, where it is known.
    #[allow(clippy::option_option, reason = "open, and known: two questions")]
    open: Option<Option<[u32; 2]>>,
    last: Option<Timestamp>,
    /// What was handed in of each end, whichever is the client, which the second is where this says so.
    handed: [Handed; 2],
    swapped: bool,
    from_start: bool,
    bytes: bool,
    gap: bool,
    closed: bool,
    /// A second connection of the same ends.
    again: bool,
}

impl Reader {
    /// Whether the byte with this sequence number was handed in. Of a second connection of the same ends that is not known.
    fn has(&self, from: Side, seq: u32) -> bool {
        let end = usize::from((from == Side::Server) != self.swapped);
        !self.again && self.handed[end].has(seq.wrapping_sub(ISN[end]))
    }

    /// Where a direction stops, nothing was handed in that lies behind it.
    fn nothing_is_kept_back(&self) {
        for (from, next) in [Side::Client, Side::Server].into_iter().zip(self.open.flatten().into_iter().flatten()) {
            let kept = (0..=PLACES).map(|ahead| next.wrapping_add(ahead)).find(|seq| self.has(from, *seq));
            assert_eq!(kept, None, "{from}: a byte was there and is not passed on, from {next} on");
        }
    }

    fn at(&mut self, at: Timestamp) {
        assert!(self.last.is_none_or(|last| last <= at), "time goes backwards within a connection");
        self.last = Some(at);
    }

    fn advance(&mut self, from: Side, len: u32) -> Option<u32> {
        let next = self.open.as_mut().expect("the connection is open").as_mut()?;
        let next = &mut next[usize::from(from == Side::Server)];
        let seq = *next;
        *next = next.wrapping_add(len);
        Some(seq)
    }
}

impl Handler for Reader {
    type State = ();

    fn opened(&mut self, (): &mut (), connection: &Connection) -> Interest {
        assert!(self.open.is_none(), "opened twice");
        let next = if connection.endpoints.client == end(50_000) { [ISN[0], ISN[1]] } else { [ISN[1], ISN[0]] };
        self.open = Some(connection.from_start.then(|| next.map(|isn| isn.wrapping_add(1))));
        self.last = Some(connection.at);
        self.swapped = connection.endpoints.client != end(50_000);
        self.from_start |= connection.from_start;
        self.again |= self.closed;
        Interest::Bytes
    }

    fn bytes(&mut self, (): &mut (), at: Timestamp, from: Side, data: &[u8]) -> Interest {
        self.at(at);
        self.bytes = true;
        let len = u32::try_from(data.len()).expect("a segment is short");
        if let Some(seq) = self.advance(from, len) {
            for (&byte, i) in data.iter().zip(0..) {
                assert_eq!(byte, byte_at(seq.wrapping_add(i)), "the byte at {}", seq.wrapping_add(i));
            }
        }
        Interest::Bytes
    }

    fn gap(&mut self, (): &mut (), at: Timestamp, from: Side, len: u64) -> Interest {
        self.at(at);
        self.gap = true;
        let len = u32::try_from(len).expect("a gap is within the window");
        if let Some(seq) = self.advance(from, len) {
            for seq in (0..len).map(|i| seq.wrapping_add(i)) {
                assert!(!self.has(from, seq), "{from}: the byte at {seq} was there, and is reported lost");
            }
        }
        Interest::Bytes
    }

    fn closed(&mut self, (): &mut (), at: Timestamp, _: Option<Side>) {
        self.at(at);
        self.nothing_is_kept_back();
        self.closed = true;
        assert!(self.open.take().is_some(), "closed without being open");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reassembled_bytes_are_those_that_were_sent(choices in prop::collection::vec(any::<u8>(), 0..1200)) {
            tcp_reassembly(&choices);
        }

        /// With a handshake in front, so that the place of each byte is known.
        #[test]
        fn reassembled_bytes_after_a_handshake_are_those_that_were_sent(choices in prop::collection::vec(any::<u8>(), 0..1200)) {
            let handshake = [[0x92, 0, 0, 0, 0, 0], [0x10, 0, 0, 0, 0, 0]].concat();
            tcp_reassembly(&[handshake, choices].concat());
        }

        #[test]
        fn any_bytes_behind_a_file_header_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600), kind in 0..3) {
            let start: &[u8] = match kind {
                0 => b"",
                1 => b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0",
                _ => b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0",
            };
            capture_file(&[start, &bytes].concat());
        }
    }

    #[cfg(feature = "captures")]
    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// A real capture with a few bytes changed.
        #[test]
        fn damaged_captures_do_no_harm(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30),
        ) {
            let all = crate::captures::all().unwrap();
            let mut bytes = which.get(&all).bytes().unwrap();
            bytes.truncate(40_000);
            for (at, byte) in changes {
                *at.get_mut(&mut bytes) = byte;
            }
            capture_file(&bytes);
        }
    }
}
