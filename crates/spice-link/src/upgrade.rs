//! The server's half of a WebSocket upgrade, as spice-server does it on a port that speaks plain SPICE.

use crate::{
    BufferTooSmall,
    websocket::{MAX_HEAD, REQUEST_MAGIC},
};

/// An upgrade request that spice-server accepts. Where the first four bytes of a client are not `REDQ`, it reads once, up to
/// [`MAX_HEAD`] bytes in all, and takes them for a request if they are one from end to end; else it answers
/// [`INVALID_MAGIC`](crate::LinkErrorCode::INVALID_MAGIC), as a [`LinkAcceptor`](crate::LinkAcceptor) that is given them does.
///
/// It looks for `GET ` at the start, a `Sec-WebSocket-Key`, an empty line at the very end, and, if there is a
/// `Sec-WebSocket-Protocol`, that it starts with `binary`; at nothing else. Source: spice-server, `websocket.c`.
///
/// ```
/// let request = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// let mut out = [0; spice_link::Upgrade::ROOM];
/// let len = spice_link::Upgrade::parse(request).unwrap().respond(&mut out).unwrap();
/// let response = std::str::from_utf8(&out[..len]).unwrap();
/// assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    key: &'a [u8],
    protocol: bool,
}

/// What RFC 6455 has every server append to the client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

impl<'a> Upgrade<'a> {
    /// Room for the longest response, in bytes.
    pub const ROOM: usize = 256;

    /// Reads all that the client has sent as one request.
    pub fn parse(request: &'a [u8]) -> Option<Self> {
        if request.len() > MAX_HEAD || !request.starts_with(&REQUEST_MAGIC) || !request.ends_with(b"\r\n\r\n") {
            return None;
        }
        let protocol = header(request, b"\nSec-WebSocket-Protocol:");
        if protocol.is_some_and(|value| !value.starts_with(b"binary")) {
            return None;
        }
        Some(Self { key: header(request, b"\nSec-WebSocket-Key:")?, protocol: protocol.is_some() })
    }

    /// Writes the response and returns its length.
    pub fn respond(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut sha = Sha1::new();
        sha.update(self.key);
        sha.update(GUID);
        let accept = base64(sha.finish());
        let protocol: &[u8] = if self.protocol { b"Sec-WebSocket-Protocol: binary\r\n" } else { b"" };
        let parts: [&[u8]; 5] = [
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
            &accept,
            b"\r\n",
            protocol,
            b"\r\n",
        ];
        let need = parts.iter().map(|part| part.len()).sum();
        let mut out = out.get_mut(..need).ok_or(BufferTooSmall { need })?;
        for part in parts {
            let (here, rest) = out.split_at_mut(part.len());
            here.copy_from_slice(part);
            out = rest;
        }
        Ok(need)
    }
}

/// A header's value, without the blanks before it, up to the end of its line. Names are compared without regard to case.
fn header<'a>(request: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = request.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name))? + name.len();
    let value = request.get(at..)?.trim_ascii_start();
    let end = value.iter().position(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t'))?;
    value.get(..end)
}

/// Base64 of twenty bytes, which always ends in one `=`.
fn base64(bytes: [u8; 20]) -> [u8; 28] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = [b'='; 28];
    for (three, four) in bytes.chunks(3).zip(out.chunks_exact_mut(4)) {
        let mut word = 0u32;
        for index in 0..3 {
            word = word << 8 | u32::from(three.get(index).copied().unwrap_or(0));
        }
        for (index, digit) in four.iter_mut().enumerate().take(three.len() + 1) {
            *digit = DIGITS[(word >> (18 - 6 * index) & 63) as usize];
        }
    }
    out
}

/// SHA-1 (RFC 3174). Nothing here hangs on its strength: RFC 6455 uses it to tell a WebSocket server from another one.
struct Sha1 {
    state: [u32; 5],
    block: [u8; 64],
    len: usize,
}

impl Sha1 {
    const fn new() -> Self {
        Self { state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0], block: [0; 64], len: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.block[self.len % 64] = *byte;
            self.len += 1;
            if self.len.is_multiple_of(64) {
                self.compress();
            }
        }
    }

    fn finish(mut self) -> [u8; 20] {
        let bits = (self.len as u64) * 8;
        self.update(&[0x80]);
        while self.len % 64 != 56 {
            self.update(&[0]);
        }
        self.update(&bits.to_be_bytes());
        let mut out = [0; 20];
        for (slot, word) in out.chunks_exact_mut(4).zip(self.state) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    #[allow(clippy::many_single_char_names, reason = "the names of FIPS 180-4")]
    fn compress(&mut self) {
        let mut words = [0u32; 80];
        for (word, four) in words.iter_mut().zip(self.block.chunks_exact(4)) {
            *word = four.first_chunk().map_or(0, |four| u32::from_be_bytes(*four));
        }
        for t in 16..80 {
            words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        for (t, word) in words.iter().enumerate() {
            let (f, k) = match t {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (state, word) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_of_the_standards_examples() {
        let hash = |bytes: &[u8]| {
            let mut sha = Sha1::new();
            sha.update(bytes);
            sha.finish()
        };
        assert_eq!(hash(b"abc")[..4], [0xa9, 0x99, 0x3e, 0x36]);
        assert_eq!(hash(b"")[..4], [0xda, 0x39, 0xa3, 0xee]);
        assert_eq!(hash(&[b'a'; 119])[..4], [0xee, 0x97, 0x10, 0x65]);
    }

    #[test]
    fn a_request_is_taken_whole_or_not_at_all() {
        for (request, taken) in [
            ("GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n", true),
            ("GET /\r\nsec-websocket-KEY:x\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Protocol: binary\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Protocol: base64\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\nREDQ", false),
            ("GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n", false),
            ("POST / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n", false),
        ] {
            assert_eq!(Upgrade::parse(request.as_bytes()).is_some(), taken, "{request}");
        }
    }
}
