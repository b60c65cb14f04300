use crate::{Error, Parsed, bytes};

/// The first four bytes of every link message, in both directions.
pub const MAGIC: [u8; 4] = *b"REDQ";
/// The major version of SPICE 2, the only one that spice-server speaks.
pub const VERSION_MAJOR: u32 = 2;
/// The minor version that spice-server and spice-gtk send. Neither of them checks it.
pub const VERSION_MINOR: u32 = 2;

/// `SpiceLinkHeader`: comes before the client's [`LinkMess`](crate::LinkMess) and before the server's [`LinkReply`](crate::LinkReply).
///
/// | offset | bytes | field |
/// | ---: | ---: | --- |
/// | 0 | 4 | magic, `REDQ` |
/// | 4 | 4 | major version, 2 |
/// | 8 | 4 | minor version |
/// | 12 | 4 | size: the number of bytes that follow this header |
///
/// All integers of the link stage are little-endian, and there is no padding. Source: spice-protocol, protocol.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkHeader {
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// The number of bytes that follow the header.
    pub size: u32,
}

impl LinkHeader {
    /// Its length in bytes.
    pub const LEN: usize = 4 // magic
        + 4 // major version
        + 4 // minor version
        + 4; // size

    /// The header that spice-server and spice-gtk write before `size` bytes.
    pub const fn new(size: u32) -> Self {
        Self { major: VERSION_MAJOR, minor: VERSION_MINOR, size }
    }

    /// Reads a header from the start of `input`. The magic is checked as soon as its four bytes have come, the version when all
    /// sixteen have come. The caller checks the size, because its bounds depend on the message.
    #[inline]
    pub fn parse(input: &[u8]) -> Result<Parsed<Self>, Error> {
        let Some(header) = bytes::head::<{ Self::LEN }>(input) else {
            return match bytes::head::<4>(input) {
                Some(&MAGIC) => Ok(Parsed::Need(Self::LEN)),
                Some(&seen) => Err(Error::Magic { seen }),
                None => Ok(Parsed::Need(MAGIC.len())),
            };
        };
        let [m0, m1, m2, m3, ..] = *header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(Error::Magic { seen: [m0, m1, m2, m3] });
        }
        let header =
            Self { major: bytes::u32_le(header, 4), minor: bytes::u32_le(header, 8), size: bytes::u32_le(header, 12) };
        if header.major != VERSION_MAJOR {
            return Err(Error::Version { major: header.major });
        }
        Ok(Parsed::Complete(header, Self::LEN))
    }

    /// Where the message after this header ends, in bytes from the header's start. An error if the size is out of bounds.
    #[inline]
    pub(crate) fn end(&self, min: u32, max: u32) -> Result<usize, Error> {
        if self.size < min || self.size > max {
            return Err(Error::Size { seen: self.size, min, max });
        }
        Ok(Self::LEN + self.size as usize)
    }

    /// The sixteen bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.major.to_le_bytes());
        out[8..12].copy_from_slice(&self.minor.to_le_bytes());
        out[12..].copy_from_slice(&self.size.to_le_bytes());
        out
    }
}

/// A message after its header: the fixed part, and all of it.
pub(crate) type Message<'a, const FIXED: usize> = (&'a [u8; FIXED], &'a [u8]);

/// Reads a header and the message after it, which has at least its fixed part and at most `max` bytes. The size is checked before
/// the message has come.
#[inline]
pub(crate) fn message<const FIXED: usize>(input: &[u8], max: u32) -> Result<Parsed<Message<'_, FIXED>>, Error> {
    let header = match LinkHeader::parse(input)? {
        Parsed::Complete(header, _) => header,
        Parsed::Need(n) => return Ok(Parsed::Need(n)),
    };
    let end = header.end(u32::try_from(FIXED).unwrap_or(u32::MAX), max)?;
    Ok(match input.get(LinkHeader::LEN..end).and_then(|body| Some((body.first_chunk()?, body))) {
        Some(message) => Parsed::Complete(message, end),
        None => Parsed::Need(end),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_is_checked_after_four_bytes() {
        assert_eq!(LinkHeader::parse(b"GEX"), Ok(Parsed::Need(4)));
        assert_eq!(LinkHeader::parse(b"GEX "), Err(Error::Magic { seen: *b"GEX " }));
        assert_eq!(LinkHeader::parse(b"REDQ"), Ok(Parsed::Need(16)));
    }

    #[test]
    fn only_the_major_version_is_checked() {
        let good = LinkHeader { major: 2, minor: 99, size: 18 };
        assert_eq!(LinkHeader::parse(&good.encode()), Ok(Parsed::Complete(good, 16)));
        for major in [0, 1, 3, u32::MAX] {
            assert_eq!(LinkHeader::parse(&LinkHeader { major, ..good }.encode()), Err(Error::Version { major }));
        }
    }
}
