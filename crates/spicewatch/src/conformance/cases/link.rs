//! The message and the reply: magic, version, size, capabilities, existence.

use super::{case, noted};
use crate::conformance::{
    case::{ABSENT, Case, Server, Verdict},
    wire::{Answer, Mess},
};
use std::io;

const REFUSED_MAGIC: &[Answer] = &[Answer::Reply(2), Answer::End];

fn main() -> Mess {
    Mess::main()
}

/// A header alone, of a main channel's message that says it has `size` bytes.
fn header(major: u32, size: u32) -> Vec<u8> {
    Mess { major, size: Some(size), ..main() }.bytes()[..16].to_vec()
}

const MAGIC_NOTE: &str = "before spice-server 0.14 the magic is judged after sixteen bytes";
const LIMIT_NOTE: &str = "spice-server has this limit since 0.14; distributions have put it into older ones";

pub(super) const CASES: &[Case] = &[
    noted(8, "magic-first-byte", MAGIC_NOTE, |s| s.refused(b"SEDQ", REFUSED_MAGIC)),
    noted(8, "magic-second-byte", MAGIC_NOTE, |s| s.refused(b"RFDQ", REFUSED_MAGIC)),
    noted(8, "magic-third-byte", MAGIC_NOTE, |s| s.refused(b"REEQ", REFUSED_MAGIC)),
    noted(8, "magic-fourth-byte", MAGIC_NOTE, |s| s.refused(b"REDP", REFUSED_MAGIC)),
    noted(8, "magic-lower-case", MAGIC_NOTE, |s| s.refused(b"redq", REFUSED_MAGIC)),
    noted(8, "magic-zeros", MAGIC_NOTE, |s| s.refused(&[0; 4], REFUSED_MAGIC)),
    case(8, "magic-reversed-with-a-header", |s| s.refuses(&Mess { magic: *b"QDER", ..main() }, 2)),
    case(8, "magic-before-version", |s| s.refuses(&Mess { magic: *b"REDX", major: 0, ..main() }, 2)),
    case(8, "magic-three-bytes-wait", |s| s.waits(b"RED")),
    case(8, "magic-four-bytes-wait", |s| s.waits(b"REDQ")),
    case(7, "fin-at-once", |s| s.cut(b"")),
    case(7, "fin-in-the-magic", |s| s.cut(b"RED")),
    case(7, "fin-in-the-header", |s| s.cut(&header(2, 22)[..15])),
    case(7, "fin-in-the-message", |s| s.cut(&main().bytes()[..30])),
    case(8, "major-0-is-not-answered", |s| s.drops(&Mess { major: 0, ..main() })),
    case(8, "major-1", |s| s.refuses(&Mess { major: 1, ..main() }, 4)),
    case(8, "major-3", |s| s.refuses(&Mess { major: 3, ..main() }, 4)),
    case(8, "major-2-in-the-other-order", |s| s.refuses(&Mess { major: 0x0200_0000, ..main() }, 4)),
    case(8, "major-largest", |s| s.refuses(&Mess { major: u32::MAX, ..main() }, 4)),
    case(8, "version-before-size", |s| s.refused(&header(1, 0), &[Answer::Reply(4), Answer::End])),
    case(2, "minor-0", |s| s.accepts(&Mess { minor: 0, ..main() })),
    case(2, "minor-99", |s| s.accepts(&Mess { minor: 99, ..main() })),
    case(2, "minor-largest", |s| s.accepts(&Mess { minor: u32::MAX, ..main() })),
    case(8, "header-fifteen-bytes-wait", |s| s.waits(&header(2, 22)[..15])),
    case(8, "size-0", |s| s.refused(&header(2, 0), &[Answer::Reply(3), Answer::End])),
    case(8, "size-17", |s| s.refused(&header(2, 17), &[Answer::Reply(3), Answer::End])),
    case(2, "size-18", |s| s.accepts(&Mess { common: Vec::new(), ..main() })),
    noted(2, "size-4096", LIMIT_NOTE, |s| s.accepts(&Mess { tail: 4096 - 22, ..main() })),
    noted(8, "size-4097", LIMIT_NOTE, |s| s.refused(&header(2, 4097), &[Answer::Reply(3), Answer::End])),
    noted(8, "size-2-to-the-31", LIMIT_NOTE, |s| s.refused(&header(2, 1 << 31), &[Answer::Reply(3), Answer::End])),
    noted(8, "size-largest", LIMIT_NOTE, |s| s.refused(&header(2, u32::MAX), &[Answer::Reply(3), Answer::End])),
    case(8, "message-one-byte-short-waits", |s| s.waits(&main().bytes()[..37])),
    case(3, "caps-none", |s| s.accepts(&Mess { common: Vec::new(), ..main() })),
    case(3, "caps-none-at-0", |s| s.accepts(&Mess { common: Vec::new(), offset: Some(0), ..main() })),
    case(3, "caps-none-at-the-largest-offset", |s| {
        s.accepts(&Mess { common: Vec::new(), offset: Some(u32::MAX), ..main() })
    }),
    case(3, "caps-channel-words-alone", |s| s.accepts(&Mess { common: Vec::new(), own: vec![0xf], ..main() })),
    case(3, "caps-three-words-of-ones", |s| {
        s.accepts(&Mess { common: vec![u32::MAX; 3], own: vec![u32::MAX; 3], ..main() })
    }),
    noted(3, "caps-1019-words", LIMIT_NOTE, |s| s.accepts(&Mess { common: vec![9; 1000], own: vec![0; 19], ..main() })),
    noted(8, "caps-1020-words", LIMIT_NOTE, |s| s.refuses(&Mess { common: vec![9; 1020], ..main() }, 3)),
    noted(8, "caps-1025-common-words", LIMIT_NOTE, |s| s.refuses(&Mess { counts: Some([1025, 0]), ..main() }, 3)),
    noted(8, "caps-1025-channel-words", LIMIT_NOTE, |s| s.refuses(&Mess { counts: Some([0, 1025]), ..main() }, 3)),
    case(8, "caps-count-largest", |s| s.refuses(&Mess { counts: Some([u32::MAX, 0]), ..main() }, 3)),
    case(8, "caps-count-that-wraps-in-bytes", |s| s.refuses(&Mess { counts: Some([1 << 30, 0]), ..main() }, 3)),
    case(8, "caps-counts-whose-sum-wraps", |s| s.refuses(&Mess { counts: Some([1 << 31; 2]), ..main() }, 3)),
    case(8, "caps-more-words-than-bytes", |s| s.refuses(&Mess { counts: Some([2, 0]), ..main() }, 3)),
    case(8, "caps-at-0", |s| s.refuses(&Mess { offset: Some(0), ..main() }, 3)),
    case(8, "caps-at-17", |s| s.refuses(&Mess { offset: Some(17), ..main() }, 3)),
    case(3, "caps-at-19-with-room", |s| s.accepts(&Mess { gap: 1, ..main() })),
    case(8, "caps-at-19-without-room", |s| s.refuses(&Mess { offset: Some(19), ..main() }, 3)),
    case(3, "caps-at-40", |s| s.accepts(&Mess { gap: 22, ..main() })),
    case(8, "caps-at-the-end", |s| s.refuses(&Mess { offset: Some(22), ..main() }, 3)),
    case(8, "caps-at-the-largest-offset", |s| s.refuses(&Mess { offset: Some(u32::MAX), ..main() }, 3)),
    case(8, "caps-at-an-offset-that-wraps", |s| s.refuses(&Mess { offset: Some(u32::MAX - 3), ..main() }, 3)),
    case(2, "bytes-behind-the-caps", |s| s.accepts(&Mess { tail: 9, ..main() })),
    case(4, "channel-type-0", |s| s.drops(&Mess::channel(0, (0, 0)))),
    case(4, "channel-type-7-tunnel", |s| s.drops(&Mess::channel(0, (7, 0)))),
    noted(4, "channel-type-99", "up to spice-server 0.12.6 this aborts the server", |s| {
        s.drops(&Mess::channel(0, (99, 0)))
    }),
    noted(4, "channel-type-255", "up to spice-server 0.12.6 this aborts the server", |s| {
        s.drops(&Mess::channel(0, (255, 0)))
    }),
    case(4, "channel-id-that-is-not-there", |s| s.drops(&Mess::channel(0, (3, ABSENT)))),
    case(8, "existence-before-authentication", |s| s.drops(&Mess::channel(0x1234, (3, ABSENT)))),
    case(8, "caps-before-existence", |s| s.refuses(&Mess { offset: Some(17), ..Mess::channel(0, (3, ABSENT)) }, 3)),
    case(4, "main-with-id-9", |s| s.accepts(&Mess::channel(0, (1, 9)))),
    case(4, "main-with-id-255", |s| s.accepts(&Mess::channel(0, (1, 255)))),
    case(2, "reply-header", |s| reply(s, "REDQ, 2.2", |reply| reply.get(..12) == Some(b"REDQ\x02\0\0\0\x02\0\0\0"))),
    case(2, "reply-size-is-exact", |s| {
        reply(s, "178 bytes and four for each word", |reply| {
            let words = word(reply, 182) + word(reply, 186);
            word(reply, 12) == 178 + 4 * words && reply.len() as u64 == 16 + 178 + 4 * u64::from(words)
        })
    }),
    case(2, "reply-caps-at-178", |s| reply(s, "caps_offset 178", |reply| word(reply, 190) == 178)),
    case(5, "reply-key", |s| match s.no_tickets() {
        Some(skipped) => Ok(skipped),
        None => reply(s, "a SubjectPublicKeyInfo of RSA-1024, exponent 65537", |reply| {
            reply.get(20..49) == Some(KEY_PREFIX) && reply.get(177..182) == Some(b"\x02\x03\x01\x00\x01")
        }),
    }),
    case(5, "reply-key-is-fresh", |s| {
        let (one, two) = (first_reply(s)?, first_reply(s)?);
        let (one, two) = (one.get(20..182), two.get(20..182));
        Ok(Verdict::check(one.is_some() && one != two, "another key for another link", "the same key twice"))
    }),
    case(3, "reply-offers-selection", |s| common(s, "bit 0, AUTH_SELECTION", |word| word & 1 != 0)),
    case(3, "reply-offers-one-way-in", |s| {
        common(s, "one of bit 1, AUTH_SPICE, and bit 2, AUTH_SASL", |word| (word & 6).is_power_of_two())
    }),
    case(3, "reply-offers-short-headers", |s| common(s, "bit 3, MINI_HEADER", |word| word & 8 != 0)),
    case(7, "refusal-is-zeros", |s| {
        let mut wire = s.dial()?;
        wire.send(&header(2, 17))?;
        wire.read_reply()?;
        let zeros = wire.reply.get(20..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
        let seen = format!("{} bytes, zeros behind the code: {zeros}", wire.reply.len());
        Ok(Verdict::check(wire.reply.len() == 194 && zeros, "194 bytes, zeros behind the code: true", seen))
    }),
    case(8, "reply-comes-before-the-mechanism", |s| s.accepts(&main())),
];

/// SubjectPublicKeyInfo, rsaEncryption, BIT STRING, SEQUENCE, and the start of a modulus of 1024 bits.
const KEY_PREFIX: &[u8] =
    b"\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x81\x8d\x00\x30\x81\x89\x02\x81\x81\x00";

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| four.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
}

fn first_reply(server: &Server) -> io::Result<Vec<u8>> {
    let mut wire = server.dial()?;
    wire.send(&main().bytes())?;
    wire.read_reply()?;
    Ok(wire.reply)
}

fn reply(server: &Server, expected: &str, check: fn(&[u8]) -> bool) -> io::Result<Verdict> {
    let reply = first_reply(server)?;
    let head = reply.get(..24).unwrap_or(&reply).escape_ascii();
    Ok(Verdict::check(check(&reply), expected, format!("{} bytes, {head}…", reply.len())))
}

fn common(server: &Server, expected: &str, check: fn(u32) -> bool) -> io::Result<Verdict> {
    let reply = first_reply(server)?;
    let seen = if word(&reply, 182) > 0 { word(&reply, 194) } else { 0 };
    Ok(Verdict::check(check(seen), expected, format!("{seen:#x}")))
}
