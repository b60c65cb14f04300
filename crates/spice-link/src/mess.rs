use crate::{
    BufferTooSmall, Caps, ChannelCaps, ChannelType, CommonCaps, Error, LinkHeader, MAX_CAPS_WORDS, Parsed, bytes,
    caps::{self, List},
};

/// `SpiceLinkMess`: the client's first message, directly after its [`LinkHeader`].
///
/// | offset | bytes | field |
/// | ---: | ---: | --- |
/// | 0 | 4 | connection_id: 0 asks for a new session (main channel), any other value joins that session |
/// | 4 | 1 | channel_type |
/// | 5 | 1 | channel_id |
/// | 6 | 4 | num_common_caps, in words |
/// | 10 | 4 | num_channel_caps, in words |
/// | 14 | 4 | caps_offset, in bytes from offset 0 of this table; only checked if there are words |
/// | caps_offset | 4 each | the common words, then the channel's |
///
/// Bytes of the message that belong to neither list are ignored. Source: spice-protocol, protocol.h; the bounds are those of
/// spice-server (`reds.cpp`, `reds_handle_read_header_done` and `reds_handle_read_link_done`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkMess<'a> {
    /// The session that the channel joins; 0 asks for a new session. QMP shows these 32 bits as a signed number.
    pub connection_id: u32,
    /// The kind of channel.
    pub channel_type: ChannelType,
    /// The number of the channel among those of its kind, from 0.
    pub channel_id: u8,
    /// What the client supports in the link stage.
    pub common_caps: CommonCaps<'a>,
    /// What the client supports on this channel.
    pub channel_caps: ChannelCaps<'a>,
}

impl<'a> LinkMess<'a> {
    /// The fixed part in bytes, and the smallest `size` in the header.
    pub const MIN_SIZE: u32 = 4 // connection_id
        + 1 // channel_type
        + 1 // channel_id
        + 4 // num_common_caps
        + 4 // num_channel_caps
        + 4; // caps_offset
    /// The largest `size` that spice-server accepts, in bytes.
    pub const MAX_SIZE: u32 = 4096;
    /// The longest message, header included, in bytes. A reader must be able to hold it.
    pub const MAX_LEN: usize = LinkHeader::LEN + Self::MAX_SIZE as usize;

    /// Reads header and message from the start of a client's stream. The checks and their order are those of spice-server; the
    /// error's [`answer`](Error::answer) is what that server would send back.
    #[inline]
    pub fn parse(input: &'a [u8]) -> Result<Parsed<Self>, Error> {
        // One check of the length covers the header and the fixed part.
        let Some(start) = input.first_chunk::<{ LinkHeader::LEN + LinkMess::MIN_SIZE as usize }>() else {
            return Self::incomplete(input);
        };
        let Parsed::Complete(header, _) = LinkHeader::parse(start)? else { return Self::incomplete(input) };
        let end = header.end(Self::MIN_SIZE, Self::MAX_SIZE)?;
        let Some(body) = input.get(LinkHeader::LEN..end) else { return Ok(Parsed::Need(end)) };
        let (_, fixed) = start.split_at(LinkHeader::LEN);
        let (common, channel, offset) = (bytes::u32_le(fixed, 6), bytes::u32_le(fixed, 10), bytes::u32_le(fixed, 14));
        let (common_caps, channel_caps) = split_lists(body, Self::MIN_SIZE, offset, common, channel)?;
        let mess = Self {
            connection_id: bytes::u32_le(fixed, 0),
            channel_type: ChannelType(fixed[4]),
            channel_id: fixed[5],
            common_caps,
            channel_caps,
        };
        Ok(Parsed::Complete(mess, end))
    }

    /// Reads fewer bytes than header and fixed part have.
    #[cold]
    fn incomplete(input: &[u8]) -> Result<Parsed<Self>, Error> {
        Ok(Parsed::Need(match LinkHeader::parse(input)? {
            Parsed::Complete(header, _) => header.end(Self::MIN_SIZE, Self::MAX_SIZE)?,
            Parsed::Need(n) => n,
        }))
    }

    /// The message's length in bytes, header included.
    pub const fn encoded_len(&self) -> usize {
        LinkHeader::LEN
            + Self::MIN_SIZE as usize
            + self.common_caps.as_le_bytes().len()
            + self.channel_caps.as_le_bytes().len()
    }

    /// Writes header and message, with the lists directly after the fixed part, and returns the number of bytes. Lists that are
    /// longer than a server accepts are written too.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let need = self.encoded_len();
        let out = out.get_mut(..need).ok_or(BufferTooSmall { need })?;
        let (head, body) = out.split_at_mut(LinkHeader::LEN);
        head.copy_from_slice(&LinkHeader::new(length(body)).encode());
        body[..4].copy_from_slice(&self.connection_id.to_le_bytes());
        body[4] = self.channel_type.0;
        body[5] = self.channel_id;
        body[6..10].copy_from_slice(&length_in_words(self.common_caps));
        body[10..14].copy_from_slice(&length_in_words(self.channel_caps));
        body[14..18].copy_from_slice(&Self::MIN_SIZE.to_le_bytes());
        caps::write_lists(&mut body[18..], self.common_caps, self.channel_caps)?;
        Ok(need)
    }
}

/// Both lists of a message or reply whose fixed part is `fixed` bytes, with the bounds of spice-server. An offset near 2³² does
/// not wrap, even where `usize` has 32 bits.
#[inline]
pub(crate) fn split_lists(
    body: &[u8],
    fixed: u32,
    offset: u32,
    common: u32,
    channel: u32,
) -> Result<(CommonCaps<'_>, ChannelCaps<'_>), Error> {
    if common > MAX_CAPS_WORDS || channel > MAX_CAPS_WORDS {
        return Err(Error::CapsCount { common, channel });
    }
    let words = common + channel;
    if words == 0 {
        return Ok((Caps::EMPTY, Caps::EMPTY));
    }
    let start = offset as usize;
    match body.get(start..start.saturating_add(words as usize * 4)) {
        Some(lists) if offset >= fixed => {
            let (common, channel) = lists.split_at(common as usize * 4);
            Ok((Caps::from_le_bytes(common), Caps::from_le_bytes(channel)))
        }
        _ => Err(Error::CapsRange { offset, words, size: length(body) }),
    }
}

/// The length of a slice that is known to be short.
pub(crate) fn length(slice: &[u8]) -> u32 {
    u32::try_from(slice.len()).unwrap_or(u32::MAX)
}

pub(crate) fn length_in_words<L: List>(caps: Caps<'_, L>) -> [u8; 4] {
    (length(caps.as_le_bytes()) / 4).to_le_bytes()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{Answer, CapsBuf, CommonCap, LinkErrorCode};
    use std::{vec, vec::Vec};

    /// A message with any value in each field: `size` bytes after the header, mostly zero.
    fn raw(size: u32, common: u32, channel: u32, offset: u32) -> Vec<u8> {
        let mut out = LinkHeader::new(size).encode().to_vec();
        let mut body = vec![0; 18];
        body[4] = 3;
        body[6..10].copy_from_slice(&common.to_le_bytes());
        body[10..14].copy_from_slice(&channel.to_le_bytes());
        body[14..18].copy_from_slice(&offset.to_le_bytes());
        body.resize(size as usize, 0xff);
        out.extend(body);
        out
    }

    #[test]
    fn message_is_read_as_it_was_written() {
        let common = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER);
        let channel = CapsBuf::from_words([0x1052]);
        let mess = LinkMess {
            connection_id: 0x8000_0001,
            channel_type: ChannelType::DISPLAY,
            channel_id: 1,
            common_caps: common.as_caps(),
            channel_caps: channel.as_caps(),
        };
        let mut out = [0; 64];
        let n = mess.encode(&mut out).unwrap();
        assert_eq!(n, 42);
        assert_eq!(out[..24], *b"REDQ\x02\0\0\0\x02\0\0\0\x1a\0\0\0\x01\0\0\x80\x02\x01\x01\0");
        assert_eq!(LinkMess::parse(&out), Ok(Parsed::Complete(mess, 42)));
        assert_eq!(mess.encode(&mut out[..41]), Err(BufferTooSmall { need: 42 }));
    }

    /// Edge inputs that were sent to spice-server 0.15.1: size, counts, offset, and whether it accepted them.
    #[test]
    fn accepts_what_spice_server_accepts() {
        for (size, common, channel, offset, accepted) in [
            (18, 0, 0, 18, true),
            (18, 0, 0, 0, true),
            (18, 0, 0, u32::MAX, true),
            (4096, 0, 0, 18, true),
            (26, 1, 1, 18, true),
            (27, 1, 1, 19, true),
            (30, 1, 1, 18, true),
            (26, 1, 1, 17, false),
            (26, 1, 1, 0, false),
            (26, 1, 1, 19, false),
            (26, 1, 1, u32::MAX, false),
            (26, 1, 1, u32::MAX - 7, false),
            (4094, 1019, 0, 18, true),
            (4096, 1000, 19, 18, true),
            (4096, 1020, 0, 18, false),
            (4096, 1025, 0, 18, false),
            (4096, 0, 1025, 18, false),
            (4096, u32::MAX, 1, 18, false),
            (4096, 0x4000_0000, 0, 18, false),
        ] {
            let input = raw(size, common, channel, offset);
            let parsed = LinkMess::parse(&input);
            assert_eq!(parsed.is_ok(), accepted, "{size} {common} {channel} {offset}: {parsed:?}");
            match parsed {
                Ok(parsed) => {
                    let mess = parsed.complete().unwrap();
                    assert_eq!((mess.common_caps.len(), mess.channel_caps.len()), (common as usize, channel as usize));
                }
                Err(error) => assert_eq!(error.answer(), Some(Answer::Frame(LinkErrorCode::INVALID_DATA))),
            }
        }
    }

    #[test]
    fn size_is_checked_before_the_message_has_come() {
        for size in [0, 17, 4097, u32::MAX] {
            let header = LinkHeader::new(size).encode();
            assert_eq!(LinkMess::parse(&header), Err(Error::Size { seen: size, min: 18, max: 4096 }));
        }
        assert_eq!(LinkMess::parse(&LinkHeader::new(18).encode()), Ok(Parsed::Need(34)));
    }
}
