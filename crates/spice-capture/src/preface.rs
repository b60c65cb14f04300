//! Prefaces: the bytes that a proxy's request, or a load balancer's header, puts before SPICE in a connection.
//!
//! | client's first bytes | preface | ends with |
//! | --- | --- | --- |
//! | `CONNECT target HTTP/1.x` | HTTP proxy: squid, Proxmox's spiceproxy | the empty line of the client's head and of the server's `200` |
//! | `04 01` | SOCKS 4 and 4a | the server's answer of 8 bytes |
//! | `05` | SOCKS 5, with or without user and password | the server's answer to the request |
//! | `PROXY ` | PROXY protocol, version 1 | CR LF |
//! | `0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A` | PROXY protocol, version 2, with any TLVs | its length |
//!
//! One may follow another, up to [`MAX_PREFACES`]. What follows the last is judged as if the connection began there. User names, passwords and other heads
//! are counted past and not kept.

mod http;
mod proxy_protocol;
mod socks;

use crate::{
    recognise::{self, MAX_CLIENT, Verdict},
    tcp::Side,
};
use std::{fmt, net::SocketAddr};

/// Prefaces of one connection: `CONNECT` behind a load balancer's header, and two to spare.
pub const MAX_PREFACES: usize = 4;

/// The kind of a preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyKind {
    /// HTTP's `CONNECT`.
    Connect,
    /// SOCKS 4 or 4a.
    Socks4,
    /// SOCKS 5.
    Socks5,
    /// The PROXY protocol, version 1.
    ProxyV1,
    /// The PROXY protocol, version 2.
    ProxyV2,
}

impl fmt::Display for ProxyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::Socks4 => "SOCKS 4",
            Self::Socks5 => "SOCKS 5",
            Self::ProxyV1 => "PROXY v1",
            Self::ProxyV2 => "PROXY v2",
        })
    }
}

/// What the prefaces of a connection say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The last preface.
    pub(crate) kind: Option<ProxyKind>,
    /// The client that a load balancer has accepted.
    pub(crate) client: Option<SocketAddr>,
    /// The host and port that a proxy was asked for, without secrets.
    pub(crate) target: Option<Box<str>>,
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Spice,
    /// SPICE inside TLS: the target says so.
    SpiceInTls,
    /// TLS, and nothing shows what is inside.
    Tls,
    Other,
    More,
}

/// The bytes of both sides that were held so far, and what is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) client: &'a [u8],
    pub(crate) server: &'a [u8],
    /// Bytes behind those of the client, or of the server, were lost.
    pub(crate) lost: [bool; 2],
    /// The connection's first byte was captured.
    pub(crate) from_start: bool,
    /// The server's port is one of TLS.
    pub(crate) tls: bool,
}

/// How far the prefaces of a connection were read.
#[derive(Debug, Default)]
pub(crate) struct Preface {
    state: State,
    pub(crate) facts: Facts,
    /// Bytes of the client and of the server that belong to prefaces.
    used: [usize; 2],
    count: usize,
    /// Bytes of an incomplete head that were searched for its end.
    searched: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A preface, or what follows the last one.
    #[default]
    Start,
    /// The server's answer is awaited.
    Answer(Answer),
}

/// Which answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Http,
    Socks4,
    Socks5(socks::Stage),
}

/// What a look at the unread bytes of a side came to.
enum Parsed {
    /// More bytes are needed.
    More,
    /// It is not what it seemed.
    Not,
    /// So many bytes of the client and of the server are used, and this comes next.
    Next { client: usize, server: usize, state: State },
}

const MORE: Decision = Decision::More;

impl Preface {
    /// How many bytes of a side belong to prefaces.
    pub(crate) fn used(&self, side: Side) -> usize {
        self.used[usize::from(side == Side::Server)]
    }

    /// Reads on, and decides what the connection carries.
    pub(crate) fn decide(&mut self, seen: Seen<'_>) -> Decision {
        loop {
            let client = seen.client.get(self.used[0]..).unwrap_or_default();
            let server = seen.server.get(self.used[1]..).unwrap_or_default();
            let parsed = match self.state {
                State::Start => match self.judge(client, server, seen) {
                    Ok(parsed) => parsed,
                    Err(decision) => return decision,
                },
                // An answer that was lost was a good one, if the client goes on.
                State::Answer(_) if seen.lost[1] => {
                    Parsed::Next { client: 0, server: server.len(), state: State::Start }
                }
                State::Answer(Answer::Http) => http::answer(server, &mut self.searched),
                State::Answer(Answer::Socks4) => socks::answer_4(server),
                State::Answer(Answer::Socks5(stage)) => socks::answer_5(stage, client, server, &mut self.facts),
            };
            match parsed {
                Parsed::More => return MORE,
                Parsed::Not => return Decision::Other,
                Parsed::Next { client, server, state } => {
                    self.searched = 0;
                    self.used[0] += client;
                    self.used[1] += server;
                    self.count += usize::from(self.state == State::Start);
                    if self.count > MAX_PREFACES {
                        return Decision::Other;
                    }
                    self.state = state;
                }
            }
        }
    }

    /// The first bytes, or those behind a preface.
    fn judge(&mut self, client: &[u8], server: &[u8], seen: Seen<'_>) -> Result<Parsed, Decision> {
        if server.starts_with(b"REDQ") && !seen.tls {
            // Only a server of SPICE answers so, whatever became of the client's message.
            return Err(Decision::Spice);
        }
        if seen.lost[0] {
            let known = server.len() >= 4 || seen.lost[1];
            return Err(if known { Decision::Other } else { MORE });
        }
        if seen.tls {
            return Err(decision(recognise::judge_tls(client)));
        }
        match client {
            [] => Err(MORE),
            [b'C', ..] => Ok(http::connect(client, &mut self.searched, &mut self.facts)),
            [b'P', ..] => Ok(proxy_protocol::version_1(client, &mut self.facts)),
            [b'\r', ..] => Ok(proxy_protocol::version_2(client, &mut self.facts)),
            [4, ..] => Ok(socks::request_4(client, &mut self.facts)),
            [5, ..] => Ok(socks::methods_5(client)),
            [22, ..] => Err(match recognise::judge_tls(client) {
                Verdict::Spice if self.facts.target.as_deref().is_some_and(http::is_spice) => Decision::SpiceInTls,
                Verdict::Spice => Decision::Tls,
                Verdict::More => MORE,
                Verdict::Other => Decision::Other,
            }),
            [b'G', ..] if self.is_open_head(client) => Err(MORE),
            _ if seen.from_start || self.count > 0 => Err(decision(recognise::judge(client))),
            _ => Err(match recognise::judge_midstream(client) {
                // The client's message may lie before the capture, and the server's answer in it.
                Verdict::Other if server.len() < 4 && !seen.lost[1] => MORE,
                verdict => decision(verdict),
            }),
        }
    }

    /// Whether these begin an HTTP request whose end is not there: nothing can be said yet, and they are not searched again.
    fn is_open_head(&mut self, client: &[u8]) -> bool {
        let open = recognise::may_be_request(client)
            && client.len() < MAX_CLIENT
            && !recognise::ends_head(client.get(self.searched.saturating_sub(3)..).unwrap_or_default());
        if open {
            self.searched = client.len();
        } else if self.searched > 0 && recognise::may_be_request(client) {
            // The end was found: from now on the whole head is judged.
            self.searched = 0;
        }
        open
    }
}

fn decision(verdict: Verdict) -> Decision {
    match verdict {
        Verdict::Spice => Decision::Spice,
        Verdict::Other => Decision::Other,
        Verdict::More => MORE,
    }
}

#[cfg(test)]
mod tests;
