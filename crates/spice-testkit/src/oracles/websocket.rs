//! WebSocket: the deframer against a slow reading of RFC 6455, and heads.

use arbitrary::Unstructured;
use spice_link::websocket::{Deframer, head_end};

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

/// Frame by frame, with the whole input at hand, and RFC 6455's section 5.2 read once more.
fn slowly(mut input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((opcode, mask, len, start)) = slow_header(input) {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(input.len() - start);
        let payload = &input[start..start + len];
        if matches!(opcode, 0..=2) {
            out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        }
        input = &input[start + len..];
    }
    out
}

/// Opcode, mask (zeros for none), payload's length, and where it starts.
fn slow_header(input: &[u8]) -> Option<(u8, [u8; 4], u64, usize)> {
    let (first, second) = (*input.first()?, *input.get(1)?);
    let long = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let written = input.get(2..2 + long)?.iter().fold(0, |sum, byte| sum * 256 + u64::from(*byte));
    let len = if long == 0 { u64::from(second & 0x7f) } else { written };
    let masked = if second & 0x80 == 0 { 0 } else { 4 };
    let mut mask = [0; 4];
    mask[..masked].copy_from_slice(input.get(2 + long..2 + long + masked)?);
    Some((first & 0xf, mask, len, 2 + long + masked))
}
