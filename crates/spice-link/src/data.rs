//! What follows the link stage: the data headers, and the one message that the link stage's story ends with.

use crate::{Error, Parsed, bytes};

/// Which of the two data headers a connection uses, in both directions: the short one if client and server both have
/// the capability [`MINI_HEADER`](crate::caps::common::MINI_HEADER).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderKind {
    /// `SpiceMiniDataHeader`, 6 bytes.
    Mini,
    /// `SpiceDataHeader`, 18 bytes.
    Full,
}

impl HeaderKind {
    /// The header's length in bytes.
    pub const fn byte_len(self) -> usize {
        match self {
            Self::Mini => {
                2 // type
                + 4
            } // size
            Self::Full => {
                8 // serial
                + 2 // type
                + 4 // size
                + 4
            } // sub_list
        }
    }
}

/// A data header, either kind.
///
/// | mini | full | bytes | field |
/// | ---: | ---: | ---: | --- |
/// | | 0 | 8 | serial, from 1 |
/// | 0 | 8 | 2 | type |
/// | 2 | 10 | 4 | size: bytes that follow the header |
/// | | 14 | 4 | sub_list: offset of a list of sub-messages in the body, 0 for none |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataHeader {
    /// The message's type; common ones are below 100, the channel's own start at 101.
    pub message_type: u16,
    /// Bytes that follow the header.
    pub size: u32,
    /// Serial and sub_list, which only the full header has.
    pub full: Option<(u64, u32)>,
}

impl DataHeader {
    /// Reads a header of the given kind.
    pub fn parse(kind: HeaderKind, input: &[u8]) -> Parsed<Self> {
        let Some(header) = input.get(..kind.byte_len()) else { return Parsed::Need(kind.byte_len()) };
        let (full, rest) = match kind {
            HeaderKind::Mini => (None, header),
            HeaderKind::Full => {
                let (serial, rest) = header.split_at(8);
                let serial = u64::from(bytes::u32_le(serial, 4)) << 32 | u64::from(bytes::u32_le(serial, 0));
                (Some((serial, bytes::u32_le(rest, 6))), rest)
            }
        };
        let message_type = u16::from_le_bytes([rest[0], rest[1]]);
        Parsed::Complete(Self { message_type, size: bytes::u32_le(rest, 2), full }, kind.byte_len())
    }

    /// Writes the header into `out` and returns it cut to its length: 6 bytes without, 18 with `full`.
    pub fn encode<'b>(&self, out: &'b mut [u8; 18]) -> &'b [u8] {
        let kind = match self.full {
            None => HeaderKind::Mini,
            Some((serial, sub_list)) => {
                out[..8].copy_from_slice(&serial.to_le_bytes());
                out[14..].copy_from_slice(&sub_list.to_le_bytes());
                HeaderKind::Full
            }
        };
        let at = if kind == HeaderKind::Full { 8 } else { 0 };
        out[at..at + 2].copy_from_slice(&self.message_type.to_le_bytes());
        out[at + 2..at + 6].copy_from_slice(&self.size.to_le_bytes());
        &out[..kind.byte_len()]
    }
}

/// `SPICE_MSG_MAIN_INIT`: the first message of a fresh session's main channel, and the only place where the server
/// tells the connection id that it drew. Eight u32: session_id, display_channels_hint, supported_mouse_modes,
/// current_mouse_mode, agent_connected, agent_tokens, multi_media_time, ram_hint. Source: spice-common, spice.proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MainInit {
    /// The session's connection id, never 0.
    pub session_id: u32,
}

impl MainInit {
    /// Its message type.
    pub const MESSAGE_TYPE: u16 = 103;
    /// Its size in bytes, header not included.
    pub const SIZE: u32 = 32;

    /// Reads data header and session id off the start of a server's data stream. Done as soon as the id's four bytes
    /// are there; the rest of the message is not waited for.
    pub fn parse(kind: HeaderKind, input: &[u8]) -> Result<Parsed<Self>, Error> {
        let (header, start) = match DataHeader::parse(kind, input) {
            Parsed::Complete(header, start) => (header, start),
            Parsed::Need(n) => return Ok(Parsed::Need(n)),
        };
        if header.message_type != Self::MESSAGE_TYPE || header.size != Self::SIZE {
            return Err(Error::NotMainInit { message_type: header.message_type, size: header.size });
        }
        Ok(match input.get(start..start + 4) {
            Some(id) => Parsed::Complete(Self { session_id: bytes::u32_le(id, 0) }, start + 4),
            None => Parsed::Need(start + 4),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn main_init_is_found_behind_either_header() {
        for full in [None, Some((1, 0))] {
            let kind = if full.is_some() { HeaderKind::Full } else { HeaderKind::Mini };
            let header = DataHeader { message_type: 103, size: 32, full };
            let mut buffer = [0; 18];
            let mut input: Vec<u8> = header.encode(&mut buffer).to_vec();
            assert_eq!(input.len(), kind.byte_len());
            input.extend(0xc769_0001_u32.to_le_bytes());
            for cut in 0..input.len() {
                assert!(matches!(MainInit::parse(kind, &input[..cut]), Ok(Parsed::Need(n)) if n > cut));
            }
            let found = MainInit::parse(kind, &input).unwrap();
            assert_eq!(found, Parsed::Complete(MainInit { session_id: 0xc769_0001 }, input.len()));
        }
    }

    #[test]
    fn another_first_message_is_not_main_init() {
        let mut buffer = [0; 18];
        let ping = DataHeader { message_type: 4, size: 12, full: None };
        let error = MainInit::parse(HeaderKind::Mini, ping.encode(&mut buffer)).unwrap_err();
        assert_eq!(error, Error::NotMainInit { message_type: 4, size: 12 });
    }
}
