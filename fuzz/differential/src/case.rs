//! A case: a server, and a few links to it, one after another.

use spice_link::websocket::MAX_HEAD;
use spice_testkit::{
    generate::{Arbitrary, Mess, Unstructured, rarely},
    spice_conformance::{Judgement, judge},
};

use crate::real::Kind;

type Result<T> = std::result::Result<T, spice_testkit::generate::Error>;

/// Links to one server. It has no client at the start and at the end.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) links: Vec<Plan>,
}

/// One link: what the client sends, whatever the server answers.
#[derive(Clone)]
pub(crate) struct Plan {
    /// The connection is inside TLS.
    pub(crate) tls: bool,
    /// The stream is inside WebSocket: the choices for its frames, and the upgrade request.
    pub(crate) websocket: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) mess: Mess,
    /// The link message carries the id of the live session, if there is one, instead of its own.
    pub(crate) joins: bool,
    /// The authentication mechanism. `None` is the one that fits the server.
    pub(crate) mechanism: Option<u32>,
    pub(crate) ticket: Ticket,
    pub(crate) sasl: Sasl,
    /// Sizes of the chunks, used in turn. An empty list sends everything at once.
    pub(crate) cuts: Vec<u8>,
    /// The client sends this many bytes of its message, then FIN.
    pub(crate) stop: Option<usize>,
    /// The client closes the connection before the next link.
    pub(crate) leaves: bool,
}

/// The content of the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// The password and a NUL.
    Right,
    /// The password alone.
    NoNul,
    /// The password, a NUL, and more.
    More,
    /// Another password.
    Wrong,
    /// The start of the password.
    Short,
    /// Only a NUL.
    Empty,
    /// An empty plaintext.
    Nothing,
    /// 128 bytes that are not an encrypted password.
    Garbage,
    /// Zeros.
    Zeros,
}

/// The client's part of a SASL exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sasl {
    /// The client sends this length of the mechanism's name, then `name`.
    Name { length: Option<u32>, name: Vec<u8> },
    /// The client sends a mechanism that is offered, then this length of the first data.
    FirstLength(u32),
    /// The client sends first data, then this length of the next data.
    LaterLength(u32),
    /// The client sends first data, then this answer to the challenge.
    Answer(Vec<u8>),
    /// The client completes the exchange with PLAIN.
    Plain { right: bool },
    /// The client completes the exchange with DIGEST-MD5 and this quality of protection.
    Digest { right: bool, protection: &'static str },
}

impl Case {
    /// A case for most runs: one link that the server refuses, or that ends before the server makes a key.
    pub(crate) fn cheap(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut kind = *u.choose(&[Kind::Ticket, Kind::Sasl, Kind::Secured, Kind::NoAuth])?;
        let mut plan = Plan::draw(u)?;
        let known =
            plan.mess.channel_type == 1 || [3, 5, 6].contains(&plan.mess.channel_type) && plan.mess.channel_id == 0;
        plan.tls &= kind.has_tls();
        let secured = kind == Kind::Secured && plan.mess.channel_type == if plan.tls { 5 } else { 6 };
        if plan.stop.is_none() && known && !secured && matches!(judge(&plan.mess.bytes()), Judgement::Accepted { .. }) {
            // The server will answer this link. A SASL server makes no key for a client that announces SASL.
            kind = Kind::Sasl;
            match plan.mess.common.first_mut() {
                Some(word) => *word |= 4,
                None => plan.stop = Some(u.int_in_range(0..=33)?),
            }
        }
        Ok(Self { kind, links: vec![plan] })
    }

    /// A case with up to four links that authenticate correctly in most cases.
    pub(crate) fn deep(u: &mut Unstructured<'_>) -> Result<Self> {
        let kind = *u.choose(&[
            Kind::Ticket,
            Kind::Ticket,
            Kind::NoAuth,
            Kind::Secured,
            Kind::Sasl,
            Kind::Graphics,
            Kind::Graphics,
        ])?;
        if kind == Kind::Sasl {
            return Self::sasl(u);
        }
        let mut links = Vec::new();
        // Display and cursor channels need a session that stays open.
        let graphics = kind == Kind::Graphics;
        for index in 0..u.int_in_range(if graphics { 3 } else { 1 }..=4usize)? {
            let mut plan = Plan::draw(u)?;
            plan.stop = None;
            plan.leaves &= !graphics || index > 0;
            plan.tls = kind.has_tls() && u.arbitrary()?;
            let main = index == 0 || rarely(u, 6)?;
            let channels = if graphics {
                [(2, 0), (4, 0), (2, 0), (4, 0), (2, 1)]
            } else {
                [(3, 0), (5, 0), (6, 0), (3, 0), (3, 1)]
            };
            let (channel_type, channel_id) = *u.choose(&channels)?;
            let common = if rarely(u, 3)? { plan.mess.common.clone() } else { vec![*u.choose(&[9, 8, 1, 0, 0xd])?] };
            plan.mess = Mess { common, ..Mess::default() };
            if !main {
                (plan.mess.channel_type, plan.mess.channel_id) = (channel_type, channel_id);
                plan.joins = !rarely(u, 6)?;
                plan.mess.connection_id = if plan.joins { 1 } else { u.arbitrary()? };
            }
            if rarely(u, 24)? {
                plan.mess.bend(u)?;
            }
            if !rarely(u, 4)? {
                plan.ticket = Ticket::Right;
                plan.mechanism = None;
            }
            // Channels that join a main channel with a given session id stay open forever. So such a main channel gets no others.
            let brings = plan.mess.channel_type == 1 && plan.mess.connection_id != 0;
            plan.leaves |= brings;
            links.push(plan);
            if brings {
                break;
            }
        }
        Ok(Self { kind, links })
    }

    /// Makes links that complete a SASL exchange, or fail at its end.
    ///
    /// Outside TLS, a security layer follows, which an observer can't read. It knows that the connection is linked only when
    /// the server sends more than the link result. Main and inputs do so at once. So only these channels are tried there,
    /// once each.
    fn sasl(u: &mut Unstructured<'_>) -> Result<Self> {
        let tls = u.arbitrary()?;
        let mut links = Vec::new();
        for index in 0..u.int_in_range(1..=if tls { 3 } else { 2 })? {
            let mut plan = Plan::draw(u)?;
            (plan.tls, plan.stop, plan.mechanism) = (tls, None, None);
            plan.mess = Mess { common: vec![*u.choose(&[0xd, 0xd, 5, 9])?], ..Mess::default() };
            if index > 0 {
                (plan.mess.channel_type, plan.mess.channel_id) = (if tls { *u.choose(&[3, 5, 6])? } else { 3 }, 0);
                plan.joins = !rarely(u, 6)?;
                plan.mess.connection_id = if plan.joins { 1 } else { u.arbitrary()? };
            }
            let right = !rarely(u, 6)?;
            plan.sasl = match u.int_in_range(0..=5u8)? {
                0 | 1 if tls => Sasl::Plain { right },
                0 => Sasl::Digest { right, protection: u.choose(&["auth", "auth-int"])? },
                1 => plan.sasl,
                _ => Sasl::Digest { right, protection: if tls { "auth" } else { "auth-conf" } },
            };
            links.push(plan);
        }
        Ok(Self { kind: Kind::Sasl, links })
    }
}

impl std::fmt::Debug for Plan {
    /// Formats the bytes, and shortens long lists.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tls, websocket, mess, joins, mechanism, ticket, sasl, cuts, stop, leaves } = self;
        let request = websocket.as_ref().map(|(choices, request)| (choices, request.escape_ascii().to_string()));
        let bytes = mess.bytes();
        let bytes = bytes.get(..60).unwrap_or(&bytes).escape_ascii();
        write!(
            f,
            "mess \"{bytes}\" of {} bytes, TLS {tls}, websocket {request:?}, joins {joins}, ",
            mess.bytes().len()
        )?;
        write!(
            f,
            "mechanism {mechanism:?}, ticket {ticket:?}, sasl {sasl:?}, cuts {cuts:?}, stop {stop:?}, leaves {leaves}"
        )
    }
}

impl Plan {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let mess = Mess::arbitrary(u)?;
        let websocket = if rarely(u, 10)? { Some((u.arbitrary::<[u8; 24]>()?.to_vec(), request(u)?)) } else { None };
        let stop = if rarely(u, 10)? { Some(u.int_in_range(0..=mess.bytes().len())?) } else { None };
        let tickets = [
            Ticket::Right,
            Ticket::NoNul,
            Ticket::More,
            Ticket::Wrong,
            Ticket::Short,
            Ticket::Empty,
            Ticket::Nothing,
            Ticket::Garbage,
            Ticket::Zeros,
        ];
        Ok(Self {
            // TLS is rare, because a handshake takes one or two milliseconds.
            tls: rarely(u, 24)?,
            websocket,
            mess,
            joins: false,
            mechanism: if rarely(u, 8)? { Some(*u.choose(&[0, 1, 2, 3, 4, u32::MAX, 0x0100_0000])?) } else { None },
            ticket: *u.choose(&tickets)?,
            sasl: Sasl::draw(u)?,
            cuts: cuts(u)?,
            stop,
            leaves: rarely(u, 4)?,
        })
    }
}

impl Sasl {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        const MIB: u32 = 1024 * 1024;
        Ok(match u.int_in_range(0..=5u8)? {
            0 => Self::Name {
                length: None,
                name: u
                    .choose(&[
                        &b"PLAIN"[..],
                        b"DIGEST-MD",
                        b"DIGEST-MD5,",
                        b",",
                        b"digest-md5",
                        b"IGEST-MD5",
                        &[b'x'; 100],
                    ])?
                    .to_vec(),
            },
            1 => Self::Name { length: Some(*u.choose(&[0, 101, 102, MIB, u32::MAX])?), name: b"DIGEST-MD5".to_vec() },
            2 => Self::FirstLength(*u.choose(&[MIB + 1, MIB, u32::MAX, 0x8000_0000, 5])?),
            3 => Self::LaterLength(*u.choose(&[MIB + 1, u32::MAX, 0x8000_0000, 5])?),
            4 => Self::Answer(Vec::new()),
            _ => Self::Answer(b"username=\"x\"\0".to_vec()),
        })
    }
}

fn cuts(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    match u.int_in_range(0..=3u8)? {
        0 | 1 => Ok(Vec::new()),
        2 => Ok(vec![1]),
        _ => (0..u.int_in_range(1..=6)?).map(|_| Ok(u.arbitrary::<u8>()?.max(1))).collect(),
    }
}

/// A valid upgrade request, or one with a fault.
fn request(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let lines: String = match u.int_in_range(0..=14u8)? {
        0..=4 => format!("Host: x\r\nUpgrade: websocket\r\n{KEY}Sec-WebSocket-Protocol: binary\r\n"),
        5 => KEY.to_owned(),
        6 => format!("{KEY}Sec-WebSocket-Protocol: base64\r\n"),
        7 => format!("{KEY}Sec-WebSocket-Protocol: binary, base64\r\n"),
        8 => "Host: x\r\n".to_owned(),
        9 => KEY.to_ascii_lowercase(),
        10 => format!("{KEY}Sec-WebSocket-Protocol:   binary\r\n"),
        11 => format!("X: {}\r\n{KEY}", "y".repeat(u.int_in_range(0..=4200)?)),
        12 => "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\r\n".to_owned(),
        13 => format!("{KEY}Sec-WebSocket-Protocol: base64, binary\r\n"),
        // With the shorter one of the good first lines, as many bytes as the server reads, or one more or less.
        _ => {
            let filler = MAX_HEAD - "GET /\r\n".len() - "X: \r\n".len() - KEY.len() - "\r\n".len();
            format!("X: {}\r\n{KEY}", "y".repeat(filler + 1 - u.int_in_range(0..=2)?))
        }
    };
    let (start, end) =
        (*u.choose(&["GET / HTTP/1.1\r\n", "GET /\r\n", "POST / HTTP/1.1\r\n", "get / HTTP/1.1\r\n"])?, {
            if rarely(u, 8)? { "\r\nREDQ" } else { "\r\n" }
        });
    Ok(format!("{start}{lines}{end}").into_bytes())
}
