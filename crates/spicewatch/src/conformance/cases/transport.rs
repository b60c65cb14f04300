//! What carries the link stage: TLS and WebSocket.

use super::{case, noted};
use crate::{
    conformance::{
        case::{ABSENT, Case, Server, Verdict},
        wire::{Answer, Mess},
    },
    dial::{Carrier, Line, Target, UPGRADE, frame, read_head},
};
use spice_link::websocket::{Deframer, is_switching};
use std::io::{self, Read, Write};

const NOTE: &str = "WebSocket came with spice-server 0.14.3";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub(super) const CASES: &[Case] = &[
    case(9, "policy-needs-tls", |s| policy(s, 5, |kind| Mess::channel(0, (kind, 0)), 5)),
    case(9, "policy-needs-tls-before-existence", |s| policy(s, 5, |kind| Mess::channel(0, (kind, ABSENT)), 5)),
    case(9, "policy-needs-tls-after-capabilities", |s| policy(s, 5, bad_caps, 3)),
    case(9, "policy-needs-plain", |s| policy(s, 6, |kind| Mess::channel(0, (kind, 0)), 6)),
    case(9, "policy-needs-plain-before-existence", |s| policy(s, 6, |kind| Mess::channel(0, (kind, ABSENT)), 6)),
    case(9, "policy-needs-plain-after-capabilities", |s| policy(s, 6, bad_caps, 3)),
    case(9, "plain-link-to-a-tls-port", |s| {
        if s.target.carrier != Carrier::Tls {
            return Ok(Verdict::Skipped("needs --tls"));
        }
        let plain = Server { target: Target { carrier: Carrier::Plain, ..s.target }, password: None, user: None, ..*s };
        let mut wire = plain.dial()?;
        wire.send(&Mess::main().bytes())?;
        wire.read_to_end()?;
        // An alert may come before the end: that is TLS's, and no link reply.
        Ok(Verdict::check(wire.seen == [Answer::End] && wire.reply.is_empty(), "end", Answer::show(&wire.seen)))
    }),
    case(9, "client-hello-to-a-plain-port", |s| {
        if s.target.carrier != Carrier::Plain {
            return Ok(Verdict::Skipped("needs a plain port"));
        }
        s.refused(b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03\x5a\x11\xc7\x0b\x2e", &[Answer::Reply(2), Answer::End])
    }),
    noted(10, "websocket-upgrade", NOTE, |s| {
        head(s, UPGRADE, "101, and the accept value of RFC 6455", |head| {
            is_switching(head) && has(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
        })
    }),
    noted(10, "websocket-protocol-is-echoed", NOTE, |s| {
        head(s, UPGRADE, "Sec-WebSocket-Protocol: binary", |head| {
            is_switching(head) && has(head, "Sec-WebSocket-Protocol: binary\r\n")
        })
    }),
    noted(10, "websocket-protocol-only-if-asked", NOTE, |s| {
        head(s, request(KEY).as_bytes(), "101 without a protocol", |head| {
            is_switching(head) && !has(head, "Sec-WebSocket-Protocol")
        })
    }),
    noted(10, "websocket-other-protocol", NOTE, |s| {
        let request = request(&format!("{KEY}Sec-WebSocket-Protocol: base64\r\n"));
        head(s, request.as_bytes(), "reply 2", refused)
    }),
    noted(10, "websocket-without-a-key", NOTE, |s| head(s, request("Host: x\r\n").as_bytes(), "reply 2", refused)),
    noted(10, "websocket-post", NOTE, |s| head(s, request(KEY).replace("GET", "POST").as_bytes(), "reply 2", refused)),
    noted(10, "websocket-request-in-two", "the request has to come in one read", |s| {
        let (first, _) = UPGRADE.split_at(60);
        head(s, first, "reply 2", refused)
    }),
    noted(10, "websocket-bytes-behind-the-request", NOTE, |s| {
        head(s, &[UPGRADE, b"REDQ"].concat(), "reply 2", refused)
    }),
    noted(10, "websocket-link-in-one-frame", NOTE, |s| framed(s, &frame(2, true, true, &Mess::main().bytes()))),
    noted(10, "websocket-unmasked", "RFC 6455 forbids it to clients; spice-server takes it", |s| {
        framed(s, &frame(2, true, false, &Mess::main().bytes()))
    }),
    noted(10, "websocket-text", "spice-server takes text frames as data", |s| {
        framed(s, &frame(1, true, true, &Mess::main().bytes()))
    }),
    noted(10, "websocket-fragments", NOTE, |s| {
        let bytes = Mess::main().bytes();
        framed(
            s,
            &[
                frame(2, false, true, &bytes[..7]),
                frame(0, false, true, &bytes[7..20]),
                frame(0, true, true, &bytes[20..]),
            ]
            .concat(),
        )
    }),
    noted(10, "websocket-ping-between-frames", NOTE, |s| {
        let bytes = Mess::main().bytes();
        framed(
            s,
            &[frame(2, true, true, &bytes[..16]), frame(9, true, true, b"ping"), frame(2, true, true, &bytes[16..])]
                .concat(),
        )
    }),
    noted(10, "websocket-byte-by-byte", NOTE, |s| {
        framed(s, &Mess::main().bytes().iter().flat_map(|byte| frame(2, true, true, &[*byte])).collect::<Vec<_>>())
    }),
    noted(10, "websocket-refusal-in-a-frame", NOTE, |s| {
        framed_reply(s, &frame(2, true, true, b"HELO"), "a framed reply 2", |stream| {
            stream.get(16..20) == Some(&[2, 0, 0, 0][..])
        })
    }),
];

/// A channel that this connection is not fit for, by the policy that answers 5 or 6, and what a message for it gets.
fn policy(server: &Server, which: u32, mess: fn(u8) -> Mess, code: u32) -> io::Result<Verdict> {
    let (kind, tls, skipped) = match which {
        5 => (server.secured, false, "needs --secured, and no --tls"),
        _ => (server.unsecured, true, "needs --unsecured and --tls"),
    };
    match kind.filter(|_| (server.target.carrier == Carrier::Tls) == tls) {
        Some(kind) => server.refuses(&mess(kind), code),
        None => Ok(Verdict::Skipped(skipped)),
    }
}

/// A list in the fixed part of the message.
fn bad_caps(kind: u8) -> Mess {
    Mess { offset: Some(17), ..Mess::channel(0, (kind, 0)) }
}

fn request(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{lines}\r\n")
}

fn has(head: &[u8], text: &str) -> bool {
    head.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

fn refused(answer: &[u8]) -> bool {
    answer.len() == 194 && answer.get(..4) == Some(b"REDQ") && answer.get(16..20) == Some(&[2, 0, 0, 0])
}

/// The server's answer to a request: a response's head, or a link error.
fn head(server: &Server, request: &[u8], expected: &str, check: fn(&[u8]) -> bool) -> io::Result<Verdict> {
    if let Err(skipped) = server.upgradable() {
        return Ok(skipped);
    }
    let mut line = server.target.dial()?;
    line.write_all(request)?;
    line.flush()?;
    let head = read_head(&mut line)?;
    Ok(Verdict::check(check(&head), expected, head.get(..200).unwrap_or(&head).escape_ascii().to_string()))
}

/// A message in these frames gets an accepting reply.
fn framed(server: &Server, frames: &[u8]) -> io::Result<Verdict> {
    framed_reply(server, frames, "a framed reply 0", |stream| stream.get(16..20) == Some(&[0; 4][..]))
}

fn framed_reply(server: &Server, frames: &[u8], expected: &str, check: fn(&[u8]) -> bool) -> io::Result<Verdict> {
    if let Err(skipped) = server.upgradable() {
        return Ok(skipped);
    }
    let mut line: Line = server.target.dial()?;
    line.write_all(UPGRADE)?;
    line.flush()?;
    let head = read_head(&mut line)?;
    if !is_switching(&head) {
        return Ok(Verdict::check(false, "an upgrade", head.escape_ascii().to_string()));
    }
    line.write_all(frames)?;
    line.flush()?;
    let (mut deframer, mut stream, mut buffer) = (Deframer::new(), Vec::new(), [0; 4096]);
    while stream.len() < 20 {
        match line.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(len) => deframer.read(&buffer[..len], |run| stream.extend(run)),
        }
    }
    let ok = stream.starts_with(b"REDQ") && check(&stream);
    Ok(Verdict::check(
        ok,
        expected,
        format!("{} bytes: {}", stream.len(), stream.get(..20).unwrap_or(&stream).escape_ascii()),
    ))
}
