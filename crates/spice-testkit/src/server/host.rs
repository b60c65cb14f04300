//! What a server decides for one link.

use std::{net::TcpStream, sync::OnceLock};

use spice_link::{
    ChannelCaps, ChannelType, CommonCap, Join, LinkErrorCode, LinkHost, LinkMess, LinkReply, LinkRequest, MainInit,
    SaslAnswer, SaslVerdict, ticket::TicketKey,
};

use super::{
    flaw::Flaw,
    shared::{CHANNELS, Joined, SECURED, Shared, USER},
};

/// One link, and the server that it belongs to.
pub(super) struct Host<'a> {
    pub(super) shared: &'a Shared,
    stream: &'a TcpStream,
    key: Option<&'static TicketKey>,
    pub(super) link: usize,
    /// Whether the client selects its mechanism. Set when its message was answered.
    pub(super) selects: Option<bool>,
    /// How often the acceptor has asked for the list of mechanisms.
    lists: u32,
    caps: [u8; 4],
}

impl<'a> Host<'a> {
    pub(super) fn new(shared: &'a Shared, stream: &'a TcpStream) -> Self {
        Self { shared, stream, key: None, link: shared.next_link(), selects: None, lists: 0, caps: [0xf, 0, 0, 0] }
    }
}

impl LinkHost for Host<'_> {
    fn security(&mut self, channel_type: ChannelType) -> Result<(), LinkErrorCode> {
        let refused = channel_type.0 == SECURED && !self.shared.has(Flaw::Security);
        if refused { Err(LinkErrorCode::NEED_SECURED) } else { Ok(()) }
    }

    fn sasl(&mut self) -> bool {
        self.shared.sasl
    }

    fn mechanisms(&mut self) -> Option<&[u8]> {
        // The acceptor asks three times: whether there is a list, for the list, and to check the client's name.
        self.lists += 1;
        let all: &[u8] =
            if self.lists > 2 && self.shared.has(Flaw::SaslName) { b",PLAIN,NOTHING," } else { b",PLAIN," };
        self.shared.sasl.then_some(all)
    }

    fn sasl_start(&mut self, _: &[u8], data: Option<&[u8]>, _: &mut [u8]) -> SaslAnswer {
        let good = format!("\0{USER}\0{}", self.shared.password);
        let is_good = data == Some(good.as_bytes()) || self.shared.has(Flaw::SaslPassword);
        if is_good { SaslAnswer { data: None, verdict: SaslVerdict::Complete } } else { SaslAnswer::REFUSED }
    }

    fn channel(&mut self, channel_type: ChannelType, channel_id: u8) -> Option<ChannelCaps<'_>> {
        let there = channel_type == ChannelType::MAIN || CHANNELS.contains(&(channel_type.0, channel_id));
        (there || self.shared.has(Flaw::Existence)).then(|| ChannelCaps::from_le_bytes(&self.caps))
    }

    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] {
        let index = if self.shared.has(Flaw::Key) { 0 } else { self.link };
        self.key = keys().get(index % keys().len().max(1));
        self.key.map_or([0; LinkReply::PUB_KEY_LEN], |key| *key.public())
    }

    fn received(&mut self, mess: &LinkMess<'_>) {
        self.selects = Some(mess.common_caps.contains(CommonCap::AUTH_SELECTION));
    }

    fn ticket(&mut self, ticket: &[u8; 128]) -> bool {
        let good = self.key.is_some_and(|key| key.matches(ticket, self.shared.password.as_bytes()));
        good || self.shared.has(Flaw::Ticket)
    }

    fn join(&mut self, request: &LinkRequest) -> Join {
        let mut session = self.shared.session();
        let channel = (request.channel_type.0, request.channel_id);
        let Ok(stream) = self.stream.try_clone() else { return Join::Refused(LinkErrorCode::CHANNEL_NOT_AVAILABLE) };
        if request.channel_type == ChannelType::MAIN {
            if !self.shared.has(Flaw::Kick) {
                session.end();
            }
            let fresh = u32::try_from(self.link).unwrap_or(0).wrapping_mul(0x9e37_79b9) | 1;
            let id = if request.connection_id == 0 { fresh } else { request.connection_id };
            session.id = Some(id);
            session.channels.push(Joined { link: self.link, channel, stream });
            let shown = if self.shared.has(Flaw::SessionId) { 0 } else { id };
            return if request.connection_id == 0 {
                Join::Session(MainInit {
                    session_id: shown,
                    display_channels_hint: 1,
                    supported_mouse_modes: 2,
                    current_mouse_mode: 2,
                    agent_tokens: 10,
                    ..MainInit::default()
                })
            } else {
                Join::Member
            };
        }
        if session.id != Some(request.connection_id) && !self.shared.has(Flaw::ConnectionId) {
            return Join::Refused(LinkErrorCode::BAD_CONNECTION_ID);
        }
        if session.channels.iter().any(|joined| joined.channel == channel) && !self.shared.has(Flaw::Duplicate) {
            return Join::Duplicate;
        }
        session.channels.push(Joined { link: self.link, channel, stream });
        Join::Member
    }
}

/// A few keys, made once for the whole process.
fn keys() -> &'static [TicketKey] {
    static KEYS: OnceLock<Vec<TicketKey>> = OnceLock::new();
    KEYS.get_or_init(|| (0..3).filter_map(|_| TicketKey::generate().ok()).collect())
}
