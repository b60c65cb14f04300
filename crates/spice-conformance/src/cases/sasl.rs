//! SASL: what a server that requires it refuses and accepts, and what one that does not makes of it.

use std::io;

use spice_link::ChannelType;

use super::{
    answers::{
        BAD_MECHANISM, CHALLENGE_AND_END, LAYERED, LAYERED_AND_END, LINKED, LIST_AND_END, LIST_AND_INVALID_DATA,
        NO_SELECTION, OFFERED_OR_REFUSED, SASL_LINKED,
    },
    check, converse, replied,
};
use crate::{
    Mess,
    case::{
        Case, Play,
        Requirement::{DigestMd5, PlainMechanism, Sasl, Tickets, User},
        Verdict,
    },
    digest_md5::{self, Protection},
    received::Received,
    subject::{Subject, conclude},
    wire::{Wire, field},
};

const OFF_NOTE: &str = "spice-server offers SASL if it was built with it, even if it is off";
const PLAIN_NOTE: &str = "spice-server offers PLAIN inside TLS only, and only if the SASL library is configured for it";

/// The mechanism word of SASL.
const SASL_WORD: [u8; 4] = [2, 0, 0, 0];
/// One byte more than spice-server accepts.
const TOO_LONG: [u8; 4] = (spice_link::sasl::MAX_DATA + 1).to_le_bytes();

pub(super) const CASES: &[Case] = &[
    converse(6, "sasl-where-it-is-off", &[Tickets], OFFERED_OR_REFUSED, |s| {
        let mut wire = replied(s)?;
        wire.send(&SASL_WORD)?;
        wire.read_mechanism_list()?;
        Ok(wire)
    })
    .note(OFF_NOTE),
    Case::new(6, "sasl-capability-where-it-is-off", &[Tickets], LINKED, Play::Link(mess, Subject::ticket)),
    converse(6, "sasl-ticket-is-refused", &[Sasl], BAD_MECHANISM, |s| {
        let mut wire = replied(s)?;
        wire.send(&[1, 0, 0, 0])?;
        wire.read_reply()?;
        wire.read_end()?;
        Ok(wire)
    }),
    check(
        6,
        "sasl-key-is-zeros",
        &[Sasl],
        Play::Check(|s| {
            let mut wire = s.connect()?;
            wire.send(&mess().bytes())?;
            wire.read_reply()?;
            let zeros = wire.reply().get(20..182).is_some_and(|key| key.iter().all(|byte| *byte == 0));
            Ok(Verdict::check(zeros, "162 zeros", "a key"))
        }),
    ),
    check(
        6,
        "sasl-list-has-commas-at-both-ends",
        &[Sasl],
        Play::Check(|s| {
            let (_, list) = offer(s)?;
            let is_right = list.len() > 2 && list.starts_with(b",") && list.ends_with(b",");
            Ok(Verdict::check(is_right, "a list between commas", list.escape_ascii().to_string()))
        }),
    )
    .note("since spice-server 0.14.1"),
    converse(6, "sasl-name-of-0-bytes", &[Sasl], LIST_AND_END, |s| ends_after(s, |_| vec![0; 4])),
    converse(6, "sasl-name-of-101-bytes", &[Sasl], LIST_AND_END, |s| ends_after(s, |_| 101u32.to_le_bytes().to_vec())),
    converse(6, "sasl-name-that-is-not-offered", &[Sasl], LIST_AND_INVALID_DATA, |s| {
        is_refused_after(s, |_| field(b"NOTHING"))
    }),
    converse(6, "sasl-name-with-a-comma", &[Sasl], LIST_AND_INVALID_DATA, |s| {
        is_refused_after(s, |list| field(&[first_name(list), b","].concat()))
    }),
    converse(6, "sasl-first-data-of-more-than-1-mib", &[Sasl], LIST_AND_INVALID_DATA, |s| {
        is_refused_after(s, |list| [&field(first_name(list))[..], &TOO_LONG].concat())
    }),
    converse(6, "sasl-plain-right-password", &[Sasl, User, PlainMechanism], SASL_LINKED, |s| {
        let mut wire = plain(s, s.password().unwrap_or_default())?;
        if wire.received().last() == Some(&Received::SaslAccepted) {
            conclude(&mut wire, &mess())?;
        }
        Ok(wire)
    })
    .note(PLAIN_NOTE),
    converse(6, "sasl-plain-wrong-password", &[Sasl, User, PlainMechanism], LIST_AND_END, |s| {
        let mut wire = plain(s, "not the password")?;
        wire.read_end()?;
        Ok(wire)
    })
    .note(PLAIN_NOTE),
    converse(6, "sasl-later-data-of-more-than-1-mib", &[Sasl, DigestMd5], CHALLENGE_AND_END, |s| {
        let (mut wire, _) = challenge(s, &mess())?;
        wire.send(&TOO_LONG)?;
        wire.read_end()?;
        Ok(wire)
    }),
    converse(6, "sasl-fin-in-the-exchange", &[Sasl, DigestMd5], CHALLENGE_AND_END, |s| {
        let (mut wire, _) = challenge(s, &mess())?;
        wire.finish()?;
        wire.read_end()?;
        Ok(wire)
    }),
    converse(6, "sasl-digest-md5-wrong-password", &[Sasl, User, DigestMd5], CHALLENGE_AND_END, |s| {
        let mut wire = digest(s, &mess(), "not the password", Protection::Confidentiality)?;
        wire.read_end()?;
        Ok(wire)
    }),
    converse(6, "sasl-digest-md5-without-encryption", &[Sasl, User, DigestMd5], CHALLENGE_AND_END, |s| {
        let mut wire = digest(s, &mess(), s.password().unwrap_or_default(), Protection::Integrity)?;
        wire.read_sasl_answer()?;
        wire.read_end()?;
        Ok(wire)
    }),
    converse(6, "sasl-digest-md5-with-a-wrong-id", &[Sasl, User, DigestMd5], LAYERED_AND_END, |s| {
        let mess = Mess { common: mess().common, ..Mess::channel(0x1234, ChannelType::INPUTS, 0) };
        let mut wire = digest(s, &mess, s.password().unwrap_or_default(), Protection::Confidentiality)?;
        wire.read_sasl_answer()?;
        wire.read_layer_frame()?;
        wire.read_end()?;
        Ok(wire)
    }),
    converse(6, "sasl-digest-md5-right-password", &[Sasl, User, DigestMd5], LAYERED, |s| {
        let mut wire = digest(s, &mess(), s.password().unwrap_or_default(), Protection::Confidentiality)?;
        wire.read_sasl_answer()?;
        wire.read_layer_frame()?;
        wire.read_layer_frame()?;
        Ok(wire)
    }),
    // The last one: spice-server never closes its connection.
    converse(6, "sasl-without-selection", &[Sasl], NO_SELECTION, |s| {
        let mut wire = s.connect()?;
        wire.send(&Mess { common: vec![8], ..Mess::default() }.bytes())?;
        wire.read_reply()?;
        wire.read_reply()?;
        Ok(wire)
    })
    .note("spice-server never closes this connection"),
];

/// A main channel's message whose client can do SASL too.
fn mess() -> Mess {
    Mess { common: vec![0xd], ..Mess::default() }
}

/// The first name of a list between commas.
fn first_name(list: &[u8]) -> &[u8] {
    list.get(1..).and_then(|rest| rest.split(|byte| *byte == b',').next()).unwrap_or_default()
}

/// Up to the server's list of mechanisms.
fn offer(subject: &Subject) -> io::Result<(Wire, Vec<u8>)> {
    offer_to(subject, &mess())
}

fn offer_to(subject: &Subject, mess: &Mess) -> io::Result<(Wire, Vec<u8>)> {
    let mut wire = subject.connect()?;
    wire.send(&mess.bytes())?;
    wire.read_reply()?;
    wire.send(&SASL_WORD)?;
    let list = wire.read_mechanism_list()?;
    Ok((wire, list))
}

/// Sends these bytes after the list, and reads the end.
fn ends_after(subject: &Subject, bytes: fn(&[u8]) -> Vec<u8>) -> io::Result<Wire> {
    let (mut wire, list) = offer(subject)?;
    wire.send(&bytes(&list))?;
    wire.read_end()?;
    Ok(wire)
}

/// Sends these bytes after the list, and reads a second reply and the end.
fn is_refused_after(subject: &Subject, bytes: fn(&[u8]) -> Vec<u8>) -> io::Result<Wire> {
    let (mut wire, list) = offer(subject)?;
    wire.send(&bytes(&list))?;
    wire.read_reply()?;
    wire.read_end()?;
    Ok(wire)
}

/// The mechanism PLAIN (RFC 4616) with this password, up to the server's answer.
fn plain(subject: &Subject, password: &str) -> io::Result<Wire> {
    let (mut wire, _) = offer(subject)?;
    let user = subject.user.as_deref().unwrap_or_default();
    let data = format!("\0{user}\0{password}\0");
    wire.send(&[field(b"PLAIN"), field(data.as_bytes())].concat())?;
    wire.read_sasl_answer()?;
    Ok(wire)
}

/// DIGEST-MD5 up to the server's challenge.
fn challenge(subject: &Subject, mess: &Mess) -> io::Result<(Wire, Vec<u8>)> {
    let (mut wire, _) = offer_to(subject, mess)?;
    wire.send(&[field(b"DIGEST-MD5"), field(b"")].concat())?;
    let challenge = wire.read_sasl_answer()?;
    Ok((wire, challenge))
}

/// DIGEST-MD5 up to the client's response.
fn digest(subject: &Subject, mess: &Mess, password: &str, protection: Protection) -> io::Result<Wire> {
    let (mut wire, challenge) = challenge(subject, mess)?;
    let user = subject.user.as_deref().unwrap_or_default();
    if let Some(response) = digest_md5::respond(&challenge, user, password, protection) {
        wire.send(&field(&response))?;
    }
    Ok(wire)
}
