//! A client's side of the link stage.

mod sasl;
mod user;

pub use user::LinkUser;

use crate::{
    AuthMechanism, BufferTooSmall, CommonCap, Error, HeaderKind, LinkErrorCode, LinkMess, LinkReply, MAGIC, MainInit,
    Parsed, RefusalForm, TICKET_LEN,
};

/// A client's side of one link stage: the server's bytes go in, the bytes to send come out.
///
/// A [`LinkUser`] makes the client's own decisions. The connector keeps no bytes.
///
/// 1. Call [`start`](Self::start) once and send the message that it writes.
/// 2. Append the server's bytes to a buffer of unread bytes.
/// 3. Call [`read`](Self::read). Send the first `written` bytes of `out`, and remove the first `consumed` unread bytes.
/// 4. Do what the status says:
///
/// ```text
///  Need(n)       continue with 2; another call is useless with fewer than n unread bytes
///  Room(n)       continue with 3, with n bytes of room
///  Linked { .. } the link stage is over; data messages follow
///  other         the link failed; close the connection
/// ```
///
/// ```
/// use spice_link::{CapsBuf, ChannelCaps, ChannelType, CommonCap, ConnectStatus, LinkConnector, LinkErrorCode, LinkMess};
/// use spice_link::{LinkReply, LinkUser, RefusalForm};
///
/// struct NoPassword;
/// impl LinkUser for NoPassword {
///     fn ticket(&mut self, _: &[u8; LinkReply::PUB_KEY_LEN], _: &mut [u8; 128]) -> bool { false }
/// }
///
/// let common = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER);
/// let (mut link, mut out) = (LinkConnector::new(), [0; LinkConnector::ROOM]);
/// let mess = LinkMess {
///     connection_id: 0,
///     channel_type: ChannelType::MAIN,
///     channel_id: 0,
///     common_caps: common.as_caps(),
///     channel_caps: ChannelCaps::EMPTY,
/// };
/// assert_eq!(link.start(&mess, &mut out), Ok(38));
///
/// let turn = link.read(&mut NoPassword, &LinkReply::refusal(LinkErrorCode::NEED_SECURED), &mut out);
/// let refused = ConnectStatus::Refused { code: LinkErrorCode::NEED_SECURED, form: RefusalForm::Reply };
/// assert_eq!(turn.outcome, refused);
/// ```
#[derive(Clone, Debug)]
pub struct LinkConnector {
    state: State,
    /// The client supports the selection of a mechanism.
    selection: bool,
    /// The client supports short headers; after the reply, both ends do.
    mini_header: bool,
    /// The client asks for a new session.
    fresh: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// [`LinkConnector::start`] has not been called.
    Idle,
    Reply,
    /// The result in clear.
    Result,
    /// The server's list of mechanisms.
    SaslList,
    SaslAnswer,
    /// The word that ends the exchange.
    SaslVerdict,
    /// The result in a security layer's frame.
    HiddenResult,
    MainInit(HeaderKind),
    Over(ConnectStatus),
}

/// The result of one call of [`LinkConnector::read`].
#[must_use = "it says which bytes to remove and to send"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConnectTurn {
    /// How many unread bytes to remove from their start.
    pub consumed: usize,
    /// How many bytes of the room to send.
    pub written: usize,
    /// What to do next.
    pub outcome: ConnectStatus,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectStatus {
    /// At least this many unread bytes, counted after `consumed`, are needed. With fewer, another call is useless.
    Need(usize),
    /// This many bytes of room are needed, after `written` are sent.
    Room(usize),
    /// The link stage succeeded; data messages follow.
    Linked {
        /// The kind of data header that follows.
        header: HeaderKind,
        /// The new session's `MAIN_INIT`, which has been consumed. `None` on other channels, and if the message is inside a security
        /// layer.
        main_init: Option<MainInit>,
    },
    /// The server refuses.
    Refused {
        /// The reason.
        code: LinkErrorCode,
        /// The message that says so.
        form: RefusalForm,
    },
    /// The server's bytes are not valid.
    Unreadable(Error),
    /// The [`LinkUser`] aborted the link: it has no ticket, or supports no SASL mechanism that the server offers.
    GaveUp,
}

impl LinkConnector {
    /// Enough room for everything that a client sends, in bytes.
    pub const ROOM: usize = LinkMess::MAX_LEN;

    /// Before the first byte.
    pub const fn new() -> Self {
        Self { state: State::Idle, selection: false, mini_header: false, fresh: false }
    }

    /// Writes the client's message and returns its length. The connector takes the client's support of AUTH_SELECTION and MINI_HEADER
    /// from the message's capabilities.
    pub fn start(&mut self, mess: &LinkMess<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let len = mess.encode(out)?;
        self.selection = mess.common_caps.contains(CommonCap::AUTH_SELECTION);
        self.mini_header = mess.common_caps.contains(CommonCap::MINI_HEADER);
        self.fresh = mess.request().is_new_session();
        self.state = State::Reply;
        Ok(len)
    }

    /// Reads the server's unread bytes, and writes the bytes to send to the start of `out`.
    pub fn read(&mut self, user: &mut impl LinkUser, unread: &[u8], out: &mut [u8]) -> ConnectTurn {
        let (mut consumed, mut written) = (0, 0);
        loop {
            let rest = unread.get(consumed..).unwrap_or_default();
            let room = out.get_mut(written..).unwrap_or_default();
            match self.step(user, rest, room) {
                Ok((read, wrote)) => {
                    consumed += read;
                    written += wrote;
                }
                Err(outcome @ (ConnectStatus::Need(_) | ConnectStatus::Room(_))) => {
                    return ConnectTurn { consumed, written, outcome };
                }
                Err(outcome) => {
                    self.state = State::Over(outcome);
                    return ConnectTurn { consumed, written, outcome };
                }
            }
        }
    }

    /// Whether the link stage is over, with or without success.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    fn step(&mut self, user: &mut impl LinkUser, unread: &[u8], out: &mut [u8]) -> Progress {
        // A second reply frame can come where one of these words is expected.
        if matches!(self.state, State::Result | State::SaslList | State::SaslAnswer) && unread.starts_with(&MAGIC) {
            let (reply, _) = complete(LinkReply::parse(unread))?;
            return Err(ConnectStatus::Refused { code: reply.error, form: RefusalForm::SecondReply });
        }
        match self.state {
            State::Idle => Err(ConnectStatus::GaveUp),
            State::Reply => self.reply(user, unread, out),
            State::Result => {
                let code = word(unread)?;
                self.result(LinkErrorCode(code))?;
                Ok((4, 0))
            }
            State::SaslList => self.sasl_list(user, unread, out),
            State::SaslAnswer => self.sasl_answer(user, unread, out),
            State::SaslVerdict => self.sasl_verdict(user, unread),
            State::HiddenResult => self.hidden_result(user, unread),
            State::MainInit(header) => {
                let (init, len) = complete(MainInit::parse(header, unread))?;
                self.state = State::Over(ConnectStatus::Linked { header, main_init: Some(init) });
                Ok((len, 0))
            }
            State::Over(outcome) => Err(outcome),
        }
    }

    fn reply(&mut self, user: &mut impl LinkUser, unread: &[u8], out: &mut [u8]) -> Progress {
        let (reply, read) = complete(LinkReply::parse(unread))?;
        if reply.error != LinkErrorCode::OK {
            return Err(ConnectStatus::Refused { code: reply.error, form: RefusalForm::Reply });
        }
        let need = 4 + TICKET_LEN;
        if out.len() < need {
            return Err(ConnectStatus::Room(need));
        }
        user.received(&reply);
        self.mini_header &= reply.common_caps.contains(CommonCap::MINI_HEADER);
        let selection = self.selection && reply.common_caps.contains(CommonCap::AUTH_SELECTION);
        let mechanism = if selection { user.mechanism(&reply) } else { AuthMechanism::SPICE };
        let mut written = 0;
        if selection {
            out[..4].copy_from_slice(&mechanism.0.to_le_bytes());
            written = 4;
        }
        self.state = match mechanism {
            AuthMechanism::SPICE => {
                let mut ticket = [0; TICKET_LEN];
                if !user.ticket(reply.pub_key, &mut ticket) {
                    return Err(ConnectStatus::GaveUp);
                }
                out[written..written + ticket.len()].copy_from_slice(&ticket);
                written += ticket.len();
                State::Result
            }
            AuthMechanism::SASL => State::SaslList,
            // The server refuses any other mechanism, with a second reply frame.
            _ => State::Result,
        };
        Ok((read, written))
    }

    fn header(&self) -> HeaderKind {
        if self.mini_header { HeaderKind::Mini } else { HeaderKind::Full }
    }

    fn result(&mut self, code: LinkErrorCode) -> Result<(), ConnectStatus> {
        if code != LinkErrorCode::OK {
            return Err(ConnectStatus::Refused { code, form: RefusalForm::Result });
        }
        let header = self.header();
        self.state = if self.fresh {
            State::MainInit(header)
        } else {
            State::Over(ConnectStatus::Linked { header, main_init: None })
        };
        Ok(())
    }
}

impl Default for LinkConnector {
    fn default() -> Self {
        Self::new()
    }
}

/// How many bytes a state has consumed and written, or the status that ends the call.
type Progress = Result<(usize, usize), ConnectStatus>;

fn complete<T>(parsed: Result<Parsed<T>, Error>) -> Result<(T, usize), ConnectStatus> {
    match parsed {
        Ok(Parsed::Complete(value, len)) => Ok((value, len)),
        Ok(Parsed::Need(n)) => Err(ConnectStatus::Need(n)),
        Err(error) => Err(ConnectStatus::Unreadable(error)),
    }
}

fn word(unread: &[u8]) -> Result<u32, ConnectStatus> {
    unread.first_chunk().map(|word| u32::from_le_bytes(*word)).ok_or(ConnectStatus::Need(4))
}
