//! SPICE inside WebSocket (RFC 6455). spice-server has offered it since 0.14.3, on the same ports as plain SPICE: such a
//! connection starts with `GET ` and not with the magic.
//!
//! An observer finds here where the two heads end ([`head_end`]) and the bytes inside the frames ([`Deframer`]). A client finds
//! [`UpgradeRequest`], [`FrameHeader::encode`] and [`mask`]; a server finds [`Upgrade`](crate::Upgrade) too.
//! Source: spice-server, `websocket.c` and `red-stream.cpp`, `red_stream_is_websocket`.

use crate::open_code::open_code;

pub use crate::upgrade::{
    MAX_HEAD, REQUEST_MAGIC, RESPONSE_MAGIC, UpgradeRequest, UpgradeResponse, head_end, is_switching,
};

open_code! {
    /// The kind of a frame (RFC 6455, 5.2).
    Opcode(u8) {
        /// Continues the message of the frame before it.
        CONTINUATION = 0, "continuation";
        /// Text. spice-server accepts it as data.
        TEXT = 1, "text";
        /// Data.
        BINARY = 2, "binary";
        /// The end of the connection.
        CLOSE = 8, "close";
        /// A ping. It may come between the fragments of a message.
        PING = 9, "ping";
        /// The answer to a ping.
        PONG = 10, "pong";
    }
}

impl Opcode {
    /// Whether the frame's payload is part of the SPICE stream.
    pub const fn is_data(self) -> bool {
        self.0 <= 2
    }
}

/// A frame's header: 2 bytes, then 0, 2 or 8 bytes of length (big-endian), then 4 bytes of mask if the frame has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// The kind of the frame.
    pub opcode: Opcode,
    /// The mask: payload byte `i` is combined with mask byte `i % 4` by exclusive or.
    pub mask: Option<[u8; 4]>,
    /// The number of bytes that follow the header.
    pub len: u64,
}

impl FrameHeader {
    /// The longest header in bytes.
    pub const MAX_LEN: usize = 2 // flags, opcode, mask bit, short length
        + 8 // length
        + 4; // mask

    /// Reads a header from the start of `input`.
    pub fn parse(input: &[u8]) -> crate::Parsed<Self> {
        use crate::Parsed::{Complete, Need};
        let [first, second, rest @ ..] = input else { return Need(2) };
        let masked = second & 0x80 != 0;
        let (len, len_bytes) = match second & 0x7f {
            126 => (rest.first_chunk().map(|b| u64::from(u16::from_be_bytes(*b))), 2),
            127 => (rest.first_chunk().map(|b| u64::from_be_bytes(*b)), 8),
            short => (Some(u64::from(short)), 0),
        };
        let total = 2 + len_bytes + if masked { 4 } else { 0 };
        let (Some(len), Some(tail)) = (len, input.get(2 + len_bytes..total)) else { return Need(total) };
        Complete(
            Self { fin: first & 0x80 != 0, opcode: Opcode(first & 0x0f), mask: tail.first_chunk().copied(), len },
            total,
        )
    }

    /// Writes the header with the shortest form of its length, and returns the bytes that it takes. The payload goes behind
    /// them, after [`mask`] where there is a mask.
    pub fn encode<'a>(&self, out: &'a mut [u8; Self::MAX_LEN]) -> &'a [u8] {
        out[0] = u8::from(self.fin) << 7 | self.opcode.0 & 0x0f;
        let len = self.len.to_be_bytes();
        let (short, len_bytes): (u64, &[u8]) = match self.len {
            short @ 0..=125 => (short, &[]),
            126..=0xffff => (126, &len[6..]),
            _ => (127, &len),
        };
        out[1] = short.to_le_bytes()[0] | if self.mask.is_some() { 0x80 } else { 0 };
        out[2..2 + len_bytes.len()].copy_from_slice(len_bytes);
        let mut end = 2 + len_bytes.len();
        if let Some(mask) = self.mask {
            out[end..end + 4].copy_from_slice(&mask);
            end += 4;
        }
        &out[..end]
    }
}

/// Applies a frame's mask to its whole payload, in place. RFC 6455 has clients mask what they send; to mask twice undoes it.
pub fn mask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Takes the frames off one direction's bytes, which may come in chunks of any size. Keeps at most the bytes of one header.
///
/// ```
/// use spice_link::websocket::Deframer;
/// let mut deframer = Deframer::new();
/// let mut stream = Vec::new();
/// // A masked frame "RE", a ping, and an unmasked frame "DQ", byte by byte.
/// for byte in b"\x02\x82\x01\x02\x03\x04SG\x89\x00\x80\x02DQ" {
///     deframer.read(&[*byte], |payload| stream.extend(payload));
/// }
/// assert_eq!(stream, b"REDQ");
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Deframer {
    header: [u8; FrameHeader::MAX_LEN],
    header_len: u8,
    /// The number of bytes that are left of the frame, and whether they are data.
    left: u64,
    data: bool,
    mask: [u8; 4],
    /// How many bytes of the frame have come, modulo 4: the index of the next mask byte.
    phase: usize,
}

impl Deframer {
    /// Starts after the empty line of the head.
    pub const fn new() -> Self {
        Self { header: [0; FrameHeader::MAX_LEN], header_len: 0, left: 0, data: false, mask: [0; 4], phase: 0 }
    }

    /// Reads all of `input` and passes each run of payload to `sink`, unmasked and in order.
    pub fn read<'a>(&mut self, mut input: &'a [u8], mut sink: impl FnMut(Payload<'a>)) {
        while !input.is_empty() {
            if self.left == 0 {
                input = self.read_header(input);
                continue;
            }
            let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
            let (payload, rest) = input.split_at(here);
            if self.data {
                let mut mask = self.mask;
                mask.rotate_left(self.phase % 4);
                sink(Payload { bytes: payload, mask, next: 0 });
            }
            self.phase = (self.phase + here) % 4;
            self.left -= here as u64;
            input = rest;
        }
    }

    /// How many bytes of the frame's payload have not come yet. This many may be lost without losing the frames' bounds.
    pub const fn left(&self) -> u64 {
        self.left
    }

    fn read_header<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let Some((byte, rest)) = input.split_first() else { return input };
        let at = usize::from(self.header_len);
        if let Some(slot) = self.header.get_mut(at) {
            *slot = *byte;
        }
        match FrameHeader::parse(&self.header[..=at.min(FrameHeader::MAX_LEN - 1)]) {
            crate::Parsed::Need(_) => self.header_len += 1,
            crate::Parsed::Complete(header, _) => {
                self.header_len = 0;
                self.left = header.len;
                self.data = header.opcode.is_data();
                self.mask = header.mask.unwrap_or_default();
                self.phase = 0;
            }
        }
        rest
    }
}

/// A run of payload bytes, unmasked as it is iterated.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    /// The mask, rotated so that its first byte belongs to the first of `bytes`.
    mask: [u8; 4],
    next: u8,
}

impl Iterator for Payload<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        let mask = self.mask[usize::from(self.next)];
        self.next = (self.next + 1) % 4;
        Some(byte ^ mask)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.bytes.len(), Some(self.bytes.len()))
    }
}

impl ExactSizeIterator for Payload<'_> {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::Parsed;
    use std::{vec, vec::Vec};

    #[test]
    fn lengths_come_in_three_sizes() {
        let header = |len, mask| FrameHeader { fin: true, opcode: Opcode::BINARY, mask, len };
        assert_eq!(FrameHeader::parse(b"\x82\x7d"), Parsed::Complete(header(125, None), 2));
        assert_eq!(FrameHeader::parse(b"\x82\x7e\x01"), Parsed::Need(4));
        assert_eq!(FrameHeader::parse(b"\x82\x7e\x01\x00"), Parsed::Complete(header(256, None), 4));
        assert_eq!(FrameHeader::parse(b"\x82\xff\0\0\0\x01\0\0\0\0"), Parsed::Need(14));
        let long = FrameHeader::parse(b"\x82\xff\0\0\0\x01\0\0\0\0abcd");
        assert_eq!(long, Parsed::Complete(header(1 << 32, Some(*b"abcd")), 14));
    }

    #[test]
    fn header_is_read_as_it_was_written() {
        for (len, mask, wire_len) in [
            (0, None, 2),
            (125, Some(*b"mask"), 6),
            (126, None, 4),
            (65_535, Some(*b"mask"), 8),
            (65_536, None, 10),
            (u64::MAX, Some(*b"mask"), 14),
        ] {
            for opcode in [Opcode::BINARY, Opcode::PING] {
                let header = FrameHeader { fin: opcode == Opcode::BINARY, opcode, mask, len };
                let mut out = [0; FrameHeader::MAX_LEN];
                let wire = header.encode(&mut out);
                assert_eq!((wire.len(), FrameHeader::parse(wire)), (wire_len, Parsed::Complete(header, wire_len)));
            }
        }
    }

    #[test]
    fn chunks_of_any_size_give_the_same_stream() {
        let mut wire = vec![0x82, 0xfe, 1, 0, 9, 8, 7, 6];
        let payload: Vec<u8> = (0..=255).collect();
        let mut masked = payload.clone();
        mask(&mut masked, [9, 8, 7, 6]);
        wire.extend(masked);
        for cut in 1..wire.len() {
            let (mut deframer, mut out) = (Deframer::new(), Vec::new());
            for chunk in wire.chunks(cut) {
                deframer.read(chunk, |run| out.extend(run));
            }
            assert_eq!(out, payload, "{cut}");
        }
    }

    #[test]
    fn end_of_a_head_is_found_across_reads() {
        let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
        assert_eq!(head_end(head, 0), Some(27));
        for seen in 0..27 {
            assert_eq!(head_end(head, seen), Some(27), "{seen}");
            assert_eq!(head_end(&head[..26], seen), None);
        }
    }
}
