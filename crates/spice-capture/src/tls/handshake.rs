//! The two hellos, and where each handshake message ends.

use super::{CipherSuite, Random, Version};

/// The longest hello that is read, in bytes. Post-quantum key shares make hellos of 2 KiB; the wire would allow 16 MiB.
pub const MAX_HELLO: usize = 32 << 10;

/// A handshake message's type: RFC 8446 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    pub(super) const CLIENT_HELLO: Self = Self(1);
    pub(super) const SERVER_HELLO: Self = Self(2);
    pub(super) const FINISHED: Self = Self(20);
    pub(super) const KEY_UPDATE: Self = Self(24);
}

/// type 1 + length 3
const HEADER: usize = 4;
/// `supported_versions`
const VERSIONS: u16 = 43;
/// `early_data`
const EARLY_DATA: u16 = 42;
/// The random of a `ServerHello` that is a `HelloRetryRequest`: SHA-256 of that word (RFC 8446 §4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Finds the messages in the bodies of one direction's handshake records. Of a message that is not kept, nothing is.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The header, and of a kept message what came of its body.
    buffer: Vec<u8>,
    /// Bytes of a message that is not kept which are still to come.
    skip: usize,
    /// The type of that message.
    skipped: Option<Kind>,
}

/// A hello is malformed or too long.
#[derive(Debug)]
pub(super) struct BadHello;

impl Messages {
    /// Reads on in `data`, and hands each message that ends in it to `message`; with its body where its type is `kept`.
    pub(super) fn read(
        &mut self,
        mut data: &[u8],
        kept: Option<Kind>,
        mut message: impl FnMut(Kind, &[u8]) -> Result<(), BadHello>,
    ) -> Result<(), BadHello> {
        loop {
            if let Some(kind) = self.skipped {
                let there = self.skip.min(data.len());
                data = &data[there..];
                self.skip -= there;
                if self.skip > 0 {
                    return Ok(());
                }
                self.skipped = None;
                message(kind, &[])?;
            }
            fill(&mut self.buffer, &mut data, HEADER);
            let Some(&[kind, a, b, c]) = self.buffer.first_chunk() else { return Ok(()) };
            let (kind, len) = (Kind(kind), u32::from_be_bytes([0, a, b, c]) as usize);
            if kept != Some(kind) {
                self.buffer.clear();
                (self.skip, self.skipped) = (len, Some(kind));
                continue;
            }
            if len > MAX_HELLO {
                return Err(BadHello);
            }
            fill(&mut self.buffer, &mut data, HEADER + len);
            if self.buffer.len() < HEADER + len {
                return Ok(());
            }
            message(kind, &self.buffer[HEADER..])?;
            self.buffer = Vec::new();
        }
    }
}

fn fill(buffer: &mut Vec<u8>, data: &mut &[u8], upto: usize) {
    let there = upto.saturating_sub(buffer.len()).min(data.len());
    let (new, rest) = data.split_at(there);
    buffer.extend_from_slice(new);
    *data = rest;
}

/// What a `ClientHello` says.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientHello {
    pub(super) random: Random,
    /// The client offers 0-RTT data, and may have sent some.
    pub(super) early_data: bool,
}

impl ClientHello {
    /// version 2 + random 32 + session id 1.. + suites 2.. + compression 1.. + extensions 2..
    pub(super) fn parse(mut body: &[u8]) -> Option<Self> {
        let body = &mut body;
        take(body, 2)?;
        let random = Random(*take(body, 32)?.first_chunk()?);
        vector8(body)?;
        vector16(body)?;
        vector8(body)?;
        let early_data = if body.is_empty() { false } else { extension(vector16(body)?, EARLY_DATA)?.is_some() };
        Some(Self { random, early_data })
    }
}

/// What a `ServerHello` says.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerHello {
    pub(super) random: [u8; 32],
    pub(super) version: Version,
    pub(super) suite: CipherSuite,
}

impl ServerHello {
    /// version 2 + random 32 + session id 1.. + suite 2 + compression 1 + extensions 2..
    pub(super) fn parse(mut body: &[u8]) -> Option<Self> {
        let body = &mut body;
        let legacy = number(take(body, 2)?)?;
        let random = *take(body, 32)?.first_chunk()?;
        vector8(body)?;
        let suite = CipherSuite(number(take(body, 2)?)?);
        take(body, 1)?;
        let selected = if body.is_empty() { None } else { extension(vector16(body)?, VERSIONS)? };
        let version = Version(selected.map_or(Some(legacy), number)?);
        Some(Self { random, version, suite })
    }

    /// It asks for another `ClientHello`.
    pub(super) fn is_retry(&self) -> bool {
        self.random == RETRY
    }
}

/// The body of an extension; the outer `None` where they are malformed.
#[expect(clippy::option_option, reason = "malformed, and absent")]
fn extension(mut all: &[u8], wanted: u16) -> Option<Option<&[u8]>> {
    let mut found = None;
    while !all.is_empty() {
        let kind = number(take(&mut all, 2)?)?;
        let body = vector16(&mut all)?;
        if kind == wanted {
            found = Some(body);
        }
    }
    Some(found)
}

fn take<'a>(body: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, rest) = body.split_at_checked(n)?;
    *body = rest;
    Some(taken)
}

fn number(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// Bytes behind their number, which is one byte.
fn vector8<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(*take(body, 1)?.first()?);
    take(body, len)
}

/// Bytes behind their number, which is two bytes.
fn vector16<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(number(take(body, 2)?)?);
    take(body, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of each kind, in any pieces: of those that are not kept the end is noticed, and nothing is stored.
    #[test]
    fn messages_are_found_in_any_pieces() {
        let certificate = [&[11, 0, 1, 0][..], &[7; 256]].concat();
        let finished = [20, 0, 0, 2, 8, 9];
        let hello = [2, 0, 0, 3, 1, 2, 3];
        let empty = [14, 0, 0, 0];
        let stream = [&certificate[..], &hello, &empty, &finished].concat();
        for piece in [1, 3, 4, 100, stream.len()] {
            let mut messages = Messages::default();
            let mut seen = Vec::new();
            for data in stream.chunks(piece) {
                messages
                    .read(data, Some(Kind::SERVER_HELLO), |kind, body| {
                        seen.push((kind.0, body.to_vec()));
                        Ok(())
                    })
                    .unwrap();
                assert!(messages.buffer.len() <= hello.len());
            }
            assert_eq!(seen, [(11, vec![]), (2, vec![1, 2, 3]), (14, vec![]), (20, vec![])], "in pieces of {piece}");
        }
    }

    #[test]
    fn a_kept_message_is_bounded() {
        let too_long = [1, 1, 0, 0, 0];
        assert!(Messages::default().read(&too_long, Some(Kind::CLIENT_HELLO), |_, _| Ok(())).is_err());
    }

    #[test]
    fn every_cut_of_a_hello_is_malformed() {
        let mut hello = vec![3, 3];
        hello.extend([5; 32]);
        hello.push(0);
        hello.extend([0x13, 0x01, 0]);
        let old = ServerHello::parse(&hello).expect("extensions may be absent");
        assert_eq!((old.version, old.suite), (Version::TLS_1_2, CipherSuite(0x1301)));
        let before = hello.len();
        hello.extend([0, 6, 0, 43, 0, 2, 3, 4]);
        assert_eq!(ServerHello::parse(&hello).map(|hello| hello.version), Some(Version::TLS_1_3));
        for cut in (0..hello.len()).filter(|cut| *cut != before) {
            assert!(ServerHello::parse(&hello[..cut]).is_none(), "cut at {cut}");
        }
    }
}
