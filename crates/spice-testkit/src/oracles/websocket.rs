//! WebSocket: the deframer against a slow reading of RFC 6455, and heads.

use arbitrary::Unstructured;
use spice_link::{
    Parsed,
    websocket::{Deframer, FrameHeader, head_end},
};

use crate::generate::{Arbitrary, Frames};

/// Choices of frames: their stream comes out, in any cut.
pub fn frames(choices: &[u8]) {
    let mut u = Unstructured::new(choices);
    let Ok(frames) = Frames::arbitrary(&mut u) else { return };
    let wire = frames.bytes();
    for size in [1, 2, 7, usize::MAX] {
        assert_eq!(deframe(&wire, size), frames.stream(), "in cuts of {size}");
    }
}

/// Bytes of the wire, behind the head: any cut gives the same stream, which is what the slow reading gives.
pub fn websocket(input: &[u8]) {
    let expected = slowly(input);
    for size in [1, 3, 16, usize::MAX] {
        assert_eq!(deframe(input, size), expected, "in cuts of {size}");
    }
    let end = head_end(input, 0);
    assert_eq!(end, input.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4));
    for seen in [1, input.len() / 2, input.len()] {
        if end.is_none_or(|end| end > seen) {
            assert_eq!(head_end(input, seen), end, "after {seen} bytes");
        }
    }
}

fn deframe(wire: &[u8], size: usize) -> Vec<u8> {
    let (mut deframer, mut out) = (Deframer::new(), Vec::new());
    for chunk in wire.chunks(size.min(wire.len().max(1))) {
        deframer.read(chunk, |run| {
            assert!(run.len() <= chunk.len());
            out.extend(run);
        });
    }
    out
}

/// Frame by frame, with the whole input at hand.
fn slowly(mut input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Parsed::Complete(header, start) = FrameHeader::parse(input) {
        let mask = header.mask.unwrap_or_default();
        let len = usize::try_from(header.len).unwrap_or(usize::MAX).min(input.len() - start);
        let payload = &input[start..start + len];
        if header.opcode.is_data() {
            out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
        input = &input[start + len..];
    }
    out
}
