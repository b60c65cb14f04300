//! A server's side of the link stage.

mod host;
mod sasl;
mod turn;

pub use host::{Join, LinkHost, SaslAnswer, SaslVerdict};
use turn::Writer;
pub use turn::{AcceptTurn, Accepting, Closing};

use crate::{
    Answer, AuthMechanism, Caps, CapsBuf, ChannelType, DataHeader, Error, HeaderKind, LinkErrorCode, LinkMess,
    LinkReply, LinkRequest, MainInit, Parsed, TICKET_LEN, caps::common,
};

/// A server's side of one link stage: the client's bytes in, the server's answers out, and what to do with the connection.
///
/// The checks are those of spice-server 0.15, in its order, with its answers (`reds.cpp`); what a server decides for itself is
/// asked of a [`LinkHost`]. It keeps no bytes: the caller holds what is unread of the client, and gives room for the answer.
///
/// ```text
///        read(host, unread, out) ──▶ AcceptTurn { consumed, written, outcome }
///
///  Need(n)     send `written` bytes of `out`; n unread bytes are needed before another call is worth while
///  Room(n)     send `written` bytes of `out`; call again with n bytes of room
///  Linked(l)   send; the link stage is over, what follows are data messages
///  Close(why)  send; then close the connection
/// ```
///
/// A client that leaves needs no call: spice-server closes without a word, wherever the link stage stands.
///
/// ```
/// use spice_link::{Accepting, Caps, ChannelType, LinkAcceptor, LinkHeader, LinkHost, LinkReply};
///
/// struct NoServer;
/// impl LinkHost for NoServer {
///     fn channel(&mut self, _: ChannelType, _: u8) -> Option<Caps<'_>> { Some(Caps::EMPTY) }
///     fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] { [0; 162] }
///     fn ticket(&mut self, _: &[u8; 128]) -> bool { false }
///     fn join(&mut self, _: &spice_link::LinkRequest) -> spice_link::Join { unreachable!("no ticket is good enough") }
/// }
///
/// let (mut link, mut out) = (LinkAcceptor::new(), [0; LinkAcceptor::ROOM]);
/// let turn = link.read(&mut NoServer, &LinkHeader::new(17).encode(), &mut out);
/// assert!(matches!(turn.outcome, Accepting::Close(_)));
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
    /// The reply is out: the mechanism word.
    Mechanism,
    Ticket,
    /// The list of mechanisms is to be sent.
    SaslList,
    SaslName,
    /// Further data of the exchange.
    SaslData,
    /// The credentials were good.
    Join,
    Linked(Linked),
    Closed(Closing),
}

/// A link that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linked {
    /// What the client asked for.
    pub request: LinkRequest,
    /// Which data headers follow.
    pub header: HeaderKind,
    /// The id of the session that was made for it; `None` where it joined one.
    pub session_id: Option<u32>,
}

impl LinkAcceptor {
    /// Enough room for every answer, in bytes, as long as a host's capability lists and SASL data are no longer than
    /// spice-server's: a reply and a refusal behind it.
    pub const ROOM: usize = 1024;

    /// Before the client's first byte.
    pub const fn new() -> Self {
        let request = LinkRequest { connection_id: 0, channel_type: ChannelType(0), channel_id: 0 };
        Self { state: State::Mess, request, mini_header: false }
    }

    /// Reads on at the client's unread bytes, and writes the answer to the start of `out`.
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
                State::Linked(linked) => Err(Accepting::Linked(linked)),
                State::Closed(why) => Err(Accepting::Close(why)),
            };
            match step {
                Ok(consumed) => at += consumed,
                Err(outcome) => return AcceptTurn { consumed: at, written: out.written(), outcome },
            }
        }
    }

    /// Whether the link stage is over, one way or the other.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Linked(_) | State::Closed(_))
    }

    fn mess(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut Writer<'_>) -> Progress {
        let (mess, consumed) = match LinkMess::parse(unread) {
            Ok(Parsed::Need(n)) => return Err(Accepting::Need(n)),
            Ok(Parsed::Complete(mess, consumed)) => (mess, consumed),
            Err(error) => return self.unreadable(error, out),
        };
        let is_main = mess.channel_type == ChannelType::MAIN;
        if let Err(code) = host.security(mess.channel_type) {
            return self.refuse(code, Closing::Security(code), out);
        }
        let sasl = host.sasl();
        let zero_key = sasl && mess.common_caps.contains(common::AUTH_SASL);
        let (channel_type, channel_id) = (mess.channel_type, mess.channel_id);
        let Some(words) = host.channel(channel_type, channel_id).map(|caps| caps.len()).or(is_main.then_some(0)) else {
            return self.close(Closing::NoChannel { channel_type, channel_id });
        };
        // Room for the reply, and for the refusal that a SASL server may send right behind it: a key is made only once.
        out.room(2 * REFUSAL_LEN + 4 + 4 * words)?;
        let auth = if sasl { common::AUTH_SASL } else { common::AUTH_SPICE };
        let common_caps = CapsBuf::<1>::new().with(common::AUTH_SELECTION).with(common::MINI_HEADER).with(auth);
        let pub_key = if zero_key { [0; LinkReply::PUB_KEY_LEN] } else { host.pub_key() };
        out.reply(&LinkReply {
            error: LinkErrorCode::OK,
            pub_key: &pub_key,
            common_caps: common_caps.as_caps(),
            channel_caps: host.channel(channel_type, channel_id).unwrap_or(Caps::EMPTY),
        })?;

        self.request = mess.request();
        self.mini_header = mess.common_caps.contains(common::MINI_HEADER);
        host.asked(&mess);
        if mess.common_caps.contains(common::AUTH_SELECTION) {
            self.state = State::Mechanism;
        } else if sasl {
            return self.refuse(LinkErrorCode::VERSION_MISMATCH, Closing::NoSelection, out);
        } else {
            self.state = State::Ticket;
        }
        Ok(consumed)
    }

    fn mechanism(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut Writer<'_>) -> Progress {
        let Some(word) = unread.first_chunk() else { return Err(Accepting::Need(4)) };
        let mechanism = AuthMechanism(u32::from_le_bytes(*word));
        self.state = match mechanism {
            AuthMechanism::SPICE if !host.sasl() => State::Ticket,
            AuthMechanism::SASL if host.mechanisms().is_some() => State::SaslList,
            _ => return self.refuse(LinkErrorCode::INVALID_DATA, Closing::Mechanism(mechanism), out),
        };
        Ok(4)
    }

    fn ticket(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut Writer<'_>) -> Progress {
        let Some(ticket) = unread.first_chunk() else { return Err(Accepting::Need(TICKET_LEN)) };
        out.room(4)?;
        if host.ticket(ticket) {
            self.state = State::Join;
        } else {
            out.put(&LinkErrorCode::PERMISSION_DENIED.0.to_le_bytes())?;
            self.state = State::Closed(Closing::Ticket);
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
            Join::Refused(code) => State::Closed(Closing::Join(code)),
            Join::Duplicate => State::Closed(Closing::Duplicate),
            Join::Member => State::Linked(Linked { request, header, session_id: None }),
            Join::Session(words) => {
                let full = if header == HeaderKind::Full { Some((1, 0)) } else { None };
                let head = DataHeader { message_type: MainInit::MESSAGE_TYPE, size: MainInit::SIZE, full };
                let mut message = [0; 18 + MainInit::SIZE as usize];
                let len = head.encode(&mut [0; 18]).len();
                message[..len].copy_from_slice(head.encode(&mut [0; 18]));
                for (slot, word) in message[len..].chunks_exact_mut(4).zip(words) {
                    slot.copy_from_slice(&word.to_le_bytes());
                }
                out.seal(host, &message[..len + MainInit::SIZE as usize])?;
                State::Linked(Linked { request, header, session_id: Some(words[0]) })
            }
        };
        Ok(0)
    }

    /// The answer to bytes that can't be a message.
    fn unreadable(&mut self, error: Error, out: &mut Writer<'_>) -> Progress {
        match error.answer() {
            Some(Answer::Frame(code)) => self.refuse(code, Closing::Unreadable(error), out),
            _ => self.close(Closing::Unreadable(error)),
        }
    }

    /// A refusal frame, then the end.
    fn refuse(&mut self, code: LinkErrorCode, why: Closing, out: &mut Writer<'_>) -> Progress {
        out.put(&LinkReply::refusal(code))?;
        self.close(why)
    }

    fn close(&mut self, why: Closing) -> Progress {
        self.state = State::Closed(why);
        Err(Accepting::Close(why))
    }
}

impl Default for LinkAcceptor {
    fn default() -> Self {
        Self::new()
    }
}

/// How many bytes a state has consumed, or why it goes no further.
type Progress = Result<usize, Accepting>;

/// Result and `MAIN_INIT` with the longer header, each with what a security layer adds at most.
const LINKED_ROOM: usize = 4 + 18 + MainInit::SIZE as usize + 2 * SEAL_ROOM;
/// What a host may add to bytes that it seals, at most: a length and a message authentication code.
const SEAL_ROOM: usize = 64;
/// A reply without capabilities, in bytes.
const REFUSAL_LEN: usize = crate::LinkHeader::LEN + LinkReply::MIN_SIZE as usize;
