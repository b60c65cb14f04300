//! From the mechanism to the session: sequence, tickets, SASL, connection ids, data headers.

use super::{case, noted};
use crate::conformance::{
    case::{Case, LINKED, Server, Verdict, conclude, verdict},
    wire::{Answer, Mess},
};
use std::io;

const DENIED: &[Answer] = &[Answer::Reply(0), Answer::Result(7), Answer::End];
const BAD_ID: &[Answer] = &[Answer::Reply(0), Answer::Result(8), Answer::End];
const BAD_MECHANISM: &[Answer] = &[Answer::Reply(0), Answer::Reply(3), Answer::End];
const JOINED: &[Answer] = &[Answer::Reply(0), Answer::Result(0)];
const LEFT: &[Answer] = &[Answer::Reply(0), Answer::End];

const NO_CURSOR: &str = "the server has no cursor channel";

const SASL_NOTE: &str = "spice-server offers SASL even where it is off, as long as it was built with it";

const PLAIN_NOTE: &str = "spice-server offers PLAIN in TLS alone, and where the SASL library is set up for it";

pub(super) const CASES: &[Case] = &[
    case(1, "mechanism-0", |s| mechanism(s, 0)),
    case(1, "mechanism-3", |s| mechanism(s, 3)),
    case(1, "mechanism-largest", |s| mechanism(s, u32::MAX)),
    case(1, "mechanism-in-the-other-order", |s| mechanism(s, 0x0100_0000)),
    case(1, "mechanism-three-bytes-wait", |s| {
        let mut wire = s.dial()?;
        wire.send(&Mess::main().bytes())?;
        wire.read_reply()?;
        wire.send(&[1, 0, 0])?;
        wire.read_nothing()?;
        Ok(verdict(&wire, &[Answer::Reply(0), Answer::Nothing]))
    }),
    case(1, "mechanism-with-the-message", |s| {
        if let Some(skipped) = s.no_tickets() {
            return Ok(skipped);
        }
        let mut wire = s.dial()?;
        wire.send(&[&Mess::main().bytes()[..], &[1, 0, 0, 0]].concat())?;
        wire.read_reply()?;
        let ticket = wire.seal(&s.good());
        wire.send(&ticket)?;
        conclude(&mut wire, &Mess::main())?;
        Ok(verdict(&wire, LINKED))
    }),
    case(1, "no-selection-needs-no-mechanism", |s| s.links(&Mess { common: vec![8], ..Mess::main() }, LINKED)),
    case(1, "no-capabilities-at-all", |s| s.links(&Mess { common: Vec::new(), ..Mess::main() }, LINKED)),
    case(1, "byte-by-byte", |s| {
        if let Some(skipped) = s.no_tickets() {
            return Ok(skipped);
        }
        let mut wire = s.dial()?;
        for byte in Mess::main().bytes() {
            wire.send(&[byte])?;
        }
        wire.read_reply()?;
        let ticket = wire.seal(&s.good());
        for byte in [&[1, 0, 0, 0][..], &ticket].concat() {
            wire.send(&[byte])?;
        }
        conclude(&mut wire, &Mess::main())?;
        Ok(verdict(&wire, LINKED))
    }),
    case(7, "fin-instead-of-a-mechanism", |s| cut(s, &[])),
    case(7, "fin-in-the-ticket", |s| match s.no_tickets() {
        Some(skipped) => Ok(skipped),
        None => cut(s, &[1, 0, 0, 0, 0xaa, 0xbb]),
    }),
    case(5, "ticket-right", |s| s.links(&Mess::main(), LINKED)),
    case(5, "ticket-without-a-nul", |s| s.ticket(s.good().split_last().map_or(&[], |(_, text)| text), LINKED)),
    case(5, "ticket-with-bytes-behind-the-nul", |s| s.ticket(&[&s.good()[..], b"and more"].concat(), LINKED)),
    case(5, "ticket-wrong", |s| s.ticket(b"surely not this one\0", DENIED)),
    case(5, "ticket-too-short", |s| {
        s.ticket(s.good().get(..1).map_or(&[], |one| if s.good().len() > 2 { one } else { b"" }), DENIED)
    }),
    case(5, "ticket-too-long", |s| {
        let long = [s.password.as_deref().unwrap_or_default().as_bytes(), b"x\0"].concat();
        s.ticket(&long, DENIED)
    }),
    case(5, "ticket-empty", |s| s.ticket(b"\0", DENIED)),
    case(5, "ticket-of-nothing", |s| s.ticket(b"", DENIED)),
    noted(
        5,
        "ticket-of-zeros",
        "up to spice-server 0.12.4 a ticket that can't be decrypted is not told from a wrong one",
        |s| raw_ticket(s, &[0; 128]),
    ),
    case(5, "ticket-that-was-never-encrypted", |s| raw_ticket(s, &[0x5a; 128])),
    case(5, "ticket-for-another-key", |s| {
        if let Some(skipped) = s.no_password() {
            return Ok(skipped);
        }
        let mut other = s.dial()?;
        other.send(&Mess::main().bytes())?;
        other.read_reply()?;
        raw_ticket(s, &other.seal(&s.good()))
    }),
    case(8, "ticket-before-connection-id", |s| match (s.no_password(), s.other) {
        (Some(skipped), _) => Ok(skipped),
        (None, None) => Ok(Verdict::Skipped("the server has no channel but main")),
        (None, Some(other)) => Ok(verdict(&s.link(&Mess::channel(0x1234, other), b"wrong\0")?, DENIED)),
    }),
    case(11, "session-id-is-not-0", |s| {
        if let Some(skipped) = s.no_tickets() {
            return Ok(skipped);
        }
        let wire = s.link(&Mess::main(), &s.good())?;
        let seen = wire.session.map_or_else(|| Answer::show(&wire.seen), |(id, _)| id.to_string());
        Ok(Verdict::check(wire.session.is_some_and(|(id, _)| id != 0), "an id that is not 0", seen))
    }),
    case(11, "session-ids-differ", |s| {
        if let Some(skipped) = s.no_tickets() {
            return Ok(skipped);
        }
        let (one, two) = (s.link(&Mess::main(), &s.good())?, s.link(&Mess::main(), &s.good())?);
        let ids = (one.session.map(|(id, _)| id), two.session.map(|(id, _)| id));
        Ok(Verdict::check(ids.0.is_some() && ids.0 != ids.1, "two ids", format!("{ids:?}")))
    }),
    case(11, "channel-without-an-id", |s| other_channel(s, 0, BAD_ID)),
    case(11, "channel-with-a-wrong-id", |s| other_channel(s, 0x8765_4321, BAD_ID)),
    case(11, "channel-joins-its-session", |s| s.in_session(|_, id, other| joins(s, id, other))),
    case(11, "cursor-joins-its-session", |s| {
        s.in_session_with(s.cursor, NO_CURSOR, |_, id, cursor| joins(s, id, cursor))
    }),
    case(11, "cursor-that-is-there-already", |s| {
        s.in_session_with(s.cursor, NO_CURSOR, |_, id, cursor| is_there_already(s, id, cursor))
    }),
    case(11, "channel-with-its-sessions-id-off-by-one", |s| {
        s.in_session(|_, id, other| Ok(verdict(&s.link(&Mess::channel(id.wrapping_add(1), other), &s.good())?, BAD_ID)))
    }),
    noted(11, "channel-that-is-there-already", "before spice-server 0.12 a second link replaces the first", |s| {
        s.in_session(|_, id, other| is_there_already(s, id, other))
    }),
    case(11, "new-session-ends-the-old-one", |s| {
        s.in_session(|main, _, _| {
            let new = s.link(&Mess::main(), &s.good())?;
            main.read_to_end()?;
            let seen = format!("new: {}; old: {}", Answer::show(&new.seen), Answer::show(&main.seen[3..]));
            Ok(Verdict::check(
                new.session.is_some() && main.seen.last() == Some(&Answer::End),
                "new: reply 0, result 0, session; old: end",
                seen,
            ))
        })
    }),
    case(11, "refused-link-ends-nothing", |s| {
        if let Some(skipped) = s.no_password() {
            return Ok(skipped);
        }
        s.in_session(|_, id, other| {
            let _refused = s.link(&Mess::main(), b"wrong\0")?;
            joins(s, id, other)
        })
    }),
    case(11, "main-that-leaves-ends-its-session", |s| {
        s.in_session(|main, id, other| {
            let mut channel = s.link(&Mess::channel(id, other), &s.good())?;
            main.finish()?;
            channel.read_to_end()?;
            Ok(verdict(&channel, &[Answer::Reply(0), Answer::Result(0), Answer::End]))
        })
    }),
    noted(11, "main-with-an-id-is-a-migration-target", "spice-server 0.6 answers 8", |s| {
        if let Some(skipped) = s.no_tickets() {
            return Ok(skipped);
        }
        let mut wire = s.link(&Mess { connection_id: 0x7fff_1234, ..Mess::main() }, &s.good())?;
        wire.read_nothing()?;
        Ok(verdict(&wire, &[Answer::Reply(0), Answer::Result(0), Answer::Nothing]))
    }),
    noted(12, "main-init-behind-a-short-header", "short headers came with spice-server 0.10", |s| header(s, 9, None)),
    case(12, "main-init-behind-a-long-header", |s| header(s, 1, Some((1, 0)))),
    noted(6, "sasl-where-it-is-off", SASL_NOTE, |s| {
        if s.sasl {
            return Ok(Verdict::Skipped("the server wants SASL"));
        }
        let mut wire = s.dial()?;
        wire.send(&Mess::main().bytes())?;
        wire.read_reply()?;
        wire.send(&2u32.to_le_bytes())?;
        wire.read_list()?;
        let ok = wire.seen == [Answer::Reply(0), Answer::List] || wire.seen == [Answer::Reply(0), Answer::Reply(3)];
        Ok(Verdict::check(ok, "reply 0, list of mechanisms; or reply 0, reply 3", Answer::show(&wire.seen)))
    }),
    case(6, "sasl-ticket-is-refused", |s| sasl(s, |s| mechanism(s, 1))),
    case(6, "sasl-key-is-zeros", |s| {
        sasl(s, |s| {
            let mut wire = s.dial()?;
            wire.send(&Mess { common: vec![0xd], ..Mess::main() }.bytes())?;
            wire.read_reply()?;
            let zeros = wire.reply.get(20..182).is_some_and(|key| key.iter().all(|byte| *byte == 0));
            Ok(Verdict::check(zeros, "162 zeros", "a key"))
        })
    }),
    noted(6, "sasl-list-has-commas-at-both-ends", "since spice-server 0.14.1", |s| {
        sasl(s, |s| {
            let (_, list) = offer(s)?;
            let ok = list.len() > 2 && list.starts_with(b",") && list.ends_with(b",");
            Ok(Verdict::check(ok, "a list between commas", list.escape_ascii().to_string()))
        })
    }),
    case(6, "sasl-name-of-0-bytes", |s| sasl(s, |s| name(s, &[0; 4], &[Answer::End]))),
    case(6, "sasl-name-of-101-bytes", |s| sasl(s, |s| name(s, &101u32.to_le_bytes(), &[Answer::End]))),
    case(6, "sasl-name-that-is-not-offered", |s| {
        sasl(s, |s| name(s, b"\x07\0\0\0NOTHING", &[Answer::Reply(3), Answer::End]))
    }),
    case(6, "sasl-name-with-a-comma", |s| {
        sasl(s, |s| {
            let (_, list) = offer(s)?;
            let first = list.get(1..).and_then(|rest| rest.split(|byte| *byte == b',').next()).unwrap_or_default();
            let bad = [first, b","].concat();
            let length = u32::try_from(bad.len()).unwrap_or(0).to_le_bytes();
            name(s, &[&length[..], &bad].concat(), &[Answer::Reply(3), Answer::End])
        })
    }),
    case(6, "sasl-first-data-of-more-than-1-mib", |s| {
        sasl(s, |s| {
            let (_, list) = offer(s)?;
            let first = list.get(1..).and_then(|rest| rest.split(|byte| *byte == b',').next()).unwrap_or_default();
            let length = u32::try_from(first.len()).unwrap_or(0).to_le_bytes();
            let data = (1024u32 * 1024 + 1).to_le_bytes();
            name(s, &[&length[..], first, &data].concat(), &[Answer::Reply(3), Answer::End])
        })
    }),
    noted(6, "sasl-plain-right-password", PLAIN_NOTE, |s| {
        sasl(s, |s| {
            let password = s.password.as_deref().unwrap_or_default();
            let then = [Answer::Accepted, Answer::Result(0), Answer::Session];
            plain(s, password, &Mess { common: vec![0xd], ..Mess::main() }, &then)
        })
    }),
    noted(6, "sasl-plain-wrong-password", PLAIN_NOTE, |s| {
        sasl(s, |s| plain(s, "not the password", &Mess { common: vec![0xd], ..Mess::main() }, &[Answer::End]))
    }),
    noted(6, "sasl-without-selection", "spice-server never closes this connection", |s| {
        sasl(s, |s| {
            let mut wire = s.dial()?;
            wire.send(&Mess { common: vec![8], ..Mess::main() }.bytes())?;
            wire.read_reply()?;
            wire.read_reply()?;
            Ok(verdict(&wire, &[Answer::Reply(0), Answer::Reply(4)]))
        })
    }),
];

/// PLAIN with this user and password; how it goes on behind the list.
fn plain(server: &Server, password: &str, mess: &Mess, then: &[Answer]) -> io::Result<Verdict> {
    let Some(user) = &server.user else { return Ok(Verdict::Skipped("no --user")) };
    let (mut wire, list) = offer(server)?;
    if !list.split(|byte| *byte == b',').any(|name| name == b"PLAIN") {
        return Ok(Verdict::Skipped("the server does not offer PLAIN; QEMU's does in TLS, where it is set up to"));
    }
    let data = format!("\0{user}\0{password}\0");
    let length = u32::try_from(data.len()).unwrap_or(0).to_le_bytes();
    wire.send(&[b"\x05\0\0\0PLAIN", &length[..], data.as_bytes()].concat())?;
    wire.read_accepted()?;
    if wire.seen.last() == Some(&Answer::Accepted) {
        conclude(&mut wire, mess)?;
    }
    Ok(verdict(&wire, &[&[Answer::Reply(0), Answer::List], then].concat()))
}

/// A mechanism that the server does not have.
fn mechanism(server: &Server, word: u32) -> io::Result<Verdict> {
    let mut wire = server.dial()?;
    wire.send(&Mess::main().bytes())?;
    wire.read_reply()?;
    wire.send(&word.to_le_bytes())?;
    wire.read_reply()?;
    wire.read_end()?;
    Ok(verdict(&wire, BAD_MECHANISM))
}

fn cut(server: &Server, bytes: &[u8]) -> io::Result<Verdict> {
    let mut wire = server.dial()?;
    wire.send(&Mess::main().bytes())?;
    wire.read_reply()?;
    wire.send(bytes)?;
    wire.finish()?;
    wire.read_end()?;
    Ok(verdict(&wire, LEFT))
}

/// 128 bytes in a ticket's place that no server can take, not even one without a password.
fn raw_ticket(server: &Server, ticket: &[u8]) -> io::Result<Verdict> {
    if let Some(skipped) = server.no_tickets() {
        return Ok(skipped);
    }
    let mut wire = server.dial()?;
    wire.send(&Mess::main().bytes())?;
    wire.read_reply()?;
    wire.send(&[&[1, 0, 0, 0], ticket].concat())?;
    conclude(&mut wire, &Mess::main())?;
    Ok(verdict(&wire, DENIED))
}

fn joins(server: &Server, id: u32, channel: (u8, u8)) -> io::Result<Verdict> {
    Ok(verdict(&server.link(&Mess::channel(id, channel), &server.good())?, JOINED))
}

/// The second of its kind in a session is let in and ended.
fn is_there_already(server: &Server, id: u32, channel: (u8, u8)) -> io::Result<Verdict> {
    let _first = server.link(&Mess::channel(id, channel), &server.good())?;
    let mut second = server.link(&Mess::channel(id, channel), &server.good())?;
    second.read_to_end()?;
    Ok(verdict(&second, &[Answer::Reply(0), Answer::Result(0), Answer::End]))
}

fn other_channel(server: &Server, id: u32, expected: &[Answer]) -> io::Result<Verdict> {
    match server.other {
        Some(other) => server.links(&Mess::channel(id, other), expected),
        None => Ok(Verdict::Skipped("the server has no channel but main")),
    }
}

fn header(server: &Server, common: u32, full: Option<(u64, u32)>) -> io::Result<Verdict> {
    if let Some(skipped) = server.no_tickets() {
        return Ok(skipped);
    }
    let wire = server.link(&Mess { common: vec![common], ..Mess::main() }, &server.good())?;
    let seen = wire.session.map_or_else(|| Answer::show(&wire.seen), |(_, header)| format!("{header:?}"));
    let expected = if full.is_some() { "type 103, 32 bytes, serial 1, no sub-messages" } else { "type 103, 32 bytes" };
    Ok(Verdict::check(wire.session.is_some_and(|(_, header)| header.full == full), expected, seen))
}

fn sasl(server: &Server, play: impl FnOnce(&Server) -> io::Result<Verdict>) -> io::Result<Verdict> {
    if server.sasl { play(server) } else { Ok(Verdict::Skipped("the server does not want SASL")) }
}

/// Up to the server's list of mechanisms.
fn offer(server: &Server) -> io::Result<(crate::conformance::wire::Wire, Vec<u8>)> {
    let mut wire = server.dial()?;
    wire.send(&Mess { common: vec![0xd], ..Mess::main() }.bytes())?;
    wire.read_reply()?;
    wire.send(&2u32.to_le_bytes())?;
    let list = wire.read_list()?;
    Ok((wire, list))
}

/// What comes behind the list, and the answers to it.
fn name(server: &Server, bytes: &[u8], then: &[Answer]) -> io::Result<Verdict> {
    let (mut wire, _) = offer(server)?;
    wire.send(bytes)?;
    if then.first() != Some(&Answer::End) {
        wire.read_reply()?;
    }
    wire.read_end()?;
    Ok(verdict(&wire, &[&[Answer::Reply(0), Answer::List], then].concat()))
}
