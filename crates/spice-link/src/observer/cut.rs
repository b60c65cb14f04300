//! What the start of a message tells when the rest of it was lost: a capture with a short snaplen keeps only the first bytes of each packet.

use super::{ClientOffer, Evidence, LinkEvent, LinkObserver, Outcome, RefusalForm, ServerOffer, Step, client, server};
use crate::{ChannelType, LinkErrorCode, LinkHeader, LinkMess, LinkReply, LinkRequest, Parsed, Side, bytes};

/// Bytes of a link message, header included, up to the end of what QEMU reports of it: connection_id 4, channel_type 1, channel_id 1.
const REQUEST_END: usize = LinkHeader::LEN + 4 + 1 + 1;
/// Bytes of a link reply, header included, up to the end of its error code.
const ERROR_END: usize = LinkHeader::LEN + 4;

/// The largest link result.
const MAX_RESULT: u32 = LinkErrorCode::CHANNEL_NOT_AVAILABLE.0;

/// Capabilities that were lost are taken to be those of every client and server since spice 0.6 (2010): they select a mechanism. Which data header
/// they use shows in the first message.
const CLIENT: ClientOffer = ClientOffer { known: false, auth_selection: true, mini_header: true, fresh_session: false };
const SERVER: ServerOffer = ServerOffer { known: false, auth_selection: true, mini_header: true };

impl LinkObserver {
    /// Reads unread bytes of one direction that end in the middle of a message, because the next ones were lost.
    ///
    /// If the link message or the reply begins in them and as much of it is there as its meaning takes, they are consumed: the outcome is an event, and
    /// the rest of the message is [`skippable`](Self::skippable). Otherwise nothing is consumed and the outcome is [`Outcome::Done`].
    pub fn read_cut<'a>(&mut self, side: Side, unread: &'a [u8]) -> Step<'a> {
        let event = match side {
            Side::Client if matches!(self.client, client::State::Mess) => self.cut_mess(unread),
            Side::Server if matches!(self.server, server::State::Reply) => self.cut_reply(unread),
            _ => None,
        };
        match event {
            Some(event) => Step { consumed: unread.len(), outcome: Outcome::Event(event) },
            None => Step { consumed: 0, outcome: Outcome::Done },
        }
    }

    fn cut_mess(&mut self, unread: &[u8]) -> Option<LinkEvent<'static>> {
        let fixed = unread.get(LinkHeader::LEN..REQUEST_END)?;
        let rest = rest(unread, LinkMess::MIN_SIZE, LinkMess::MAX_SIZE)?;
        let request = LinkRequest {
            connection_id: bytes::u32_le(fixed, 0),
            channel_type: ChannelType(fixed[4]),
            channel_id: fixed[5],
        };
        self.shared.mess = Some(ClientOffer { fresh_session: request.is_new_session(), ..CLIENT });
        self.client = client::State::MessRest(rest);
        Some(LinkEvent::CutMess(request))
    }

    fn cut_reply(&mut self, unread: &[u8]) -> Option<LinkEvent<'static>> {
        let error = LinkErrorCode(bytes::u32_le(unread.get(LinkHeader::LEN..ERROR_END)?, 0));
        let rest = rest(unread, LinkReply::MIN_SIZE, LinkReply::MAX_SIZE)?;
        if error != LinkErrorCode::OK {
            self.finish();
            return Some(LinkEvent::Refused { code: error, form: RefusalForm::Reply });
        }
        self.shared.reply = Some(SERVER);
        self.server = server::State::ReplyRest(rest);
        Some(LinkEvent::CutReply)
    }

    /// What stands right behind lost bytes of the server: a result, or `MAIN_INIT`, which shows that the link succeeded.
    pub(super) fn resync(&mut self, bytes: [u8; 4]) -> Result<server::State, LinkEvent<'static>> {
        match u32::from_le_bytes(bytes) {
            // 1 may be the serial number of a first message too.
            0 | 2..=MAX_RESULT => Ok(server::State::Result),
            server::MAIN_INIT_START if self.shared.mess.is_some_and(|mess| mess.fresh_session) => {
                Err(self.linked(Evidence::Continued))
            }
            _ if self.shared.mess.is_some_and(|mess| mess.fresh_session) => Ok(server::State::Search),
            _ => Ok(server::State::Opaque),
        }
    }

    /// Bytes of the server were lost that a message can't do without. Success can still show: in the result, in `MAIN_INIT`, or in a client that goes on.
    pub(super) fn lose_server(&mut self, len: u64) {
        use server::State;
        self.server = match self.server {
            State::Reply if self.shared.reply.is_none() => {
                self.shared.reply = Some(SERVER);
                State::Resync
            }
            State::ReplyRest(_) | State::AwaitMechanism | State::Result if len >= 4 => State::Resync,
            _ => State::Done,
        };
        self.shared.server_lost = matches!(self.server, State::Resync);
    }
}

/// Bytes of the message behind those that are there; `None` if its header is not one of SPICE.
fn rest(unread: &[u8], min: u32, max: u32) -> Option<u32> {
    let Ok(Parsed::Complete(header, _)) = LinkHeader::parse(unread) else { return None };
    let end = header.end(min, max).ok()?;
    u32::try_from(end.checked_sub(unread.len())?).ok()
}
