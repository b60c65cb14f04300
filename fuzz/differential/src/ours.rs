//! Our side of the comparison: the acceptor, with the state of a server, and inside WebSocket if the link is.

use spice_link::{
    AcceptStatus, ChannelCaps, ChannelType, Error, Join, LinkAcceptor, LinkErrorCode, LinkHost, LinkReply, LinkRequest,
    SaslAnswer, SaslVerdict, Upgrade, ticket::TicketKey, websocket::Deframer,
};
use spice_testkit::model;

use crate::real::{Kind, PASSWORD};

/// The state of our server. One key serves all links, because making one for each would take as long as all the rest.
pub(crate) struct Host {
    kind: Kind,
    pub(crate) model: model::ModelHost,
    key: TicketKey,
    /// The data that the real mechanism has just answered. It belongs to SASL, not SPICE, and can't be predicted.
    pub(crate) mechanism: Option<Answered>,
    /// The link result that the real security layer has just encrypted; empty without a security layer.
    pub(crate) sealed: Option<Vec<u8>>,
}

/// The answer of a SASL mechanism to one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    data: Option<Vec<u8>>,
    verdict: SaslVerdict,
    /// The bytes that the server sent after it.
    behind: Vec<u8>,
}

impl Answered {
    /// Parses the server's answer: length, data and a NUL; a flag; and the verdict at the end of the exchange.
    pub(crate) fn parse(sent: &[u8]) -> Option<Self> {
        let (length, rest) = sent.split_first_chunk()?;
        let (data, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let data = match data.split_last() {
            Some((0, data)) => Some(data.to_vec()),
            Some(_) => return None,
            None => None,
        };
        let (verdict, behind) = match rest {
            [0] => (SaslVerdict::Continue, &[][..]),
            [1, 0, 0, 0, 0, behind @ ..] => (SaslVerdict::Complete, behind),
            [1, 1, 0, 0, 0, ..] => (SaslVerdict::Weak, &[][..]),
            _ => return None,
        };
        Some(Self { data, verdict, behind: behind.to_vec() })
    }

    /// The bytes that the server sent after a complete exchange.
    pub(crate) fn completed(&self) -> Option<&[u8]> {
        (self.verdict == SaslVerdict::Complete).then_some(&self.behind)
    }
}

impl Host {
    pub(crate) fn new(kind: Kind, key: TicketKey) -> Self {
        // The capabilities that spice-server 0.15 sends: inputs KEY_SCANCODE; playback and record VOLUME, but not OPUS before a
        // sampling rate is set for it.
        let mut model = model::ModelHost::new(&[(3, 0, 1), (5, 0, 0b10), (6, 0, 0b10)]);
        if kind == Kind::Secured {
            model.secured.push(6);
            model.unsecured.push(5);
        }
        if kind == Kind::Graphics {
            // Display: MONITORS_CONFIG, STREAM_REPORT, PREF_COMPRESSION and PREF_VIDEO_CODEC_TYPE. Cursor has none.
            model.channels.extend([(2, 0, vec![0x1052]), (4, 0, Vec::new())]);
        }
        Self { kind, model, key, mechanism: None, sealed: None }
    }

    pub(crate) fn public_key(&self) -> &[u8; LinkReply::PUB_KEY_LEN] {
        self.key.public()
    }

    fn step(&mut self, out: &mut [u8]) -> SaslAnswer {
        let Some(Answered { data, verdict, .. }) = self.mechanism.take() else { return SaslAnswer::REFUSED };
        let Some(data) = data else { return SaslAnswer { data: None, verdict } };
        let Some(room) = out.get_mut(..data.len()) else { return SaslAnswer::REFUSED };
        room.copy_from_slice(&data);
        SaslAnswer { data: Some(data.len()), verdict }
    }
}

impl LinkHost for Host {
    fn security(&mut self, channel_type: ChannelType) -> Result<(), LinkErrorCode> {
        self.model.security(channel_type)
    }

    fn channel(&mut self, channel_type: ChannelType, channel_id: u8) -> Option<ChannelCaps<'_>> {
        self.model.channel(channel_type, channel_id)
    }

    fn sasl(&mut self) -> bool {
        self.kind == Kind::Sasl
    }

    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] {
        *self.key.public()
    }

    fn ticket(&mut self, ticket: &[u8; 128]) -> bool {
        match self.kind {
            // Any password is accepted, but the ticket must be encrypted for this key.
            Kind::NoAuth => self.key.open(ticket).is_some(),
            _ => self.key.matches(ticket, PASSWORD.as_bytes()),
        }
    }

    fn mechanisms(&mut self) -> Option<&[u8]> {
        // PLAIN sends the password in clear, so it is offered only inside TLS.
        Some(if self.model.tls { b",DIGEST-MD5,PLAIN," } else { b",DIGEST-MD5," })
    }

    fn sasl_start(&mut self, _: &[u8], _: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        self.step(out)
    }

    fn sasl_step(&mut self, _: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        self.step(out)
    }

    fn join(&mut self, request: &LinkRequest) -> Join {
        self.model.join(request)
    }

    /// The length of the frame that holds an encrypted link result: a length, the result, and the trailer of DIGEST-MD5, which
    /// has a code of ten bytes, a type of two and a count of four. Behind a security layer, only the place of the result is
    /// compared.
    fn seal(&mut self, bytes: &[u8], out: &mut [u8]) -> usize {
        let Some(sealed) = &mut self.sealed else {
            out[..bytes.len()].copy_from_slice(bytes);
            return bytes.len();
        };
        let frame = std::mem::take(sealed);
        let length = u32::try_from(bytes.len() + 16).unwrap_or(u32::MAX).to_be_bytes();
        if !frame.starts_with(&length) {
            return 0;
        }
        out[..frame.len()].copy_from_slice(&frame);
        frame.len()
    }
}

/// One link of our acceptor.
pub(crate) struct OurLink {
    acceptor: LinkAcceptor,
    carrier: Carrier,
    unread: Vec<u8>,
    /// The response to an upgrade request.
    pub(crate) head: Vec<u8>,
    /// The answers, without WebSocket frames.
    pub(crate) said: Vec<u8>,
    pub(crate) outcome: AcceptStatus,
}

enum Carrier {
    Unknown,
    Plain,
    Frames(Deframer),
}

impl OurLink {
    pub(crate) fn new() -> Self {
        Self {
            acceptor: LinkAcceptor::new(),
            carrier: Carrier::Unknown,
            unread: Vec::new(),
            head: Vec::new(),
            said: Vec::new(),
            outcome: AcceptStatus::Need(4),
        }
    }

    /// Takes what the client sent in one piece, like spice-server reads it. The pieces matter only for an upgrade request.
    pub(crate) fn receive(&mut self, host: &mut Host, bytes: &[u8]) {
        if self.acceptor.is_over() {
            return;
        }
        match &mut self.carrier {
            Carrier::Frames(deframer) => {
                let unread = &mut self.unread;
                deframer.read(bytes, |run| unread.extend(run));
            }
            Carrier::Plain | Carrier::Unknown => self.unread.extend(bytes),
        }
        if matches!(self.carrier, Carrier::Unknown) && self.unread.len() >= 4 {
            self.carrier = Carrier::Plain;
            if let Some(upgrade) = Upgrade::parse(&self.unread) {
                let mut out = [0; Upgrade::ROOM];
                let len = upgrade.respond(&mut out).unwrap_or(0);
                let request_len = upgrade.request_len();
                self.head = out[..len].to_vec();
                let behind = self.unread.split_off(request_len);
                self.unread.clear();
                self.carrier = Carrier::Frames(Deframer::new());
                return self.receive(host, &behind);
            }
        }
        let mut out = [0; 8192];
        let turn = self.acceptor.read(host, &self.unread, &mut out);
        self.unread.drain(..turn.consumed);
        self.said.extend(&out[..turn.written]);
        self.outcome = turn.outcome;
    }

    /// The name of the check that decided the link, for the table at the end.
    pub(crate) fn check(&self) -> String {
        use spice_link::CloseReason;
        let text = match self.outcome {
            AcceptStatus::Need(_) | AcceptStatus::Room(_) if self.said.is_empty() => {
                return "-- still waiting for the message".to_owned();
            }
            AcceptStatus::Need(_) | AcceptStatus::Room(_) => return "-- still waiting for the credentials".to_owned(),
            AcceptStatus::Linked(link) if link.request.is_new_session() => {
                return "14 linked: a new session".to_owned();
            }
            AcceptStatus::Linked(link) if link.request.channel_type == ChannelType::MAIN => {
                return "14 linked: a session brought along".to_owned();
            }
            AcceptStatus::Linked(link) => {
                return match link.request.channel_type {
                    ChannelType::DISPLAY => "14 linked: display".to_owned(),
                    ChannelType::CURSOR => "14 linked: cursor".to_owned(),
                    _ => "14 linked: another channel".to_owned(),
                };
            }
            AcceptStatus::Close(why) => match why {
                CloseReason::Unreadable(Error::Magic { .. }) => "magic".to_owned(),
                CloseReason::Unreadable(Error::Version { major: 0 }) => "major version 0: silence".to_owned(),
                CloseReason::Unreadable(Error::Version { .. }) => "major version".to_owned(),
                CloseReason::Unreadable(Error::Size { .. }) => "size".to_owned(),
                CloseReason::Unreadable(Error::CapsCount { .. }) => "capability counts".to_owned(),
                CloseReason::Unreadable(Error::CapsRange { .. }) => "capability range".to_owned(),
                CloseReason::Unreadable(_) => "SASL length".to_owned(),
                CloseReason::Security(code) => format!("TLS policy: {code:?}"),
                CloseReason::NoChannel { .. } => "no such channel: silence".to_owned(),
                CloseReason::NoSelection => "SASL without selection: leaked".to_owned(),
                CloseReason::Mechanism(_) => "mechanism".to_owned(),
                CloseReason::Ticket => "ticket".to_owned(),
                CloseReason::SaslField => "SASL name or length".to_owned(),
                CloseReason::SaslFailed => "SASL credentials: silence".to_owned(),
                CloseReason::Join(_) => "connection id".to_owned(),
                CloseReason::Duplicate => "a channel that is there: linked, then closed".to_owned(),
                other => format!("{other:?}"),
            },
        };
        let AcceptStatus::Close(why) = self.outcome else { return text };
        format!("{:2} {text}", why.check())
    }
}
