use crate::{Error, Parsed, bytes};

/// The first four bytes of every link message, of both directions.
pub const MAGIC: [u8; 4] = *b"REDQ";
/// The major version of SPICE 2, the only one that spice-server talks.
pub const VERSION_MAJOR: u32 = 2;
/// The minor version that spice-server and spice-gtk send; nobody looks at it.
pub const VERSION_MINOR: u32 = 2;

/// `SpiceLinkHeader`: in front of the client's [`LinkMess`](crate::LinkMess) and of the server's [`LinkReply`](crate::LinkReply).
///
/// | offset | bytes | field |
/// | ---: | ---: | --- |
/// | 0 | 4 | magic, `REDQ` |
/// | 4 | 4 | major version, 2 |
/// | 8 | 4 | minor version |
/// | 12 | 4 | size: bytes that follow this header |
///
/// All integers of the link stage are little-endian, and nothing is padded. Source: spice-protocol, protocol.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkHeader {
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// Bytes that follow the header.
    pub size: u32,
}

impl LinkHeader {
    /// Its length in bytes.
    pub const LEN: usize = 4 // magic
        + 4 // major version
        + 4 // minor version
        + 4; // size

    /// A header as spice-server and spice-gtk write it, for `size` bytes.
    pub const fn new(size: u32) -> Self {
        Self { major: VERSION_MAJOR, minor: VERSION_MINOR, size }
    }

    /// Reads a header. The magic is judged as soon as its four bytes are there, the version with all sixteen;
    /// the size is for the caller to judge, as its bounds depend on what follows.
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

    /// Where the message behind this header ends, in bytes from the header's start, if its size is one that it may have.
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

/// A message behind its header: the part that every one has, and all of it.
pub(crate) type Message<'a, const FIXED: usize> = (&'a [u8; FIXED], &'a [u8]);

/// Reads a header and waits for the message behind it, of at least its fixed part and at most `max` bytes.
/// The size is judged before the message has come.
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
    fn the_magic_is_judged_after_four_bytes() {
        assert_eq!(LinkHeader::parse(b"GEX"), Ok(Parsed::Need(4)));
        assert_eq!(LinkHeader::parse(b"GEX "), Err(Error::Magic { seen: *b"GEX " }));
        assert_eq!(LinkHeader::parse(b"REDQ"), Ok(Parsed::Need(16)));
    }

    #[test]
    fn minor_versions_do_not_matter_and_major_ones_do() {
        let good = LinkHeader { major: 2, minor: 99, size: 18 };
        assert_eq!(LinkHeader::parse(&good.encode()), Ok(Parsed::Complete(good, 16)));
        for major in [0, 1, 3, u32::MAX] {
            assert_eq!(LinkHeader::parse(&LinkHeader { major, ..good }.encode()), Err(Error::Version { major }));
        }
    }
}
