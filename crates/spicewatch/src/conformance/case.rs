//! What a case is, and how it is played.

use super::wire::{Answer, Mess, Wire};
use crate::dial::{Carrier, Target};
use spice_link::HeaderKind;
use std::io;

/// A named expectation of a server.
pub(super) struct Case {
    /// Its name: lower case, words with hyphens, the section's subject first.
    pub(super) name: &'static str,
    /// Its section in docs/PROTOCOL.md.
    pub(super) section: u8,
    /// Differences between versions of spice-server, or the reason where it is not obvious.
    pub(super) note: &'static str,
    pub(super) play: fn(&Server) -> io::Result<Verdict>,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed { expected: String, seen: String },
    Skipped(&'static str),
}

/// The server under test, and what was found out about it before.
pub(super) struct Server {
    pub(super) target: Target,
    pub(super) password: Option<String>,
    /// The SASL user that the password is for.
    pub(super) user: Option<String>,
    /// A channel type that it has in TLS alone, and one in plain alone.
    pub(super) secured: Option<u8>,
    pub(super) unsecured: Option<u8>,
    /// It wants SASL.
    pub(super) sasl: bool,
    /// A channel beside main.
    pub(super) other: Option<(u8, u8)>,
    /// The channel cursor, which spice-server serves in another thread.
    pub(super) cursor: Option<(u8, u8)>,
}

impl Verdict {
    pub(super) fn check(ok: bool, expected: &str, seen: impl Into<String>) -> Self {
        if ok { Self::Passed } else { Self::Failed { expected: expected.to_owned(), seen: seen.into() } }
    }
}

/// A channel id that no server has.
pub(super) const ABSENT: u8 = 200;

impl Server {
    pub(super) fn dial(&self) -> io::Result<Wire> {
        Wire::dial(&self.target)
    }

    /// The password and its NUL: what a good ticket holds.
    pub(super) fn good(&self) -> Vec<u8> {
        [self.password.as_deref().unwrap_or("any").as_bytes(), b"\0"].concat()
    }

    /// Whether one can link at all with a ticket.
    pub(super) fn no_tickets(&self) -> Option<Verdict> {
        self.sasl.then_some(Verdict::Skipped("the server wants SASL"))
    }

    /// Whether tickets are judged.
    pub(super) fn no_password(&self) -> Option<Verdict> {
        let none =
            self.password.is_none().then_some(Verdict::Skipped("no --password: a server without one takes any ticket"));
        self.no_tickets().or(none)
    }

    /// Sends bytes as they are, and holds the answers up to the end against these.
    pub(super) fn refused(&self, bytes: &[u8], expected: &[Answer]) -> io::Result<Verdict> {
        let mut wire = self.dial()?;
        wire.send(bytes)?;
        if expected.first() != Some(&Answer::End) {
            wire.read_reply()?;
        }
        wire.read_end()?;
        Ok(verdict(&wire, expected))
    }

    /// A message that is refused with this code.
    pub(super) fn refuses(&self, mess: &Mess, code: u32) -> io::Result<Verdict> {
        self.refused(&mess.bytes(), &[Answer::Reply(code), Answer::End])
    }

    /// A message after which the connection ends without a word.
    pub(super) fn drops(&self, mess: &Mess) -> io::Result<Verdict> {
        self.refused(&mess.bytes(), &[Answer::End])
    }

    /// A message that gets an accepting reply; the client leaves then.
    pub(super) fn accepts(&self, mess: &Mess) -> io::Result<Verdict> {
        let mut wire = self.dial()?;
        wire.send(&mess.bytes())?;
        wire.read_reply()?;
        Ok(verdict(&wire, &[Answer::Reply(0)]))
    }

    /// Bytes after which the server waits for more.
    pub(super) fn waits(&self, bytes: &[u8]) -> io::Result<Verdict> {
        let mut wire = self.dial()?;
        wire.send(bytes)?;
        wire.read_nothing()?;
        Ok(verdict(&wire, &[Answer::Nothing]))
    }

    /// Bytes and FIN, after which the connection ends without a word.
    pub(super) fn cut(&self, bytes: &[u8]) -> io::Result<Verdict> {
        // WebSocket has no way to end one direction; closing TCP's below it is what is tried there, too.
        let mut wire = self.dial()?;
        wire.send(bytes)?;
        wire.finish()?;
        wire.read_end()?;
        Ok(verdict(&wire, &[Answer::End]))
    }

    /// The whole link stage with a ticket of these bytes, and the answers up to the session or the end.
    pub(super) fn link(&self, mess: &Mess, plain: &[u8]) -> io::Result<Wire> {
        let mut wire = self.dial()?;
        wire.send(&mess.bytes())?;
        wire.read_reply()?;
        if wire.seen != [Answer::Reply(0)] {
            return Ok(wire);
        }
        let ticket = wire.seal(plain);
        let selects = mess.common.first().is_some_and(|word| word & 1 == 1);
        let mechanism: &[u8] = if selects { &[1, 0, 0, 0] } else { &[] };
        wire.send(&[mechanism, &ticket].concat())?;
        conclude(&mut wire, mess)?;
        Ok(wire)
    }

    /// A link with a ticket of these bytes ends so.
    pub(super) fn ticket(&self, plain: &[u8], expected: &[Answer]) -> io::Result<Verdict> {
        if let Some(skipped) = self.no_password() {
            return Ok(skipped);
        }
        Ok(verdict(&self.link(&Mess::main(), plain)?, expected))
    }

    /// A good link of this message ends so.
    pub(super) fn links(&self, mess: &Mess, expected: &[Answer]) -> io::Result<Verdict> {
        if let Some(skipped) = self.no_tickets() {
            return Ok(skipped);
        }
        Ok(verdict(&self.link(mess, &self.good())?, expected))
    }

    /// A live session's main channel; then what is tried with its id and another channel.
    pub(super) fn in_session(
        &self,
        then: impl FnOnce(&mut Wire, u32, (u8, u8)) -> io::Result<Verdict>,
    ) -> io::Result<Verdict> {
        self.in_session_with(self.other, "the server has no channel but main", then)
    }

    /// The same with this channel; skipped for this reason where the server does not have it.
    pub(super) fn in_session_with(
        &self,
        channel: Option<(u8, u8)>,
        missing: &'static str,
        then: impl FnOnce(&mut Wire, u32, (u8, u8)) -> io::Result<Verdict>,
    ) -> io::Result<Verdict> {
        if let Some(skipped) = self.no_tickets() {
            return Ok(skipped);
        }
        let Some(channel) = channel else { return Ok(Verdict::Skipped(missing)) };
        let mut main = self.link(&Mess::main(), &self.good())?;
        match main.session {
            Some((id, _)) => then(&mut main, id, channel),
            None => Ok(verdict(&main, LINKED)),
        }
    }

    /// A target for WebSocket over the same transport; none where there is WebSocket already.
    pub(super) fn upgradable(&self) -> Result<(), Verdict> {
        match self.target.carrier {
            Carrier::WebSocket => Err(Verdict::Skipped("one upgrade a connection, and --websocket has made it")),
            Carrier::Plain | Carrier::Tls => Ok(()),
        }
    }
}

/// A new session's link.
pub(super) const LINKED: &[Answer] = &[Answer::Reply(0), Answer::Result(0), Answer::Session];

pub(super) fn verdict(wire: &Wire, expected: &[Answer]) -> Verdict {
    Verdict::check(wire.seen == expected, &Answer::show(expected), Answer::show(&wire.seen))
}

/// What follows the credentials.
pub(super) fn conclude(wire: &mut Wire, mess: &Mess) -> io::Result<()> {
    wire.read_result()?;
    if wire.seen.last() != Some(&Answer::Result(0)) {
        return wire.read_end();
    }
    if mess.channel.0 == 1 && mess.connection_id == 0 {
        let mini = mess.common.first().is_some_and(|word| word & 8 != 0);
        wire.read_session(if mini { HeaderKind::Mini } else { HeaderKind::Full })?;
    }
    Ok(())
}
