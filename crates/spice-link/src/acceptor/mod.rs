//! A server's side of the link stage.

mod host;
mod sasl;
mod turn;

pub use host::{Join, LinkHost, SaslAnswer, SaslVerdict};
use turn::Writer;
pub use turn::{AcceptStatus, AcceptTurn, CloseReason};

use crate::{
    Answer, AuthMechanism, CapsBuf, ChannelCaps, ChannelType, CommonCap, DataHeader, Error, HeaderKind, LinkErrorCode,
    LinkMess, LinkReply, LinkRequest, MainInit, Parsed, TICKET_LEN,
};

/// A server's side of one link stage: the client's bytes go in, the server's answers come out.
///
/// The checks, their order and the answers are those of spice-server 0.15 (`reds.cpp`). A [`LinkHost`] makes the server's own
/// decisions. The acceptor keeps no bytes: the caller holds the client's unread bytes and the buffer for the answer.
///
/// 1. Append the client's bytes to a buffer of unread bytes.
/// 2. Call [`read`](Self::read). Send the first `written` bytes of `out`, and remove the first `consumed` unread bytes.
/// 3. Do what the status says:
///
/// ```text
///  Need(n)     continue with 1; another call is useless with fewer than n unread bytes
///  Room(n)     continue with 2, with n bytes of room
///  Linked(l)   the link stage is over; data messages follow
///  Close(why)  close the connection
/// ```
///
/// If the client closes the connection, close it too: spice-server sends nothing in this case.
///
/// ```
/// use spice_link::{AcceptStatus, ChannelCaps, ChannelType, LinkAcceptor, LinkHeader, LinkHost, LinkReply};
///
/// struct NoServer;
/// impl LinkHost for NoServer {
///     fn channel(&mut self, _: ChannelType, _: u8) -> Option<ChannelCaps<'_>> { Some(ChannelCaps::EMPTY) }
///     fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] { [0; 162] }
///     fn ticket(&mut self, _: &[u8; 128]) -> bool { false }
///     fn join(&mut self, _: &spice_link::LinkRequest) -> spice_link::Join { unreachable!("no ticket is valid") }
/// }
///
/// let (mut link, mut out) = (LinkAcceptor::new(), [0; LinkAcceptor::ROOM]);
/// let turn = link.read(&mut NoServer, &LinkHeader::new(17).encode(), &mut out);
/// assert!(matches!(turn.outcome, AcceptStatus::Close(_)));
/// let reply = LinkReply::parse(&out[..turn.written]).unwrap().complete().unwrap();
/// assert_eq!(reply.error, spice_link::LinkErrorCode::INVALID_DATA);
/// ```
#[derive(Clone, Debug)]
pub struct LinkAcceptor {
    state: State,
    request: LinkRequest,
    /// The client reads the short data headers.
    mini_header: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Header and [`LinkMess`].
    Mess,
    /// The mechanism word. The reply was sent.
    Mechanism,
    Ticket,
    /// The list of mechanisms must be sent.
    SaslList,
    SaslName,
    /// Further data of the exchange.
    SaslData,
    /// The credentials are valid.
    Join,
    Linked(Linked),
    Closed(CloseReason),
}

/// A link that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Linked {
    /// The channel that the client asked for.
    pub request: LinkRequest,
    /// The kind of data header that follows.
    pub header: HeaderKind,
    /// The id of the new session; `None` if the channel joined a session.
    pub session_id: Option<u32>,
}

impl LinkAcceptor {
    /// Enough room for every answer, in bytes, if a host's capability lists and SASL data are no longer than those of spice-server:
    /// a reply and a refusal after it.
    pub const ROOM: usize = 1024;

    /// Before the client's first byte.
    pub const fn new() -> Self {
        let request = LinkRequest { connection_id: 0, channel_type: ChannelType(0), channel_id: 0 };
        Self { state: State::Mess, request, mini_header: false }
    }

    /// Reads the client's unread bytes, and writes the answer to the start of `out`.
    pub fn read(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut [u8]) -> AcceptTurn {
        let mut at = 0;
        let mut out = Writer::new(out);
        loop {
            let rest = unread.get(at..).unwrap_or_default();
            let step = match self.state {
                State::Mess => self.mess(host, rest, &mut out),
                State::Mechanism => self.mechanism(host, rest, &mut out),
                State::Ticket => self.ticket(host, rest, &mut out),
                State::SaslList => self.sasl_list(host, &mut out),
                State::SaslName => self.sasl_name(host, rest, &mut out),
                State::SaslData => self.sasl_data(host, rest, &mut out),
                State::Join => self.join(host, &mut out),
                State::Linked(linked) => Err(AcceptStatus::Linked(linked)),
                State::Closed(why) => Err(AcceptStatus::Close(why)),
            };
            match step {
                Ok(consumed) => at += consumed,
                Err(outcome) => return AcceptTurn { consumed: at, written: out.written(), outcome },
            }
        }
    }

    /// Whether the link stage is over, with or without success.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Linked(_) | State::Closed(_))
    }

    fn mess(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut Writer<'_>) -> Progress {
        let (mess, consumed) = match LinkMess::parse(unread) {
            Ok(Parsed::Need(n)) => return Err(AcceptStatus::Need(n)),
            Ok(Parsed::Complete(mess, consumed)) => (mess, consumed),
            Err(error) => return self.unreadable(error, out),
        };
        let is_main = mess.channel_type == ChannelType::MAIN;
        if let Err(code) = host.security(mess.channel_type) {
            return self.refuse(code, CloseReason::Security(code), out);
        }
        let sasl = host.sasl();
        let zero_key = sasl && mess.common_caps.contains(CommonCap::AUTH_SASL);
        let (channel_type, channel_id) = (mess.channel_type, mess.channel_id);
        let Some(words) = host.channel(channel_type, channel_id).map(|caps| caps.len()).or(is_main.then_some(0)) else {
            return self.close(CloseReason::NoChannel { channel_type, channel_id });
        };
        // Room for the reply and for the refusal that a SASL server may send directly after it, because a key is made only once.
        out.room(2 * REFUSAL_LEN + 4 + 4 * words)?;
        let auth = if sasl { CommonCap::AUTH_SASL } else { CommonCap::AUTH_SPICE };
        let common_caps =
            CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER).with(auth);
        let pub_key = if zero_key { [0; LinkReply::PUB_KEY_LEN] } else { host.pub_key() };
        out.reply(&LinkReply {
            error: LinkErrorCode::OK,
            pub_key: &pub_key,
            common_caps: common_caps.as_caps(),
            channel_caps: host.channel(channel_type, channel_id).unwrap_or(ChannelCaps::EMPTY),
        })?;

        self.request = mess.request();
        self.mini_header = mess.common_caps.contains(CommonCap::MINI_HEADER);
        host.received(&mess);
        if mess.common_caps.contains(CommonCap::AUTH_SELECTION) {
            self.state = State::Mechanism;
        } else if sasl {
            return self.refuse(LinkErrorCode::VERSION_MISMATCH, CloseReason::NoSelection, out);
        } else {
            self.state = State::Ticket;
        }
        Ok(consumed)
    }

    fn mechanism(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut Writer<'_>) -> Progress {
        let Some(word) = unread.first_chunk() else { return Err(AcceptStatus::Need(4)) };
        let mechanism = AuthMechanism(u32::from_le_bytes(*word));
        self.state = match mechanism {
            AuthMechanism::SPICE if !host.sasl() => State::Ticket,
            AuthMechanism::SASL if host.mechanisms().is_some() => State::SaslList,
            _ => return self.refuse(LinkErrorCode::INVALID_DATA, CloseReason::Mechanism(mechanism), out),
        };
        Ok(4)
    }

    fn ticket(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut Writer<'_>) -> Progress {
        let Some(ticket) = unread.first_chunk() else { return Err(AcceptStatus::Need(TICKET_LEN)) };
        out.room(4)?;
        if host.ticket(ticket) {
            self.state = State::Join;
        } else {
            out.put(&LinkErrorCode::PERMISSION_DENIED.0.to_le_bytes())?;
            self.state = State::Closed(CloseReason::Ticket);
        }
        Ok(ticket.len())
    }

    fn join(&mut self, host: &mut impl LinkHost, out: &mut Writer<'_>) -> Progress {
        out.room(LINKED_ROOM)?;
        let joined = host.join(&self.request);
        let code = if let Join::Refused(code) = joined { code } else { LinkErrorCode::OK };
        out.seal(host, &code.0.to_le_bytes())?;
        let request = self.request;
        let header = if self.mini_header { HeaderKind::Mini } else { HeaderKind::Full };
        self.state = match joined {
            Join::Refused(code) => State::Closed(CloseReason::Join(code)),
            Join::Duplicate => State::Closed(CloseReason::Duplicate),
            Join::Member => State::Linked(Linked { request, header, session_id: None }),
            Join::Session(init) => {
                let full = if header == HeaderKind::Full { Some((1, 0)) } else { None };
                let head = DataHeader { message_type: MainInit::MESSAGE_TYPE, size: MainInit::SIZE, full };
                let mut message = [0; 18 + MainInit::SIZE as usize];
                let len = header.byte_len();
                message[..len].copy_from_slice(head.encode(&mut [0; 18]));
                message[len..len + MainInit::SIZE as usize].copy_from_slice(&init.to_body());
                out.seal(host, &message[..len + MainInit::SIZE as usize])?;
                State::Linked(Linked { request, header, session_id: Some(init.session_id) })
            }
        };
        Ok(0)
    }

    /// The answer to bytes that are not a message.
    fn unreadable(&mut self, error: Error, out: &mut Writer<'_>) -> Progress {
        match error.answer() {
            Some(Answer::Frame(code)) => self.refuse(code, CloseReason::Unreadable(error), out),
            _ => self.close(CloseReason::Unreadable(error)),
        }
    }

    /// A refusal frame, then the end.
    fn refuse(&mut self, code: LinkErrorCode, why: CloseReason, out: &mut Writer<'_>) -> Progress {
        out.put(&LinkReply::refusal(code))?;
        self.close(why)
    }

    fn close(&mut self, why: CloseReason) -> Progress {
        self.state = State::Closed(why);
        Err(AcceptStatus::Close(why))
    }
}

impl Default for LinkAcceptor {
    fn default() -> Self {
        Self::new()
    }
}

/// How many bytes a state has consumed, or the status that ends the call.
type Progress = Result<usize, AcceptStatus>;

/// Result and `MAIN_INIT` with the longer header, each with the most that a security layer adds.
const LINKED_ROOM: usize = 4 + 18 + MainInit::SIZE as usize + 2 * SEAL_ROOM;
/// The most bytes that a host may add when it seals: a length and a message authentication code.
const SEAL_ROOM: usize = 64;
/// A reply without capabilities, in bytes.
const REFUSAL_LEN: usize = crate::LinkHeader::LEN + LinkReply::MIN_SIZE as usize;
