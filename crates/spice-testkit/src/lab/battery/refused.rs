//! What a server with a password refuses. It needs a TLS port too, and `tls-channel=record`.

use std::io;

use super::{Answer, Case};
use crate::{
    captures::PASSWORD,
    lab::link::{Mess, Wire},
};

const INVALID_MAGIC: Answer = Answer::refused(&[2]);
const INVALID_DATA: Answer = Answer::refused(&[3]);
const VERSION_MISMATCH: Answer = Answer::refused(&[4]);
const NEED_SECURED: Answer = Answer::refused(&[5]);
const PERMISSION_DENIED: Answer = Answer::result(7);
const BAD_CONNECTION_ID: Answer = Answer::result(8);
/// A good reply, and an error frame after it.
const BAD_MECHANISM: Answer = Answer::refused(&[0, 3]);
/// A good reply, and the client leaves.
const REPLY_ONLY: Answer = Answer::refused(&[0]);

/// The refused battery.
pub const REFUSED: &[Case] = &[
    case("wrong magic, 4 bytes", INVALID_MAGIC, |wire| refused(wire, b"HELO")),
    case("wrong magic, 16 bytes", INVALID_MAGIC, |wire| refused(wire, b"QDER\x02\0\0\0\x02\0\0\0\x12\0\0\0")),
    case("TLS ClientHello", INVALID_MAGIC, |wire| refused(wire, CLIENT_HELLO)),
    case("HTTP without a WebSocket key", INVALID_MAGIC, |wire| refused(wire, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
    case("WebSocket request cut in two", INVALID_MAGIC, |wire| refused(wire, b"GET / HTTP/1.1\r\nSec-WebSocket-Key: ")),
    case("major 0", Answer::SILENCE, |wire| silence(wire, &Mess { major: 0, ..main() })),
    case("major 1", VERSION_MISMATCH, |wire| refused(wire, &Mess { major: 1, ..main() }.bytes())),
    case("major 3", VERSION_MISMATCH, |wire| refused(wire, &Mess { major: 3, ..main() }.bytes())),
    case("size 0", INVALID_DATA, |wire| refused(wire, &header(0))),
    case("size 17", INVALID_DATA, |wire| refused(wire, &header(17))),
    case("size 4097", INVALID_DATA, |wire| refused(wire, &header(4097))),
    case("size 2^32-1", INVALID_DATA, |wire| refused(wire, &header(u32::MAX))),
    case("1025 common words", INVALID_DATA, |wire| refused(wire, &Mess { counts: Some([1025, 0]), ..main() }.bytes())),
    case("1025 channel words", INVALID_DATA, |wire| refused(wire, &Mess { counts: Some([0, 1025]), ..main() }.bytes())),
    case("2^32-1 words", INVALID_DATA, |wire| refused(wire, &Mess { counts: Some([u32::MAX; 2]), ..main() }.bytes())),
    case("1020 words", INVALID_DATA, |wire| refused(wire, &Mess { common: vec![9; 1020], ..main() }.bytes())),
    case("caps at 0", INVALID_DATA, |wire| refused(wire, &Mess { caps_offset: Some(0), ..main() }.bytes())),
    case("caps at 17", INVALID_DATA, |wire| refused(wire, &Mess { caps_offset: Some(17), ..main() }.bytes())),
    case("caps at 2^32-1", INVALID_DATA, |wire| refused(wire, &Mess { caps_offset: Some(u32::MAX), ..main() }.bytes())),
    case("more words than bytes", INVALID_DATA, |wire| refused(wire, &Mess { counts: Some([2, 0]), ..main() }.bytes())),
    case("TLS-only channel in plain", NEED_SECURED, |wire| refused(wire, &Mess::new(0, 6, 0).bytes())),
    case("channel type 0", Answer::SILENCE, |wire| silence(wire, &Mess::new(0, 0, 0))),
    case("channel type 7", Answer::SILENCE, |wire| silence(wire, &Mess::new(0, 7, 0))),
    case("channel type 99", Answer::SILENCE, |wire| silence(wire, &Mess::new(0, 99, 0))),
    case("inputs 5", Answer::SILENCE, |wire| silence(wire, &Mess::new(0, 3, 5))),
    case("wrong password", PERMISSION_DENIED, |wire| denied(wire, &main(), "wrong")),
    case("empty password", PERMISSION_DENIED, |wire| denied(wire, &main(), "")),
    case("wrong password for a wrong id", PERMISSION_DENIED, |wire| denied(wire, &Mess::new(0x1234, 3, 0), "wrong")),
    case("a ticket of zeros", PERMISSION_DENIED, ticket_of_zeros),
    case("inputs without an id", BAD_CONNECTION_ID, |wire| denied(wire, &Mess::new(0, 3, 0), PASSWORD)),
    case("inputs with a wrong id", BAD_CONNECTION_ID, |wire| denied(wire, &Mess::new(0x8765_4321, 3, 0), PASSWORD)),
    case("mechanism 0", BAD_MECHANISM, |wire| mechanism(wire, 0)),
    case("mechanism 3", BAD_MECHANISM, |wire| mechanism(wire, 3)),
    case("SASL where it is off", REPLY_ONLY, sasl_where_it_is_off),
    case("nothing sent", Answer::SILENCE, |_| Ok(())),
    case("FIN at once", Answer::SILENCE, |wire| cut(wire, 0)),
    case("FIN in the magic", Answer::SILENCE, |wire| cut(wire, 3)),
    case("FIN in the header", Answer::SILENCE, |wire| cut(wire, 15)),
    case("FIN in the message", Answer::SILENCE, |wire| cut(wire, 30)),
    case("FIN instead of a mechanism", REPLY_ONLY, |wire| cut_after_reply(wire, &[])),
    case("FIN in the ticket", REPLY_ONLY, |wire| cut_after_reply(wire, &[1, 0, 0, 0, 0xaa, 0xbb])),
];

const fn case(name: &'static str, expected: Answer, play: fn(&mut Wire) -> io::Result<()>) -> Case {
    Case { name, expected, play }
}

/// The start of a real TLS 1.3 ClientHello: record header, handshake header, version, the first random bytes.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03\x5a\x11\xc7\x0b\x2e";

fn main() -> Mess {
    Mess::new(0, 1, 0)
}

/// Only the header, with a size to be refused: the server must not wait for a body.
fn header(size: u32) -> Vec<u8> {
    Mess { size: Some(size), ..main() }.bytes()[..16].to_vec()
}

fn refused(wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    wire.send(bytes)?;
    wire.read_reply()?;
    wire.until_end()
}

fn silence(wire: &mut Wire, mess: &Mess) -> io::Result<()> {
    wire.send(&mess.bytes())?;
    wire.until_end()
}

fn denied(wire: &mut Wire, mess: &Mess, password: &str) -> io::Result<()> {
    wire.link(mess, password)?;
    wire.until_end()
}

fn ticket_of_zeros(wire: &mut Wire) -> io::Result<()> {
    wire.send(&main().bytes())?;
    wire.read_reply()?;
    wire.send(&1u32.to_le_bytes())?;
    wire.send(&[0; 128])?;
    wire.read_result()?;
    wire.until_end()
}

fn mechanism(wire: &mut Wire, mechanism: u32) -> io::Result<()> {
    wire.send(&main().bytes())?;
    wire.read_reply()?;
    wire.send(&mechanism.to_le_bytes())?;
    wire.read_reply()?;
    wire.until_end()
}

/// spice-server then offers SASL all the same. The client takes its list and leaves.
fn sasl_where_it_is_off(wire: &mut Wire) -> io::Result<()> {
    wire.send(&main().bytes())?;
    wire.read_reply()?;
    wire.send(&2u32.to_le_bytes())?;
    let list = wire.read_u32()? as usize;
    wire.skip(list)
}

fn cut(wire: &mut Wire, len: usize) -> io::Result<()> {
    wire.send(&main().bytes()[..len])?;
    wire.finish()?;
    wire.until_end()
}

fn cut_after_reply(wire: &mut Wire, more: &[u8]) -> io::Result<()> {
    wire.send(&main().bytes())?;
    wire.read_reply()?;
    wire.send(more)?;
    wire.finish()?;
    wire.until_end()
}
