//! The start of what follows the link stage: the data headers, and the first message of a new session's main channel.

use crate::{Error, Parsed, bytes};

/// The kind of data header that a connection uses, in both directions: the short one if client and server both have the
/// capability [`MINI_HEADER`](crate::CommonCap::MINI_HEADER).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

impl core::fmt::Display for HeaderKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Mini => "mini",
            Self::Full => "full",
        })
    }
}

/// A data header of either kind.
///
/// | mini | full | bytes | field |
/// | ---: | ---: | ---: | --- |
/// | | 0 | 8 | serial, from 1 |
/// | 0 | 8 | 2 | type |
/// | 2 | 10 | 4 | size: the number of bytes that follow the header |
/// | | 14 | 4 | sub_list: offset of a list of sub-messages in the body, 0 if there is none |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataHeader {
    /// The message's type. Types that all channels share are below 100; a channel's own types start at 101.
    pub message_type: u16,
    /// The number of bytes that follow the header.
    pub size: u32,
    /// Serial and sub_list, which only the full header has.
    pub full: Option<(u64, u32)>,
}

impl DataHeader {
    /// Reads a header of the given kind from the start of `input`.
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

    /// Writes the header into `out` and returns the bytes that it takes: 6 without `full`, 18 with it.
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

/// `SPICE_MSG_MAIN_INIT`: the first message of a new session's main channel, and the only one that tells the connection id
/// which the server made for the session. Eight little-endian u32 in the order of the fields. Source: spice-common, spice.proto.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MainInit {
    /// The session's connection id, never 0 from spice-server.
    pub session_id: u32,
    /// The number of display channels that the client should expect.
    pub display_channels_hint: u32,
    /// `SPICE_MOUSE_MODE_*`, as bits: 1 server, 2 client.
    pub supported_mouse_modes: u32,
    /// The one of [`supported_mouse_modes`](Self::supported_mouse_modes) that is active.
    pub current_mouse_mode: u32,
    /// 1 if the guest's agent is connected, else 0.
    pub agent_connected: u32,
    /// How many messages the client may send to the agent before it must wait for tokens.
    pub agent_tokens: u32,
    /// The server's multimedia clock, in milliseconds.
    pub multi_media_time: u32,
    /// The size of the guest's video memory in bytes.
    pub ram_hint: u32,
}

impl MainInit {
    /// Its message type.
    pub const MESSAGE_TYPE: u16 = 103;
    /// Its size in bytes, header not included.
    pub const SIZE: u32 = 8 * 4;

    /// Reads data header and message from the start of a server's data stream.
    pub fn parse(kind: HeaderKind, input: &[u8]) -> Result<Parsed<Self>, Error> {
        let start = match Self::start(kind, input)? {
            Parsed::Complete((), start) => start,
            Parsed::Need(n) => return Ok(Parsed::Need(n)),
        };
        let body = input.get(start..).unwrap_or_default();
        Ok(match body.get(4..).and_then(|rest| rest.first_chunk()) {
            Some(rest) => Parsed::Complete(Self::from_parts(bytes::u32_le(body, 0), rest), start + Self::SIZE as usize),
            None => Parsed::Need(start + Self::SIZE as usize),
        })
    }

    /// Reads data header and session id only. It completes when the four bytes of the id have come, and consumes no more than them.
    pub fn parse_session_id(kind: HeaderKind, input: &[u8]) -> Result<Parsed<u32>, Error> {
        let start = match Self::start(kind, input)? {
            Parsed::Complete((), start) => start,
            Parsed::Need(n) => return Ok(Parsed::Need(n)),
        };
        Ok(match input.get(start..start + 4) {
            Some(id) => Parsed::Complete(bytes::u32_le(id, 0), start + 4),
            None => Parsed::Need(start + 4),
        })
    }

    /// The message without its header.
    pub fn to_body(&self) -> [u8; Self::SIZE as usize] {
        let mut out = [0; Self::SIZE as usize];
        let fields = [
            self.session_id,
            self.display_channels_hint,
            self.supported_mouse_modes,
            self.current_mouse_mode,
            self.agent_connected,
            self.agent_tokens,
            self.multi_media_time,
            self.ram_hint,
        ];
        for (slot, field) in out.chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    /// The message from its session id and the bytes after it.
    pub(crate) fn from_parts(session_id: u32, rest: &[u8; Self::SIZE as usize - 4]) -> Self {
        let field = |index: usize| bytes::u32_le(rest, 4 * index);
        Self {
            session_id,
            display_channels_hint: field(0),
            supported_mouse_modes: field(1),
            current_mouse_mode: field(2),
            agent_connected: field(3),
            agent_tokens: field(4),
            multi_media_time: field(5),
            ram_hint: field(6),
        }
    }

    /// Reads the data header and checks that this message follows it. Returns where the message starts.
    fn start(kind: HeaderKind, input: &[u8]) -> Result<Parsed<()>, Error> {
        match DataHeader::parse(kind, input) {
            Parsed::Complete(DataHeader { message_type: Self::MESSAGE_TYPE, size: Self::SIZE, .. }, start) => {
                Ok(Parsed::Complete((), start))
            }
            Parsed::Complete(DataHeader { message_type, size, .. }, _) => {
                Err(Error::NotMainInit { message_type, size })
            }
            Parsed::Need(n) => Ok(Parsed::Need(n)),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const INIT: MainInit = MainInit {
        session_id: 0xc769_0001,
        display_channels_hint: 1,
        supported_mouse_modes: 3,
        current_mouse_mode: 2,
        agent_connected: 1,
        agent_tokens: 10,
        multi_media_time: 0x0102_0304,
        ram_hint: 64 << 20,
    };

    #[test]
    fn main_init_is_found_after_either_header() {
        for full in [None, Some((1, 0))] {
            let kind = if full.is_some() { HeaderKind::Full } else { HeaderKind::Mini };
            let header = DataHeader { message_type: 103, size: 32, full };
            let mut buffer = [0; 18];
            let mut input: Vec<u8> = header.encode(&mut buffer).to_vec();
            assert_eq!(input.len(), kind.byte_len());
            input.extend(INIT.to_body());
            for cut in 0..input.len() {
                assert!(matches!(MainInit::parse(kind, &input[..cut]), Ok(Parsed::Need(n)) if n > cut));
                let id = MainInit::parse_session_id(kind, &input[..cut]).unwrap();
                let end = kind.byte_len() + 4;
                if cut < end {
                    assert!(matches!(id, Parsed::Need(n) if n > cut));
                } else {
                    assert_eq!(id, Parsed::Complete(INIT.session_id, end));
                }
            }
            assert_eq!(MainInit::parse(kind, &input), Ok(Parsed::Complete(INIT, input.len())));
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
