//! Both directions of a connection: the handshake that leads to the keys, then the plaintext.

use super::{
    KeyLog, Label, MAX_HELD, Random, Unreadable, Version,
    cipher::{Cipher, next_secret},
    handshake::{ClientHello, Kind, Messages, ServerHello},
    key_log::Secret,
    record::{Content, Head, Records},
    suite::Algorithms,
};
use spice_events::{Side, Timestamp};
use std::{fmt, ops::Range};

/// Decrypts one connection.
///
/// Sans-IO, in steps:
///
/// 1. [`push`](Self::push) the next bytes of one direction, at most [`MAX_RECORD`](super::MAX_RECORD) of them.
/// 2. Call [`next`](Self::next) until it returns [`Next::Need`]. An error is returned once; go on calling.
/// 3. Repeat from step 1 while [`is_over`](Self::is_over) is false.
#[derive(Debug)]
pub struct Decryptor {
    client_hello: Option<ClientHello>,
    session: Option<Session>,
    /// Client, server.
    halves: [Half; 2],
}

/// What [`Decryptor::next`] yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next<'a> {
    /// Bytes of one direction.
    Plaintext(Plaintext<'a>),
    /// Nothing more before this is there.
    Need(Need),
}

/// What is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Need {
    /// More bytes, of either direction.
    Bytes,
    /// Secrets of this connection, and more bytes.
    Secrets,
    /// Nothing: neither direction can be read any further.
    Nothing,
}

/// What one record carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Plaintext<'a> {
    /// When the record's last byte came.
    pub at: Timestamp,
    /// Who sent it.
    pub from: Side,
    /// The bytes. They are not empty.
    pub data: &'a [u8],
}

impl fmt::Debug for Plaintext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, from, data } = self;
        f.debug_struct("Plaintext").field("at", at).field("from", from).field("len", &data.len()).finish()
    }
}

/// What both hellos have agreed on.
#[derive(Clone, Copy, Debug)]
struct Session {
    is_tls13: bool,
    algorithms: Algorithms,
    server_random: [u8; 32],
}

/// One direction.
#[derive(Debug)]
struct Half {
    side: Side,
    records: Records,
    messages: Messages,
    phase: Phase,
    /// Why nothing is kept any more, behind what is held.
    stop: Option<Stop>,
    /// Nothing more is read.
    over: bool,
}

#[derive(Debug)]
enum Phase {
    /// Records are not encrypted.
    Clear,
    /// The next record is encrypted with a key from this secret.
    Next(Label),
    /// Records are encrypted.
    Protected(Box<Protected>),
}

struct Protected {
    cipher: Cipher,
    label: Label,
    /// TLS 1.3's current traffic secret, for key updates.
    secret: Option<Secret>,
}

#[derive(Clone, Copy, Debug)]
enum Stop {
    Gap(u64),
    Backlog,
}

/// What can be done with a direction's next record.
enum Ready {
    /// It is not there.
    Bytes,
    /// The other direction, or secrets, have to come first.
    Blocked(Need),
    /// It can be read.
    Record(Head),
    /// What came at this time can't be read.
    Failed(Timestamp, Unreadable),
}

/// A record that can be read, or why a direction's next one can't be.
type Outcome = Result<(Side, Head), Unreadable>;

/// Where a record's plaintext lies.
struct Found {
    at: Timestamp,
    side: Side,
    range: Range<usize>,
}

impl Default for Decryptor {
    fn default() -> Self {
        Self::new()
    }
}

impl Decryptor {
    /// Before the connection's first byte.
    pub fn new() -> Self {
        Self { client_hello: None, session: None, halves: [Half::new(Side::Client), Half::new(Side::Server)] }
    }

    /// Takes bytes of one direction that came at `at`. What would make more than [`MAX_HELD`] is dropped, and counts as missing.
    pub fn push(&mut self, at: Timestamp, from: Side, data: &[u8]) {
        let half = self.half_mut(from);
        if half.over || half.stop.is_some() || data.is_empty() {
            return;
        }
        if half.records.len() + data.len() > MAX_HELD {
            half.stop = Some(Stop::Backlog);
        } else {
            half.records.push(at, data);
        }
    }

    /// The next `len` bytes of one direction are missing.
    pub fn lose(&mut self, from: Side, len: u64) {
        let half = self.half_mut(from);
        if !half.over && half.stop.is_none() && len > 0 {
            half.stop = Some(Stop::Gap(len));
        }
    }

    /// Neither direction can be read any further.
    pub fn is_over(&self) -> bool {
        self.halves.iter().all(|half| half.over)
    }

    /// The random of the client's hello, once that is there: by it a key log names the connection.
    pub fn random(&self) -> Option<Random> {
        self.client_hello.map(|hello| hello.random)
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.halves.iter().map(|half| half.records.len()).sum()
    }

    /// Reads on. Of two directions that can be read, the one whose record came first is.
    ///
    /// # Errors
    /// Why a direction, or both, can't be read any further; each once.
    pub fn next(&mut self, keys: &KeyLog) -> Result<Next<'_>, Unreadable> {
        let Found { at, side, range } = loop {
            let step = self.step(keys).inspect_err(|error| self.fail(*error))?;
            match step {
                Ok(Some(found)) => break found,
                Ok(None) => {}
                Err(need) => return Ok(Next::Need(need)),
            }
        };
        Ok(Next::Plaintext(Plaintext { at, from: side, data: self.half(side).records.get(range) }))
    }

    /// Reads a record, or says what is missing.
    fn step(&mut self, keys: &KeyLog) -> Result<Result<Option<Found>, Need>, Unreadable> {
        let mut first: Option<(Timestamp, Outcome)> = None;
        let (mut need, mut end) = (Need::Nothing, None);
        for side in [Side::Client, Side::Server] {
            if self.half(side).over {
                continue;
            }
            let (at, found) = match self.ready(side, keys) {
                Ready::Record(head) => (head.at, Ok((side, head))),
                Ready::Failed(at, error) => (at, Err(error)),
                Ready::Bytes => {
                    (end, need) = self.wait(side, Need::Bytes, (end, need));
                    continue;
                }
                Ready::Blocked(on) => {
                    (end, need) = self.wait(side, on, (end, need));
                    continue;
                }
            };
            // What came first is read first, and its error counts, so that neither depends on how the bytes were cut.
            if first.as_ref().is_none_or(|(earlier, _)| at < *earlier) {
                first = Some((at, found));
            }
        }
        match (first, end) {
            (Some((_, Ok((side, head)))), _) => self.read(side, &head).map(Ok),
            (Some((_, Err(error))), _) | (None, Some(error)) => Err(error),
            (None, None) => Ok(Err(need)),
        }
    }

    /// Adds what a direction misses to what is known of the other one: why it ends, and what is needed.
    fn wait(&self, side: Side, missing: Need, (end, need): (Option<Unreadable>, Need)) -> (Option<Unreadable>, Need) {
        (end.or(self.end(side, missing)), if need == Need::Secrets { need } else { missing })
    }

    /// Why a direction whose next record can't be read will never have it.
    fn end(&self, from: Side, missing: Need) -> Option<Unreadable> {
        let half = self.half(from);
        // A record that waits for the other direction or for secrets can still be read, whatever is missing behind it.
        let waits = half.records.front().is_ok_and(|front| front.is_some());
        match half.stop? {
            Stop::Gap(_) if waits => None,
            Stop::Gap(len) => Some(Unreadable::Gap { from, len }),
            Stop::Backlog if missing == Need::Secrets => Some(Unreadable::NoSecrets),
            Stop::Backlog => Some(Unreadable::Backlog { from }),
        }
    }

    fn fail(&mut self, error: Unreadable) {
        // Without both hellos the other direction can't be read either.
        let both = error.direction().is_none() || self.session.is_none() || self.client_hello.is_none();
        for half in &mut self.halves {
            if both || error.direction() == Some(half.side) {
                half.over = true;
                half.records.clear();
                half.phase = Phase::Clear;
                half.messages = Messages::default();
            }
        }
    }

    /// Whether a direction's next record can be read; makes the keys for it.
    fn ready(&mut self, side: Side, keys: &KeyLog) -> Ready {
        match self.half(side).records.front() {
            Ok(Some(head)) => self.prepare(side, head, keys).unwrap_or_else(|error| Ready::Failed(head.at, error)),
            Ok(None) => Ready::Bytes,
            Err((at, error)) => Ready::Failed(at, error),
        }
    }

    fn prepare(&mut self, side: Side, head: Head, keys: &KeyLog) -> Result<Ready, Unreadable> {
        let (session, random) = (self.session, self.client_hello.map(|hello| hello.random));
        let half = self.half_mut(side);
        if matches!(half.phase, Phase::Clear) {
            match (head.content, session, side) {
                // What the client sends next depends on the version that the server has chosen.
                (Content::CHANGE_CIPHER_SPEC | Content::APPLICATION_DATA, None, Side::Client) => {
                    return Ok(Ready::Blocked(Need::Bytes));
                }
                (Content::APPLICATION_DATA, Some(Session { is_tls13: true, .. }), _) => {
                    half.phase = Phase::Next(match side {
                        Side::Client => Label::ClientHandshake,
                        Side::Server => Label::ServerHandshake,
                    });
                }
                (Content::APPLICATION_DATA, ..) => return Err(Unreadable::Hello { from: side }),
                _ => {}
            }
        }
        let Phase::Next(label) = half.phase else { return Ok(Ready::Record(head)) };
        // TLS 1.3 repeats an empty message of older versions between its own.
        if session.is_some_and(|session| session.is_tls13) && head.content == Content::CHANGE_CIPHER_SPEC {
            return Ok(Ready::Record(head));
        }
        let (Some(session), Some(random)) = (session, random) else { return Ok(Ready::Blocked(Need::Bytes)) };
        let Some(secret) = keys.secret(random, label) else {
            return if keys.grows() { Ok(Ready::Blocked(Need::Secrets)) } else { Err(Unreadable::NoSecrets) };
        };
        let protected = session.protect(label, secret, &random.0, side);
        half.phase = Phase::Protected(Box::new(protected.ok_or(Unreadable::WrongSecrets { from: side })?));
        Ok(Ready::Record(head))
    }

    /// Reads the record at the front of a direction.
    fn read(&mut self, side: Side, head: &Head) -> Result<Option<Found>, Unreadable> {
        let is_tls13 = self.session.is_some_and(|session| session.is_tls13);
        let early_data = self.client_hello.is_some_and(|hello| hello.early_data) && side == Side::Client;
        let half = self.half_mut(side);
        let (body, start) = half.records.take(head);
        if is_tls13 && head.content == Content::CHANGE_CIPHER_SPEC {
            return Ok(None);
        }
        let Phase::Protected(protected) = &mut half.phase else {
            return self.clear(side, head.content, start, head.len);
        };
        let opened = protected.cipher.opened();
        let Ok(mut range) = protected.cipher.open(head.header, body) else {
            return Err(match opened {
                0 if early_data && is_tls13 => Unreadable::EarlyData,
                0 => Unreadable::WrongSecrets { from: side },
                record => Unreadable::Damaged { from: side, record },
            });
        };
        let mut content = head.content;
        if is_tls13 {
            // The true type is the last byte that is not zero.
            let Some(end) = body[range.clone()].iter().rposition(|byte| *byte != 0) else { return Ok(None) };
            content = Content(body[range.start + end]);
            range.end = range.start + end;
        }
        let range = start + range.start..start + range.end;
        let in_handshake = matches!(protected.label, Label::ClientHandshake | Label::ServerHandshake);
        match content {
            Content::APPLICATION_DATA if !range.is_empty() => Ok(Some(Found { at: head.at, side, range })),
            Content::HANDSHAKE if is_tls13 => self.protected_handshake(side, range).map(|()| None),
            Content::ALERT if in_handshake => self.alert(side, range).map(|()| None),
            _ => Ok(None),
        }
    }

    /// A record that is not encrypted.
    fn clear(&mut self, side: Side, content: Content, start: usize, len: usize) -> Result<Option<Found>, Unreadable> {
        match content {
            Content::HANDSHAKE => self.hello(side, start..start + len)?,
            Content::ALERT => self.alert(side, start..start + len)?,
            // TLS 1.2: the next record is the first one that is encrypted. Before any hello it is one of TLS 1.3, after a retry.
            Content::CHANGE_CIPHER_SPEC if self.session.is_some() => {
                self.half_mut(side).phase = Phase::Next(Label::Master);
            }
            _ => {}
        }
        Ok(None)
    }

    fn hello(&mut self, side: Side, range: Range<usize>) -> Result<(), Unreadable> {
        let kept = match side {
            Side::Client => Kind::CLIENT_HELLO,
            Side::Server => Kind::SERVER_HELLO,
        };
        let Self { client_hello, session, halves } = self;
        let Half { records, messages, .. } = &mut halves[index(side)];
        let mut result = Ok(());
        let read = messages.read(records.get(range), Some(kept), |kind, body| {
            if kind != kept || result.is_err() {
                return Ok(());
            }
            match side {
                Side::Client => *client_hello = Some(ClientHello::parse(body).ok_or(super::handshake::BadHello)?),
                Side::Server => {
                    let hello = ServerHello::parse(body).ok_or(super::handshake::BadHello)?;
                    if !hello.is_retry() {
                        result = Session::new(&hello).map(|new| *session = Some(new));
                    }
                }
            }
            Ok(())
        });
        read.map_err(|_| Unreadable::Hello { from: side })?;
        result
    }

    /// Handshake messages of TLS 1.3 behind the hellos: those that change the key.
    fn protected_handshake(&mut self, side: Side, range: Range<usize>) -> Result<(), Unreadable> {
        let Some(session) = self.session else { return Ok(()) };
        let half = self.half_mut(side);
        let Phase::Protected(protected) = &mut half.phase else { return Ok(()) };
        let (mut finished, mut updates) = (false, 0);
        let read = half.messages.read(half.records.get(range), None, |kind, _| {
            match kind {
                Kind::FINISHED => finished = true,
                Kind::KEY_UPDATE => updates += 1,
                _ => {}
            }
            Ok(())
        });
        read.map_err(|_| Unreadable::Hello { from: side })?;
        match protected.label {
            Label::ClientHandshake if finished => half.phase = Phase::Next(Label::ClientTraffic),
            Label::ServerHandshake if finished => half.phase = Phase::Next(Label::ServerTraffic),
            Label::ClientTraffic | Label::ServerTraffic if updates > 0 => {
                // A key change ends its record: there is one in it.
                let next = protected.secret.as_ref().and_then(|old| next_secret(session.algorithms.hash, old));
                let cipher = next.as_ref().and_then(|next| Cipher::tls13(session.algorithms, next));
                if let Some(cipher) = cipher {
                    (protected.cipher, protected.secret) = (cipher, next);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// level 1 + description 1. A warning that is not the end of the connection is passed over.
    fn alert(&self, from: Side, range: Range<usize>) -> Result<(), Unreadable> {
        match *self.half(from).records.get(range) {
            [2, code] | [_, code @ 0] => Err(Unreadable::Alert { from, code }),
            _ => Ok(()),
        }
    }

    fn half(&self, side: Side) -> &Half {
        &self.halves[index(side)]
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        &mut self.halves[index(side)]
    }
}

impl Half {
    fn new(side: Side) -> Self {
        let (records, messages) = (Records::new(side), Messages::default());
        Self { side, records, messages, phase: Phase::Clear, stop: None, over: false }
    }
}

impl Session {
    fn new(hello: &ServerHello) -> Result<Self, Unreadable> {
        let is_tls13 = match hello.version {
            Version::TLS_1_2 => false,
            Version::TLS_1_3 => true,
            other => return Err(Unreadable::Version(other)),
        };
        let algorithms = hello.suite.algorithms().ok_or(Unreadable::Suite(hello.suite))?;
        Ok(Self { is_tls13, algorithms, server_random: hello.random })
    }

    fn protect(&self, label: Label, secret: &Secret, client_random: &[u8], side: Side) -> Option<Protected> {
        if label == Label::Master {
            let cipher = Cipher::tls12(self.algorithms, secret, client_random, &self.server_random, side)?;
            return Some(Protected { cipher, label, secret: None });
        }
        Some(Protected { cipher: Cipher::tls13(self.algorithms, secret)?, label, secret: Some(secret.clone()) })
    }
}

impl fmt::Debug for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protected").field("label", &self.label).field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Server)
}
