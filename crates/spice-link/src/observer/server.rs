//! The server's direction: reply, then a link result or a SASL exchange, then the start of `MAIN_INIT`.

use super::{Cursor, Evidence, LinkEvent, LinkObserver, Outcome, RefusalForm, ServerOffer, Shared, Step};
use crate::{
    AuthMechanism, CommonCap, Error, HeaderKind, LinkErrorCode, LinkReply, MAGIC, MainInit, Parsed, Side, sasl,
};

/// The first word of `MAIN_INIT` behind a short header: its type, and the lower half of its size.
pub(super) const MAIN_INIT_START: u32 = MainInit::MESSAGE_TYPE as u32 | MainInit::SIZE << 16;

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum State {
    /// Header and [`LinkReply`].
    Reply,
    /// What is left of a reply whose start was read.
    ReplyRest(u32),
    /// Bytes were lost, a result perhaps among them: what stands right behind them may tell.
    Resync,
    /// Bytes were lost, and what stands behind them may be the rest of a reply: `MAIN_INIT` is looked for.
    Search,
    /// Bytes were lost, and nothing that follows can be read: the client may show that it was accepted.
    Opaque,
    /// The reply accepted the request. What follows depends on the client's mechanism.
    AwaitMechanism,
    /// The link result.
    Result,
    /// The length of the list of SASL mechanisms.
    SaslListLength,
    SaslList(u32),
    SaslLength,
    SaslData(u32),
    SaslFlag,
    /// The word that ends the exchange.
    SaslVerdict,
    AfterAccept,
    /// The rest of the security layer's first frame.
    HiddenResult(u32),
    /// The start of the security layer's second frame.
    Layer,
    /// The first message of a new session's main channel.
    MainInit(HeaderKind),
    /// The same, where it is not known which header it has.
    MainInitOfAnyKind,
    Done,
}

impl State {
    pub(super) const fn skippable(&self) -> u64 {
        match self {
            Self::ReplyRest(left) | Self::SaslList(left) | Self::SaslData(left) | Self::HiddenResult(left) => {
                *left as u64
            }
            Self::Opaque => u64::MAX,
            _ => 0,
        }
    }

    pub(super) const fn is_blocked(&self, shared: &Shared) -> bool {
        matches!(self, Self::AwaitMechanism | Self::Resync) && shared.mechanism.is_none() && !shared.client_lost
    }

    /// Skips bytes that [`skippable`](Self::skippable) counts.
    pub(super) fn skip(&mut self, len: u64) {
        if let Self::ReplyRest(left) | Self::SaslList(left) | Self::SaslData(left) | Self::HiddenResult(left) = self {
            *left = u32::try_from(u64::from(*left).saturating_sub(len)).unwrap_or(0);
        }
    }
}

impl LinkObserver {
    #[expect(clippy::too_many_lines, reason = "one arm for each state")]
    pub(super) fn read_server<'a>(&mut self, unread: &'a [u8]) -> Step<'a> {
        let mut at = Cursor::new(unread);
        loop {
            // A second reply frame can come where one of these words is expected.
            if matches!(self.server, State::Result | State::SaslListLength | State::SaslLength)
                && at.peek() == Some(MAGIC)
            {
                return self.read_reply(at, RefusalForm::SecondReply);
            }
            self.server = match self.server {
                State::Reply => return self.read_reply(at, RefusalForm::Reply),
                State::ReplyRest(left) => match at.skip(left) {
                    0 => State::AwaitMechanism,
                    left => {
                        self.server = State::ReplyRest(left);
                        return at.end(Outcome::Need(1));
                    }
                },
                // A result comes after the client's ticket.
                State::Resync if self.shared.mechanism.is_none() && !self.shared.client_lost => {
                    return self.blocked(Side::Server, &at);
                }
                State::Resync => match at.peek() {
                    None => return at.end(Outcome::Need(4)),
                    Some(bytes) => match self.resync(bytes) {
                        Ok(state) => state,
                        Err(event) => return at.end(Outcome::Event(event)),
                    },
                },
                State::Search => match find_main_init(at.rest) {
                    Some((before, header)) => {
                        at.advance(before);
                        let event = self.linked(Evidence::Continued);
                        self.server = State::MainInit(header);
                        return at.end(Outcome::Event(event));
                    }
                    None if at.rest.len() < SEARCHED => {
                        let need = at.rest.len() + 1;
                        return at.end(Outcome::Need(need));
                    }
                    None => State::Opaque,
                },
                State::Opaque => {
                    at.advance(at.rest.len());
                    return at.end(Outcome::Need(1));
                }
                State::AwaitMechanism => match self.shared.mechanism {
                    Some(AuthMechanism::SASL) => State::SaslListLength,
                    Some(_) => State::Result,
                    None if !self.shared.client_lost => return self.blocked(Side::Server, &at),
                    None => match at.peek() {
                        None => return at.end(Outcome::Need(4)),
                        Some(bytes) => guess(bytes),
                    },
                },
                State::Result => match at.word() {
                    None => return at.end(Outcome::Need(4)),
                    Some(code) => return self.result(&at, LinkErrorCode(code)),
                },
                State::SaslListLength => match at.word() {
                    None => return at.end(Outcome::Need(4)),
                    Some(seen) if seen > sasl::MAX_DATA => return self.sasl_too_long(&at, seen),
                    Some(length) => State::SaslList(length),
                },
                State::SaslList(left) => match at.skip(left) {
                    0 => State::SaslLength,
                    left => {
                        self.server = State::SaslList(left);
                        return at.end(Outcome::Need(1));
                    }
                },
                State::SaslLength => match at.word() {
                    None => return at.end(Outcome::Need(4)),
                    Some(seen) if seen > sasl::MAX_DATA => return self.sasl_too_long(&at, seen),
                    Some(left) => State::SaslData(left),
                },
                State::SaslData(left) => match at.skip(left) {
                    0 => State::SaslFlag,
                    left => {
                        self.server = State::SaslData(left);
                        return at.end(Outcome::Need(1));
                    }
                },
                State::SaslFlag => match at.peek::<1>() {
                    None => return at.end(Outcome::Need(1)),
                    Some([flag @ (0 | 1)]) => {
                        at.advance(1);
                        self.shared.sasl_answers = self.shared.sasl_answers.saturating_add(1);
                        self.shared.sasl_complete = flag == 1;
                        self.server = if flag == 1 { State::SaslVerdict } else { State::SaslLength };
                        if self.yields(Side::Server) {
                            return self.blocked(Side::Server, &at);
                        }
                        continue;
                    }
                    Some([seen]) => return self.server_error(&at, Error::SaslFlag { seen: seen.into() }),
                },
                State::SaslVerdict => match at.word() {
                    None => return at.end(Outcome::Need(4)),
                    Some(0) => State::AfterAccept,
                    Some(1) => return self.refused(&at, LinkErrorCode::ERROR, RefusalForm::Sasl),
                    Some(seen) => return self.server_error(&at, Error::SaslFlag { seen }),
                },
                State::AfterAccept => {
                    let Some(bytes) = at.peek() else { return at.end(Outcome::Need(4)) };
                    at.advance(4);
                    match sasl::AfterAccept::from_bytes(bytes) {
                        sasl::AfterAccept::Result(code) => return self.result(&at, code),
                        sasl::AfterAccept::Layer(seen) if seen > sasl::MAX_LAYER_FRAME => {
                            return self.server_error(&at, Error::SaslLayer { seen });
                        }
                        sasl::AfterAccept::Layer(length) => {
                            self.shared.layer = true;
                            self.server = State::HiddenResult(length);
                            return at.end(Outcome::Event(LinkEvent::HiddenResult));
                        }
                    }
                }
                State::HiddenResult(left) => match at.skip(left) {
                    0 => State::Layer,
                    left => {
                        self.server = State::HiddenResult(left);
                        return at.end(Outcome::Need(1));
                    }
                },
                State::Layer if at.rest.is_empty() => return at.end(Outcome::Need(1)),
                State::Layer => {
                    let event = self.linked(Evidence::Continued);
                    return at.end(Outcome::Event(event));
                }
                State::MainInit(header) => return self.read_main_init(at, header),
                State::MainInitOfAnyKind if self.shared.server_lost => match find_main_init(at.rest) {
                    Some((before, header)) => {
                        at.advance(before);
                        State::MainInit(header)
                    }
                    None if at.rest.len() < SEARCHED => {
                        let need = at.rest.len() + 1;
                        return at.end(Outcome::Need(need));
                    }
                    None => State::MainInit(HeaderKind::Full),
                },
                State::MainInitOfAnyKind => match at.peek() {
                    None => return at.end(Outcome::Need(4)),
                    Some(bytes) => State::MainInit(header_kind(bytes)),
                },
                State::Done => return at.end(Outcome::Done),
            }
        }
    }

    fn read_reply<'a>(&mut self, mut at: Cursor<'a>, form: RefusalForm) -> Step<'a> {
        match LinkReply::parse(at.rest) {
            Ok(Parsed::Need(n)) => at.end(Outcome::Need(n)),
            Ok(Parsed::Complete(reply, consumed)) => {
                at.advance(consumed);
                if reply.error != LinkErrorCode::OK || form == RefusalForm::SecondReply {
                    return self.refused(&at, reply.error, form);
                }
                self.shared.reply = Some(ServerOffer {
                    known: true,
                    auth_selection: reply.common_caps.contains(CommonCap::AUTH_SELECTION),
                    mini_header: reply.common_caps.contains(CommonCap::MINI_HEADER),
                });
                self.server = State::AwaitMechanism;
                at.end(Outcome::Event(LinkEvent::Reply(reply)))
            }
            Err(error) => self.server_error(&at, error),
        }
    }

    fn result<'a>(&mut self, at: &Cursor<'_>, code: LinkErrorCode) -> Step<'a> {
        if code != LinkErrorCode::OK {
            return self.refused(at, code, RefusalForm::Result);
        }
        let event = self.linked(Evidence::Result);
        at.end(Outcome::Event(event))
    }

    fn read_main_init<'a>(&mut self, mut at: Cursor<'a>, header: HeaderKind) -> Step<'a> {
        match MainInit::parse_session_id(header, at.rest) {
            Ok(Parsed::Need(n)) => at.end(Outcome::Need(n)),
            Ok(Parsed::Complete(id, consumed)) => {
                at.advance(consumed);
                self.server = State::Done;
                at.end(Outcome::Event(LinkEvent::SessionId(id)))
            }
            Err(error) => self.server_error(&at, error),
        }
    }

    fn refused<'a>(&mut self, at: &Cursor<'_>, code: LinkErrorCode, form: RefusalForm) -> Step<'a> {
        self.finish();
        at.end(Outcome::Event(LinkEvent::Refused { code, form }))
    }

    fn sasl_too_long<'a>(&mut self, at: &Cursor<'_>, seen: u32) -> Step<'a> {
        self.server_error(at, Error::SaslLength { seen, max: sasl::MAX_DATA })
    }

    fn server_error<'a>(&mut self, at: &Cursor<'_>, error: Error) -> Step<'a> {
        self.server = State::Done;
        at.end(Outcome::Event(LinkEvent::Unreadable { side: Side::Server, error }))
    }
}

/// Guesses what a server's first word after an accepting reply is, if the client's mechanism was lost. Results are small numbers;
/// the length of a list of SASL mechanisms is larger, because the list has at least one name between two commas.
fn guess(bytes: [u8; 4]) -> State {
    if u32::from_le_bytes(bytes) <= LinkErrorCode::CHANNEL_NOT_AVAILABLE.0 || bytes == MAGIC {
        State::Result
    } else {
        State::SaslListLength
    }
}

/// Bytes that are searched for `MAIN_INIT` behind lost ones: what may be left of a reply, which has two words of capabilities in any real server, a result, and
/// the message.
const SEARCHED: usize = 64;

/// Where `MAIN_INIT` begins in bytes that follow lost ones, and its header. Its type and size are in any header, and a full one has the serial number 1 before
/// them.
fn find_main_init(bytes: &[u8]) -> Option<(usize, HeaderKind)> {
    const SERIAL: [u8; 8] = 1_u64.to_le_bytes();
    let at = bytes
        .windows(6)
        .take(SEARCHED)
        .position(|start| start.starts_with(&MAIN_INIT_START.to_le_bytes()) && start.ends_with(&[0, 0]))?;
    let full = at.checked_sub(SERIAL.len()).filter(|before| bytes.get(*before..at) == Some(&SERIAL[..]));
    Some(full.map_or((at, HeaderKind::Mini), |before| (before, HeaderKind::Full)))
}

/// Which header a first message has that is `MAIN_INIT`.
fn header_kind(start: [u8; 4]) -> HeaderKind {
    if u32::from_le_bytes(start) == MAIN_INIT_START { HeaderKind::Mini } else { HeaderKind::Full }
}
