//! Your server against spice-server's checks: nearly valid first messages, and the plainest one that it answers differently.
//!
//! What a server makes of a client's first message is decided by the message alone, but for which channels it has and whether
//! they are to be had in TLS alone. So no second server is needed: [`judge`] knows spice-server's answer, byte for byte.
//!
//! ```
//! use spice_testkit::hunt;
//!
//! // Forgets that version 0 gets no answer, and knows no other check.
//! fn my_server(bytes: &[u8]) -> Vec<u8> {
//!     let version = bytes.get(4..8).is_some_and(|version| version != [2, 0, 0, 0]);
//!     if version { hunt::refusal(4).to_vec() } else { Vec::new() }
//! }
//!
//! let found = hunt::link(2000, 1, |bytes| Ok(my_server(bytes).into()))?;
//! println!("{}", found.unwrap());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A server that is running is asked by [`over_tcp`]; a fuzzer calls [`difference`].

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use arbitrary::{Arbitrary as _, Unstructured};
use spice_link::{Answer, LinkErrorCode, LinkReply};

use crate::{
    generate::{Choices, Mess, plainest},
    spice_conformance::{Judgement, judge},
};

/// Bytes of choices for a message.
const CHOICES: usize = 200;
/// Messages that may be sent to make a finding plainer.
const ENOUGH: usize = 1000;
/// What is said of a server that does.
const PANICKED: &str = "expected an answer, the server panicked";
/// How long a server that runs may take for anything.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than this a server never says to one message, in bytes.
const MOST_SAID: u64 = 64 * 1024;

/// What a server says to a client that sends its first message and then no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Whether it has ended the connection then.
    pub ended: bool,
}

impl From<Vec<u8>> for Said {
    /// These bytes and the end.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, ended: true }
    }
}

/// A message that is answered differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The plainest one that was found.
    pub mess: Mess,
    /// What was expected and seen.
    pub difference: String,
    /// The choices that make it: a regression, or a fuzzer's seed.
    pub choices: Vec<u8>,
    /// How many messages were answered as expected before it.
    pub cases: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after {} messages that were answered as expected: {}", self.cases, self.difference)?;
        writeln!(f, "  {:?}", self.mess)?;
        write!(f, "  on the wire:")?;
        let bytes = self.mess.bytes();
        for byte in bytes.iter().take(64) {
            write!(f, " {byte:02x}")?;
        }
        let more = bytes.len().saturating_sub(64);
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        write!(f, "\n  choices {:?}", self.choices)
    }
}

/// Asks a server about so many messages of one seed's row, up to the first that it answers differently; then about plainer ones.
/// Where it panics, the message is the one at which it did.
///
/// # Errors
/// What `ask` fails with.
pub fn link(cases: u64, seed: u64, mut ask: impl FnMut(&[u8]) -> io::Result<Said>) -> io::Result<Option<Finding>> {
    let (mut row, mut choices) = (Choices::new(seed), Vec::new());
    for case in 0..cases {
        row.fill(&mut choices, CHOICES);
        if let Some((mess, difference)) = try_choices(&choices, &mut ask)? {
            let first = Finding { mess, difference, choices, cases: case };
            // A panic says something each time: once is enough.
            return if first.difference == PANICKED { Ok(Some(first)) } else { plainer(first, &mut ask).map(Some) };
        }
    }
    Ok(None)
}

/// How an answer to these bytes, which a client has sent and then no more, differs from spice-server's.
///
/// A sound message is refused with 5 or 6 where the server has the channel in TLS alone or in plain alone, and answered with
/// nothing where it has no such channel: either is taken for right. Of an accepting reply only the code is looked at.
pub fn difference(sent: &[u8], said: &Said) -> Option<String> {
    let expected = match judge(sent) {
        Judgement::Refused { answer: Some(Answer::Frame(code)), .. } => refusal(code.0).to_vec(),
        Judgement::Refused { .. } | Judgement::Need => Vec::new(),
        Judgement::Accepted { .. } => {
            let code = code(&said.bytes);
            let right =
                said.bytes.is_empty() || code == Some(0) || code.is_some_and(|code| is_refusal(&said.bytes, code));
            return (!right).then(|| format!("expected an accepting reply, or nothing, saw {}", show(said)));
        }
    };
    if said.bytes == expected && said.ended {
        return None;
    }
    Some(format!("expected {}, saw {}", show(&expected.into()), show(said)))
}

/// The 194 bytes with which spice-server refuses a first message: see [`LinkReply::refusal`].
pub fn refusal(code: u32) -> [u8; 194] {
    LinkReply::refusal(LinkErrorCode(code))
}

/// Asks a server on this machine over TCP: each message on a connection of its own, then FIN.
///
/// # Errors
/// An address that is not loopback's. Asking fails where no connection comes about; a server that says nothing and stays is a
/// difference, after three seconds.
pub fn over_tcp(server: SocketAddr) -> io::Result<impl FnMut(&[u8]) -> io::Result<Said>> {
    if !server.ip().is_loopback() {
        let what = format!("expected an address of this machine's loopback, found {server}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(move |bytes: &[u8]| {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // A server that refuses need not read on: it may have closed before all was sent.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut said = Vec::new();
        let ended = match (&mut stream).take(MOST_SAID).read_to_end(&mut said) {
            Ok(_) => true,
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionReset => true,
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => false,
                _ => return Err(error),
            },
        };
        Ok(Said { bytes: said, ended })
    })
}

fn try_choices(choices: &[u8], ask: &mut impl FnMut(&[u8]) -> io::Result<Said>) -> io::Result<Option<(Mess, String)>> {
    let Ok(mess) = Mess::arbitrary(&mut Unstructured::new(choices)) else { return Ok(None) };
    let bytes = mess.bytes();
    let found = match panic::catch_unwind(AssertUnwindSafe(|| ask(&bytes))) {
        Ok(said) => difference(&bytes, &said?),
        Err(_) => Some(PANICKED.to_owned()),
    };
    Ok(found.map(|difference| (mess, difference)))
}

/// The plainest finding that there is.
fn plainer(mut best: Finding, ask: &mut impl FnMut(&[u8]) -> io::Result<Said>) -> io::Result<Finding> {
    let choices = std::mem::take(&mut best.choices);
    best.choices = plainest(&choices, ENOUGH, |choices| {
        let found = try_choices(choices, ask)?;
        let differs = found.is_some();
        if let Some(found) = found {
            (best.mess, best.difference) = found;
        }
        io::Result::Ok(differs)
    })?;
    Ok(best)
}

/// The code in a reply's place for it.
fn code(said: &[u8]) -> Option<u32> {
    said.get(16..20).and_then(|code| code.try_into().ok()).map(u32::from_le_bytes)
}

fn is_refusal(said: &[u8], code: u32) -> bool {
    matches!(code, 5 | 6) && said == refusal(code)
}

fn show(said: &Said) -> String {
    let bytes = &said.bytes;
    let what = match code(bytes) {
        _ if bytes.is_empty() => "nothing".to_owned(),
        Some(code) if *bytes == refusal(code) => format!("a refusal with {code}"),
        Some(code) => format!("{} bytes with the code {code}: {}", bytes.len(), bytes[..20].escape_ascii()),
        None => format!("{} bytes: {}", bytes.len(), bytes.escape_ascii()),
    };
    format!("{what}{}", if said.ended { " and the end" } else { ", and no end" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use spice_link::{AcceptStatus, LinkAcceptor};

    /// The acceptor, a few channels behind it, and FIN.
    fn ours(bytes: &[u8]) -> Said {
        let (mut host, mut out) = (model::ModelHost::new(&[(3, 0, 1)]), [0; 1024]);
        let turn = LinkAcceptor::new().read(&mut host, bytes, &mut out);
        let leaked = matches!(turn.outcome, AcceptStatus::Close(spice_link::CloseReason::NoSelection));
        Said { bytes: out[..turn.written].to_vec(), ended: !leaked }
    }

    #[test]
    fn the_acceptor_answers_as_spice_server_does() {
        assert_eq!(link(5000, 1, |bytes| Ok(ours(bytes))).unwrap(), None);
    }

    #[test]
    fn a_finding_is_as_plain_as_can_be() {
        // Counts of more than 1024 words are refused with another code.
        let wrong = |bytes: &[u8]| {
            let said = ours(bytes);
            let counts = matches!(judge(bytes), Judgement::Refused { error: spice_link::Error::CapsCount { .. }, .. });
            Ok(if counts { refusal(1).to_vec().into() } else { said })
        };
        let found = link(5000, 1, wrong).unwrap().unwrap();
        assert_eq!(found.difference, "expected a refusal with 3 and the end, saw a refusal with 1 and the end");
        assert_eq!(found.mess, Mess { counts: found.mess.counts, ..Mess::default() }, "{found}");
    }

    #[test]
    fn a_panic_is_a_finding() {
        let found = link(100, 1, |bytes| {
            assert!(bytes.starts_with(b"REDQ"));
            Ok(ours(bytes))
        });
        let found = found.unwrap().unwrap();
        assert_eq!(found.difference, PANICKED);
        assert_ne!(found.mess.magic, *b"REDQ", "{found}");
    }

    #[test]
    fn other_machines_are_left_alone() {
        let error = over_tcp(SocketAddr::from(([192, 0, 2, 1], 5900))).err().unwrap();
        assert_eq!(error.to_string(), "expected an address of this machine's loopback, found 192.0.2.1:5900");
    }

    #[cfg(feature = "server")]
    #[test]
    fn flaws_of_a_running_server_are_found() {
        use crate::server::{Flaw, TestServer};

        let sound = TestServer::start("sekrit", None).unwrap();
        assert_eq!(link(300, 1, over_tcp(sound.address()).unwrap()).unwrap(), None);
        for (flaw, words) in [
            (Flaw::CapsStart, "expected a refusal with 3"),
            (Flaw::VersionZero, "expected nothing and the end, saw a refusal with 4"),
            (Flaw::CapsEnd, "expected a refusal with 3"),
        ] {
            let server = TestServer::start("sekrit", Some(flaw)).unwrap();
            let found = link(2000, 1, over_tcp(server.address()).unwrap()).unwrap();
            let found = found.unwrap_or_else(|| panic!("{flaw:?} is not found"));
            assert!(found.difference.starts_with(words), "{flaw:?}: {found}");
        }
    }
}
