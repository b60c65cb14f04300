use crate::{ChannelType, LinkMess};

/// The channel that a client asks for: the three identifying fields of its [`LinkMess`], without the capability lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinkRequest {
    /// The session that the channel joins; 0 asks for a new session. QMP shows these 32 bits as a signed number.
    pub connection_id: u32,
    /// The kind of channel.
    pub channel_type: ChannelType,
    /// The number of the channel among those of its kind, from 0.
    pub channel_id: u8,
}

impl LinkRequest {
    /// Whether this is a main channel that asks for a new session.
    pub const fn is_new_session(&self) -> bool {
        self.channel_type.0 == ChannelType::MAIN.0 && self.connection_id == 0
    }
}

impl LinkMess<'_> {
    /// The channel that the message asks for.
    pub const fn request(&self) -> LinkRequest {
        LinkRequest { connection_id: self.connection_id, channel_type: self.channel_type, channel_id: self.channel_id }
    }
}
