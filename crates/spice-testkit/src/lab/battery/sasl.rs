//! What a SASL server (DIGEST-MD5 alone) refuses, and one that it accepts.
//!
//! The user is [`USER`]. A client without mechanism selection is not here: the server never lets go of its socket, so
//! that it can only come last.

use std::io;

use super::{Answer, Case};
use crate::{
    captures::{PASSWORD, USER},
    lab::{
        digest_md5,
        link::{Mess, Wire, cap},
    },
};

/// A good reply and nothing more that could be read: silence, a SASL refusal, or a result inside the security layer.
const REPLY_ONLY: Answer = Answer::refused(&[0]);
/// A good reply, and an error frame after it.
const INVALID_DATA: Answer = Answer::refused(&[0, 3]);

/// The SASL battery.
pub const SASL: &[Case] = &[
    case("a ticket on a SASL server", INVALID_DATA, |wire| {
        start(wire, &main(), 1)?;
        error_frame(wire)
    }),
    case("mechanism name of 0 bytes", REPLY_ONLY, |wire| silent_name(wire, &[0; 4])),
    case("mechanism name of 101 bytes", REPLY_ONLY, |wire| silent_name(wire, &101u32.to_le_bytes())),
    case("mechanism that is not offered", INVALID_DATA, |wire| {
        offer(wire, &main())?;
        wire.send(&field(b"PLAIN"))?;
        error_frame(wire)
    }),
    case("first data of more than 1 MiB", INVALID_DATA, |wire| {
        offer(wire, &main())?;
        wire.send(&field(b"DIGEST-MD5"))?;
        wire.send(&(1024u32 * 1024 + 1).to_le_bytes())?;
        error_frame(wire)
    }),
    case("later data of more than 1 MiB", REPLY_ONLY, |wire| {
        challenge(wire, &main())?;
        wire.send(&(1024u32 * 1024 + 1).to_le_bytes())?;
        wire.until_end()
    }),
    case("wrong password", REPLY_ONLY, |wire| {
        answer(wire, &main(), "wrong", "auth-conf")?;
        wire.until_end()
    }),
    case("integrity without encryption", REPLY_ONLY, too_weak),
    case("FIN in the exchange", REPLY_ONLY, |wire| {
        challenge(wire, &main())?;
        wire.finish()?;
        wire.until_end()
    }),
    case("inputs with a wrong id", REPLY_ONLY, |wire| {
        accepted(wire, &Mess { common: main().common, ..Mess::new(0x1234, 3, 0) })?;
        wire.until_end()
    }),
    case("main", REPLY_ONLY, |wire| {
        accepted(wire, &main())?;
        // The result, then MAIN_INIT: neither can be read, so only their frames are.
        for _ in 0..2 {
            let length = u32::from_be_bytes(wire.read()?);
            wire.skip(length as usize)?;
        }
        Ok(())
    }),
];

/// A client that can't choose a mechanism: a good reply and an error frame, and then the server forgets the socket.
pub const NO_SELECTION: Case = case("SASL without mechanism selection", Answer::refused(&[0, 4]), |wire| {
    wire.send(&Mess { common: vec![cap::MINI_HEADER], ..main() }.bytes())?;
    wire.read_reply()?;
    wire.read_reply().map(drop)
});

const fn case(name: &'static str, expected: Answer, play: fn(&mut Wire) -> io::Result<()>) -> Case {
    Case { name, expected, play }
}

fn main() -> Mess {
    Mess { common: vec![cap::AUTH_SELECTION | cap::AUTH_SASL | cap::MINI_HEADER], ..Mess::new(0, 1, 0) }
}

/// A length and that many bytes.
fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), bytes].concat()
}

fn error_frame(wire: &mut Wire) -> io::Result<()> {
    wire.read_reply()?;
    wire.until_end()
}

fn start(wire: &mut Wire, mess: &Mess, mechanism: u32) -> io::Result<()> {
    wire.send(&mess.bytes())?;
    wire.read_reply()?;
    wire.send(&mechanism.to_le_bytes())
}

/// Up to the server's list of mechanisms.
fn offer(wire: &mut Wire, mess: &Mess) -> io::Result<()> {
    start(wire, mess, 2)?;
    let list = wire.read_u32()? as usize;
    wire.skip(list)
}

fn silent_name(wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    offer(wire, &main())?;
    wire.send(bytes)?;
    wire.until_end()
}

/// Up to the server's challenge, without its NUL.
fn challenge(wire: &mut Wire, mess: &Mess) -> io::Result<String> {
    offer(wire, mess)?;
    wire.send(&field(b"DIGEST-MD5"))?;
    wire.send(&field(b""))?;
    let length = wire.read_u32()?;
    let mut text = String::new();
    for _ in 1..length {
        text.push(wire.read::<1>()?[0].into());
    }
    let _nul_and_continue: [u8; 2] = wire.read()?;
    Ok(text)
}

fn answer(wire: &mut Wire, mess: &Mess, password: &str, qop: &str) -> io::Result<()> {
    let challenge = challenge(wire, mess)?;
    wire.send(&field(&digest_md5::respond(&challenge, USER, password, qop)?))
}

/// Up to the server's word that the client is who it says; the link result comes after, inside the security layer.
fn accepted(wire: &mut Wire, mess: &Mess) -> io::Result<()> {
    answer(wire, mess, PASSWORD, "auth-conf")?;
    let proof = wire.read_u32()? as usize;
    wire.skip(proof)?;
    let complete: [u8; 1] = wire.read()?;
    let refused = wire.read_u32()?;
    if (complete, refused) == ([1], 0) {
        return Ok(());
    }
    Err(io::Error::other(format!("expected SASL to accept, saw complete {complete:?}, then {refused}")))
}

/// The exchange succeeds, but plain TCP needs a layer that encrypts: the server says no in words.
fn too_weak(wire: &mut Wire) -> io::Result<()> {
    answer(wire, &main(), PASSWORD, "auth-int")?;
    wire.until_end()
}
