//! The message and the reply: magic, version, size, capabilities, existence.

use std::io;

use spice_link::ChannelType;

use super::{
    answers::{ACCEPTING_REPLY, DROPPED, INVALID_DATA, INVALID_MAGIC, LINKED, VERSION_MISMATCH, WAITS},
    case, check,
};
use crate::{
    Mess,
    case::{Case, Play, Requirement, Verdict},
    received::Received,
    subject::{ABSENT, COMMON_COUNT, FIRST_WORD, Subject},
    wire::word,
};

const MAGIC_NOTE: &str = "before spice-server 0.14 the magic is judged after sixteen bytes";
const LIMIT_NOTE: &str = "spice-server has this limit since 0.14; distributions have put it into older ones";

pub(super) const CASES: &[Case] = &[
    bytes(8, "magic-first-byte", INVALID_MAGIC, || b"SEDQ".to_vec()).note(MAGIC_NOTE),
    bytes(8, "magic-second-byte", INVALID_MAGIC, || b"RFDQ".to_vec()).note(MAGIC_NOTE),
    bytes(8, "magic-third-byte", INVALID_MAGIC, || b"REEQ".to_vec()).note(MAGIC_NOTE),
    bytes(8, "magic-fourth-byte", INVALID_MAGIC, || b"REDP".to_vec()).note(MAGIC_NOTE),
    bytes(8, "magic-lower-case", INVALID_MAGIC, || b"redq".to_vec()).note(MAGIC_NOTE),
    bytes(8, "magic-zeros", INVALID_MAGIC, || vec![0; 4]).note(MAGIC_NOTE),
    mess(8, "magic-reversed-with-a-header", INVALID_MAGIC, || Mess { magic: *b"QDER", ..plain() }),
    mess(8, "magic-before-version", INVALID_MAGIC, || Mess { magic: *b"REDX", major: 0, ..plain() }),
    bytes(8, "magic-three-bytes-wait", WAITS, || b"RED".to_vec()),
    bytes(8, "magic-four-bytes-wait", WAITS, || b"REDQ".to_vec()),
    case(7, "fin-at-once", DROPPED, Play::SendAndFinish(Vec::new)),
    case(7, "fin-in-the-magic", DROPPED, Play::SendAndFinish(|| b"RED".to_vec())),
    case(7, "fin-in-the-header", DROPPED, Play::SendAndFinish(|| header(2, 22)[..15].to_vec())),
    case(7, "fin-in-the-message", DROPPED, Play::SendAndFinish(|| plain().bytes()[..30].to_vec())),
    mess(8, "major-0-is-not-answered", DROPPED, || Mess { major: 0, ..plain() }),
    mess(8, "major-1", VERSION_MISMATCH, || Mess { major: 1, ..plain() }),
    mess(8, "major-3", VERSION_MISMATCH, || Mess { major: 3, ..plain() }),
    mess(8, "major-2-in-the-other-order", VERSION_MISMATCH, || Mess { major: 0x0200_0000, ..plain() }),
    mess(8, "major-largest", VERSION_MISMATCH, || Mess { major: u32::MAX, ..plain() }),
    bytes(8, "version-before-size", VERSION_MISMATCH, || header(1, 0)),
    accept(2, "minor-0", || Mess { minor: 0, ..plain() }),
    accept(2, "minor-99", || Mess { minor: 99, ..plain() }),
    accept(2, "minor-largest", || Mess { minor: u32::MAX, ..plain() }),
    bytes(8, "header-fifteen-bytes-wait", WAITS, || header(2, 22)[..15].to_vec()),
    bytes(8, "size-0", INVALID_DATA, || header(2, 0)),
    bytes(8, "size-17", INVALID_DATA, || header(2, 17)),
    accept(2, "size-18", || Mess { common: Vec::new(), ..plain() }),
    accept(2, "size-4096", || Mess { tail: vec![0xee; 4096 - 22], ..plain() }).note(LIMIT_NOTE),
    bytes(8, "size-4097", INVALID_DATA, || header(2, 4097)).note(LIMIT_NOTE),
    bytes(8, "size-2-to-the-31", INVALID_DATA, || header(2, 1 << 31)).note(LIMIT_NOTE),
    bytes(8, "size-largest", INVALID_DATA, || header(2, u32::MAX)).note(LIMIT_NOTE),
    bytes(8, "message-one-byte-short-waits", WAITS, || plain().bytes()[..37].to_vec()),
    accept(3, "caps-none", || Mess { common: Vec::new(), ..plain() }),
    accept(3, "caps-none-at-0", || Mess { common: Vec::new(), caps_offset: Some(0), ..plain() }),
    accept(3, "caps-none-at-the-largest-offset", || Mess {
        common: Vec::new(),
        caps_offset: Some(u32::MAX),
        ..plain()
    }),
    accept(3, "caps-channel-words-alone", || Mess { common: Vec::new(), channel: vec![0xf], ..plain() }),
    accept(3, "caps-three-words-of-ones", || Mess { common: vec![u32::MAX; 3], channel: vec![u32::MAX; 3], ..plain() }),
    accept(3, "caps-1019-words", || Mess { common: vec![9; 1000], channel: vec![0; 19], ..plain() }).note(LIMIT_NOTE),
    mess(8, "caps-1020-words", INVALID_DATA, || Mess { common: vec![9; 1020], ..plain() }).note(LIMIT_NOTE),
    mess(8, "caps-1025-common-words", INVALID_DATA, || Mess { counts: Some([1025, 0]), ..plain() }).note(LIMIT_NOTE),
    mess(8, "caps-1025-channel-words", INVALID_DATA, || Mess { counts: Some([0, 1025]), ..plain() }).note(LIMIT_NOTE),
    mess(8, "caps-count-largest", INVALID_DATA, || Mess { counts: Some([u32::MAX, 0]), ..plain() }),
    mess(8, "caps-count-that-wraps-in-bytes", INVALID_DATA, || Mess { counts: Some([1 << 30, 0]), ..plain() }),
    mess(8, "caps-counts-whose-sum-wraps", INVALID_DATA, || Mess { counts: Some([1 << 31; 2]), ..plain() }),
    mess(8, "caps-more-words-than-bytes", INVALID_DATA, || Mess { counts: Some([2, 0]), ..plain() }),
    mess(8, "caps-at-0", INVALID_DATA, || Mess { caps_offset: Some(0), ..plain() }),
    mess(8, "caps-at-17", INVALID_DATA, || Mess { caps_offset: Some(17), ..plain() }),
    accept(3, "caps-at-19-with-room", || Mess { gap: vec![0; 1], ..plain() }),
    mess(8, "caps-at-19-without-room", INVALID_DATA, || Mess { caps_offset: Some(19), ..plain() }),
    accept(3, "caps-at-40", || Mess { gap: vec![0; 22], ..plain() }),
    mess(8, "caps-at-the-end", INVALID_DATA, || Mess { caps_offset: Some(22), ..plain() }),
    mess(8, "caps-at-the-largest-offset", INVALID_DATA, || Mess { caps_offset: Some(u32::MAX), ..plain() }),
    mess(8, "caps-at-an-offset-that-wraps", INVALID_DATA, || Mess { caps_offset: Some(u32::MAX - 3), ..plain() }),
    accept(2, "bytes-behind-the-caps", || Mess { tail: vec![0xee; 9], ..plain() }),
    mess(4, "channel-type-0", DROPPED, || Mess::channel(0, ChannelType(0), 0)),
    mess(4, "channel-type-7-tunnel", DROPPED, || Mess::channel(0, ChannelType(7), 0)),
    mess(4, "channel-type-99", DROPPED, || Mess::channel(0, ChannelType(99), 0))
        .note("up to spice-server 0.12.6 this aborts the server"),
    mess(4, "channel-type-255", DROPPED, || Mess::channel(0, ChannelType(255), 0))
        .note("up to spice-server 0.12.6 this aborts the server"),
    mess(4, "channel-id-that-is-not-there", DROPPED, || Mess::channel(0, ChannelType::INPUTS, ABSENT)),
    mess(8, "existence-before-authentication", DROPPED, || Mess::channel(0x1234, ChannelType::INPUTS, ABSENT)),
    mess(8, "caps-before-existence", INVALID_DATA, || Mess {
        caps_offset: Some(17),
        ..Mess::channel(0, ChannelType::INPUTS, ABSENT)
    }),
    accept(4, "main-with-id-9", || Mess::channel(0, ChannelType::MAIN, 9)),
    accept(4, "main-with-id-255", || Mess::channel(0, ChannelType::MAIN, 255)),
    reply(2, "reply-header", &[], |s| {
        judge_reply(s, "REDQ, 2.2", |reply| reply.get(..12) == Some(b"REDQ\x02\0\0\0\x02\0\0\0"))
    }),
    reply(2, "reply-size-is-exact", &[], |s| {
        judge_reply(s, "178 bytes and four for each word", |reply| {
            let words = word(reply, COMMON_COUNT) + word(reply, CHANNEL_COUNT);
            word(reply, 12) == 178 + 4 * words && reply.len() as u64 == 16 + 178 + 4 * u64::from(words)
        })
    }),
    reply(2, "reply-caps-at-178", &[], |s| judge_reply(s, "caps_offset 178", |reply| word(reply, CAPS_OFFSET) == 178)),
    reply(5, "reply-key", &[Requirement::Tickets], |s| {
        judge_reply(s, "a SubjectPublicKeyInfo of RSA-1024, exponent 65537", |reply| {
            reply.get(20..49) == Some(KEY_PREFIX) && reply.get(177..182) == Some(b"\x02\x03\x01\x00\x01")
        })
    }),
    reply(5, "reply-key-is-fresh", &[], |s| {
        let (one, two) = (first_reply(s)?, first_reply(s)?);
        let (one, two) = (one.get(20..182), two.get(20..182));
        Ok(Verdict::check(one.is_some() && one != two, "another key for another link", "the same key twice"))
    }),
    reply(3, "reply-offers-selection", &[], |s| judge_common(s, "bit 0, AUTH_SELECTION", |word| word & 1 != 0)),
    reply(3, "reply-offers-one-way-in", &[], |s| {
        judge_common(s, "one of bit 1, AUTH_SPICE, and bit 2, AUTH_SASL", |word| (word & 6).is_power_of_two())
    }),
    reply(3, "reply-offers-short-headers", &[], |s| judge_common(s, "bit 3, MINI_HEADER", |word| word & 8 != 0)),
    reply(7, "refusal-is-zeros", &[], |s| {
        let mut wire = s.connect()?;
        wire.send(&header(2, 17))?;
        wire.read_reply()?;
        let reply = wire.reply();
        let zeros = reply.get(20..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
        let seen = format!("{} bytes, zeros after the code: {zeros}", reply.len());
        Ok(Verdict::check(reply.len() == 194 && zeros, "194 bytes, zeros after the code: true", seen))
    }),
    bytes(8, "reply-comes-before-the-mechanism", ACCEPTING_REPLY, || plain().bytes()),
];

/// SubjectPublicKeyInfo, rsaEncryption, BIT STRING, SEQUENCE, and the start of a modulus of 1024 bits.
const KEY_PREFIX: &[u8] =
    b"\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x81\x8d\x00\x30\x81\x89\x02\x81\x81\x00";

/// Offsets in a link reply, header included.
const CHANNEL_COUNT: usize = 186;
const CAPS_OFFSET: usize = 190;

/// A message that spice-server accepts.
const fn accept(section: u8, name: &'static str, mess: fn() -> Mess) -> Case {
    case(section, name, LINKED, Play::Accept(mess))
}

/// A message, and the answer to it.
const fn mess(section: u8, name: &'static str, expected: &'static [&'static [Received]], mess: fn() -> Mess) -> Case {
    case(section, name, expected, Play::SendMess(mess))
}

/// Bytes, and the answer to them.
const fn bytes(
    section: u8,
    name: &'static str,
    expected: &'static [&'static [Received]],
    bytes: fn() -> Vec<u8>,
) -> Case {
    case(section, name, expected, Play::SendBytes(bytes))
}

/// A case about the bytes of replies.
const fn reply(
    section: u8,
    name: &'static str,
    requires: &'static [Requirement],
    decide: fn(&Subject) -> io::Result<Verdict>,
) -> Case {
    check(section, name, requires, Play::Check(decide))
}

fn plain() -> Mess {
    Mess::default()
}

/// The header alone of a main channel's message that has this size.
fn header(major: u32, size: u32) -> Vec<u8> {
    Mess { major, size: Some(size), ..plain() }.bytes()[..16].to_vec()
}

fn first_reply(subject: &Subject) -> io::Result<Vec<u8>> {
    let mut wire = subject.connect()?;
    wire.send(&plain().bytes())?;
    wire.read_reply()?;
    Ok(wire.reply().to_vec())
}

fn judge_reply(subject: &Subject, expected: &str, is_right: fn(&[u8]) -> bool) -> io::Result<Verdict> {
    let reply = first_reply(subject)?;
    let start = reply.get(..24).unwrap_or(&reply).escape_ascii();
    Ok(Verdict::check(is_right(&reply), expected, format!("{} bytes, {start}…", reply.len())))
}

fn judge_common(subject: &Subject, expected: &str, is_right: fn(u32) -> bool) -> io::Result<Verdict> {
    let reply = first_reply(subject)?;
    let seen = if word(&reply, COMMON_COUNT) > 0 { word(&reply, FIRST_WORD) } else { 0 };
    Ok(Verdict::check(is_right(seen), expected, format!("{seen:#x}")))
}
