//! Packets in tunnels: what is read of one does not depend on how much of it was captured, and the two readers agree.

use spice_capture::{
    decapsulate::{Decapsulator, Verdict},
    file::Packet,
    link::LinkType,
    packet::{Endpoint, Flags, Segment},
    spice_events::Timestamp,
};

/// The link type (2 bytes), then packets: a length (2 bytes) and as many bytes, big-endian.
///
/// Where [`Segment::parse`] finds a segment, [`Decapsulator`] finds the same one. A packet that was cut has the same segments, or none. Nothing waits at
/// the end.
pub fn decapsulate(data: &[u8]) {
    let Some((link, mut rest)) = data.split_first_chunk() else { return };
    let link = LinkType(u16::from_be_bytes(*link).into());
    let mut decapsulator = Decapsulator::new();
    let mut seconds = 0;
    while let Some((&length, behind)) = rest.split_first_chunk() {
        let (bytes, behind) = behind.split_at(usize::from(u16::from_be_bytes(length)).min(behind.len()));
        rest = behind;
        // Fragments wait for half a second.
        seconds += i64::from(bytes.len() % 7 == 0);
        let at = Timestamp { seconds, microseconds: 0 };
        check_packet(at, link, bytes);
        segments(&mut decapsulator, &packet(at, link, bytes, bytes.len()));
    }
    decapsulator.finish(Timestamp { seconds, microseconds: 0 }, &mut |segment| {
        assert!(segment.payload.len() <= MAX_LENGTH);
    });
    assert!(!decapsulator.is_waiting(), "fragments wait behind the end");
}

/// The longest IP packet.
const MAX_LENGTH: usize = 65_535;

/// A packet by itself: whole, and cut at some places.
fn check_packet(at: Timestamp, link: LinkType, bytes: &[u8]) {
    let (whole, verdict) = segments(&mut Decapsulator::new(), &packet(at, link, bytes, bytes.len()));
    if let Ok(parsed) = Segment::parse(at, link, bytes, u32::try_from(bytes.len()).unwrap_or(u32::MAX)) {
        assert_eq!(whole, [Seen::from(&parsed)], "the two readers differ");
    }
    for at_byte in [bytes.len() / 2, bytes.len().saturating_sub(1), bytes.len().min(96), bytes.len().min(54)] {
        let (cut, _) = segments(&mut Decapsulator::new(), &packet(at, link, &bytes[..at_byte], bytes.len()));
        // What waits for another fragment shows nothing.
        if verdict == Verdict::Waits {
            continue;
        }
        for (cut, whole) in cut.iter().zip(&whole) {
            assert!(cut.is_start_of(whole), "cut at {at_byte}: {cut:?}, not {whole:?}");
        }
        assert!(cut.len() <= whole.len(), "cut at {at_byte}: more segments than in the whole packet");
    }
}

fn packet(at: Timestamp, link: LinkType, data: &[u8], wire_len: usize) -> Packet<'_> {
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Packet { at, interface: 0, link, data, captured: length(data.len()), wire_len: length(wire_len) }
}

/// A segment that was handed out.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    ends: [Endpoint; 2],
    numbers: [u32; 2],
    flags: Flags,
    payload: Vec<u8>,
    missing: u32,
}

impl From<&Segment<'_>> for Seen {
    fn from(segment: &Segment<'_>) -> Self {
        let Segment { from, to, seq, ack, flags, payload, missing, .. } = *segment;
        Self { ends: [from, to], numbers: [seq, ack], flags, payload: payload.to_vec(), missing }
    }
}

impl Seen {
    fn length(&self) -> usize {
        self.payload.len() + self.missing as usize
    }

    fn is_start_of(&self, whole: &Self) -> bool {
        (self.ends, self.numbers, self.flags, self.length()) == (whole.ends, whole.numbers, whole.flags, whole.length())
            && whole.payload.starts_with(&self.payload)
    }
}

fn segments(decapsulator: &mut Decapsulator, packet: &Packet<'_>) -> (Vec<Seen>, Verdict) {
    let mut seen = Vec::new();
    let verdict = decapsulator.segments(packet, &mut |segment| {
        assert!(segment.payload.len() + segment.missing as usize <= MAX_LENGTH);
        seen.push(Seen::from(segment));
    });
    (seen, verdict)
}
