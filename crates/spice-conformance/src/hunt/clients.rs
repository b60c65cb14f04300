//! Clients under test: a hostile server sends a script to each, and a second client, spice-link's connector, reads the same bytes.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary as _, Unstructured};
use spice_link::{
    AuthMechanism, CommonCap, ConnectStatus, Error, HeaderKind, LinkConnector, LinkErrorCode, LinkMess, LinkReply,
    LinkUser, Parsed, TICKET_LEN, ticket::TicketKey,
};

use super::{
    client::{ClientEnd, ClientUnderTest},
    finding::{Finding, FindingKind, Sent},
    probe::{Health, Probe, Taken},
    script::Script,
};

/// A client under test, and the server that it connects to.
pub(super) struct Clients {
    client: Arc<dyn ClientUnderTest>,
    password: Option<String>,
    key: TicketKey,
    time_limit: Duration,
}

/// How long a client has for each step.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How often a server asks whether a client has connected.
const POLL: Duration = Duration::from_millis(1);

/// Where a client departs from a sound one.
struct Departure {
    check: &'static str,
    section: u8,
    expected: String,
    seen: String,
    /// The same in one word.
    outline: &'static str,
}

/// How a client took a script.
enum Went {
    Right,
    Departed(Departure),
    Lost(FindingKind, String),
}

/// `Err(None)`: the script can't go on, and the client has done nothing wrong.
type Step<T> = Result<T, Option<Departure>>;

impl Probe for Clients {
    const CHOICES: usize = 120;

    fn take(&mut self, choices: &[u8]) -> Taken {
        let script = script(choices);
        let (kind, departure) = match self.play(&script) {
            Err(error) => return Taken::NoConnection(error),
            Ok(Went::Right) => return Taken::Right,
            Ok(Went::Departed(departure)) => (FindingKind::Differs, departure),
            Ok(Went::Lost(kind, seen)) => return Taken::Wrong(Box::new(self.lost(kind, choices, &seen))),
        };
        let Departure { check, section, expected, seen, outline } = departure;
        Taken::Wrong(Box::new(Finding {
            kind,
            check,
            section,
            sent: Sent::Script(script),
            expected,
            seen,
            choices: choices.to_vec(),
            count: 1,
            answer: Vec::new(),
            outline: outline.to_owned(),
        }))
    }

    /// Each case has a client of its own.
    fn health(&mut self) -> Health {
        Health::Fine
    }

    fn lost(&self, kind: FindingKind, choices: &[u8], seen: &str) -> Finding {
        let script = script(choices);
        let (check, section) = self.about(&script);
        let mut finding = Finding::lost(kind, check, section, Sent::Script(script), choices, seen);
        "a client that goes on or ends".clone_into(&mut finding.expected);
        "client".clone_into(&mut finding.outline);
        finding
    }

    fn most_to_shorten(kind: FindingKind) -> usize {
        if kind == FindingKind::Hung { 10 } else { 100 }
    }
}

fn script(choices: &[u8]) -> Script {
    Script::arbitrary(&mut Unstructured::new(choices)).unwrap_or_default()
}

impl Clients {
    pub(super) fn new(client: impl ClientUnderTest, password: Option<&str>) -> io::Result<Self> {
        let key = TicketKey::generate().map_err(io::Error::other)?;
        Ok(Self { client: Arc::new(client), password: password.map(str::to_owned), key, time_limit: TIME_LIMIT })
    }

    pub(super) fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// The first departure at this script, in words.
    pub(super) fn departure(&mut self, script: &Script) -> io::Result<Option<String>> {
        Ok(match self.play(script)? {
            Went::Right => None,
            Went::Departed(Departure { expected, seen, .. }) => Some(format!("expected {expected}, saw {seen}")),
            Went::Lost(kind, seen) => Some(format!("{kind}: {seen}")),
        })
    }

    /// The check that a script is about, as far as its reply tells.
    fn about(&self, script: &Script) -> (&'static str, u8) {
        match LinkReply::parse(&script.reply_bytes(self.key.public())) {
            Err(error) => check_of(&error),
            Ok(Parsed::Complete(reply, _)) if reply.error == LinkErrorCode::OK => {
                if script.result == 0 {
                    ("main-init", 12)
                } else {
                    ("result", 2)
                }
            }
            Ok(_) => ("reply", 2),
        }
    }

    fn play(&self, script: &Script) -> io::Result<Went> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (client, (tell, end)) = (Arc::clone(&self.client), mpsc::channel());
        thread::spawn(move || {
            let end = panic::catch_unwind(AssertUnwindSafe(|| client.connect(address)));
            // The hunt may have given the client up.
            let _ = tell.send(end.map_err(|_| ()));
        });
        let Some(stream) = accept(&listener, &end, self.time_limit)? else {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the client does not connect"));
        };
        // A client with several channels or attempts finds a closed port from now on.
        drop(listener);
        let mut play = Play { stream, script, clients: self, is_linked: false };
        let played = play.play();
        play.leave();
        let is_linked = play.is_linked;
        drop(play);
        let end = match end.recv_timeout(self.time_limit) {
            Ok(Ok(end)) => end,
            Ok(Err(())) => return Ok(Went::Lost(FindingKind::Panicked, "a panic".to_owned())),
            Err(_) => ClientEnd::Hung,
        };
        match (end, played) {
            (ClientEnd::Crashed(how), _) => Ok(Went::Lost(FindingKind::Gone, how)),
            (ClientEnd::Hung, _) => {
                Ok(Went::Lost(FindingKind::Hung, "no end of the client after that of its connection".to_owned()))
            }
            (_, Err(Some(departure))) => Ok(Went::Departed(departure)),
            (ClientEnd::Linked, Ok(())) if !is_linked => {
                let (check, section) = self.about(script);
                Ok(Went::Departed(Departure::new(check, section, "a link that fails", "a link", "linked")))
            }
            (ClientEnd::NotLinked, Ok(())) if is_linked => {
                Ok(Went::Departed(Departure::new("end", 12, "a link", "a link that fails", "not-linked")))
            }
            _ => Ok(Went::Right),
        }
    }
}

/// How a client has ended; an error is a panic.
type End = Result<ClientEnd, ()>;

/// The client's first connection. `None`: it makes none.
fn accept(listener: &TcpListener, end: &Receiver<End>, time_limit: Duration) -> io::Result<Option<TcpStream>> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    while start.elapsed() < time_limit {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(time_limit))?;
                return Ok(Some(stream));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        match end.recv_timeout(POLL) {
            Err(RecvTimeoutError::Timeout) => {}
            // It has ended without a connection.
            _ => return Ok(None),
        }
    }
    Ok(None)
}

impl Departure {
    fn new(
        check: &'static str,
        section: u8,
        expected: impl Into<String>,
        seen: impl Into<String>,
        outline: &'static str,
    ) -> Self {
        Self { check, section, expected: expected.into(), seen: seen.into(), outline }
    }
}

/// One client that is being served.
struct Play<'a> {
    stream: TcpStream,
    script: &'a Script,
    clients: &'a Clients,
    /// A sound client is linked now.
    is_linked: bool,
}

/// What a client does next.
enum Next {
    Bytes(Vec<u8>),
    End,
    Silence,
}

impl Play<'_> {
    fn play(&mut self) -> Step<()> {
        let mess = self.first_message()?;
        let reply = self.script.reply_bytes(self.clients.key.public());
        self.send(&reply);
        let mut sound = Sound::new(&mess, AuthMechanism::SPICE);
        let (written, status) = sound.read(&reply);
        let offered = offered(&reply);
        let (check, section) = self.clients.about(self.script);
        if let ConnectStatus::Unreadable(_) | ConnectStatus::Refused { .. } = status
            && written.is_empty()
        {
            return self.closes(check, section, &format!("the end, because {}", why(status)));
        }
        if written.is_empty() {
            // The reply is not complete, and nothing follows it.
            self.finish();
            return self.closes("reply", 2, "the end, because the reply is not complete");
        }
        let selects = written.len() > TICKET_LEN;
        if self.script.reply.key != crate::Reply::default().key {
            // Nothing can be encrypted with this key: a client may leave.
            return Err(None);
        }
        if selects && offered & (SPICE | SASL) == 0 {
            // The server has neither mechanism: a client may try one, or leave.
            return Err(None);
        }
        let answer = self.credentials(written.len(), selects, offered)?;
        if answer.len() == 4 {
            return self.sasl();
        }
        self.check_ticket(&answer[answer.len() - TICKET_LEN..])?;
        let status =
            if matches!(status, ConnectStatus::Need(_)) { self.result(&mut sound, &mess, &reply) } else { status };
        match status {
            ConnectStatus::Linked { .. } => {
                self.is_linked = true;
                Ok(())
            }
            ConnectStatus::Need(_) => {
                self.finish();
                self.closes("main-init", 12, "the end, because main_init is not complete")
            }
            status => {
                let is_init = matches!(status, ConnectStatus::Unreadable(Error::NotMainInit { .. }));
                let (check, section) = if is_init { ("main-init", 12) } else { ("result", 2) };
                self.closes(check, section, &format!("the end, because {}", why(status)))
            }
        }
    }

    /// The client's link message, which has to be sound.
    fn first_message(&mut self) -> Step<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let departs =
                |seen: String, outline| Err(Some(Departure::new("first-message", 2, "a link message", seen, outline)));
            match LinkMess::parse(&bytes) {
                Ok(Parsed::Complete(_, len)) if len == bytes.len() => return Ok(bytes),
                Ok(Parsed::Complete(..)) => return departs("bytes behind it".to_owned(), "more"),
                Err(error) => return departs(error.to_string(), "no-message"),
                Ok(Parsed::Need(_)) => match self.next() {
                    Next::Bytes(more) => bytes.extend(more),
                    Next::End => return departs("the end".to_owned(), "end"),
                    Next::Silence => return departs("nothing".to_owned(), "nothing"),
                },
            }
        }
    }

    /// The mechanism, if the client selects it, and the ticket. A client may select SASL where it is offered.
    fn credentials(&mut self, len: usize, selects: bool, offered: u32) -> Step<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let departs = |seen: String, outline| {
                let expected = if selects { "a mechanism and a ticket" } else { "a ticket of 128 bytes" };
                Err(Some(Departure::new("ticket", 5, expected, seen, outline)))
            };
            match self.next() {
                Next::Bytes(more) => bytes.extend(more),
                Next::End if bytes.is_empty() && offered & SPICE == 0 && selects => return Err(None),
                Next::End => return departs(format!("{} bytes and the end", bytes.len()), "end"),
                Next::Silence => return departs(format!("{} bytes", bytes.len()), "too-few-bytes"),
            }
            if let (true, Some(word)) = (selects, bytes.first_chunk::<4>()) {
                let departs = |expected: &str| {
                    let seen = format!("the mechanism {}", u32::from_le_bytes(*word));
                    Err(Some(Departure::new("mechanism", 3, expected, seen, "mechanism")))
                };
                match *word {
                    [1, 0, 0, 0] => {}
                    [2, 0, 0, 0] if offered & SASL != 0 => {
                        bytes.truncate(4);
                        return Ok(bytes);
                    }
                    _ if offered & SASL != 0 => return departs("the mechanism 1 or 2"),
                    _ => return departs("the mechanism 1"),
                }
            }
        }
        if bytes.len() > len {
            let seen = format!("{} bytes", bytes.len());
            return Err(Some(Departure::new("ticket", 5, format!("{len} bytes"), seen, "too-many-bytes")));
        }
        Ok(bytes)
    }

    fn check_ticket(&self, ticket: &[u8]) -> Step<()> {
        let Some(ticket) = ticket.first_chunk::<TICKET_LEN>() else { return Ok(()) };
        let key = &self.clients.key;
        let is_right = match &self.clients.password {
            Some(password) => key.matches(ticket, password.as_bytes()),
            None => key.open(ticket).is_some(),
        };
        if is_right {
            return Ok(());
        }
        let is_clear = self.clients.password.as_ref().is_some_and(|password| ticket.starts_with(password.as_bytes()));
        let seen = if is_clear { "the password in clear" } else { "another ticket" };
        Err(Some(Departure::new(
            "ticket",
            5,
            "the password, encrypted with the key of the reply",
            seen,
            "wrong-ticket",
        )))
    }

    /// The list of mechanisms. A client names one of them, or leaves.
    fn sasl(&mut self) -> Step<()> {
        let list = self.script.list_bytes();
        self.send(&list);
        let is_whole = self.script.mechanisms_len.is_none();
        match self.next() {
            Next::Bytes(bytes) if is_whole => {
                let name = bytes.get(4..).unwrap_or_default();
                let len = bytes.first_chunk().map_or(0, |len| u32::from_le_bytes(*len)) as usize;
                let name = name.get(..len).unwrap_or(name);
                let is_offered = self.script.mechanisms.split(|byte| *byte == b',').any(|known| known == name);
                if is_offered && !name.is_empty() {
                    return Err(None);
                }
                let seen = format!("the mechanism {:?}", name.escape_ascii().to_string());
                Err(Some(Departure::new("sasl", 6, "a mechanism of the list, or the end", seen, "not-offered")))
            }
            _ => Err(None),
        }
    }

    /// Sends the result, and `MAIN_INIT` behind a good one. Returns how a sound client takes both.
    fn result(&mut self, sound: &mut Sound, mess: &[u8], reply: &[u8]) -> ConnectStatus {
        let result = self.script.result.to_le_bytes();
        let (_, status) = sound.read(&result);
        let mut bytes = result.to_vec();
        let status = if matches!(status, ConnectStatus::Need(_)) {
            let init = self.script.init_bytes(header(mess, reply) == HeaderKind::Full);
            bytes.extend(&init);
            sound.read(&init).1
        } else {
            status
        };
        self.send(&bytes);
        status
    }

    /// The client has to end the connection.
    fn closes(&mut self, check: &'static str, section: u8, expected: &str) -> Step<()> {
        let (seen, outline) = match self.next() {
            Next::End => return Ok(()),
            Next::Bytes(bytes) => (format!("{} bytes more", bytes.len()), "goes-on"),
            Next::Silence => ("an open connection".to_owned(), "stays"),
        };
        Err(Some(Departure::new(check, section, expected, seen, outline)))
    }

    fn next(&mut self) -> Next {
        let _ = self.stream.set_read_timeout(Some(self.clients.time_limit));
        let mut buffer = [0; 8192];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Next::End,
                Ok(len) => return Next::Bytes(buffer[..len].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Next::Silence;
                }
                Err(_) => return Next::End,
            }
        }
    }

    /// A client that has left already shows it at the next read.
    fn send(&mut self, bytes: &[u8]) {
        let piece = if self.script.byte_by_byte { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(piece) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
        }
    }

    fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends FIN, and reads what the client still sends: otherwise, the kernel would send RST, which can overtake bytes.
    fn leave(&mut self) {
        self.finish();
        let start = Instant::now();
        while start.elapsed() < self.clients.time_limit && matches!(self.next(), Next::Bytes(_)) {}
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Bits of the common capabilities.
const SPICE: u32 = 1 << CommonCap::AUTH_SPICE.0;
const SASL: u32 = 1 << CommonCap::AUTH_SASL.0;

/// The first word of the common capabilities of a reply.
fn offered(reply: &[u8]) -> u32 {
    match LinkReply::parse(reply) {
        Ok(Parsed::Complete(reply, _)) => reply.common_caps.words().next().unwrap_or(0),
        _ => 0,
    }
}

/// The kind of data header that both ends have agreed on.
fn header(mess: &[u8], reply: &[u8]) -> HeaderKind {
    let (Ok(Parsed::Complete(mess, _)), Ok(Parsed::Complete(reply, _))) =
        (LinkMess::parse(mess), LinkReply::parse(reply))
    else {
        return HeaderKind::Full;
    };
    let has = |caps: spice_link::CommonCaps<'_>| caps.contains(CommonCap::MINI_HEADER);
    if has(mess.common_caps) && has(reply.common_caps) { HeaderKind::Mini } else { HeaderKind::Full }
}

/// A sound client that has sent the same message.
struct Sound {
    link: LinkConnector,
    user: SoundUser,
    unread: Vec<u8>,
}

struct SoundUser(AuthMechanism);

impl LinkUser for SoundUser {
    fn mechanism(&mut self, _: &LinkReply<'_>) -> AuthMechanism {
        self.0
    }

    fn ticket(&mut self, _: &[u8; LinkReply::PUB_KEY_LEN], _: &mut [u8; TICKET_LEN]) -> bool {
        true
    }
}

impl Sound {
    fn new(mess: &[u8], mechanism: AuthMechanism) -> Self {
        let mut link = LinkConnector::new();
        if let Ok(Parsed::Complete(mess, _)) = LinkMess::parse(mess) {
            // The message is written, and not sent.
            let _ = link.start(&mess, &mut [0; LinkConnector::ROOM]);
        }
        Self { link, user: SoundUser(mechanism), unread: Vec::new() }
    }

    /// What it writes, and what it does next.
    fn read(&mut self, bytes: &[u8]) -> (Vec<u8>, ConnectStatus) {
        self.unread.extend(bytes);
        let mut out = [0; LinkConnector::ROOM];
        let turn = self.link.read(&mut self.user, &self.unread, &mut out);
        self.unread.drain(..turn.consumed);
        (out[..turn.written].to_vec(), turn.outcome)
    }
}

fn check_of(error: &Error) -> (&'static str, u8) {
    match error {
        Error::Magic { .. } => ("magic", 8),
        Error::Version { .. } => ("version", 8),
        Error::Size { .. } => ("size", 8),
        Error::CapsCount { .. } => ("caps-count", 8),
        _ => ("caps-range", 8),
    }
}

fn why(status: ConnectStatus) -> String {
    match status {
        ConnectStatus::Unreadable(error) => format!("the bytes are wrong: {error}"),
        ConnectStatus::Refused { code, .. } => format!("the server refuses with {}", code.0),
        other => format!("{other:?}"),
    }
}
