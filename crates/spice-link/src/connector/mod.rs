//! A client's side of the link stage.

mod sasl;
mod user;

pub use user::LinkUser;

use crate::{
    AuthMechanism, BufferTooSmall, Error, HeaderKind, LinkErrorCode, LinkMess, LinkReply, MAGIC, MainInit, Parsed,
    RefusalForm, TICKET_LEN, caps::common,
};

/// A client's side of one link stage: the server's bytes in, what to send out, and how it ended.
///
/// [`start`](Self::start) writes the opening; then the server's unread bytes go through [`read`](Self::read), with room for what
/// is to be sent, as in a [`LinkAcceptor`](crate::LinkAcceptor). What only the user knows is asked of a [`LinkUser`].
///
/// ```
/// use spice_link::{Caps, CapsBuf, ChannelType, Connecting, LinkConnector, LinkErrorCode, LinkMess, LinkReply, LinkUser};
/// use spice_link::{RefusalForm, caps::common};
///
/// struct Nobody;
/// impl LinkUser for Nobody {
///     fn ticket(&mut self, _: &[u8; LinkReply::PUB_KEY_LEN], _: &mut [u8; 128]) -> bool { false }
/// }
///
/// let common = CapsBuf::<1>::new().with(common::AUTH_SELECTION).with(common::MINI_HEADER);
/// let (mut link, mut out) = (LinkConnector::new(), [0; LinkConnector::ROOM]);
/// let mess = LinkMess {
///     connection_id: 0,
///     channel_type: ChannelType::MAIN,
///     channel_id: 0,
///     common_caps: common.as_caps(),
///     channel_caps: Caps::EMPTY,
/// };
/// assert_eq!(link.start(&mess, &mut out), Ok(38));
///
/// let turn = link.read(&mut Nobody, &LinkReply::refusal(LinkErrorCode::NEED_SECURED), &mut out);
/// let refused = Connecting::Refused { code: LinkErrorCode::NEED_SECURED, form: RefusalForm::Reply };
/// assert_eq!(turn.outcome, refused);
/// ```
#[derive(Clone, Debug)]
pub struct LinkConnector {
    state: State,
    /// The client's own AUTH_SELECTION and AUTH_SASL, and whether it reads short headers; then what both ends have of it.
    selection: bool,
    mini_header: bool,
    fresh: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// [`LinkConnector::start`] was not called.
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
    Over(Connecting),
}

/// How far one call came.
#[must_use = "it says what is to be done with the bytes"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectTurn {
    /// How many bytes from the start of the unread ones are done with.
    pub consumed: usize,
    /// How many bytes of the room are to be sent.
    pub written: usize,
    /// How it goes on.
    pub outcome: Connecting,
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connecting {
    /// So many unread bytes (behind `consumed`, in all) are needed before another call is worth while.
    Need(usize),
    /// So many bytes of room are needed, once `written` are sent.
    Room(usize),
    /// The link stage succeeded; what follows are data messages.
    Linked {
        /// Which data headers follow.
        header: HeaderKind,
        /// The id of the new session, from the main channel's `MAIN_INIT`, of which all has been read. `None` on other channels,
        /// and where the message is inside a security layer.
        session_id: Option<u32>,
    },
    /// The server refuses.
    Refused {
        /// Why.
        code: LinkErrorCode,
        /// Where it says so.
        form: RefusalForm,
    },
    /// The server's bytes can't be read.
    Unreadable(Error),
    /// The user has no ticket, or no SASL mechanism that the server offers, or gave the exchange up.
    GaveUp,
}

impl LinkConnector {
    /// Enough room for everything that a client sends, in bytes, as long as its SASL data is not long.
    pub const ROOM: usize = LinkMess::MAX_LEN;

    /// Before the first byte.
    pub const fn new() -> Self {
        Self { state: State::Idle, selection: false, mini_header: false, fresh: false }
    }

    /// Writes the opening and returns its length. The message's AUTH_SELECTION and MINI_HEADER say what the client can do.
    pub fn start(&mut self, mess: &LinkMess<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let len = mess.encode(out)?;
        self.selection = mess.common_caps.contains(common::AUTH_SELECTION);
        self.mini_header = mess.common_caps.contains(common::MINI_HEADER);
        self.fresh = mess.request().is_new_session();
        self.state = State::Reply;
        Ok(len)
    }

    /// Reads on at the server's unread bytes, and writes what is to be sent to the start of `out`.
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
                Err(outcome @ (Connecting::Need(_) | Connecting::Room(_))) => {
                    return ConnectTurn { consumed, written, outcome };
                }
                Err(outcome) => {
                    self.state = State::Over(outcome);
                    return ConnectTurn { consumed, written, outcome };
                }
            }
        }
    }

    /// Whether the link stage is over, one way or the other.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    fn step(&mut self, user: &mut impl LinkUser, unread: &[u8], out: &mut [u8]) -> Progress {
        // A second reply frame can stand wherever a word of these is expected.
        if matches!(self.state, State::Result | State::SaslList | State::SaslAnswer) && unread.starts_with(&MAGIC) {
            let (reply, _) = complete(LinkReply::parse(unread))?;
            return Err(Connecting::Refused { code: reply.error, form: RefusalForm::SecondReply });
        }
        match self.state {
            State::Idle => Err(Connecting::GaveUp),
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
                let (init, read) = complete(MainInit::parse(header, unread))?;
                let len = header.byte_len() + MainInit::SIZE as usize;
                debug_assert!(read <= len);
                if unread.len() < len {
                    return Err(Connecting::Need(len));
                }
                self.state = State::Over(Connecting::Linked { header, session_id: Some(init.session_id) });
                Ok((len, 0))
            }
            State::Over(outcome) => Err(outcome),
        }
    }

    fn reply(&mut self, user: &mut impl LinkUser, unread: &[u8], out: &mut [u8]) -> Progress {
        let (reply, read) = complete(LinkReply::parse(unread))?;
        if reply.error != LinkErrorCode::OK {
            return Err(Connecting::Refused { code: reply.error, form: RefusalForm::Reply });
        }
        let need = 4 + TICKET_LEN;
        if out.len() < need {
            return Err(Connecting::Room(need));
        }
        user.replied(&reply);
        self.mini_header &= reply.common_caps.contains(common::MINI_HEADER);
        let selection = self.selection && reply.common_caps.contains(common::AUTH_SELECTION);
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
                    return Err(Connecting::GaveUp);
                }
                out[written..written + ticket.len()].copy_from_slice(&ticket);
                written += ticket.len();
                State::Result
            }
            AuthMechanism::SASL => State::SaslList,
            // The server's refusal comes as a second frame.
            _ => State::Result,
        };
        Ok((read, written))
    }

    fn header(&self) -> HeaderKind {
        if self.mini_header { HeaderKind::Mini } else { HeaderKind::Full }
    }

    fn result(&mut self, code: LinkErrorCode) -> Result<(), Connecting> {
        if code != LinkErrorCode::OK {
            return Err(Connecting::Refused { code, form: RefusalForm::Result });
        }
        let header = self.header();
        self.state = if self.fresh {
            State::MainInit(header)
        } else {
            State::Over(Connecting::Linked { header, session_id: None })
        };
        Ok(())
    }
}

impl Default for LinkConnector {
    fn default() -> Self {
        Self::new()
    }
}

/// How many bytes a state has consumed and written, or why it goes no further.
type Progress = Result<(usize, usize), Connecting>;

fn complete<T>(parsed: Result<Parsed<T>, Error>) -> Result<(T, usize), Connecting> {
    match parsed {
        Ok(Parsed::Complete(value, len)) => Ok((value, len)),
        Ok(Parsed::Need(n)) => Err(Connecting::Need(n)),
        Err(error) => Err(Connecting::Unreadable(error)),
    }
}

fn word(unread: &[u8]) -> Result<u32, Connecting> {
    unread.first_chunk().map(|word| u32::from_le_bytes(*word)).ok_or(Connecting::Need(4))
}
