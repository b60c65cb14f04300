use std::{
    fmt, io,
    time::{Duration, Instant},
};

use spice_link::{ChannelType, LinkErrorCode};

use crate::{Carrier, Level, Mess, Received, subject::Subject, wire::Wire};

/// A named expectation of a server: what is sent, and what spice-server 0.15 answers.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    name: &'static str,
    section: u8,
    note: &'static str,
    requires: &'static [Requirement],
    /// The answers that pass; the first is that of spice-server 0.15.
    expected: &'static [&'static [Received]],
    play: Play,
}

/// How a case was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The server did as expected.
    Passed,
    /// The server did something else.
    Failed {
        /// What was expected, in words.
        expected: String,
        /// What the server did, in words.
        seen: String,
    },
    /// The case does not apply to the server, or needs to know more of it: the reason.
    Skipped(&'static str),
}

/// A case that was played.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The case's name.
    pub name: &'static str,
    /// Its section in docs/PROTOCOL.md.
    pub section: u8,
    /// What it holds a server to.
    pub level: Level,
    /// Its note; often empty.
    pub note: &'static str,
    /// How it was decided.
    pub verdict: Verdict,
    /// How long that took.
    pub time: Duration,
}

/// What a case does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Play {
    /// Sends a message, and reads what is expected.
    SendMess(fn() -> Mess),
    /// Sends bytes, and reads what is expected.
    SendBytes(fn() -> Vec<u8>),
    /// Sends a message for a channel of the type that the server refuses on this connection, and reads what is expected.
    SendRefused(fn(ChannelType) -> Mess),
    /// Sends bytes and FIN, and reads what is expected.
    SendAndFinish(fn() -> Vec<u8>),
    /// Links with a message that has to be accepted: up to the session, or to the reply of a server that requires SASL.
    Accept(fn() -> Mess),
    /// Links with a message, and a ticket of these bytes.
    Link(fn() -> Mess, fn(&Subject) -> Vec<u8>),
    /// Has a conversation on one connection.
    Converse(fn(&Subject) -> io::Result<Wire>),
    /// Decides by itself, over any number of connections.
    Check(fn(&Subject) -> io::Result<Verdict>),
}

/// What must be so for a case to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// The server takes tickets.
    Tickets,
    /// The password is known, so that tickets are judged.
    Password,
    /// The server requires SASL.
    Sasl,
    /// A SASL user is known.
    User,
    /// The server offers PLAIN.
    PlainMechanism,
    /// The server offers DIGEST-MD5, and the connection is not in TLS, so that a security layer follows.
    DigestMd5,
    /// The server has a channel that cases can join.
    OtherChannel,
    /// The server has a cursor channel.
    Cursor,
    /// The connection is plain.
    PlainCarrier,
    /// The connection is in TLS.
    TlsCarrier,
    /// The server has WebSocket, as far as is known, and the connection is not in it.
    Upgradable,
    /// A channel type is known that is refused without TLS, and there is no TLS.
    Secured,
    /// A channel type is known that is refused inside TLS, and there is TLS.
    Unsecured,
}

/// The answers to a message that has to be accepted.
const REPLY: &[Received] = &[Received::Reply(LinkErrorCode::OK)];

impl Case {
    pub(crate) const fn new(
        section: u8,
        name: &'static str,
        requires: &'static [Requirement],
        expected: &'static [&'static [Received]],
        play: Play,
    ) -> Self {
        Self { name, section, note: "", requires, expected, play }
    }

    pub(crate) const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// Its name: words in lower case with hyphens, the subject first.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its section in docs/PROTOCOL.md.
    pub const fn section(&self) -> u8 {
        self.section
    }

    /// What it holds a server to.
    pub fn level(&self) -> Level {
        Level::of(self.name)
    }

    /// Differences between versions of spice-server, or the reason for what is expected; often empty.
    pub const fn version_note(&self) -> &'static str {
        self.note
    }

    /// What spice-server 0.15 answers on the case's only connection. `None`: the case decides in another way.
    pub fn expected(&self) -> Option<&'static [Received]> {
        self.expected.first().copied()
    }

    /// Plays it and decides. An error of a socket is a failure.
    pub fn run(&self, subject: &Subject) -> Outcome {
        let start = Instant::now();
        let verdict = self
            .decide(subject)
            .unwrap_or_else(|error| Verdict::Failed { expected: "a connection".to_owned(), seen: error.to_string() });
        Outcome {
            name: self.name,
            section: self.section,
            level: self.level(),
            note: self.note,
            verdict,
            time: start.elapsed(),
        }
    }

    /// Has the case's conversation, without a decision. `None`: the case is not one conversation on one connection.
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn converse(&self, subject: &Subject) -> Option<io::Result<Wire>> {
        let expected = self.expected().unwrap_or_default();
        match self.play {
            Play::SendMess(mess) => Some(send(subject, &mess().bytes(), false, expected)),
            Play::SendBytes(bytes) => Some(send(subject, &bytes(), false, expected)),
            Play::SendRefused(mess) => {
                let refused = if subject.target.carrier == Carrier::Tls { subject.unsecured } else { subject.secured };
                Some(send(subject, &mess(refused?).bytes(), false, expected))
            }
            Play::SendAndFinish(bytes) => Some(send(subject, &bytes(), true, expected)),
            Play::Accept(mess) if subject.requires_sasl() => Some(send(subject, &mess().bytes(), false, REPLY)),
            Play::Accept(mess) => Some(subject.link(&mess()).map_err(io::Error::from)),
            Play::Link(mess, plain) => Some(subject.link_with(&mess(), &plain(subject))),
            Play::Converse(converse) => Some(converse(subject)),
            Play::Check(_) => None,
        }
    }

    fn decide(&self, subject: &Subject) -> io::Result<Verdict> {
        if let Some(reason) = self.requires.iter().find_map(|requirement| requirement.unmet(subject)) {
            return Ok(Verdict::Skipped(reason));
        }
        match (self.play, self.converse(subject)) {
            (Play::Check(check), _) => check(subject),
            (Play::Accept(_), Some(wire)) if subject.requires_sasl() => Ok(Verdict::of(wire?.received(), &[REPLY])),
            (_, Some(wire)) => Ok(Verdict::of(wire?.received(), self.expected)),
            (_, None) => Ok(Verdict::Skipped("the case has no conversation")),
        }
    }
}

impl Verdict {
    pub(crate) fn check(passes: bool, expected: &str, seen: impl Into<String>) -> Self {
        if passes { Self::Passed } else { Self::Failed { expected: expected.to_owned(), seen: seen.into() } }
    }

    /// Compares what was received with the answers that pass.
    pub(crate) fn of(received: &[Received], expected: &[&[Received]]) -> Self {
        let words = || expected.iter().map(|list| Received::join(list)).collect::<Vec<_>>().join("; or ");
        Self::check(expected.contains(&received), &words(), Received::join(received))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed { expected, seen } => write!(f, "failed: expected {expected}; seen {seen}"),
            Self::Skipped(reason) => write!(f, "skipped: {reason}"),
        }
    }
}

impl Requirement {
    /// Why it is not met, if it is not.
    fn unmet(self, subject: &Subject) -> Option<&'static str> {
        let carrier = subject.target.carrier;
        let is_tls = carrier == Carrier::Tls;
        let (is_met, reason) = match self {
            Self::Tickets => (!subject.requires_sasl(), "the server requires SASL"),
            Self::Password => {
                (subject.password.is_some(), "the password is not known: a server without one accepts any ticket")
            }
            Self::Sasl => (subject.requires_sasl(), "the server does not require SASL"),
            Self::User => (subject.user.is_some(), "no SASL user is known"),
            Self::PlainMechanism => (
                subject.offers(b"PLAIN"),
                "the server does not offer PLAIN; QEMU's does inside TLS if the SASL library is configured for it",
            ),
            Self::DigestMd5 => {
                (subject.offers(b"DIGEST-MD5") && !is_tls, "the server does not offer DIGEST-MD5, or there is TLS")
            }
            Self::OtherChannel => (subject.other.is_some(), "the server has no channel but main"),
            Self::Cursor => (subject.cursor.is_some(), "the server has no cursor channel"),
            Self::PlainCarrier => (carrier == Carrier::Plain, "needs a plain port"),
            Self::TlsCarrier => (is_tls, "needs TLS"),
            Self::Upgradable if carrier == Carrier::WebSocket => (false, "the connection is in WebSocket already"),
            Self::Upgradable => (subject.has_websocket != Some(false), "the server has no WebSocket"),
            Self::Secured => {
                (subject.secured.is_some() && !is_tls, "needs a channel that is refused without TLS, and no TLS")
            }
            Self::Unsecured => {
                (subject.unsecured.is_some() && is_tls, "needs a channel that is refused inside TLS, and TLS")
            }
        };
        (!is_met).then_some(reason)
    }
}

/// Sends bytes and reads what is expected.
fn send(subject: &Subject, bytes: &[u8], finish: bool, expected: &[Received]) -> io::Result<Wire> {
    let mut wire = subject.connect()?;
    wire.send(bytes)?;
    if finish {
        // WebSocket can't end one direction: FIN of the TCP connection below is what is tried there too.
        wire.finish()?;
    }
    for item in expected {
        match item {
            Received::Reply(_) => wire.read_reply()?,
            Received::Silence => wire.read_silence()?,
            _ => wire.read_end()?,
        }
    }
    Ok(wire)
}
