use crate::{
    BufferTooSmall, ChannelCaps, CommonCaps, Error, LinkErrorCode, LinkHeader, MAX_CAPS_WORDS, Parsed, bytes, caps,
    header,
    mess::{length, length_in_words, split_lists},
};

/// `SpiceLinkReply`: the server's answer to a [`LinkMess`](crate::LinkMess), directly after its [`LinkHeader`].
///
/// | offset | bytes | field |
/// | ---: | ---: | --- |
/// | 0 | 4 | error, a [`LinkErrorCode`] |
/// | 4 | 162 | pub_key: DER SubjectPublicKeyInfo of an RSA-1024 key, e = 65537; zeros on an error and for SASL |
/// | 166 | 4 | num_common_caps, in words |
/// | 170 | 4 | num_channel_caps, in words |
/// | 174 | 4 | caps_offset, in bytes from offset 0 of this table |
/// | caps_offset | 4 each | the common words, then the channel's |
///
/// A refusal always has 178 bytes, all of them zero after the code, and the server then closes. Source: spice-protocol,
/// protocol.h; spice-server, `reds.cpp`, `reds_send_link_ack` and `reds_send_link_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkReply<'a> {
    /// [`LinkErrorCode::OK`], or the reason of the refusal.
    pub error: LinkErrorCode,
    /// The key for the client's ticket.
    pub pub_key: &'a [u8; LinkReply::PUB_KEY_LEN],
    /// What the server supports in the link stage.
    pub common_caps: CommonCaps<'a>,
    /// What the server supports on this channel.
    pub channel_caps: ChannelCaps<'a>,
}

impl<'a> LinkReply<'a> {
    /// `SPICE_TICKET_PUBKEY_BYTES`
    pub const PUB_KEY_LEN: usize = 162;
    /// The fixed part in bytes, and the smallest `size` in the header.
    pub const MIN_SIZE: u32 = 4 // error
        + 162 // pub_key
        + 4 // num_common_caps
        + 4 // num_channel_caps
        + 4; // caps_offset
    /// The largest accepted `size`, in bytes: two lists of [`MAX_CAPS_WORDS`]. This crate's own bound; spice-server 0.15 sends 178,
    /// 182 or 186.
    pub const MAX_SIZE: u32 = Self::MIN_SIZE + 2 * 4 * MAX_CAPS_WORDS;
    /// The longest reply, header included, in bytes. A reader must be able to hold it.
    pub const MAX_LEN: usize = LinkHeader::LEN + Self::MAX_SIZE as usize;

    /// Reads header and reply from the start of a server's stream.
    #[inline]
    pub fn parse(input: &'a [u8]) -> Result<Parsed<Self>, Error> {
        let (fixed, body, consumed) = match header::message::<{ LinkReply::MIN_SIZE as usize }>(input, Self::MAX_SIZE)?
        {
            Parsed::Complete((fixed, body), consumed) => (fixed, body, consumed),
            Parsed::Need(n) => return Ok(Parsed::Need(n)),
        };
        let (common, channel) = (bytes::u32_le(fixed, 166), bytes::u32_le(fixed, 170));
        let (common_caps, channel_caps) =
            split_lists(body, Self::MIN_SIZE, bytes::u32_le(fixed, 174), common, channel)?;
        let error = LinkErrorCode(bytes::u32_le(fixed, 0));
        let pub_key = fixed[4..].first_chunk().unwrap_or(&[0; Self::PUB_KEY_LEN]);
        Ok(Parsed::Complete(Self { error, pub_key, common_caps, channel_caps }, consumed))
    }

    /// The reply's length in bytes, header included.
    pub const fn encoded_len(&self) -> usize {
        LinkHeader::LEN
            + Self::MIN_SIZE as usize
            + self.common_caps.as_le_bytes().len()
            + self.channel_caps.as_le_bytes().len()
    }

    /// Writes header and reply as spice-server does, and returns the number of bytes.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let need = self.encoded_len();
        let out = out.get_mut(..need).ok_or(BufferTooSmall { need })?;
        let (head, body) = out.split_at_mut(LinkHeader::LEN);
        head.copy_from_slice(&LinkHeader::new(length(body)).encode());
        body[..4].copy_from_slice(&self.error.0.to_le_bytes());
        body[4..166].copy_from_slice(self.pub_key);
        body[166..170].copy_from_slice(&length_in_words(self.common_caps));
        body[170..174].copy_from_slice(&length_in_words(self.channel_caps));
        // spice-server leaves the offset of a refusal at zero.
        let offset = if self.error == LinkErrorCode::OK { Self::MIN_SIZE } else { 0 };
        body[174..178].copy_from_slice(&offset.to_le_bytes());
        caps::write_lists(&mut body[178..], self.common_caps, self.channel_caps)?;
        Ok(need)
    }

    /// The refusal that spice-server sends: a header, the code, and zeros up to 178 bytes.
    pub fn refusal(error: LinkErrorCode) -> [u8; LinkHeader::LEN + LinkReply::MIN_SIZE as usize] {
        let mut out = [0; LinkHeader::LEN + Self::MIN_SIZE as usize];
        out[..16].copy_from_slice(&LinkHeader::new(Self::MIN_SIZE).encode());
        out[16..20].copy_from_slice(&error.0.to_le_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::CapsBuf;

    #[test]
    fn reply_is_read_as_it_was_written() {
        let (common, channel) = (CapsBuf::from_words([0xb]), CapsBuf::from_words([0xf]));
        let reply = LinkReply {
            error: LinkErrorCode::OK,
            pub_key: &[0x30; 162],
            common_caps: common.as_caps(),
            channel_caps: channel.as_caps(),
        };
        let mut out = [0; 256];
        assert_eq!(reply.encode(&mut out), Ok(202));
        for cut in 0..202 {
            assert!(matches!(LinkReply::parse(&out[..cut]), Ok(Parsed::Need(n)) if n > cut), "{cut}");
        }
        assert_eq!(LinkReply::parse(&out), Ok(Parsed::Complete(reply, 202)));
    }

    #[test]
    fn refusal_has_194_bytes() {
        let bytes = LinkReply::refusal(LinkErrorCode::NEED_SECURED);
        assert_eq!(bytes.len(), 194);
        let reply = LinkReply::parse(&bytes).unwrap().complete().unwrap();
        assert_eq!(reply.error, LinkErrorCode::NEED_SECURED);
        assert!(reply.common_caps.is_empty() && reply.channel_caps.is_empty());
        let mut again = [0; 194];
        assert_eq!(reply.encode(&mut again), Ok(194));
        assert_eq!(again, bytes);
    }
}
