//! The client's link message and the server's link reply, with every field free to be wrong.
//!
//! The bytes are laid out here by hand. They do not come from spice-link's encoder, so that they test it and its parser too.

use spice_link::ChannelType;

/// `SpiceLinkMess` with its header: the first bytes of a client.
///
/// ```
/// use spice_conformance::Mess;
///
/// // A list of capabilities that starts inside the fixed part of the message: spice-server answers "invalid data".
/// let mess = Mess { caps_offset: Some(17), ..Mess::default() };
/// assert_eq!(mess.bytes()[..16], *b"REDQ\x02\0\0\0\x02\0\0\0\x16\0\0\0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mess {
    /// `REDQ`.
    pub magic: [u8; 4],
    /// The major version: 2.
    pub major: u32,
    /// The minor version: 2.
    pub minor: u32,
    /// The size in the header, in bytes. `None`: the length of all that follows the header.
    pub size: Option<u32>,
    /// The session that the channel joins; 0 for a new session.
    pub connection_id: u32,
    /// The channel's type, a [`ChannelType`].
    pub channel_type: u8,
    /// The channel's number among those of its type.
    pub channel_id: u8,
    /// The lengths of the common list and of the channel's list, in words. `None`: their true lengths.
    pub counts: Option<[u32; 2]>,
    /// Where the lists start, in bytes after the header. `None`: where they are.
    pub caps_offset: Option<u32>,
    /// Bytes between the fixed part and the lists.
    pub gap: Vec<u8>,
    /// The common capability list, in words.
    pub common: Vec<u32>,
    /// The channel's capability list, in words.
    pub channel: Vec<u32>,
    /// Bytes after the lists, inside the message.
    pub tail: Vec<u8>,
}

impl Default for Mess {
    /// The message of a new session's main channel with the capabilities AUTH_SELECTION and MINI_HEADER.
    fn default() -> Self {
        Self {
            magic: *b"REDQ",
            major: 2,
            minor: 2,
            size: None,
            connection_id: 0,
            channel_type: ChannelType::MAIN.0,
            channel_id: 0,
            counts: None,
            caps_offset: None,
            gap: Vec::new(),
            common: vec![0x9],
            channel: Vec::new(),
            tail: Vec::new(),
        }
    }
}

impl Mess {
    /// The message for a channel, with the capabilities of [`Mess::default`].
    pub fn channel(connection_id: u32, channel_type: ChannelType, channel_id: u8) -> Self {
        Self { connection_id, channel_type: channel_type.0, channel_id, ..Self::default() }
    }

    /// The bytes on the wire: the header and the message.
    pub fn bytes(&self) -> Vec<u8> {
        let mut fixed = self.connection_id.to_le_bytes().to_vec();
        fixed.extend([self.channel_type, self.channel_id]);
        let layout = Layout {
            magic: self.magic,
            versions: [self.major, self.minor],
            size: self.size,
            fixed: &fixed,
            counts: self.counts,
            caps_offset: self.caps_offset,
            around: [&self.gap, &self.tail],
            lists: [&self.common, &self.channel],
        };
        layout.bytes()
    }
}

/// `SpiceLinkReply` with its header: the first bytes of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `REDQ`.
    pub magic: [u8; 4],
    /// The major version: 2.
    pub major: u32,
    /// The minor version: 2.
    pub minor: u32,
    /// The size in the header, in bytes. `None`: the length of all that follows the header.
    pub size: Option<u32>,
    /// A [`LinkErrorCode`](spice_link::LinkErrorCode): 0 accepts.
    pub error: u32,
    /// The value of each of the key's 162 bytes.
    pub key: u8,
    /// The lengths of the common list and of the channel's list, in words. `None`: their true lengths.
    pub counts: Option<[u32; 2]>,
    /// Where the lists start, in bytes after the header. `None`: where they are.
    pub caps_offset: Option<u32>,
    /// Bytes between the fixed part and the lists.
    pub gap: Vec<u8>,
    /// The common capability list, in words.
    pub common: Vec<u32>,
    /// The channel's capability list, in words.
    pub channel: Vec<u32>,
    /// Bytes after the lists, inside the reply.
    pub tail: Vec<u8>,
}

impl Default for Reply {
    /// What spice-server 0.15 sends for a main channel when it accepts tickets; the key is a placeholder.
    fn default() -> Self {
        Self {
            magic: *b"REDQ",
            major: 2,
            minor: 2,
            size: None,
            error: 0,
            key: 0x30,
            counts: None,
            caps_offset: None,
            gap: Vec::new(),
            common: vec![0xb],
            channel: vec![0xf],
            tail: Vec::new(),
        }
    }
}

impl Reply {
    /// The refusal that spice-server sends: every byte after the code is zero.
    pub fn refusal(error: u32) -> Self {
        Self { error, key: 0, caps_offset: Some(0), common: Vec::new(), channel: Vec::new(), ..Self::default() }
    }

    /// The bytes on the wire: the header and the reply.
    pub fn bytes(&self) -> Vec<u8> {
        let mut fixed = self.error.to_le_bytes().to_vec();
        fixed.extend([self.key; 162]);
        let layout = Layout {
            magic: self.magic,
            versions: [self.major, self.minor],
            size: self.size,
            fixed: &fixed,
            counts: self.counts,
            caps_offset: self.caps_offset,
            around: [&self.gap, &self.tail],
            lists: [&self.common, &self.channel],
        };
        layout.bytes()
    }
}

/// What a message and a reply have in common on the wire.
struct Layout<'a> {
    magic: [u8; 4],
    versions: [u32; 2],
    size: Option<u32>,
    /// The fixed part up to the counts.
    fixed: &'a [u8],
    counts: Option<[u32; 2]>,
    caps_offset: Option<u32>,
    /// Bytes before the lists, and after them.
    around: [&'a [u8]; 2],
    lists: [&'a [u32]; 2],
}

impl Layout<'_> {
    fn bytes(&self) -> Vec<u8> {
        let ([gap, tail], [common, channel]) = (self.around, self.lists);
        let counts = self.counts.unwrap_or([word(common.len()), word(channel.len())]);
        // The counts and the offset itself are 12 bytes.
        let caps_offset = self.caps_offset.unwrap_or(word(self.fixed.len() + 12 + gap.len()));
        let mut body = self.fixed.to_vec();
        body.extend([counts[0], counts[1], caps_offset].map(u32::to_le_bytes).concat());
        body.extend(gap);
        body.extend(common.iter().chain(channel).flat_map(|word| word.to_le_bytes()));
        body.extend(tail);
        let size = self.size.unwrap_or(word(body.len()));
        let mut out = self.magic.to_vec();
        out.extend([self.versions[0], self.versions[1], size].map(u32::to_le_bytes).concat());
        out.append(&mut body);
        out
    }
}

/// A length as the wire has it.
pub(crate) fn word(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spice_link::{LinkErrorCode, LinkMess, LinkReply, Parsed};

    #[test]
    fn the_defaults_are_sound() {
        let bytes = Mess::channel(7, ChannelType::INPUTS, 1).bytes();
        let Ok(Parsed::Complete(mess, len)) = LinkMess::parse(&bytes) else { panic!("{bytes:02x?}") };
        assert_eq!((mess.connection_id, mess.channel_type, mess.channel_id, len), (7, ChannelType::INPUTS, 1, 38));
        let bytes = Reply::default().bytes();
        assert!(matches!(LinkReply::parse(&bytes), Ok(Parsed::Complete(_, 202))), "{bytes:02x?}");
        for code in LinkErrorCode::ALL {
            assert_eq!(Reply::refusal(code.0).bytes(), LinkReply::refusal(*code));
        }
    }

    #[test]
    fn every_field_can_be_wrong() {
        let plain = Mess::default().bytes();
        for (mess, at, bytes) in [
            (Mess { magic: *b"QDER", ..Mess::default() }, 0, &b"QDER"[..]),
            (Mess { major: 1, ..Mess::default() }, 4, &[1, 0, 0, 0]),
            (Mess { minor: 9, ..Mess::default() }, 8, &[9, 0, 0, 0]),
            (Mess { size: Some(17), ..Mess::default() }, 12, &[17, 0, 0, 0]),
            (Mess { connection_id: 1 << 31, ..Mess::default() }, 16, &[0, 0, 0, 0x80]),
            (Mess { channel_type: 99, channel_id: 5, ..Mess::default() }, 20, &[99, 5]),
            (Mess { counts: Some([2, 3]), ..Mess::default() }, 22, &[2, 0, 0, 0, 3, 0, 0, 0]),
            (Mess { caps_offset: Some(17), ..Mess::default() }, 30, &[17, 0, 0, 0]),
        ] {
            let changed = mess.bytes();
            assert_eq!(changed[at..at + bytes.len()], *bytes);
            assert_eq!((&changed[..at], &changed[at + bytes.len()..]), (&plain[..at], &plain[at + bytes.len()..]));
        }
        let (gap, tail) = (vec![1], vec![2, 2]);
        assert_eq!(Mess { gap, tail, ..Mess::default() }.bytes()[30..], *b"\x13\0\0\0\x01\x09\0\0\0\x02\x02");
    }
}
