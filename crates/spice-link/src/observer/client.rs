//! The client's direction: message, mechanism word, then a ticket or a SASL exchange.

use super::{ClientOffer, Cursor, Evidence, LinkEvent, LinkObserver, Outcome, Shared, Step};
use crate::{AuthMechanism, CommonCap, Error, LinkMess, Parsed, Side, sasl};

/// The length of a ticket in bytes, `SPICE_TICKET_KEY_PAIR_LENGTH` / 8: an RSA-1024 block.
pub const TICKET_LEN: usize = TICKET as usize;
const TICKET: u32 = 128;

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum State {
    /// Header and [`LinkMess`].
    Mess,
    /// What is left of a message whose start was read.
    MessRest(u32),
    /// The mechanism word, if one comes. Whether it does depends on both ends' capabilities.
    Mechanism,
    /// The rest of a ticket.
    Ticket(u32),
    SaslNameLength,
    /// The whole name of the mechanism.
    SaslName(u32),
    /// The rest of a name whose start was lost.
    SaslNameRest(u32),
    /// The length of a step's data; the step's number, from 1.
    SaslLength(u32),
    SaslData {
        step: u32,
        left: u32,
    },
    /// The data of this step was sent. The server's answer says whether another step follows.
    AwaitAnswer(u32),
    /// The ticket is complete. A client that goes on has been accepted, which matters where the server's result was lost.
    Authenticated,
    /// The exchange is complete. If the client continues inside a security layer, the server has accepted it.
    Accepted,
    Done,
}

impl State {
    pub(super) const fn skippable(&self) -> u64 {
        match self {
            Self::MessRest(left)
            | Self::Ticket(left)
            | Self::SaslName(left)
            | Self::SaslNameRest(left)
            | Self::SaslData { left, .. } => *left as u64,
            _ => 0,
        }
    }

    pub(super) const fn is_blocked(&self, shared: &Shared) -> bool {
        match self {
            Self::Mechanism => shared.reply.is_none(),
            Self::AwaitAnswer(step) => shared.sasl_answers < *step,
            Self::Authenticated => !shared.server_lost,
            Self::Accepted => !shared.layer,
            _ => false,
        }
    }

    /// Skips bytes that [`skippable`](Self::skippable) counts.
    pub(super) fn skip(&mut self, len: u64) {
        if let Self::SaslName(left) = *self
            && len > 0
        {
            *self = Self::SaslNameRest(left);
        }
        if let Self::MessRest(left) | Self::Ticket(left) | Self::SaslNameRest(left) | Self::SaslData { left, .. } = self
        {
            *left = u32::try_from(u64::from(*left).saturating_sub(len)).unwrap_or(0);
        }
    }
}

impl LinkObserver {
    pub(super) fn read_client<'a>(&mut self, unread: &'a [u8]) -> Step<'a> {
        let mut at = Cursor::new(unread);
        loop {
            self.client = match self.client {
                State::Mess => return self.read_mess(at),
                State::MessRest(left) => match at.skip(left) {
                    0 => State::Mechanism,
                    left => {
                        self.client = State::MessRest(left);
                        return at.end(Outcome::Need(1));
                    }
                },
                State::Mechanism => match self.shared.reply {
                    None => return self.blocked(Side::Client, &at),
                    Some(reply) if !reply.auth_selection => self.authenticate(AuthMechanism::SPICE),
                    Some(_) => {
                        let Some(word) = at.word() else { return at.end(Outcome::Need(4)) };
                        if self.is_ticket_start(AuthMechanism(word)) {
                            self.authenticate(AuthMechanism::SPICE);
                            self.client = State::Ticket(TICKET - 4);
                            continue;
                        }
                        self.client = self.authenticate(AuthMechanism(word));
                        return at.end(Outcome::Event(LinkEvent::Mechanism(AuthMechanism(word))));
                    }
                },
                State::Ticket(left) => match at.skip(left) {
                    0 => State::Authenticated,
                    left => {
                        self.client = State::Ticket(left);
                        return at.end(Outcome::Need(1));
                    }
                },
                State::SaslNameLength => match at.word() {
                    None => return at.end(Outcome::Need(4)),
                    Some(0) => return self.client_error(&at, Error::SaslNameEmpty),
                    Some(seen) if seen > sasl::MAX_NAME => {
                        return self.client_error(&at, Error::SaslLength { seen, max: sasl::MAX_NAME });
                    }
                    Some(length) => State::SaslName(length),
                },
                State::SaslName(length) => {
                    let Some(name) = at.rest.get(..length as usize) else {
                        return at.end(Outcome::Need(length as usize));
                    };
                    at.advance(name.len());
                    self.client = State::SaslLength(1);
                    return at.end(Outcome::Event(LinkEvent::SaslMechanism(name)));
                }
                State::SaslNameRest(left) => match at.skip(left) {
                    0 => State::SaslLength(1),
                    left => {
                        self.client = State::SaslNameRest(left);
                        return at.end(Outcome::Need(1));
                    }
                },
                State::SaslLength(step) => match at.word() {
                    None => return at.end(Outcome::Need(4)),
                    Some(seen) if seen > sasl::MAX_DATA => {
                        return self.client_error(&at, Error::SaslLength { seen, max: sasl::MAX_DATA });
                    }
                    Some(left) => State::SaslData { step, left },
                },
                State::SaslData { step, left } => match at.skip(left) {
                    0 => State::AwaitAnswer(step),
                    left => {
                        self.client = State::SaslData { step, left };
                        return at.end(Outcome::Need(1));
                    }
                },
                State::AwaitAnswer(step) if self.shared.sasl_answers < step => {
                    return self.blocked(Side::Client, &at);
                }
                State::AwaitAnswer(step) if self.shared.sasl_answers == step && self.shared.sasl_complete => {
                    State::Accepted
                }
                State::AwaitAnswer(step) => State::SaslLength(step.saturating_add(1)),
                State::Authenticated if at.rest.is_empty() => return at.end(Outcome::Need(1)),
                State::Authenticated if !self.shared.server_lost || self.yields(Side::Client) => {
                    return self.blocked(Side::Client, &at);
                }
                State::Accepted if !self.shared.layer => return self.blocked(Side::Client, &at),
                State::Accepted if at.rest.is_empty() => return at.end(Outcome::Need(1)),
                State::Authenticated | State::Accepted => {
                    let event = self.linked(Evidence::Continued);
                    return at.end(Outcome::Event(event));
                }
                State::Done => return at.end(Outcome::Done),
            }
        }
    }

    fn read_mess<'a>(&mut self, mut at: Cursor<'a>) -> Step<'a> {
        match LinkMess::parse(at.rest) {
            Ok(Parsed::Need(n)) => at.end(Outcome::Need(n)),
            Ok(Parsed::Complete(mess, consumed)) => {
                at.advance(consumed);
                let offer = ClientOffer {
                    known: true,
                    auth_selection: mess.common_caps.contains(CommonCap::AUTH_SELECTION),
                    mini_header: mess.common_caps.contains(CommonCap::MINI_HEADER),
                    fresh_session: mess.request().is_new_session(),
                };
                self.shared.mess = Some(offer);
                self.client =
                    if offer.auth_selection { State::Mechanism } else { self.authenticate(AuthMechanism::SPICE) };
                at.end(Outcome::Event(LinkEvent::Mess(mess)))
            }
            Err(error) => self.client_error(&at, error),
        }
    }

    /// Tells whether a word is not a mechanism selection, for a link whose capabilities were lost. An old client sends its ticket at once.
    fn is_ticket_start(&self, mechanism: AuthMechanism) -> bool {
        let known =
            self.shared.mess.is_some_and(|mess| mess.known) && self.shared.reply.is_some_and(|reply| reply.known);
        !known && !matches!(mechanism, AuthMechanism::SPICE | AuthMechanism::SASL)
    }

    /// The mechanism is known. Returns the state of what the client sends next.
    fn authenticate(&mut self, mechanism: AuthMechanism) -> State {
        self.shared.mechanism = Some(mechanism);
        match mechanism {
            AuthMechanism::SPICE => State::Ticket(TICKET),
            AuthMechanism::SASL => State::SaslNameLength,
            // The server refuses it and reads no further bytes.
            _ => State::Done,
        }
    }

    fn client_error<'a>(&mut self, at: &Cursor<'_>, error: Error) -> Step<'a> {
        self.client = State::Done;
        self.shared.client_lost = true;
        at.end(Outcome::Event(LinkEvent::Unreadable { side: Side::Client, error }))
    }
}
