//! Whether a connection is SPICE, by the first bytes that its client sends.
//!
//! | first bytes | verdict |
//! | --- | --- |
//! | `REDQ` | SPICE: the magic of the link header. No other protocol's client begins with it, so a header with a bad size or version counts too: the server refuses it, and QEMU tells of that connection like of any other. |
//! | `GET ` … CR LF CR LF with `Sec-WebSocket-Key`, then frames whose payload begins with `REDQ` | SPICE over WebSocket (spice-server 0.14.3 and later) |
//! | anything else | not SPICE |
//!
//! If a connection's start was not captured, the client is a guess, and the server's reply begins with `REDQ` too: then the whole header must be that of a client
//! ([`is_client_header`]).

use spice_events::spice_link::{
    FirstBytes, LinkHeader, LinkMess, LinkReply, MAGIC, Side, recognise,
    websocket::{self, Deframer},
};

/// Bytes of the client that are kept until it is clear what it speaks: spice-server reads a WebSocket request of up to 4095 bytes; the rest is for frames.
pub const MAX_CLIENT: usize = 8192;
/// Bytes of the server that are kept meanwhile: the answer to a WebSocket request, or the greeting of a protocol where the server speaks first.
pub const MAX_SERVER: usize = 16 << 10;
/// Bytes that are kept of all connections that were not recognised yet, with the time of each segment. What comes on top is not recognised.
pub const MAX_BYTES_TOTAL: usize = 64 << 20;

/// What the first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// SPICE, plain or over WebSocket.
    Spice,
    /// Something else.
    Other,
    /// Too few bytes to tell.
    More,
}

/// Judges the client's first bytes, all of them each time.
pub fn judge(client: &[u8]) -> Verdict {
    match recognise(Side::Client, client) {
        FirstBytes::Link => Verdict::Spice,
        FirstBytes::WebSocket => web_socket(client),
        FirstBytes::Incomplete => Verdict::More,
        _ => Verdict::Other,
    }
}

/// Judges bytes that may not be the first of their connection, nor the client's.
pub fn judge_midstream(client: &[u8]) -> Verdict {
    match judge(client) {
        Verdict::Spice if client.starts_with(&MAGIC) && client.len() < LinkHeader::LEN => Verdict::More,
        Verdict::Spice if client.starts_with(&MAGIC) && !is_client_header(client) => Verdict::Other,
        verdict => verdict,
    }
}

/// Judges the first bytes on a TLS port: whether they are a `ClientHello`.
pub fn judge_tls(client: &[u8]) -> Verdict {
    // record type 22 (handshake), version 3.x, length 2, handshake type 1 (ClientHello)
    match client {
        [22, 3, _, _, _, 1, ..] => Verdict::Spice,
        [22, 3, _, _, _] | [22, 3, _, _] | [22, 3, _] | [22, 3] | [22] | [] => Verdict::More,
        _ => Verdict::Other,
    }
}

/// Whether these are a link header whose size is that of a link message, not of a reply: a reply has a public key in it, which is as long
/// as forty capability words, and real clients send two or three.
pub fn is_client_header(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<{ LinkHeader::LEN }>() else { return false };
    let size = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
    header.starts_with(&MAGIC) && (LinkMess::MIN_SIZE..LinkReply::MIN_SIZE).contains(&size)
}

/// Whether an HTTP request's head ends in here.
pub(crate) fn ends_head(bytes: &[u8]) -> bool {
    websocket::head_end(bytes, 0).is_some()
}

/// Whether these begin an HTTP request that may be one for WebSocket.
pub(crate) fn may_be_request(client: &[u8]) -> bool {
    recognise(Side::Client, client) == FirstBytes::WebSocket
}

fn web_socket(client: &[u8]) -> Verdict {
    let Some(end) = websocket::head_end(client, 0) else {
        return if client.len() >= MAX_CLIENT { Verdict::Other } else { Verdict::More };
    };
    let (request, frames) = client.split_at(end);
    if !has_header(request, b"sec-websocket-key") {
        return Verdict::Other;
    }
    payload_starts_with_magic(frames)
}

fn has_header(request: &[u8], name: &[u8]) -> bool {
    request.split(|&b| b == b'\n').any(|line| {
        line.split_at_checked(name.len())
            .is_some_and(|(n, rest)| n.eq_ignore_ascii_case(name) && rest.starts_with(b":"))
    })
}

/// Unmasks as much of the frames as the magic takes. Control frames may come between.
fn payload_starts_with_magic(frames: &[u8]) -> Verdict {
    let mut payload = [0; MAGIC.len()];
    let mut have = 0;
    Deframer::new().read(frames, |run| {
        let room = payload.iter_mut().skip(have);
        have += room.zip(run).map(|(slot, byte)| *slot = byte).count();
    });
    match recognise(Side::Client, &payload[..have]) {
        FirstBytes::Link => Verdict::Spice,
        FirstBytes::Incomplete => Verdict::More,
        _ => Verdict::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_26: &[u8] = b"REDQ\x02\0\0\0\x02\0\0\0\x1a\0\0\0";
    const REPLY_186: &[u8] = b"REDQ\x02\0\0\0\x02\0\0\0\xba\0\0\0";
    const UPGRADE: &str =
        "GET /spice HTTP/1.1\r\nHost: vm\r\nsec-websocket-KEY: dGhl\r\nSec-WebSocket-Protocol: binary\r\n\r\n";

    #[track_caller]
    fn check(bytes: &[u8], expected: Verdict) {
        assert_eq!(judge(bytes), expected);
    }

    #[test]
    fn the_magic_suffices_and_nothing_less_does() {
        check(b"", Verdict::More);
        check(b"RED", Verdict::More);
        check(b"REDQ", Verdict::Spice);
        check(b"REDX", Verdict::Other);
        check(b"\x16\x03\x01", Verdict::Other);
        check(b"SSH-2.0", Verdict::Other);
    }

    #[test]
    fn midstream_a_reply_is_not_a_client() {
        assert_eq!(judge_midstream(HEADER_26), Verdict::Spice);
        assert_eq!(judge_midstream(&HEADER_26[..15]), Verdict::More);
        assert_eq!(judge_midstream(REPLY_186), Verdict::Other);
        assert_eq!(judge_midstream(b"XEDQ"), Verdict::Other);
    }

    #[test]
    fn a_client_hello_begins_tls() {
        assert_eq!(judge_tls(b"\x16\x03\x01\x02\x00\x01\xfc"), Verdict::Spice);
        assert_eq!(judge_tls(b"\x16\x03\x01\x02\x00"), Verdict::More);
        assert_eq!(judge_tls(b"\x17\x03\x03\x02\x00\x01"), Verdict::Other);
    }

    #[test]
    fn web_sockets_are_looked_into() {
        let frame = |head: &[u8], payload: &[u8]| [UPGRADE.as_bytes(), head, payload].concat();
        check(b"GE", Verdict::More);
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Verdict::Other);
        check(UPGRADE.as_bytes(), Verdict::More);
        check(&frame(&[0x82, 16], HEADER_26), Verdict::Spice);
        check(&frame(&[0x82, 0x90, 1, 2, 3, 4], &[b'R' ^ 1, b'E' ^ 2, b'D' ^ 3]), Verdict::More);
        check(&frame(&[0x82, 0x90, 1, 2, 3, 4], &[b'R' ^ 1, b'E' ^ 2, b'D' ^ 3, b'Q' ^ 4]), Verdict::Spice);
        check(&frame(&[0x82, 126, 0, 200], b"REDQ"), Verdict::Spice);
        check(&frame(&[0x82, 127, 0, 0, 0, 0, 0, 0, 1, 0], b"REDQ"), Verdict::Spice);
        check(&frame(&[0x89, 2, b'h', b'i', 2, 2, b'R', b'E', 0x80, 2, b'D'], b"Q"), Verdict::Spice);
        check(&frame(&[0x82, 5], b"hello"), Verdict::Other);
    }

    #[test]
    fn a_request_without_end_is_given_up() {
        let mut endless = b"GET /".to_vec();
        endless.resize(MAX_CLIENT, b'a');
        check(&endless, Verdict::Other);
    }
}
