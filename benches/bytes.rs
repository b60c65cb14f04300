//! Bytes that real peers sent.

use spice_link::{CapsBuf, ChannelType, DataHeader, LinkErrorCode, LinkMess, LinkReply, MainInit};

/// The event that QEMU 7.2 sent for the display channel of spicy, without the line end (from the capture `tls`).
pub const INITIALIZED: &[u8] = br#"{"timestamp": {"seconds": 1795375232, "microseconds": 458660}, "event": "SPICE_INITIALIZED", "data": {"server": {"auth": "spice", "port": "37591", "family": "ipv4", "host": "127.0.0.1"}, "client": {"port": "41514", "family": "ipv4", "channel-type": 2, "connection-id": -1208597292, "host": "127.0.0.1", "channel-id": 1, "tls": true}}}"#;

/// The link message with which spice-gtk 0.42 joins a session with a display channel: header, message and one word in each
/// capability list, 42 bytes.
pub fn display_mess() -> [u8; 42] {
    mess(0xa345_6789, ChannelType::DISPLAY, 1)
}

/// A client's link message with one word in each capability list.
pub fn mess(connection_id: u32, channel_type: ChannelType, channel_id: u8) -> [u8; 42] {
    let (common, channel) = (CapsBuf::from_words([0x9]), CapsBuf::from_words([0x1052]));
    let (common_caps, channel_caps) = (common.as_caps(), channel.as_caps());
    let mut out = [0; 42];
    let written = LinkMess { connection_id, channel_type, channel_id, common_caps, channel_caps }.encode(&mut out);
    assert_eq!(written, Ok(out.len()));
    out
}

/// The link reply of spice-server 0.15 with ticketing, 202 bytes.
pub fn reply() -> [u8; 202] {
    let (common, channel) = (CapsBuf::from_words([0xb]), CapsBuf::from_words([0xf]));
    let reply = LinkReply {
        error: LinkErrorCode::OK,
        pub_key: &[0x30; 162],
        common_caps: common.as_caps(),
        channel_caps: channel.as_caps(),
    };
    let mut out = [0; 202];
    assert_eq!(reply.encode(&mut out), Ok(out.len()));
    out
}

/// The authentication mechanism and a ticket, in the form that spice-gtk sends.
pub fn mechanism_and_ticket() -> [u8; 132] {
    let mut out = [0xaa; 132];
    out[..4].copy_from_slice(&1u32.to_le_bytes());
    out
}

/// A successful link result, and the MAIN_INIT message with the session id of a new main channel.
pub fn result_and_main_init(session_id: u32) -> [u8; 42] {
    let header = DataHeader { message_type: MainInit::MESSAGE_TYPE, size: MainInit::SIZE, full: None };
    let mut out = [0; 42];
    out[4..10].copy_from_slice(header.encode(&mut [0; 18]));
    out[10..14].copy_from_slice(&session_id.to_le_bytes());
    out
}
