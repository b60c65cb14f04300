//! Models of a server and a client for tests: the hosts of spice-link's acceptor and connector.

use spice_link::{
    AuthMechanism, ChannelCaps, ChannelType, CommonCap, Join, LinkErrorCode, LinkHost, LinkReply, LinkRequest,
    LinkUser, MainInit, SaslAnswer, SaslVerdict,
};

use crate::generate::SaslExchange;

/// How a [`ModelHost`] judges tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tickets {
    /// By the first byte, which has to be 1. That needs no key and is fast.
    FirstByte,
    /// By a decision that the test has made.
    Decided(bool),
}

/// A server with channels and sessions, for one link after the other.
#[derive(Clone, Debug)]
pub struct ModelHost {
    /// The channels beside main: type, id, capability words.
    pub channels: Vec<(u8, u8, Vec<u32>)>,
    /// Main's capability words.
    pub main_caps: Vec<u32>,
    /// Channel types that require TLS.
    pub secured: Vec<u8>,
    /// Channel types that refuse TLS.
    pub unsecured: Vec<u8>,
    /// The connection is inside TLS.
    pub tls: bool,
    /// `Some`: SASL is required, and its mechanism has this exchange.
    pub sasl: Option<SaslExchange>,
    /// The list of mechanisms that is offered. `None`: the server is built without SASL.
    pub mechanisms: Option<Vec<u8>>,
    /// How tickets are judged.
    pub tickets: Tickets,
    /// The value of each byte of the modulus in the reply's key.
    pub key: u8,
    /// The live session, and its channels.
    pub session: Option<(u32, Vec<(u8, u8)>)>,
    /// Sessions whose ids main channels have brought.
    pub brought: Vec<u32>,
    /// The id of the next session.
    pub next_id: u32,
    step: usize,
    caps: Vec<u8>,
}

impl ModelHost {
    /// A server with tickets, and these channels.
    pub fn new(channels: &[(u8, u8, u32)]) -> Self {
        Self {
            channels: channels.iter().map(|(kind, id, word)| (*kind, *id, vec![*word])).collect(),
            main_caps: vec![0xf],
            secured: Vec::new(),
            unsecured: Vec::new(),
            tls: false,
            sasl: None,
            mechanisms: None,
            tickets: Tickets::FirstByte,
            key: 0x30,
            session: None,
            brought: Vec::new(),
            next_id: 0x8000_0001,
            step: 0,
            caps: Vec::new(),
        }
    }

    fn answer(&mut self, out: &mut [u8]) -> SaslAnswer {
        let Some(exchange) = &self.sasl else { return SaslAnswer::REFUSED };
        let Some(step) = exchange.steps.get(self.step) else { return SaslAnswer::REFUSED };
        self.step += 1;
        let last = self.step >= exchange.steps.len();
        let verdict = match (last, exchange.verdict) {
            (false, _) => SaslVerdict::Continue,
            (true, 0) => SaslVerdict::Complete,
            (true, _) => SaslVerdict::Weak,
        };
        SaslAnswer { data: put(&step.server, out), verdict }
    }
}

/// How every key of RSA-1024 starts and ends in a link reply: SubjectPublicKeyInfo, rsaEncryption, a modulus of 1024 bits; the exponent
/// 65537.
const KEY_PREFIX: &[u8] =
    b"\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x81\x8d\x00\x30\x81\x89\x02\x81\x81\x00";
const KEY_SUFFIX: &[u8] = b"\x02\x03\x01\x00\x01";

impl LinkHost for ModelHost {
    fn security(&mut self, channel_type: ChannelType) -> Result<(), LinkErrorCode> {
        match self.tls {
            false if self.secured.contains(&channel_type.0) => Err(LinkErrorCode::NEED_SECURED),
            true if self.unsecured.contains(&channel_type.0) => Err(LinkErrorCode::NEED_UNSECURED),
            _ => Ok(()),
        }
    }

    fn channel(&mut self, channel_type: ChannelType, channel_id: u8) -> Option<ChannelCaps<'_>> {
        let words = if channel_type == ChannelType::MAIN {
            &self.main_caps
        } else {
            &self.channels.iter().find(|(kind, id, _)| (*kind, *id) == (channel_type.0, channel_id))?.2
        };
        self.caps = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Some(ChannelCaps::from_le_bytes(&self.caps))
    }

    fn sasl(&mut self) -> bool {
        self.sasl.is_some()
    }

    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] {
        let mut key = [self.key; LinkReply::PUB_KEY_LEN];
        key[..KEY_PREFIX.len()].copy_from_slice(KEY_PREFIX);
        key[157..].copy_from_slice(KEY_SUFFIX);
        key
    }

    fn ticket(&mut self, ticket: &[u8; 128]) -> bool {
        match self.tickets {
            Tickets::FirstByte => ticket[0] == 1,
            Tickets::Decided(good) => good,
        }
    }

    fn mechanisms(&mut self) -> Option<&[u8]> {
        self.step = 0;
        self.sasl.as_ref().map(|exchange| &exchange.list[..]).or(self.mechanisms.as_deref())
    }

    fn sasl_start(&mut self, _: &[u8], _: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        self.answer(out)
    }

    fn sasl_step(&mut self, _: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        self.answer(out)
    }

    fn join(&mut self, request: &LinkRequest) -> Join {
        if request.channel_type == ChannelType::MAIN {
            self.session = None;
            if request.connection_id != 0 {
                self.session = Some((request.connection_id, Vec::new()));
                return Join::Member;
            }
            self.session = Some((self.next_id, Vec::new()));
            return Join::Session(MainInit {
                session_id: self.next_id,
                display_channels_hint: 1,
                supported_mouse_modes: 3,
                current_mouse_mode: 1,
                agent_tokens: 10,
                ..MainInit::default()
            });
        }
        let wanted = (request.channel_type.0, request.channel_id);
        match &mut self.session {
            Some((id, channels)) if *id == request.connection_id => {
                if channels.contains(&wanted) {
                    return Join::Duplicate;
                }
                channels.push(wanted);
                Join::Member
            }
            _ => Join::Refused(LinkErrorCode::BAD_CONNECTION_ID),
        }
    }

    fn seal(&mut self, bytes: &[u8], out: &mut [u8]) -> usize {
        let sealed = match &self.sasl {
            Some(exchange) => exchange.wrap(bytes),
            None => bytes.to_vec(),
        };
        put(&sealed, out).unwrap_or(0)
    }
}

/// A client with one ticket or one SASL exchange.
#[derive(Clone, Debug)]
pub struct ModelUser {
    /// Each byte of the ticket.
    pub ticket: u8,
    /// The exchange that it uses if the server offers SASL.
    pub sasl: Option<SaslExchange>,
    /// The mechanism that it selects even if it is wrong. `None`: the one that fits.
    pub mechanism: Option<u32>,
    step: usize,
}

impl ModelUser {
    /// A client.
    pub fn new(ticket: u8, sasl: Option<SaslExchange>) -> Self {
        Self { ticket, sasl, mechanism: None, step: 0 }
    }
}

impl LinkUser for ModelUser {
    fn mechanism(&mut self, reply: &LinkReply<'_>) -> AuthMechanism {
        match self.mechanism {
            Some(other) => AuthMechanism(other),
            None if reply.common_caps.contains(CommonCap::AUTH_SASL) && self.sasl.is_some() => AuthMechanism::SASL,
            None => AuthMechanism::SPICE,
        }
    }

    fn ticket(&mut self, _: &[u8; LinkReply::PUB_KEY_LEN], ticket: &mut [u8; 128]) -> bool {
        *ticket = [self.ticket; 128];
        true
    }

    fn sasl_name(&mut self, _: &[u8], name: &mut [u8; 100]) -> Option<usize> {
        put(&self.sasl.as_ref()?.name, name)
    }

    fn sasl_data(&mut self, _: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        let step = self.sasl.as_ref().and_then(|exchange| exchange.steps.get(self.step));
        let Some(step) = step else { return SaslAnswer::REFUSED };
        self.step += 1;
        let data = if step.client.is_empty() { None } else { put(&step.client, out) };
        SaslAnswer { data, verdict: SaslVerdict::Continue }
    }

    fn security_layer(&self) -> bool {
        self.sasl.as_ref().is_some_and(|exchange| exchange.layer)
    }

    fn unseal(&mut self, frame: &[u8], out: &mut [u8]) -> Option<usize> {
        put(frame, out)
    }
}

/// Copies bytes to the start of a buffer. `None`: they do not fit.
fn put(bytes: &[u8], out: &mut [u8]) -> Option<usize> {
    out.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(bytes.len())
}
