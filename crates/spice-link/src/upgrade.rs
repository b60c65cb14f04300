//! Both halves of a WebSocket upgrade: the server's, as spice-server does it on a port that speaks plain SPICE, and the client's.

use crate::BufferTooSmall;

/// The first four bytes of a client that asks for WebSocket.
pub const REQUEST_MAGIC: [u8; 4] = *b"GET ";
/// The first four bytes of a server that answers as HTTP does.
pub const RESPONSE_MAGIC: [u8; 4] = *b"HTTP";
/// The longest request head that spice-server reads, in bytes. This crate applies the same bound to a response's head.
pub const MAX_HEAD: usize = 4095;

/// Returns the length of a request's or response's head, its empty line included. `None`: the empty line has not come yet.
/// `from` is the number of bytes that an earlier call has searched, so that a growing buffer is not searched from its start.
pub fn head_end(input: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3).min(input.len());
    input[from..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| from + at + 4)
}

/// Whether a server's response head switches protocols (status 101).
pub fn is_switching(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.1 101 ") || head.starts_with(b"HTTP/1.0 101 ")
}

/// An upgrade request that spice-server accepts: the server's half.
///
/// If the first four bytes of a client are not `REDQ`, spice-server reads once more, up to [`MAX_HEAD`] bytes in all. If these
/// bytes are exactly one upgrade request, it upgrades, and reads on behind them ([`request_len`](Self::request_len)). If not, it
/// answers [`INVALID_MAGIC`](crate::LinkErrorCode::INVALID_MAGIC), and so does a [`LinkAcceptor`](crate::LinkAcceptor) that reads
/// them.
///
/// spice-server checks four things: `GET ` at the start, a `Sec-WebSocket-Key`, an empty line at the very end, and that
/// `Sec-WebSocket-Protocol`, if there is one, starts with `binary`. Source: spice-server, `websocket.c`.
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
    request: &'a [u8],
    key: &'a [u8],
    protocol: bool,
}

/// What RFC 6455 has every server append to the client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

impl<'a> Upgrade<'a> {
    /// Room for the longest response, in bytes.
    pub const ROOM: usize = 256;

    /// Reads all bytes that the client has sent, at most [`MAX_HEAD`] of them, as one request. `None`: spice-server does not
    /// upgrade for them.
    pub fn parse(sent: &'a [u8]) -> Option<Self> {
        let request = &sent[..sent.len().min(MAX_HEAD)];
        if !request.starts_with(&REQUEST_MAGIC) || !request.ends_with(b"\r\n\r\n") {
            return None;
        }
        let protocol = header(request, b"\nSec-WebSocket-Protocol:");
        if protocol.is_some_and(|value| !value.starts_with(b"binary")) {
            return None;
        }
        Some(Self { request, key: header(request, b"\nSec-WebSocket-Key:")?, protocol: protocol.is_some() })
    }

    /// The length of the request, in bytes. It is the number of bytes that [`parse`](Self::parse) was given, or [`MAX_HEAD`] if it
    /// was given more. Bytes behind it belong to the first frame.
    pub const fn request_len(&self) -> usize {
        self.request.len()
    }

    /// Writes the response and returns its length.
    pub fn respond(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let accept = accept_value(self.key);
        let protocol: &[u8] = if self.protocol { b"Sec-WebSocket-Protocol: binary\r\n" } else { b"" };
        let parts: [&[u8]; 5] = [
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
            &accept,
            b"\r\n",
            protocol,
            b"\r\n",
        ];
        write_parts(&parts, out)
    }
}

/// An upgrade request: the client's half.
///
/// The request asks for the sub-protocol `binary`, as spice-html5 does. spice-server reads a request in one piece: send all of
/// it in one write, and nothing behind it until the response has come.
///
/// ```
/// use spice_link::websocket::{UpgradeRequest, UpgradeResponse};
///
/// let request = UpgradeRequest { host: "192.0.2.1:5900", key: [7; 16] };
/// let mut out = [0; 512];
/// let len = request.encode(&mut out)?;
///
/// // What the server sends back, here by the server's half of this crate.
/// let mut response = [0; spice_link::Upgrade::ROOM];
/// let end = spice_link::Upgrade::parse(&out[..len]).unwrap().respond(&mut response)?;
/// assert_eq!(request.read_response(&response[..20], 0), UpgradeResponse::Incomplete);
/// assert_eq!(request.read_response(&response[..end], 20), UpgradeResponse::Switched { head_len: end });
/// # Ok::<(), spice_link::BufferTooSmall>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpgradeRequest<'a> {
    /// The value of the `Host` line: an address, and the port unless it is 80. It must not contain a line break.
    pub host: &'a str,
    /// Sixteen bytes that the client picks at random for each connection (RFC 6455, 4.1). They are no secret.
    pub key: [u8; 16],
}

/// What a client makes of the server's bytes after an [`UpgradeRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeResponse {
    /// The head has not ended: more bytes are needed.
    Incomplete,
    /// The server switched protocols. The first frame starts `head_len` bytes after the start of the response.
    Switched {
        /// The length of the response's head, its empty line included, in bytes.
        head_len: usize,
    },
    /// The server did not switch: its bytes are not HTTP, the status is not 101, or the head is longer than [`MAX_HEAD`].
    Refused,
    /// The server switched, but its `Sec-WebSocket-Accept` is missing or does not fit the request's key.
    WrongAccept,
}

impl UpgradeRequest<'_> {
    /// Writes the request and returns its length in bytes: 171 and the length of `host`.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let parts: [&[u8]; 5] = [
            b"GET / HTTP/1.1\r\nHost: ",
            self.host.as_bytes(),
            b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
            &base64::<16, 24>(self.key),
            b"\r\nSec-WebSocket-Protocol: binary\r\n\r\n",
        ];
        write_parts(&parts, out)
    }

    /// Reads the response from the start of the server's bytes. `from` is the number of bytes that an earlier call has searched.
    pub fn read_response(&self, input: &[u8], from: usize) -> UpgradeResponse {
        let start = input.get(..RESPONSE_MAGIC.len()).unwrap_or(input);
        if !RESPONSE_MAGIC.starts_with(start) {
            return UpgradeResponse::Refused;
        }
        let Some(head_len) = head_end(input, from) else {
            return if input.len() > MAX_HEAD { UpgradeResponse::Refused } else { UpgradeResponse::Incomplete };
        };
        let head = input.get(..head_len).unwrap_or(input);
        if head_len > MAX_HEAD || !is_switching(head) {
            return UpgradeResponse::Refused;
        }
        match header(head, b"\nSec-WebSocket-Accept:") {
            Some(value) if value == accept_value(&base64::<16, 24>(self.key)) => UpgradeResponse::Switched { head_len },
            _ => UpgradeResponse::WrongAccept,
        }
    }
}

/// The value of `Sec-WebSocket-Accept` for a value of `Sec-WebSocket-Key`.
fn accept_value(key: &[u8]) -> [u8; 28] {
    let mut sha = Sha1::new();
    sha.update(key);
    sha.update(GUID);
    base64(sha.finish())
}

fn write_parts(parts: &[&[u8]], out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let need = parts.iter().map(|part| part.len()).sum();
    let mut out = out.get_mut(..need).ok_or(BufferTooSmall { need })?;
    for part in parts {
        let (here, rest) = out.split_at_mut(part.len());
        here.copy_from_slice(part);
        out = rest;
    }
    Ok(need)
}

/// The value of a header: from the first byte that is not blank to the next blank or the end of the line. The case of the
/// name does not matter.
fn header<'a>(request: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = request.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name))? + name.len();
    let value = request.get(at..)?.trim_ascii_start();
    let end = value.iter().position(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t'))?;
    value.get(..end)
}

/// Base64 of `N` bytes, padded with `=`. `M` must be four times the number of groups of three bytes.
fn base64<const N: usize, const M: usize>(bytes: [u8; N]) -> [u8; M] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const { assert!(M == N.div_ceil(3) * 4) };
    let mut out = [b'='; M];
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

/// SHA-1 (RFC 3174). Its strength does not matter here: RFC 6455 uses it to tell a WebSocket server from another server.
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
    extern crate std;
    use super::*;

    #[test]
    fn sha1_matches_the_standards_examples() {
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
    fn request_is_accepted_only_as_a_whole() {
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

    #[test]
    fn request_is_looked_for_in_as_many_bytes_as_spice_server_reads() {
        let request = |len: usize, behind: &str| {
            let (start, end) = ("GET /\r\nX: ", "\r\nSec-WebSocket-Key: x\r\n\r\n");
            let filler = "y".repeat(len - start.len() - end.len());
            [start, &filler, end, behind].concat()
        };
        let parsed = |request: &str| Upgrade::parse(request.as_bytes()).map(|upgrade| upgrade.request_len());
        assert_eq!(parsed(&request(MAX_HEAD, "")), Some(MAX_HEAD));
        assert_eq!(parsed(&request(MAX_HEAD, "REDQ")), Some(MAX_HEAD));
        assert_eq!(parsed(&request(MAX_HEAD + 1, "")), None);
        assert_eq!(parsed(&request(MAX_HEAD - 1, "REDQ")), None);
        assert_eq!(parsed(&request(MAX_HEAD - 1, "")), Some(MAX_HEAD - 1));
    }

    #[test]
    fn only_the_answer_to_the_own_key_is_accepted() {
        let request = UpgradeRequest { host: "localhost", key: *b"the sample nonce" };
        let mut out = [0; 180];
        assert_eq!(request.encode(&mut out), Ok(180));
        assert_eq!(request.encode(&mut out[..179]), Err(BufferTooSmall { need: 180 }));
        // The key and the accept value of RFC 6455, 1.3.
        assert!(out.windows(24).any(|window| window == b"dGhlIHNhbXBsZSBub25jZQ=="));
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let other = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo_";
        for (response, expected) in [
            (
                std::format!("HTTP/1.1 101 Switching\r\n{accept}\r\n\r\n\x02"),
                UpgradeResponse::Switched { head_len: 78 },
            ),
            (std::format!("HTTP/1.1 101 Switching\r\n{accept}\r\n"), UpgradeResponse::Incomplete),
            (std::format!("HTTP/1.1 101 Switching\r\n{other}\r\n\r\n"), UpgradeResponse::WrongAccept),
            ("HTTP/1.1 101 Switching\r\n\r\n".into(), UpgradeResponse::WrongAccept),
            (std::format!("HTTP/1.1 200 OK\r\n{accept}\r\n\r\n"), UpgradeResponse::Refused),
            ("HT".into(), UpgradeResponse::Incomplete),
            ("RE".into(), UpgradeResponse::Refused),
            ("HTTP".repeat(1024), UpgradeResponse::Refused),
            (std::format!("HTTP/1.1 101 {}\r\n{accept}\r\n\r\n", "x".repeat(4030)), UpgradeResponse::Refused),
        ] {
            assert_eq!(request.read_response(response.as_bytes(), 0), expected, "{response}");
        }
    }
}
