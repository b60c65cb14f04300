//! Whole conversations with a running server: tickets, SASL, sessions and their channels, WebSocket.

use std::io;

use arbitrary::{Arbitrary as _, Unstructured};
use spice_link::{ChannelType, HeaderKind, LinkErrorCode as Code};

use super::{
    conversation::{Conversation, Credentials, Link, LinkCarrier, LinkChannel, LinkId},
    finding::{Finding, FindingKind, Sent},
    probe::{Health, Probe, Taken},
};
use crate::{
    Carrier, Mess,
    digest_md5::{self, Protection},
    received::Received::{
        self, End, LayerFrame, MainInit, MechanismList, Reply, Result as LinkResult, SaslAccepted, SaslContinue,
        Silence,
    },
    subject::{ABSENT, MINI_HEADER_BIT, SASL_BIT, SELECTION_BIT, Subject},
    wire::{Wire, field},
};

/// A running server, and what is known of it.
pub(super) struct Conversations {
    pub(super) subject: Subject,
}

/// The first place where a server departs from spice-server in a conversation.
struct Departure {
    /// The check of spice-server that the link is about.
    check: &'static str,
    /// The check's section in docs/PROTOCOL.md.
    section: u8,
    /// Which link of the conversation, from 1.
    link: usize,
    expected: String,
    seen: String,
    /// Something was expected that did not come within the time limit.
    is_silence: bool,
}

impl Probe for Conversations {
    const CHOICES: usize = Conversation::CHOICES;

    fn take(&mut self, choices: &[u8]) -> Taken {
        let conversation = conversation(choices);
        let departure = match self.play(&conversation) {
            Ok(None) => return Taken::Right,
            Ok(Some(departure)) => departure,
            Err(error) => return Taken::NoConnection(error),
        };
        match self.health() {
            Health::Fine => {}
            Health::Gone(error) => return Taken::Wrong(Box::new(self.lost(FindingKind::Gone, choices, &error))),
            Health::Hung => {
                let seen = "no answer to a plain client after it";
                return Taken::Wrong(Box::new(self.lost(FindingKind::Hung, choices, seen)));
            }
        }
        let Departure { check, section, link, expected, seen, .. } = departure;
        Taken::Wrong(Box::new(Finding {
            kind: FindingKind::Differs,
            check,
            section,
            sent: Sent::Conversation(conversation),
            expected: format!("{expected} (link {link})"),
            outline: seen.replace(", ", "-").replace(' ', "-"),
            seen,
            choices: choices.to_vec(),
            count: 1,
            answer: Vec::new(),
        }))
    }

    fn health(&mut self) -> Health {
        let mut wire = match self.subject.connect() {
            Ok(wire) => wire,
            Err(error) => return Health::Gone(error.to_string()),
        };
        let is_hung =
            wire.send(&Mess::default().bytes()).is_ok() && wire.read_reply().is_ok() && wire.received() == [Silence];
        if is_hung { Health::Hung } else { Health::Fine }
    }

    fn lost(&self, kind: FindingKind, choices: &[u8], seen: &str) -> Finding {
        Finding::lost(kind, "conversation", 1, Sent::Conversation(conversation(choices)), choices, seen)
    }

    fn most_to_shorten(_: FindingKind) -> usize {
        // Most cases of a server that does not answer cost a time limit.
        40
    }

    fn shorten<E>(choices: &[u8], most: usize, mut still: impl FnMut(&[u8]) -> Result<bool, E>) -> Result<Vec<u8>, E> {
        let (mut best, mut asked) = (choices.to_vec(), 0);
        'plainer: loop {
            for candidate in Conversation::plainer(&best) {
                if conversation(&candidate) == conversation(&best) {
                    best = candidate;
                    continue 'plainer;
                }
                if asked == most {
                    return Ok(best);
                }
                asked += 1;
                if still(&candidate)? {
                    best = candidate;
                    continue 'plainer;
                }
            }
            return Ok(best);
        }
    }
}

impl Conversations {
    fn play(&self, conversation: &Conversation) -> io::Result<Option<Departure>> {
        match Play::new(&self.subject).play(conversation)? {
            // On a busy machine an answer can be late. One that does not come is missing twice.
            Some(departure) if departure.is_silence => Play::new(&self.subject).play(conversation),
            played => Ok(played),
        }
    }
}

fn conversation(choices: &[u8]) -> Conversation {
    Conversation::arbitrary(&mut Unstructured::new(choices)).unwrap_or_default()
}

/// Plays a conversation, and returns the first departure.
///
/// # Errors
/// If there is no connection.
pub(super) fn departure(conversation: &Conversation, subject: &Subject) -> io::Result<Option<String>> {
    let found = Play::new(subject).play(conversation)?;
    Ok(found.map(|found| format!("link {}: expected {}, saw {}", found.link, found.expected, found.seen)))
}

/// A conversation that is going on.
struct Play<'s> {
    subject: &'s Subject,
    session: Option<Session>,
    /// The key of the last reply, and which link it came to.
    key: Option<(usize, Vec<u8>)>,
}

/// The live session, by what was sent and answered.
struct Session {
    /// Its id. `None`: the main channel has brought it along, and no channel is joined to it here.
    id: Option<u32>,
    main: Wire,
    other: Option<Wire>,
}

/// How one link went on: `Err` is a departure.
type Went<T> = Result<T, Ended>;

/// Why a link is not followed further.
enum Ended {
    Departed(Departure),
    /// The link has ended as expected, or this server can't be asked for it.
    Done,
    Io(io::Error),
}

impl Ended {
    /// Takes note of how the wire went on.
    fn after(mut self, wire: &Wire) -> Self {
        if let Self::Departed(departure) = &mut self {
            departure.is_silence = wire.received().last() == Some(&Silence);
        }
        self
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What one link is about.
#[derive(Clone, Copy)]
struct About {
    number: usize,
    check: &'static str,
    section: u8,
}

impl About {
    const fn check(self, check: &'static str, section: u8) -> Self {
        Self { check, section, ..self }
    }

    fn departs(self, expected: impl Into<String>, seen: impl Into<String>) -> Ended {
        let Self { number, check, section } = self;
        let (expected, seen) = (expected.into(), seen.into());
        Ended::Departed(Departure { check, section, link: number + 1, expected, seen, is_silence: false })
    }

    /// Compares all that a wire has received.
    fn expect(self, wire: &Wire, expected: &[Received]) -> Went<()> {
        if wire.received() == expected {
            return Ok(());
        }
        Err(self.departs(Received::join(expected), Received::join(wire.received())).after(wire))
    }
}

impl<'s> Play<'s> {
    fn new(subject: &'s Subject) -> Self {
        Self { subject, session: None, key: None }
    }

    fn play(&mut self, conversation: &Conversation) -> io::Result<Option<Departure>> {
        for (number, link) in conversation.links.iter().enumerate() {
            match self.link(About { number, check: "reply", section: 2 }, link) {
                Ok(()) | Err(Ended::Done) => {}
                Err(Ended::Departed(departure)) => return Ok(Some(departure)),
                Err(Ended::Io(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    fn link(&mut self, about: About, link: &Link) -> Went<()> {
        let (channel_type, channel_id) = self.channel(link.channel)?;
        let connection_id = self.connection_id(link)?;
        let selects = if link.selects_nothing { 0 } else { SELECTION_BIT };
        let sasl = if self.subject.requires_sasl() { SASL_BIT } else { 0 };
        let mini_header = if link.long_headers { 0 } else { MINI_HEADER_BIT };
        let mess = Mess {
            common: vec![selects | sasl | mini_header],
            ..Mess::channel(connection_id, channel_type, channel_id)
        };

        let mut wire = self.connect(about, link)?;
        send(&mut wire, link, &mess.bytes())?;
        wire.read_reply()?;
        match link.channel {
            LinkChannel::Absent => {
                wire.read_end()?;
                about.check("existence", 8).expect(&wire, &[End])?;
                return Err(Ended::Done);
            }
            LinkChannel::Secured => {
                wire.read_end()?;
                about.check("tls-policy", 9).expect(&wire, &[Reply(Code::NEED_SECURED), End])?;
                return Err(Ended::Done);
            }
            LinkChannel::Main | LinkChannel::Other => about.expect(&wire, &[Reply(Code::OK)])?,
        }
        self.compare_key(about, &wire)?;
        let is_layered = self.authenticate(about, link, &mut wire)?;
        if is_layered {
            return self.behind_a_layer(about, link, wire);
        }
        if link.channel == LinkChannel::Main { self.open(about, link, wire) } else { self.join(about, link, wire) }
    }

    fn channel(&self, channel: LinkChannel) -> Went<(ChannelType, u8)> {
        match channel {
            LinkChannel::Main => Some((ChannelType::MAIN, 0)),
            LinkChannel::Other => self.subject.other,
            LinkChannel::Secured if self.subject.target.carrier == Carrier::Tls => None,
            LinkChannel::Secured => self.subject.secured.map(|kind| (kind, 0)),
            LinkChannel::Absent => Some((ChannelType::INPUTS, ABSENT)),
        }
        .ok_or(Ended::Done)
    }

    fn connection_id(&self, link: &Link) -> Went<u32> {
        Ok(match (link.channel, link.id) {
            (LinkChannel::Main, LinkId::Wrong) => BROUGHT,
            (LinkChannel::Main, _) | (_, LinkId::Zero) => 0,
            (_, LinkId::Wrong) => {
                self.session.as_ref().and_then(|session| session.id).unwrap_or(BROUGHT).wrapping_add(1)
            }
            (_, LinkId::Right) => {
                // Without a live session there is no right id.
                self.session.as_ref().and_then(|session| session.id).ok_or(Ended::Done)?
            }
        })
    }

    fn connect(&self, about: About, link: &Link) -> Went<Wire> {
        let about = about.check("websocket", 10);
        let target = &self.subject.target;
        if link.carrier != LinkCarrier::Plain && target.carrier != Carrier::Plain {
            return Err(Ended::Done);
        }
        let mut stream = target.connect().map_err(io::Error::from)?;
        if link.carrier == LinkCarrier::WebSocket {
            // From here on, whatever happens is the server's answer.
            let upgraded = stream.upgrade("localhost", true);
            stream = upgraded.map_err(|error| about.departs("101 Switching Protocols", error.to_string()))?;
        }
        let mut wire = Wire::over(stream, target.time_limit);
        if link.carrier == LinkCarrier::HalfRequest {
            wire.send(HALF_REQUEST)?;
            wire.read_reply()?;
            wire.read_end()?;
            about.expect(&wire, &[Reply(Code::INVALID_MAGIC), End])?;
            return Err(Ended::Done);
        }
        Ok(wire)
    }

    /// spice-server makes a key for each link, and sends zeros with SASL.
    fn compare_key(&mut self, about: About, wire: &Wire) -> Went<()> {
        let key = wire.reply().get(20..182).unwrap_or_default().to_vec();
        let last = self.key.replace((about.number, key.clone()));
        let is_zeros = key.iter().all(|byte| *byte == 0);
        if !is_zeros && last.is_some_and(|(number, last)| number + 1 == about.number && last == key) {
            return Err(about.check("key", 5).departs("another key for each link", "the key of the link before"));
        }
        Ok(())
    }

    /// From the mechanism to the credentials. `Ok`: they are right. True: what follows is in frames of a security layer.
    fn authenticate(&self, about: About, link: &Link, wire: &mut Wire) -> Went<bool> {
        let has_sasl = self.subject.requires_sasl();
        let accepted = Reply(Code::OK);
        if link.selects_nothing && has_sasl {
            wire.read_reply()?;
            // spice-server never closes this connection.
            about.check("selection", 6).expect(wire, &[accepted, Reply(Code::VERSION_MISMATCH)])?;
            return Err(Ended::Done);
        }
        if let (Some(other), false) = (link.mechanism, link.selects_nothing) {
            send(wire, link, &other.to_le_bytes())?;
            wire.read_reply()?;
            wire.read_end()?;
            about.check("mechanism", 1).expect(wire, &[accepted, Reply(Code::INVALID_DATA), End])?;
            return Err(Ended::Done);
        }
        if has_sasl {
            self.exchange(about, link, wire)
        } else {
            self.ticket(about, link, wire)?;
            Ok(false)
        }
    }

    fn ticket(&self, about: About, link: &Link, wire: &mut Wire) -> Went<()> {
        let password = self.subject.password().unwrap_or("any").as_bytes();
        let ticket = match link.credentials {
            Credentials::Right => wire.seal(&[password, b"\0"].concat()),
            Credentials::Wrong => wire.seal(b"surely not this one\0"),
            Credentials::TooLong => wire.seal(&[password, b"x\0"].concat()),
            Credentials::Empty => wire.seal(b"\0"),
            Credentials::Broken => [0x5a; 128],
        };
        let mechanism: &[u8] = if link.selects_nothing { &[] } else { &[1, 0, 0, 0] };
        send(wire, link, &[mechanism, &ticket].concat())?;
        wire.read_result()?;
        let is_right = match link.credentials {
            Credentials::Right => true,
            Credentials::Broken => false,
            _ => self.subject.password.is_none(),
        };
        if is_right {
            return Ok(());
        }
        wire.read_end()?;
        about.check("ticket", 5).expect(wire, &[Reply(Code::OK), LinkResult(Code::PERMISSION_DENIED), End])?;
        Err(Ended::Done)
    }

    /// The mechanism PLAIN (RFC 4616) or DIGEST-MD5 (RFC 2831), where one is offered; elsewhere a mechanism that is not offered. True:
    /// a security layer follows.
    fn exchange(&self, about: About, link: &Link, wire: &mut Wire) -> Went<bool> {
        let about = about.check("sasl", 6);
        send(wire, link, &[2, 0, 0, 0])?;
        wire.read_mechanism_list()?;
        // Inside TLS, DIGEST-MD5 has no security layer: it is left to the cases of conformance.
        let is_tls = self.subject.target.carrier == Carrier::Tls;
        let has_digest = self.subject.offers(b"DIGEST-MD5") && self.subject.user.is_some() && !is_tls;
        if link.credentials == Credentials::Broken || !(self.subject.offers(b"PLAIN") || has_digest) {
            send(wire, link, &field(b"NOTHING"))?;
            wire.read_reply()?;
            wire.read_end()?;
            about.expect(wire, &[Reply(Code::OK), MechanismList, Reply(Code::INVALID_DATA), End])?;
            return Err(Ended::Done);
        }
        let (user, password) =
            (self.subject.user.as_deref().unwrap_or_default(), self.subject.password().unwrap_or_default());
        let password = match link.credentials {
            Credentials::Wrong => "surely not this one".to_owned(),
            Credentials::TooLong => format!("{password}x"),
            Credentials::Empty => String::new(),
            Credentials::Right | Credentials::Broken => password.to_owned(),
        };
        if !self.subject.offers(b"PLAIN") {
            return digest(about, link, wire, user, &password);
        }
        let data = format!("\0{user}\0{password}\0");
        send(wire, link, &[field(b"PLAIN"), field(data.as_bytes())].concat())?;
        wire.read_sasl_answer()?;
        if link.credentials != Credentials::Right {
            wire.read_end()?;
            about.expect(wire, &[Reply(Code::OK), MechanismList, End])?;
            return Err(Ended::Done);
        }
        about.expect(wire, &[Reply(Code::OK), MechanismList, SaslAccepted])?;
        wire.read_result()?;
        Ok(false)
    }

    /// What follows a security layer is encrypted: the frames are counted. Their keys are the user's, so the session's id is not known
    /// and no channel joins it.
    fn behind_a_layer(&mut self, about: About, link: &Link, mut wire: Wire) -> Went<()> {
        let before = [Reply(Code::OK), MechanismList, SaslContinue, SaslAccepted, LayerFrame];
        wire.read_layer_frame()?;
        if link.channel != LinkChannel::Main {
            // Only a wrong id is sent.
            wire.read_end()?;
            about.check("connection-id", 11).expect(&wire, &[&before[..], &[End]].concat())?;
            return Err(Ended::Done);
        }
        if link.id == LinkId::Wrong {
            about.check("main-init", 12).expect(&wire, &before)?;
        } else {
            wire.read_layer_frame()?;
            about.check("main-init", 12).expect(&wire, &[&before[..], &[LayerFrame]].concat())?;
        }
        self.start(about, link, Session { id: None, main: wire, other: None })
    }

    /// A session starts: the one before it ends.
    fn start(&mut self, about: About, link: &Link, mut session: Session) -> Went<()> {
        if let Some(old) = self.session.take() {
            old.ends(about.check("take-over", 11))?;
        }
        if link.leaves {
            session.main.finish()?;
            session.ends(about.check("main-leaves", 11))?;
        } else {
            self.session = Some(session);
        }
        Ok(())
    }

    /// What a client has received up to this result.
    fn up_to(&self, code: Code) -> Vec<Received> {
        if self.subject.requires_sasl() {
            vec![Reply(Code::OK), MechanismList, SaslAccepted, LinkResult(code)]
        } else {
            vec![Reply(Code::OK), LinkResult(code)]
        }
    }

    /// A main channel opens a session, and ends the one before it.
    fn open(&mut self, about: About, link: &Link, mut wire: Wire) -> Went<()> {
        let mut expected = self.up_to(Code::OK);
        let is_new = link.id != LinkId::Wrong;
        if is_new && wire.received().last() == Some(&LinkResult(Code::OK)) {
            wire.read_main_init(if link.long_headers { HeaderKind::Full } else { HeaderKind::Mini })?;
        }
        expected.extend(is_new.then_some(MainInit));
        about.check("main-init", 12).expect(&wire, &expected)?;
        let id = wire.main_init().map(|(id, _)| id);
        let last = self.session.as_ref().and_then(|session| session.id);
        if id == Some(0) || (id.is_some() && id == last) {
            let seen = if id == Some(0) { "0" } else { "the id of the session before" };
            return Err(about.check("session-id", 11).departs("an id that is new and not 0", seen));
        }
        self.start(about, link, Session { id: id.filter(|_| is_new), main: wire, other: None })
    }

    /// Another channel joins the session.
    fn join(&mut self, about: About, link: &Link, mut wire: Wire) -> Went<()> {
        if link.id != LinkId::Right {
            wire.read_end()?;
            let expected = [self.up_to(Code::BAD_CONNECTION_ID), vec![End]].concat();
            about.check("connection-id", 11).expect(&wire, &expected)?;
            return Err(Ended::Done);
        }
        let expected = self.up_to(Code::OK);
        about.check("connection-id", 11).expect(&wire, &expected)?;
        let Some(session) = &mut self.session else { return Ok(()) };
        if session.other.is_some() {
            wire.skip_to_end()?;
            about.check("duplicate", 11).expect(&wire, &[&expected[..], &[End]].concat())?;
        } else {
            session.other = Some(wire);
        }
        if link.leaves
            && let Some(mut session) = self.session.take()
        {
            session.main.finish()?;
            session.ends(about.check("main-leaves", 11))?;
        }
        Ok(())
    }
}

/// The mechanism DIGEST-MD5, with the security layer that spice-server requires without TLS.
fn digest(about: About, link: &Link, wire: &mut Wire, user: &str, password: &str) -> Went<bool> {
    send(wire, link, &[field(b"DIGEST-MD5"), field(b"")].concat())?;
    let challenge = wire.read_sasl_answer()?;
    about.expect(wire, &[Reply(Code::OK), MechanismList, SaslContinue])?;
    let Some(response) = digest_md5::respond(&challenge, user, password, Protection::Confidentiality) else {
        return Err(about.departs("a challenge with a realm and a nonce", challenge.escape_ascii().to_string()));
    };
    send(wire, link, &field(&response))?;
    if link.credentials == Credentials::Right {
        wire.read_sasl_answer()?;
        about.expect(wire, &[Reply(Code::OK), MechanismList, SaslContinue, SaslAccepted])?;
        return Ok(true);
    }
    wire.read_end()?;
    about.expect(wire, &[Reply(Code::OK), MechanismList, SaslContinue, End])?;
    Err(Ended::Done)
}

impl Session {
    /// All its connections end.
    fn ends(mut self, about: About) -> Went<()> {
        for (name, wire) in [("the main channel", Some(&mut self.main)), ("the other channel", self.other.as_mut())] {
            let Some(wire) = wire else { continue };
            wire.skip_to_end()?;
            if wire.received().last() != Some(&End) {
                return Err(about.departs(format!("the end of {name} of the session before"), "no end").after(wire));
            }
        }
        Ok(())
    }
}

/// The id of a session that a main channel brings along.
const BROUGHT: u32 = 0x7fff_1234;
/// The start of an upgrade request.
const HALF_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n";

fn send(wire: &mut Wire, link: &Link, bytes: &[u8]) -> io::Result<()> {
    if link.byte_by_byte {
        return bytes.iter().try_for_each(|byte| wire.send(&[*byte]));
    }
    wire.send(bytes)
}
