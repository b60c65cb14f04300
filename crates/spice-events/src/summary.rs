use std::fmt;

use spice_link::{
    AuthMechanism, Caps, Evidence, HeaderKind, LinkErrorCode, LinkEvent, LinkRequest, RefusalForm, Side, caps::List,
};

use crate::{LinkNote, LinkNoteKind};

/// What a link stage has shown so far, in owned form. Fill it with [`apply`](Self::apply) from a [`LinkFollower`](crate::LinkFollower).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LinkSummary {
    /// The channel that the client asks for.
    pub request: Option<LinkRequest>,
    /// The capabilities in the client's message.
    pub client_caps: Option<LinkCaps>,
    /// The capabilities in the server's reply.
    pub server_caps: Option<LinkCaps>,
    /// The mechanism that the client selected. `None` if it selected none: it then sends a ticket.
    pub mechanism: Option<AuthMechanism>,
    /// The name of the SASL mechanism that the client chose. Bytes that are not ASCII are escaped.
    pub sasl_mechanism: Option<Box<str>>,
    /// The kind of data header that follows the link stage.
    pub header: Option<HeaderKind>,
    /// The id of the new session, from the main channel's `MAIN_INIT`.
    pub session_id: Option<u32>,
    /// How the link stage ended.
    pub outcome: LinkOutcome,
}

/// Both capability lists of a message, as words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkCaps {
    /// The common list.
    pub common: Box<[u32]>,
    /// The channel's own list.
    pub channel: Box<[u32]>,
}

/// How a link stage ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkOutcome {
    /// It has not ended.
    #[default]
    Pending,
    /// It succeeded.
    Linked(Evidence),
    /// The server refused the link.
    Refused {
        /// The reason.
        code: LinkErrorCode,
        /// The message that says so.
        form: RefusalForm,
    },
    /// One side's bytes are not valid. The other side may still refuse the link.
    Unreadable {
        /// The sender of the bytes.
        side: Side,
        /// The error.
        error: spice_link::Error,
    },
    /// One side could not be read to the end: bytes were lost, too many bytes came before the other side could be read, or its
    /// WebSocket head is not valid.
    Lost(Side),
}

impl LinkSummary {
    /// Adds a note.
    pub fn apply(&mut self, note: &LinkNote<'_>) {
        let event = match &note.kind {
            LinkNoteKind::Event(event) => event,
            LinkNoteKind::Cut { .. } => return,
            _ => return self.end(LinkOutcome::Lost(note.side)),
        };
        match *event {
            LinkEvent::Mess(mess) => {
                self.request = Some(mess.request());
                self.client_caps =
                    Some(LinkCaps { common: words(mess.common_caps), channel: words(mess.channel_caps) });
            }
            LinkEvent::CutMess(request) => self.request = Some(request),
            LinkEvent::Reply(reply) => {
                self.server_caps =
                    Some(LinkCaps { common: words(reply.common_caps), channel: words(reply.channel_caps) });
            }
            LinkEvent::Mechanism(mechanism) => self.mechanism = Some(mechanism),
            LinkEvent::SaslMechanism(name) => self.sasl_mechanism = Some(name.escape_ascii().to_string().into()),
            LinkEvent::Linked { header, evidence } => {
                self.header = Some(header);
                self.outcome = LinkOutcome::Linked(evidence);
            }
            LinkEvent::Refused { code, form } => self.outcome = LinkOutcome::Refused { code, form },
            LinkEvent::SessionId(id) => self.session_id = Some(id),
            LinkEvent::Unreadable { side, error } => self.end(LinkOutcome::Unreadable { side, error }),
            _ => {}
        }
    }

    /// Keeps the first outcome, unless the server says one.
    fn end(&mut self, outcome: LinkOutcome) {
        if self.outcome == LinkOutcome::Pending {
            self.outcome = outcome;
        }
    }
}

impl fmt::Display for LinkOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("not ended"),
            Self::Linked(evidence) => write!(f, "linked, {evidence}"),
            Self::Refused { code, form } => write!(f, "refused in {form}: {code}"),
            Self::Unreadable { side, error } => write!(f, "{side}: {error}"),
            Self::Lost(side) => write!(f, "the {side}'s bytes could not be read to the end"),
        }
    }
}

fn words<L: List>(caps: Caps<'_, L>) -> Box<[u32]> {
    caps.words().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkFollower;
    use spice_link::{CapsBuf, ChannelType, CommonCap, LinkMess, LinkReply};

    /// A client's message, mechanism word, and the name of its SASL mechanism, in chunks of any size.
    fn client() -> Vec<u8> {
        let common = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER);
        let mess = LinkMess {
            connection_id: 7,
            channel_type: ChannelType::INPUTS,
            channel_id: 0,
            common_caps: common.as_caps(),
            channel_caps: Caps::EMPTY,
        };
        let mut out = vec![0; mess.encoded_len()];
        assert_eq!(mess.encode(&mut out), Ok(out.len()));
        [&out[..], &2u32.to_le_bytes(), &10u32.to_le_bytes(), b"DIGEST-MD5", &0u32.to_le_bytes()].concat()
    }

    fn server() -> Vec<u8> {
        let common = CapsBuf::from_words([0xd]);
        let reply = LinkReply {
            error: LinkErrorCode::OK,
            pub_key: &[0; 162],
            common_caps: common.as_caps(),
            channel_caps: Caps::EMPTY,
        };
        let mut out = vec![0; reply.encoded_len()];
        assert_eq!(reply.encode(&mut out), Ok(out.len()));
        out
    }

    #[test]
    fn outcomes_read_as_sentences() {
        let refused = LinkOutcome::Refused { code: LinkErrorCode::PERMISSION_DENIED, form: RefusalForm::Result };
        let unreadable = LinkOutcome::Unreadable { side: Side::Client, error: spice_link::Error::Version { major: 1 } };
        for (outcome, text) in [
            (LinkOutcome::Pending, "not ended"),
            (LinkOutcome::Linked(Evidence::Continued), "linked, inferred from what followed"),
            (refused, "refused in the link result: permission denied"),
            (unreadable, "client: expected major version 2, found 1"),
            (LinkOutcome::Lost(Side::Server), "the server's bytes could not be read to the end"),
        ] {
            assert_eq!(outcome.to_string(), text);
        }
    }

    /// A loss ends the story only while no other outcome is known.
    #[test]
    fn first_outcome_stays_unless_the_server_tells_another() {
        let (mut link, mut summary) = (LinkFollower::new(4096), LinkSummary::default());
        link.gap(Side::Client, 5, |note| summary.apply(&note));
        assert_eq!(summary.outcome, LinkOutcome::Lost(Side::Client));
        let refusal = LinkReply::refusal(LinkErrorCode::INVALID_DATA);
        link.bytes(Side::Server, &refusal, |note| summary.apply(&note));
        assert_eq!(summary.outcome.to_string(), "refused in the reply: invalid data");
    }

    #[test]
    fn summary_has_what_both_sides_sent() {
        for size in [1, 7, 1000] {
            let (mut link, mut summary) = (LinkFollower::new(4096), LinkSummary::default());
            for (side, bytes) in [(Side::Client, client()), (Side::Server, server())] {
                bytes.chunks(size).for_each(|chunk| link.bytes(side, chunk, |note| summary.apply(&note)));
            }
            let request = LinkRequest { connection_id: 7, channel_type: ChannelType::INPUTS, channel_id: 0 };
            assert_eq!((summary.request, summary.mechanism), (Some(request), Some(AuthMechanism::SASL)));
            assert_eq!(summary.sasl_mechanism.as_deref(), Some("DIGEST-MD5"));
            assert_eq!(summary.client_caps.map(|caps| caps.common), Some([0x9].into()));
            assert_eq!(summary.server_caps.map(|caps| caps.common), Some([0xd].into()));
            assert_eq!(summary.outcome, LinkOutcome::Pending);
        }
    }

    /// The name is not needed to read on, so that a gap inside it ends nothing, even if its start is held.
    #[test]
    fn name_with_lost_bytes_is_skipped() {
        let (mut link, mut notes) = (LinkFollower::new(4096), Vec::new());
        let mut on = |note: LinkNote<'_>| notes.push(format!("{:?}", note.kind));
        link.bytes(Side::Server, &server(), &mut on);
        let bytes = client();
        let (start, rest) = bytes.split_at(bytes.len() - 4 - 6);
        link.bytes(Side::Client, start, &mut on);
        link.gap(Side::Client, 2, &mut on);
        link.bytes(Side::Client, &rest[2..], &mut on);
        link.bytes(Side::Server, &LinkReply::refusal(LinkErrorCode::INVALID_DATA), &mut on);
        let last = notes.last().map(String::as_str);
        assert!(last.is_some_and(|note| note.contains("Refused")), "{notes:?}");
        assert!(!notes.iter().any(|note| note.contains("Lost") || note.contains("SaslMechanism")), "{notes:?}");
    }
}
