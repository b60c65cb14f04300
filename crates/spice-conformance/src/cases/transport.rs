//! What carries the link stage: TLS and WebSocket.

use std::io::{self, Write};

use spice_link::{
    ChannelType,
    websocket::{Opcode, UpgradeRequest, UpgradeResponse, is_switching},
};

use super::{
    answers::{ACCEPTING_REPLY, INVALID_DATA, INVALID_MAGIC, NEED_SECURED, NEED_UNSECURED, REFUSED_MAGIC},
    check, converse,
};
use crate::{
    Mess,
    case::{
        Case, Play,
        Requirement::{self, PlainCarrier, Secured, TlsCarrier, Unsecured, Upgradable},
        Verdict,
    },
    received::Received,
    stream::ClientStream,
    subject::{ABSENT, Subject},
    target::Carrier,
    websocket::{WebSocket, frame, read_head},
    wire::Wire,
};

const WEBSOCKET_NOTE: &str = "WebSocket came with spice-server 0.14.3";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub(super) const CASES: &[Case] = &[
    policy("policy-needs-tls", &[Secured], NEED_SECURED, |kind| Mess::channel(0, kind, 0)),
    policy("policy-needs-tls-before-existence", &[Secured], NEED_SECURED, |kind| Mess::channel(0, kind, ABSENT)),
    policy("policy-needs-tls-after-capabilities", &[Secured], INVALID_DATA, bad_caps),
    policy("policy-needs-plain", &[Unsecured], NEED_UNSECURED, |kind| Mess::channel(0, kind, 0)),
    policy("policy-needs-plain-before-existence", &[Unsecured], NEED_UNSECURED, |kind| Mess::channel(0, kind, ABSENT)),
    policy("policy-needs-plain-after-capabilities", &[Unsecured], INVALID_DATA, bad_caps),
    check(
        9,
        "plain-link-to-a-tls-port",
        &[TlsCarrier],
        Play::Check(|s| {
            let plain = Subject { target: s.target.clone().with_carrier(Carrier::Plain), ..s.clone() };
            let mut wire = plain.connect()?;
            wire.send(&Mess::default().bytes())?;
            wire.skip_to_end()?;
            // An alert can come before the end: it is TLS's, and no link reply.
            let is_right = *wire.received() == [Received::End] && wire.reply().is_empty();
            Ok(Verdict::check(is_right, "end", Received::join(wire.received())))
        }),
    ),
    // The start of a TLS 1.3 ClientHello: record header, handshake header, version, the first random bytes.
    refused(9, "client-hello-to-a-plain-port", &[PlainCarrier], || {
        b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03\x5a\x11\xc7\x0b\x2e".to_vec()
    }),
    upgrade("websocket-upgrade", |s| {
        judge_head(s, &usual_request(), "101, and the accept value of RFC 6455", |head| {
            matches!(SAMPLE.read_response(head, 0), UpgradeResponse::Switched { .. })
        })
    }),
    upgrade("websocket-protocol-is-echoed", |s| {
        judge_head(s, &usual_request(), "Sec-WebSocket-Protocol: binary", |head| {
            is_switching(head) && has(head, "Sec-WebSocket-Protocol: binary\r\n")
        })
    }),
    upgrade("websocket-protocol-only-if-asked", |s| {
        judge_head(s, &request(KEY), "101 without a protocol", |head| {
            is_switching(head) && !has(head, "Sec-WebSocket-Protocol")
        })
    }),
    refused(10, "websocket-other-protocol", &[Upgradable], || {
        request(&format!("{KEY}Sec-WebSocket-Protocol: base64\r\n"))
    })
    .note(WEBSOCKET_NOTE),
    refused(10, "websocket-without-a-key", &[Upgradable], || request("Host: x\r\n")).note(WEBSOCKET_NOTE),
    refused(10, "websocket-post", &[Upgradable], || [b"POST", request(KEY).get(3..).unwrap_or_default()].concat())
        .note(WEBSOCKET_NOTE),
    refused(10, "websocket-request-in-two", &[Upgradable], || usual_request()[..60].to_vec())
        .note("the request has to come in one read"),
    refused(10, "websocket-bytes-behind-the-request", &[Upgradable], || [usual_request(), b"REDQ".to_vec()].concat())
        .note(WEBSOCKET_NOTE),
    framed("websocket-link-in-one-frame", |s| sends(s, &frame(Opcode::BINARY, true, true, &mess()))),
    framed("websocket-unmasked", |s| sends(s, &frame(Opcode::BINARY, true, false, &mess())))
        .note("RFC 6455 forbids it to clients; spice-server accepts it"),
    framed("websocket-text", |s| sends(s, &frame(Opcode::TEXT, true, true, &mess())))
        .note("spice-server accepts text frames as data"),
    framed("websocket-fragments", |s| {
        let bytes = mess();
        let frames = [
            frame(Opcode::BINARY, false, true, &bytes[..7]),
            frame(Opcode::CONTINUATION, false, true, &bytes[7..20]),
            frame(Opcode::CONTINUATION, true, true, &bytes[20..]),
        ];
        sends(s, &frames.concat())
    }),
    framed("websocket-ping-between-frames", |s| {
        let bytes = mess();
        let frames = [
            frame(Opcode::BINARY, true, true, &bytes[..16]),
            frame(Opcode::PING, true, true, b"ping"),
            frame(Opcode::BINARY, true, true, &bytes[16..]),
        ];
        sends(s, &frames.concat())
    }),
    framed("websocket-byte-by-byte", |s| {
        let frames = mess().into_iter().flat_map(|byte| frame(Opcode::BINARY, true, true, &[byte]));
        sends(s, &frames.collect::<Vec<_>>())
    }),
    converse(10, "websocket-refusal-in-a-frame", &[Upgradable], REFUSED_MAGIC, |s| {
        sends(s, &frame(Opcode::BINARY, true, true, b"HELO"))
    })
    .note(WEBSOCKET_NOTE),
];

/// The request with RFC 6455's own key.
const SAMPLE: UpgradeRequest<'_> = UpgradeRequest { host: "localhost", key: *b"the sample nonce" };

/// A channel that the server refuses on this connection, and the answer to a message for it.
const fn policy(
    name: &'static str,
    requires: &'static [Requirement],
    expected: &'static [&'static [Received]],
    mess: fn(ChannelType) -> Mess,
) -> Case {
    Case::new(9, name, requires, expected, Play::SendRefused(mess))
}

/// Bytes that are no link message and no upgrade request.
const fn refused(section: u8, name: &'static str, requires: &'static [Requirement], bytes: fn() -> Vec<u8>) -> Case {
    Case::new(section, name, requires, INVALID_MAGIC, Play::SendBytes(bytes))
}

/// A case about the head of the server's response.
const fn upgrade(name: &'static str, decide: fn(&Subject) -> io::Result<Verdict>) -> Case {
    check(10, name, &[Upgradable], Play::Check(decide)).note(WEBSOCKET_NOTE)
}

/// Frames that carry a sound message.
const fn framed(name: &'static str, play: fn(&Subject) -> io::Result<Wire>) -> Case {
    converse(10, name, &[Upgradable], ACCEPTING_REPLY, play).note(WEBSOCKET_NOTE)
}

/// A list that starts in the fixed part of the message.
fn bad_caps(kind: ChannelType) -> Mess {
    Mess { caps_offset: Some(17), ..Mess::channel(0, kind, 0) }
}

fn mess() -> Vec<u8> {
    Mess::default().bytes()
}

fn request(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes()
}

fn usual_request() -> Vec<u8> {
    let mut out = [0; 256];
    let len = SAMPLE.encode(&mut out).unwrap_or(0);
    out[..len].to_vec()
}

fn has(head: &[u8], text: &str) -> bool {
    head.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// Decides by the server's answer to an upgrade request: the head of a response, or a link reply.
fn judge_head(subject: &Subject, request: &[u8], expected: &str, is_right: fn(&[u8]) -> bool) -> io::Result<Verdict> {
    let mut stream = subject.target.connect()?;
    stream.write_all(request)?;
    stream.flush()?;
    let head = read_head(&mut stream)?;
    Ok(Verdict::check(is_right(&head), expected, head.get(..200).unwrap_or(&head).escape_ascii().to_string()))
}

/// Upgrades, sends frames, and reads a reply.
fn sends(subject: &Subject, frames: &[u8]) -> io::Result<Wire> {
    let mut socket = WebSocket::upgrade(subject.target.connect()?, "localhost", true)?;
    socket.get_mut().write_all(frames)?;
    socket.get_mut().flush()?;
    let mut wire = Wire::over(ClientStream::websocket(socket), subject.target.time_limit);
    wire.read_reply()?;
    Ok(wire)
}
