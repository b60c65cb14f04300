//! A SPICE server for tests: the acceptor behind a TCP port, a few channels that do nothing, and one flaw if the test asks for it.
//!
//! It uses a few RSA keys in turn, because making one takes long. A real server must make a key for each link.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use spice_link::{
    AcceptStatus, ChannelCaps, ChannelType, CommonCap, DataHeader, Error, HeaderKind, Join, LinkAcceptor,
    LinkErrorCode, LinkHost, LinkMess, LinkReply, LinkRequest, Linked, MainInit, Parsed, SaslAnswer, SaslVerdict,
    Upgrade, ticket::TicketKey, websocket::Deframer,
};

/// A check that is left out, or something else that the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Accepts any magic.
    Magic,
    /// Accepts any major version.
    Version,
    /// Answers version 0 like every other wrong version.
    VersionZero,
    /// Waits for more bytes when a size is too small.
    SizeMin,
    /// Waits for more bytes when a size is too large.
    SizeMax,
    /// Treats lists of more than 1024 words as empty.
    CapsCount,
    /// Treats lists that end after the message as empty.
    CapsEnd,
    /// Treats lists that start in the fixed part as empty.
    CapsStart,
    /// Has every channel.
    Existence,
    /// Treats every mechanism as a ticket.
    Mechanism,
    /// Accepts every ticket.
    Ticket,
    /// Accepts every connection id.
    ConnectionId,
    /// Lets a channel join a session twice.
    Duplicate,
    /// Keeps the old session when a new one starts.
    Kick,
    /// Gives every session the id 0.
    SessionId,
    /// Keeps a refused connection open.
    Close,
    /// Uses the same key for all links.
    Key,
    /// Accepts a WebSocket request in two reads.
    Upgrade,
    /// Offers without TLS a channel that requires TLS.
    Security,
    /// Starts SASL with a client that can't select a mechanism.
    Selection,
    /// Accepts a SASL mechanism that it did not offer.
    SaslName,
    /// Accepts every SASL password.
    SaslPassword,
}

impl Flaw {
    /// All flaws.
    pub const ALL: [Self; 22] = [
        Self::Magic,
        Self::Version,
        Self::VersionZero,
        Self::SizeMin,
        Self::SizeMax,
        Self::CapsCount,
        Self::CapsEnd,
        Self::CapsStart,
        Self::Existence,
        Self::Mechanism,
        Self::Ticket,
        Self::ConnectionId,
        Self::Duplicate,
        Self::Kick,
        Self::SessionId,
        Self::Close,
        Self::Key,
        Self::Upgrade,
        Self::Security,
        Self::Selection,
        Self::SaslName,
        Self::SaslPassword,
    ];

    /// Whether only a server that requires SASL shows it.
    pub const fn needs_sasl(self) -> bool {
        matches!(self, Self::Selection | Self::SaslName | Self::SaslPassword)
    }
}

/// The channels beside main.
pub const CHANNELS: [(u8, u8); 3] = [(3, 0), (5, 0), (6, 0)];

/// The type of the channel that requires TLS. The server has no TLS.
pub const SECURED: u8 = 8;

/// The one user of a server with SASL.
pub const USER: &str = "alice";

/// A running server. It listens on IPv4 loopback until it is dropped.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    password: String,
    sasl: bool,
    flaw: Option<Flaw>,
    stop: AtomicBool,
    links: AtomicUsize,
    session: Mutex<LiveSession>,
}

/// The live session.
#[derive(Debug, Default)]
struct LiveSession {
    id: Option<u32>,
    channels: Vec<((u8, u8), TcpStream)>,
}

impl TestServer {
    /// Starts a server that takes tickets, on a free port.
    pub fn start(password: &str, flaw: Option<Flaw>) -> io::Result<Self> {
        Self::start_with(password, false, flaw)
    }

    /// Starts a server that requires SASL: the mechanism PLAIN, for [`USER`] and this password.
    pub fn start_sasl(password: &str, flaw: Option<Flaw>) -> io::Result<Self> {
        Self::start_with(password, true, flaw)
    }

    fn start_with(password: &str, sasl: bool, flaw: Option<Flaw>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            password: password.to_owned(),
            sasl,
            flaw,
            stop: AtomicBool::new(false),
            links: AtomicUsize::new(0),
            session: Mutex::default(),
        });
        let ours = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ours.stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&ours);
                // A peer that resets its connection must not disturb the others.
                thread::spawn(move || serve(&shared, &stream).unwrap_or_default());
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // The thread waits for a connection: one more wakes it.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn session(&self) -> MutexGuard<'_, LiveSession> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveSession {
    fn end(&mut self) {
        self.id = None;
        for (_, stream) in self.channels.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A few keys, made once for the whole process.
fn keys() -> &'static [TicketKey] {
    static KEYS: OnceLock<Vec<TicketKey>> = OnceLock::new();
    KEYS.get_or_init(|| (0..3).filter_map(|_| TicketKey::generate().ok()).collect())
}

struct Host<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
    key: Option<&'static TicketKey>,
    link: usize,
    /// Whether the client selects its mechanism. Set when its message was answered.
    selects: Option<bool>,
    /// How often the acceptor has asked for the list of mechanisms.
    lists: u32,
    caps: [u8; 4],
}

impl LinkHost for Host<'_> {
    fn security(&mut self, channel_type: ChannelType) -> Result<(), LinkErrorCode> {
        let refused = channel_type.0 == SECURED && !self.shared.has(Flaw::Security);
        if refused { Err(LinkErrorCode::NEED_SECURED) } else { Ok(()) }
    }

    fn sasl(&mut self) -> bool {
        self.shared.sasl
    }

    fn mechanisms(&mut self) -> Option<&[u8]> {
        // The acceptor asks three times: whether there is a list, for the list, and to check the client's name.
        self.lists += 1;
        let all: &[u8] =
            if self.lists > 2 && self.shared.has(Flaw::SaslName) { b",PLAIN,NOTHING," } else { b",PLAIN," };
        self.shared.sasl.then_some(all)
    }

    fn sasl_start(&mut self, _: &[u8], data: Option<&[u8]>, _: &mut [u8]) -> SaslAnswer {
        let good = format!("\0{USER}\0{}", self.shared.password);
        let is_good = data == Some(good.as_bytes()) || self.shared.has(Flaw::SaslPassword);
        if is_good { SaslAnswer { data: None, verdict: SaslVerdict::Complete } } else { SaslAnswer::REFUSED }
    }

    fn channel(&mut self, channel_type: ChannelType, channel_id: u8) -> Option<ChannelCaps<'_>> {
        let there = channel_type == ChannelType::MAIN || CHANNELS.contains(&(channel_type.0, channel_id));
        (there || self.shared.has(Flaw::Existence)).then(|| ChannelCaps::from_le_bytes(&self.caps))
    }

    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] {
        let index = if self.shared.has(Flaw::Key) { 0 } else { self.link };
        self.key = keys().get(index % keys().len().max(1));
        self.key.map_or([0; LinkReply::PUB_KEY_LEN], |key| *key.public())
    }

    fn received(&mut self, mess: &LinkMess<'_>) {
        self.selects = Some(mess.common_caps.contains(CommonCap::AUTH_SELECTION));
    }

    fn ticket(&mut self, ticket: &[u8; 128]) -> bool {
        let good = self.key.is_some_and(|key| key.matches(ticket, self.shared.password.as_bytes()));
        good || self.shared.has(Flaw::Ticket)
    }

    fn join(&mut self, request: &LinkRequest) -> Join {
        let mut session = self.shared.session();
        let channel = (request.channel_type.0, request.channel_id);
        let Ok(stream) = self.stream.try_clone() else { return Join::Refused(LinkErrorCode::CHANNEL_NOT_AVAILABLE) };
        if request.channel_type == ChannelType::MAIN {
            if !self.shared.has(Flaw::Kick) {
                session.end();
            }
            let fresh = u32::try_from(self.link).unwrap_or(0).wrapping_mul(0x9e37_79b9) | 1;
            let id = if request.connection_id == 0 { fresh } else { request.connection_id };
            session.id = Some(id);
            session.channels.push((channel, stream));
            let shown = if self.shared.has(Flaw::SessionId) { 0 } else { id };
            return if request.connection_id == 0 {
                Join::Session(MainInit {
                    session_id: shown,
                    display_channels_hint: 1,
                    supported_mouse_modes: 2,
                    current_mouse_mode: 2,
                    agent_tokens: 10,
                    ..MainInit::default()
                })
            } else {
                Join::Member
            };
        }
        if session.id != Some(request.connection_id) && !self.shared.has(Flaw::ConnectionId) {
            return Join::Refused(LinkErrorCode::BAD_CONNECTION_ID);
        }
        if session.channels.iter().any(|(known, _)| *known == channel) && !self.shared.has(Flaw::Duplicate) {
            return Join::Duplicate;
        }
        session.channels.push((channel, stream));
        Join::Member
    }
}

/// One connection, plain or in WebSocket frames.
struct ServerStream<'a> {
    stream: &'a TcpStream,
    deframer: Option<Deframer>,
}

impl ServerStream<'_> {
    /// Reads once. Returns false at the end of the connection.
    fn receive(&mut self, unread: &mut Vec<u8>) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let len = self.stream.read(&mut buffer)?;
        match &mut self.deframer {
            Some(deframer) => deframer.read(&buffer[..len], |run| unread.extend(run)),
            None => unread.extend(&buffer[..len]),
        }
        Ok(len > 0)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() || self.deframer.is_none() {
            return self.stream.write_all(bytes);
        }
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        self.stream.write_all(&[&[0x82, 126], &len[..], bytes].concat())
    }
}

fn serve(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let link = shared.links.fetch_add(1, Ordering::Relaxed);
    let mut host = Host { shared, stream, key: None, link, selects: None, lists: 0, caps: [0xf, 0, 0, 0] };
    let mut line = ServerStream { stream, deframer: None };
    let (mut acceptor, mut unread, mut out) = (LinkAcceptor::new(), Vec::new(), [0; LinkAcceptor::ROOM]);
    while unread.len() < 4 {
        if !line.receive(&mut unread)? {
            return Ok(());
        }
    }
    while shared.has(Flaw::Upgrade) && unread.starts_with(b"GET ") && !unread.ends_with(b"\r\n\r\n") {
        if !line.receive(&mut unread)? {
            return Ok(());
        }
    }
    if let Some(upgrade) = Upgrade::parse(&unread) {
        let mut response = [0; Upgrade::ROOM];
        let len = upgrade.respond(&mut response).unwrap_or(0);
        line.send(&response[..len])?;
        line.deframer = Some(Deframer::new());
        unread.clear();
    }
    let mut mechanism = None;
    loop {
        let is_held = shared.flaw.is_some_and(|flaw| patch(flaw, host.selects.is_some(), &mut unread));
        // The message by itself, so that the bytes after it can be patched too.
        let mess = LinkMess::parse(&unread)
            .ok()
            .and_then(|parsed| if let Parsed::Complete(_, len) = parsed { Some(len) } else { None });
        let end = mess.filter(|_| host.selects.is_none()).unwrap_or(unread.len());
        if host.selects == Some(true) && mechanism.is_none() && unread.len() >= 4 {
            mechanism = unread.first_chunk::<4>().copied();
            if shared.has(Flaw::Mechanism) {
                unread[..4].copy_from_slice(&[1, 0, 0, 0]);
            }
        }
        let turn = acceptor.read(&mut host, if is_held { &[] } else { &unread[..end] }, &mut out);
        unread.drain(..turn.consumed);
        line.send(&out[..turn.written])?;
        match turn.outcome {
            AcceptStatus::Need(_) if turn.consumed > 0 && !unread.is_empty() => {}
            AcceptStatus::Need(_) => {
                if !line.receive(&mut unread)? {
                    return Ok(());
                }
            }
            AcceptStatus::Linked(linked) => return stay(shared, &mut line, linked, unread),
            AcceptStatus::Close(spice_link::CloseReason::Unreadable(Error::Version { major: 0 }))
                if shared.has(Flaw::VersionZero) =>
            {
                return line.send(&LinkReply::refusal(LinkErrorCode::VERSION_MISMATCH));
            }
            AcceptStatus::Close(_) if shared.has(Flaw::Close) => while line.receive(&mut Vec::new())? {},
            AcceptStatus::Close(_) | AcceptStatus::Room(_) => return Ok(()),
        }
    }
}

/// Answers the request for the list of channels until the client leaves. A main channel ends its session then.
fn stay(shared: &Shared, line: &mut ServerStream<'_>, linked: Linked, mut unread: Vec<u8>) -> io::Result<()> {
    let channel = (linked.request.channel_type.0, linked.request.channel_id);
    let done = answer(line, linked, &mut unread);
    let mut session = shared.session();
    let own = linked.session_id.unwrap_or(linked.request.connection_id);
    if session.id == Some(own) {
        if channel.0 == ChannelType::MAIN.0 {
            session.end();
        } else {
            session.channels.retain(|(known, _)| *known != channel);
        }
    }
    done
}

fn answer(line: &mut ServerStream<'_>, linked: Linked, unread: &mut Vec<u8>) -> io::Result<()> {
    const ATTACH_CHANNELS: u16 = 104;
    loop {
        while let Parsed::Complete(header, start) = DataHeader::parse(linked.header, unread) {
            let end = start.saturating_add(header.size as usize);
            if unread.len() < end {
                break;
            }
            unread.drain(..end);
            if header.message_type == ATTACH_CHANNELS && linked.request.channel_type == ChannelType::MAIN {
                let full = (linked.header == HeaderKind::Full).then_some((2, 0));
                let mut body = 3u32.to_le_bytes().to_vec();
                body.extend(CHANNELS.iter().flat_map(|(kind, id)| [*kind, *id]));
                let header = DataHeader { message_type: 104, size: 10, full };
                line.send(&[header.encode(&mut [0; 18]), &body].concat())?;
            }
        }
        if unread.len() > 1 << 16 || !line.receive(unread)? {
            return Ok(());
        }
    }
}

/// Changes bytes that a check would refuse so that they pass it. Returns true if the server has to wait for more bytes and never answers.
fn patch(flaw: Flaw, answered: bool, unread: &mut [u8]) -> bool {
    if answered || unread.len() < 4 {
        return false;
    }
    if flaw == Flaw::Magic {
        unread[..4].copy_from_slice(b"REDQ");
    }
    let word = |at: usize| unread.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if unread.len() < 16 {
        return false;
    }
    let size = word(12);
    if (word(0), word(4)) != (u32::from_le_bytes(*b"REDQ"), 2) && flaw != Flaw::Version {
        return false;
    }
    if flaw == Flaw::SizeMin && size < 18 || flaw == Flaw::SizeMax && size > 4096 {
        return true;
    }
    let (common, channel, offset) = (word(22), word(26), word(30));
    let words = u64::from(common) + u64::from(channel);
    let whole = unread.len() >= 34;
    let wrong = match flaw {
        Flaw::CapsCount => common > 1024 || channel > 1024,
        Flaw::CapsEnd => common.max(channel) <= 1024 && u64::from(offset) + 4 * words > u64::from(size),
        Flaw::CapsStart => words > 0 && offset < 18,
        _ => false,
    };
    if whole && wrong {
        unread[22..30].fill(0);
    }
    if whole && flaw == Flaw::Selection && common > 0 && unread.len() >= 38 {
        unread[34] |= 1;
    }
    if flaw == Flaw::Version {
        unread[4..8].copy_from_slice(&2u32.to_le_bytes());
    }
    false
}
