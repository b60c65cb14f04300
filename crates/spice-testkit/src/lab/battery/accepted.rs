//! What a server with a password accepts although no usual client sends it. Every one of them is a new main channel.

use std::io;

use super::{Answer, Case};
use crate::{
    captures::PASSWORD,
    lab::link::{Mess, Wire, cap, seal},
};

/// The accepted oddities.
pub const ACCEPTED: &[Case] = &[
    case("minor 99", |wire| main(wire, &Mess { minor: 99, ..plain() })),
    case("bytes after the caps", |wire| main(wire, &Mess { tail: b"and so on".to_vec(), ..plain() })),
    case("caps at 19", |wire| main(wire, &Mess { caps_offset: Some(19), ..plain() })),
    case("1019 words", |wire| main(wire, &Mess { common: vec![9; 1000], channel: vec![0; 19], ..plain() })),
    case("size 4096", |wire| main(wire, &Mess { tail: vec![0xee; 4096 - 18 - 4], ..plain() })),
    case("channel id 9", |wire| main(wire, &Mess { channel_id: 9, ..plain() })),
    case("channel id 255", |wire| main(wire, &Mess { channel_id: 255, ..plain() })),
    case("no caps", |wire| main(wire, &Mess { common: Vec::new(), ..plain() })),
    case("no caps, at 0", |wire| main(wire, &Mess { common: Vec::new(), caps_offset: Some(0), ..plain() })),
    case("no caps, at 2^32-1", |wire| main(wire, &Mess { common: Vec::new(), caps_offset: Some(u32::MAX), ..plain() })),
    case("no mechanism selection", |wire| main(wire, &Mess { common: vec![cap::MINI_HEADER], ..plain() })),
    case("no mini header", |wire| main(wire, &Mess { common: vec![cap::AUTH_SELECTION], ..plain() })),
    case("neither", |wire| main(wire, &Mess { common: vec![cap::AUTH_SPICE], ..plain() })),
    case("SASL capability without SASL", |wire| main(wire, &Mess { common: vec![0xd], ..plain() })),
    case("all capabilities", |wire| {
        main(wire, &Mess { common: vec![u32::MAX; 3], channel: vec![u32::MAX; 3], ..plain() })
    }),
    case("byte by byte", byte_by_byte),
    case("mechanism with the message", mechanism_with_the_message),
    case("bytes after the password", bytes_after_the_password),
];

const fn case(name: &'static str, play: fn(&mut Wire) -> io::Result<()>) -> Case {
    Case { name, expected: Answer::result(0), play }
}

fn plain() -> Mess {
    Mess::new(0, 1, 0)
}

/// Links, takes the session id, leaves.
fn main(wire: &mut Wire, mess: &Mess) -> io::Result<()> {
    wire.link(mess, PASSWORD)?;
    let mini = mess.common.first().is_some_and(|word| word & cap::MINI_HEADER != 0);
    wire.read_session_id(mini).map(drop)
}

fn byte_by_byte(wire: &mut Wire) -> io::Result<()> {
    for byte in plain().bytes() {
        wire.send(&[byte])?;
    }
    let reply = wire.read_reply()?;
    let ticket = seal(&reply.pub_key, PASSWORD.as_bytes())?;
    for byte in [&[1, 0, 0, 0], &ticket[..]].concat() {
        wire.send(&[byte])?;
    }
    wire.read_result()?;
    wire.read_session_id(true).map(drop)
}

fn mechanism_with_the_message(wire: &mut Wire) -> io::Result<()> {
    wire.send(&[&plain().bytes()[..], &[1, 0, 0, 0]].concat())?;
    let reply = wire.read_reply()?;
    let ticket = seal(&reply.pub_key, PASSWORD.as_bytes())?;
    wire.send(&ticket)?;
    wire.read_result()?;
    wire.read_session_id(true).map(drop)
}

/// The server compares up to the first NUL.
fn bytes_after_the_password(wire: &mut Wire) -> io::Result<()> {
    wire.link(&plain(), &format!("{PASSWORD}\0and more"))?;
    wire.read_session_id(true).map(drop)
}
