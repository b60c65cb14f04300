//! SOCKS 4, 4a and 5 (RFC 1928, RFC 1929).

use super::{Answer, Facts, Parsed, ProxyKind, State};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest name of a user or a host.
const MAX_NAME: usize = 255;

/// Where a SOCKS 5 conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The server chooses a method.
    Method,
    /// The server judges a user and a password.
    Password,
    /// The client's request.
    Request,
    /// The server's answer to it.
    Connected,
}

fn next(client: usize, server: usize, stage: Stage) -> Parsed {
    Parsed::Next { client, server, state: State::Answer(Answer::Socks5(stage)) }
}

/// Version 1, command 1 (connect), port 2, address 4, user and a zero byte; with the address 0.0.0.x a host and a zero byte.
pub(super) fn request_4(client: &[u8], facts: &mut Facts) -> Parsed {
    if client.get(1).is_some_and(|&command| command != 1) {
        return Parsed::Not;
    }
    let Some((head, rest)) = client.split_first_chunk::<8>() else { return Parsed::More };
    let Some(user) = name_end(rest) else { return short(rest) };
    let port = u16::from_be_bytes([head[2], head[3]]);
    let (host, end) = match [head[4], head[5], head[6], head[7]] {
        [0, 0, 0, 1..=u8::MAX] => {
            let Some(name) = rest.get(user + 1..) else { return Parsed::More };
            let Some(end) = name_end(name) else { return short(name) };
            (String::from_utf8_lossy(&name[..end]).into_owned(), user + 1 + end + 1)
        }
        ip => (Ipv4Addr::from(ip).to_string(), user + 1),
    };
    facts.kind = Some(ProxyKind::Socks4);
    facts.target = Some(format!("{host}:{port}").into());
    Parsed::Next { client: head.len() + end, server: 0, state: State::Answer(Answer::Socks4) }
}

fn name_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().take(MAX_NAME + 1).position(|&byte| byte == 0)
}

fn short(bytes: &[u8]) -> Parsed {
    if bytes.len() <= MAX_NAME { Parsed::More } else { Parsed::Not }
}

/// A zero byte, code 1 (90: granted), port 2, address 4.
pub(super) fn answer_4(server: &[u8]) -> Parsed {
    match server {
        [0, 90, rest @ ..] if rest.len() >= 6 => Parsed::Next { client: 0, server: 8, state: State::Start },
        [0, 90, ..] | [0] | [] => Parsed::More,
        _ => Parsed::Not,
    }
}

/// Version 1, number of methods 1, methods.
pub(super) fn methods_5(client: &[u8]) -> Parsed {
    match client {
        [_, 0, ..] => Parsed::Not,
        [_, n, methods @ ..] if methods.len() >= usize::from(*n) => next(2 + usize::from(*n), 0, Stage::Method),
        _ => Parsed::More,
    }
}

/// What both sides say after that.
pub(super) fn answer_5(stage: Stage, client: &[u8], server: &[u8], facts: &mut Facts) -> Parsed {
    match (stage, server) {
        // Method 0 asks for nothing, 2 for a user and a password; 1 would wrap everything that follows.
        (Stage::Method, [5, 2, ..]) => password(client),
        (Stage::Method, [5, 0, ..]) | (Stage::Password, [1, 0, ..]) => next(0, 2, Stage::Request),
        (Stage::Request, _) => request_5(client, facts),
        (Stage::Connected, [5, 0, 0, rest @ ..]) => match address(rest) {
            Some((_, length)) if rest.len() >= length => {
                Parsed::Next { client: 0, server: 3 + length, state: State::Start }
            }
            _ if rest.len() > 2 + MAX_NAME + 2 => Parsed::Not,
            _ => Parsed::More,
        },
        (Stage::Method, [5] | []) | (Stage::Password, [1] | []) | (Stage::Connected, [5, 0] | [5] | []) => Parsed::More,
        _ => Parsed::Not,
    }
}

/// Version 1, length and user, length and password: counted past.
fn password(client: &[u8]) -> Parsed {
    let length = |at: usize| client.get(at).map(|&n| usize::from(n));
    if client.first().is_some_and(|&version| version != 1) {
        return Parsed::Not;
    }
    let Some(user) = length(1) else { return Parsed::More };
    let Some(password) = length(2 + user) else { return Parsed::More };
    let end = 2 + user + 1 + password;
    if client.len() < end { Parsed::More } else { next(end, 2, Stage::Password) }
}

/// Version 1, command 1 (connect), reserved 1, address.
fn request_5(client: &[u8], facts: &mut Facts) -> Parsed {
    match client {
        [5, 1, 0, rest @ ..] => match address(rest) {
            Some((target, length)) => {
                facts.kind = Some(ProxyKind::Socks5);
                facts.target = Some(target.into());
                next(3 + length, 0, Stage::Connected)
            }
            None if rest.first().is_none_or(|kind| matches!(kind, 1 | 3 | 4)) => Parsed::More,
            None => Parsed::Not,
        },
        [5, 1] | [5] | [] => Parsed::More,
        _ => Parsed::Not,
    }
}

/// Kind 1 (1: IPv4, 3: name, 4: IPv6), address, port 2; and how long that is.
fn address(bytes: &[u8]) -> Option<(String, usize)> {
    let (kind, rest) = bytes.split_first()?;
    let port = |at: usize| rest.get(at..).and_then(<[u8]>::first_chunk).copied().map(u16::from_be_bytes);
    match kind {
        1 => Some((SocketAddr::from((Ipv4Addr::from(*rest.first_chunk()?), port(4)?)).to_string(), 7)),
        4 => Some((SocketAddr::from((Ipv6Addr::from(*rest.first_chunk()?), port(16)?)).to_string(), 19)),
        3 => {
            let length = usize::from(*rest.first()?);
            let name = String::from_utf8_lossy(rest.get(1..1 + length)?).into_owned();
            Some((format!("{name}:{}", port(1 + length)?), 1 + 1 + length + 2))
        }
        _ => None,
    }
}
