//! From the mechanism to the session: sequence, tickets, connection ids, data headers.

use std::io;

use spice_link::ChannelType;

use super::{
    answers::{
        BAD_CONNECTION_ID, BAD_MECHANISM, JOINED, JOINED_AND_ENDED, JOINED_AND_SILENCE, LINKED, PERMISSION_DENIED,
        REPLY_AND_END, REPLY_AND_SILENCE,
    },
    check, converse, replied,
};
use crate::{
    Mess,
    case::{
        Case, Play,
        Requirement::{self, Cursor, OtherChannel, Password, Tickets},
        Verdict,
    },
    received::Received,
    subject::{Subject, conclude},
    wire::Wire,
};

pub(super) const CASES: &[Case] = &[
    mechanism("mechanism-0", |s| mechanism_word(s, 0)),
    mechanism("mechanism-3", |s| mechanism_word(s, 3)),
    mechanism("mechanism-largest", |s| mechanism_word(s, u32::MAX)),
    mechanism("mechanism-in-the-other-order", |s| mechanism_word(s, 0x0100_0000)),
    converse(1, "mechanism-three-bytes-wait", &[], REPLY_AND_SILENCE, |s| {
        let mut wire = replied(s)?;
        wire.send(&[1, 0, 0])?;
        wire.read_silence()?;
        Ok(wire)
    }),
    converse(1, "mechanism-with-the-message", &[Tickets], LINKED, |s| {
        let mut wire = s.connect()?;
        wire.send(&[&Mess::default().bytes()[..], &[1, 0, 0, 0]].concat())?;
        wire.read_reply()?;
        wire.send(&wire.seal(&s.ticket()))?;
        conclude(&mut wire, &Mess::default())?;
        Ok(wire)
    }),
    link(1, "no-selection-needs-no-mechanism", LINKED, || Mess { common: vec![8], ..Mess::default() }),
    link(1, "selection-and-long-headers", LINKED, || Mess { common: vec![1], ..Mess::default() }),
    link(1, "no-selection-and-long-headers", LINKED, || Mess { common: vec![2], ..Mess::default() }),
    link(1, "no-capabilities-at-all", LINKED, || Mess { common: Vec::new(), ..Mess::default() }),
    converse(1, "byte-by-byte", &[Tickets], LINKED, |s| {
        let mut wire = s.connect()?;
        for byte in Mess::default().bytes() {
            wire.send(&[byte])?;
        }
        wire.read_reply()?;
        let ticket = wire.seal(&s.ticket());
        for byte in [&[1, 0, 0, 0][..], &ticket].concat() {
            wire.send(&[byte])?;
        }
        conclude(&mut wire, &Mess::default())?;
        Ok(wire)
    }),
    converse(7, "fin-instead-of-a-mechanism", &[], REPLY_AND_END, |s| finish_after(s, &[])),
    converse(7, "fin-in-the-ticket", &[Tickets], REPLY_AND_END, |s| finish_after(s, &[1, 0, 0, 0, 0xaa, 0xbb])),
    link(5, "ticket-right", LINKED, Mess::default),
    ticket("ticket-without-a-nul", LINKED, |s| s.ticket().split_last().map_or(Vec::new(), |(_, text)| text.to_vec())),
    ticket("ticket-with-bytes-behind-the-nul", LINKED, |s| [&s.ticket()[..], b"and more"].concat()),
    ticket("ticket-wrong", PERMISSION_DENIED, |_| b"surely not this one\0".to_vec()),
    ticket("ticket-too-short", PERMISSION_DENIED, |s| match &s.ticket()[..] {
        [first, _, _, ..] => vec![*first],
        _ => Vec::new(),
    }),
    ticket("ticket-too-long", PERMISSION_DENIED, |s| [s.password().unwrap_or_default().as_bytes(), b"x\0"].concat()),
    ticket("ticket-empty", PERMISSION_DENIED, |_| b"\0".to_vec()),
    ticket("ticket-of-nothing", PERMISSION_DENIED, |_| Vec::new()),
    converse(5, "ticket-of-zeros", &[Tickets], PERMISSION_DENIED, |s| raw_ticket(s, &[0; 128]))
        .note("up to spice-server 0.12.4 a ticket that can't be decrypted is treated as a wrong one"),
    converse(5, "ticket-that-was-never-encrypted", &[Tickets], PERMISSION_DENIED, |s| raw_ticket(s, &[0x5a; 128])),
    converse(5, "ticket-for-another-key", &[Tickets, Password], PERMISSION_DENIED, |s| {
        let other = replied(s)?;
        raw_ticket(s, &other.seal(&s.ticket()))
    }),
    converse(8, "ticket-before-connection-id", &[Tickets, Password, OtherChannel], PERMISSION_DENIED, |s| {
        let (kind, id) = other(s);
        s.link_with(&Mess::channel(0x1234, kind, id), b"wrong\0")
    }),
    session("session-id-is-not-0", &[Tickets], |s| {
        let wire = s.link(&Mess::default())?;
        let seen = wire.main_init().map_or_else(|| Received::join(wire.received()), |(id, _)| id.to_string());
        Ok(Verdict::check(wire.main_init().is_some_and(|(id, _)| id != 0), "an id that is not 0", seen))
    }),
    session("session-ids-differ", &[Tickets], |s| {
        let (one, two) = (s.link(&Mess::default())?, s.link(&Mess::default())?);
        let ids = (one.main_init().map(|(id, _)| id), two.main_init().map(|(id, _)| id));
        Ok(Verdict::check(ids.0.is_some() && ids.1.is_some() && ids.0 != ids.1, "two ids", format!("{ids:?}")))
    }),
    converse(11, "channel-without-an-id", &[Tickets, OtherChannel], BAD_CONNECTION_ID, |s| with_id(s, 0)),
    converse(11, "channel-with-a-wrong-id", &[Tickets, OtherChannel], BAD_CONNECTION_ID, |s| with_id(s, 0x8765_4321)),
    session("channel-joins-its-session", &[Tickets, OtherChannel], |s| in_session(s, |_, id| joins(s, id, other(s)))),
    session("cursor-joins-its-session", &[Tickets, Cursor], |s| in_session(s, |_, id| joins(s, id, cursor(s)))),
    session("cursor-that-is-there-already", &[Tickets, Cursor], |s| {
        in_session(s, |_, id| is_there_already(s, id, cursor(s)))
    }),
    session("channel-with-its-sessions-id-off-by-one", &[Tickets, OtherChannel], |s| {
        in_session(s, |_, id| {
            let (kind, number) = other(s);
            let wire = s.link(&Mess::channel(id.wrapping_add(1), kind, number))?;
            Ok(Verdict::of(wire.received(), BAD_CONNECTION_ID))
        })
    }),
    session("channel-that-is-there-already", &[Tickets, OtherChannel], |s| {
        in_session(s, |_, id| is_there_already(s, id, other(s)))
    })
    .note("before spice-server 0.12 a second link replaces the first"),
    session("new-session-ends-the-old-one", &[Tickets, OtherChannel], |s| {
        in_session(s, |main, _| {
            let new = s.link(&Mess::default())?;
            main.skip_to_end()?;
            let old = main.received().get(3..).unwrap_or_default();
            let seen = format!("new: {}; old: {}", Received::join(new.received()), Received::join(old));
            let is_right = new.main_init().is_some() && old.last() == Some(&Received::End);
            Ok(Verdict::check(is_right, "new: reply 0, result 0, main_init; old: end", seen))
        })
    }),
    session("refused-link-ends-nothing", &[Tickets, Password, OtherChannel], |s| {
        in_session(s, |_, id| {
            let _refused = s.link_with(&Mess::default(), b"wrong\0")?;
            joins(s, id, other(s))
        })
    }),
    session("main-that-leaves-ends-its-session", &[Tickets, OtherChannel], |s| {
        in_session(s, |main, id| {
            let (kind, number) = other(s);
            let mut channel = s.link(&Mess::channel(id, kind, number))?;
            main.finish()?;
            channel.skip_to_end()?;
            Ok(Verdict::of(channel.received(), JOINED_AND_ENDED))
        })
    }),
    converse(11, "main-with-an-id-is-a-migration-target", &[Tickets], JOINED_AND_SILENCE, |s| {
        let mut wire = s.link(&Mess { connection_id: 0x7fff_1234, ..Mess::default() })?;
        wire.read_silence()?;
        Ok(wire)
    })
    .note("spice-server 0.6 answers 8"),
    check(12, "main-init-behind-a-short-header", &[Tickets], Play::Check(|s| main_init(s, 9, None)))
        .note("short headers came with spice-server 0.10"),
    check(12, "main-init-behind-a-long-header", &[Tickets], Play::Check(|s| main_init(s, 1, Some((1, 0))))),
];

/// A mechanism that no server has.
const fn mechanism(name: &'static str, play: fn(&Subject) -> io::Result<Wire>) -> Case {
    converse(1, name, &[], BAD_MECHANISM, play)
}

/// A link with this message and a good ticket.
const fn link(section: u8, name: &'static str, expected: &'static [&'static [Received]], mess: fn() -> Mess) -> Case {
    Case::new(section, name, &[Tickets], expected, Play::Link(mess, Subject::ticket))
}

/// A link with a ticket of these bytes.
const fn ticket(name: &'static str, expected: &'static [&'static [Received]], plain: fn(&Subject) -> Vec<u8>) -> Case {
    Case::new(5, name, &[Tickets, Password], expected, Play::Link(Mess::default, plain))
}

/// A case about sessions.
const fn session(
    name: &'static str,
    requires: &'static [Requirement],
    decide: fn(&Subject) -> io::Result<Verdict>,
) -> Case {
    check(11, name, requires, Play::Check(decide))
}

fn mechanism_word(subject: &Subject, word: u32) -> io::Result<Wire> {
    let mut wire = replied(subject)?;
    wire.send(&word.to_le_bytes())?;
    wire.read_reply()?;
    wire.read_end()?;
    Ok(wire)
}

fn finish_after(subject: &Subject, bytes: &[u8]) -> io::Result<Wire> {
    let mut wire = replied(subject)?;
    wire.send(bytes)?;
    wire.finish()?;
    wire.read_end()?;
    Ok(wire)
}

/// Sends 128 bytes in place of a ticket, which no server can decrypt: not even one without a password accepts them.
fn raw_ticket(subject: &Subject, ticket: &[u8]) -> io::Result<Wire> {
    let mut wire = replied(subject)?;
    wire.send(&[&[1, 0, 0, 0], ticket].concat())?;
    conclude(&mut wire, &Mess::default())?;
    Ok(wire)
}

/// The channel that cases join.
fn other(subject: &Subject) -> (ChannelType, u8) {
    subject.other.unwrap_or((ChannelType::INPUTS, 0))
}

fn cursor(subject: &Subject) -> (ChannelType, u8) {
    subject.cursor.unwrap_or((ChannelType::CURSOR, 0))
}

/// A link to the channel with a connection id.
fn with_id(subject: &Subject, connection_id: u32) -> io::Result<Wire> {
    let (kind, id) = other(subject);
    Ok(subject.link(&Mess::channel(connection_id, kind, id))?)
}

/// Opens a session, and decides with its main channel and its id.
fn in_session(subject: &Subject, decide: impl FnOnce(&mut Wire, u32) -> io::Result<Verdict>) -> io::Result<Verdict> {
    let mut main = subject.link(&Mess::default())?;
    match main.main_init() {
        Some((id, _)) => decide(&mut main, id),
        None => Ok(Verdict::of(main.received(), LINKED)),
    }
}

fn joins(subject: &Subject, connection_id: u32, (kind, id): (ChannelType, u8)) -> io::Result<Verdict> {
    let wire = subject.link(&Mess::channel(connection_id, kind, id))?;
    Ok(Verdict::of(wire.received(), JOINED))
}

/// The second of its kind in a session is accepted and then ended.
fn is_there_already(subject: &Subject, connection_id: u32, (kind, id): (ChannelType, u8)) -> io::Result<Verdict> {
    let mess = Mess::channel(connection_id, kind, id);
    let _first = subject.link(&mess)?;
    let mut second = subject.link(&mess)?;
    second.skip_to_end()?;
    Ok(Verdict::of(second.received(), JOINED_AND_ENDED))
}

fn main_init(subject: &Subject, common: u32, full: Option<(u64, u32)>) -> io::Result<Verdict> {
    let wire = subject.link(&Mess { common: vec![common], ..Mess::default() })?;
    let seen = wire.main_init().map_or_else(|| Received::join(wire.received()), |(_, header)| format!("{header:?}"));
    let expected = if full.is_some() { "type 103, 32 bytes, serial 1, no sub-messages" } else { "type 103, 32 bytes" };
    Ok(Verdict::check(wire.main_init().is_some_and(|(_, header)| header.full == full), expected, seen))
}
