//! Capabilities: bit `n` of a set is bit `n % 32` of word `n / 32`; words that are not sent are 0.

use core::fmt;

use crate::{BufferTooSmall, ChannelType};

/// The longest list that spice-server takes, in words of 32 bits (`reds.cpp`, `reds_handle_read_link_done`, since 0.14).
pub const MAX_CAPS_WORDS: u32 = 1024;

/// One capability list as it lies in a message: little-endian words, borrowed from the input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Caps<'a> {
    /// A multiple of four bytes.
    bytes: &'a [u8],
}

impl<'a> Caps<'a> {
    /// No words at all.
    pub const EMPTY: Caps<'static> = Caps { bytes: &[] };

    /// The list in these bytes: little-endian words of four. What is left over at the end is not part of it.
    pub const fn from_le_bytes(bytes: &'a [u8]) -> Self {
        let (whole, _) = bytes.split_at(bytes.len() - bytes.len() % 4);
        Self { bytes: whole }
    }

    /// The words as they lie on the wire.
    pub const fn as_le_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many words were sent.
    pub const fn len(&self) -> usize {
        self.bytes.len() / 4
    }

    /// Whether no word was sent. A list of zero words and a word of zero are different bytes and the same set.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The words, first to last.
    pub fn words(&self) -> impl ExactSizeIterator<Item = u32> + Clone + 'a {
        self.bytes.chunks_exact(4).map(|word| crate::bytes::u32_le(word, 0))
    }

    /// Word `index`, 0 where it was not sent.
    pub fn word(&self, index: usize) -> u32 {
        index.checked_mul(4).map_or(0, |at| crate::bytes::u32_le(self.bytes, at))
    }

    /// Whether capability `bit` is in the set.
    pub fn contains(&self, bit: u32) -> bool {
        self.word((bit / 32) as usize) >> (bit % 32) & 1 == 1
    }

    /// The capabilities in the set, by number, ascending.
    pub fn bits(&self) -> impl Iterator<Item = u32> + 'a {
        (0u32..)
            .zip(self.words())
            .flat_map(|(index, word)| (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 32 + bit))
    }
}

impl fmt::Debug for Caps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caps[")?;
        for (index, word) in self.words().enumerate() {
            write!(f, "{}{word:#x}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

/// A capability list to send, of `WORDS` words.
///
/// ```
/// use spice_link::{CapsBuf, caps::common};
/// let caps = CapsBuf::<1>::new().with(common::AUTH_SELECTION).with(common::MINI_HEADER);
/// assert_eq!(caps.as_caps().word(0), 0x9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapsBuf<const WORDS: usize> {
    words: [[u8; 4]; WORDS],
}

impl<const WORDS: usize> CapsBuf<WORDS> {
    /// `WORDS` words of zero.
    pub const fn new() -> Self {
        Self { words: [[0; 4]; WORDS] }
    }

    /// These words.
    pub fn from_words(words: [u32; WORDS]) -> Self {
        Self { words: words.map(u32::to_le_bytes) }
    }

    /// The set with capability `bit` in it too. A bit past the last word is not there to be set and is left out.
    #[must_use]
    pub fn with(mut self, bit: u32) -> Self {
        if let Some(word) = self.words.get_mut((bit / 32) as usize) {
            *word = (u32::from_le_bytes(*word) | 1 << (bit % 32)).to_le_bytes();
        }
        self
    }

    /// The list, to be put into a message.
    pub const fn as_caps(&self) -> Caps<'_> {
        Caps { bytes: self.words.as_flattened() }
    }
}

impl<const WORDS: usize> Default for CapsBuf<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes both lists one behind the other. The caller has checked that there is room.
pub(crate) fn write_lists(out: &mut [u8], lists: [Caps<'_>; 2]) -> Result<(), BufferTooSmall> {
    let [common, channel] = lists.map(|list| list.bytes);
    let need = common.len() + channel.len();
    let Some((first, rest)) = out.get_mut(..need).map(|out| out.split_at_mut(common.len())) else {
        return Err(BufferTooSmall { need });
    };
    first.copy_from_slice(common);
    rest.copy_from_slice(channel);
    Ok(())
}

/// Constants and names of one channel's capabilities, from spice-protocol's protocol.h.
macro_rules! capabilities {
    ($($(#[$doc:meta])* $module:ident { $($(#[$bit_doc:meta])* $name:ident = $bit:literal;)* })+) => {
        $($(#[$doc])* pub mod $module {
            $($(#[$bit_doc])* pub const $name: u32 = $bit;)*

            /// Number and name of each.
            pub const ALL: &[(u32, &str)] = &[$(($bit, stringify!($name))),*];
        })+
    };
}

capabilities! {
    /// What both ends say of the link itself: the common list.
    common {
        /// The client names its auth mechanism after the reply.
        AUTH_SELECTION = 0;
        /// Tickets.
        AUTH_SPICE = 1;
        /// SASL.
        AUTH_SASL = 2;
        /// Six-byte data headers in place of eighteen.
        MINI_HEADER = 3;
    }
    /// [`ChannelType::MAIN`](crate::ChannelType::MAIN)
    main {
        /// The client can be moved to another host while connected.
        SEMI_SEAMLESS_MIGRATE = 0;
        /// The server sends the VM's name and UUID.
        NAME_AND_UUID = 1;
        /// Agent tokens come with the connected message.
        AGENT_CONNECTED_TOKENS = 2;
        /// Migration that carries the channels' state.
        SEAMLESS_MIGRATE = 3;
    }
    /// [`ChannelType::DISPLAY`](crate::ChannelType::DISPLAY)
    display {
        /// Streams whose frames differ in size.
        SIZED_STREAM = 0;
        /// Several monitors on one surface.
        MONITORS_CONFIG = 1;
        /// Composite drawing.
        COMPOSITE = 2;
        /// Surfaces of eight bits of alpha.
        A8_SURFACE = 3;
        /// The client reports on streams.
        STREAM_REPORT = 4;
        /// LZ4 images.
        LZ4_COMPRESSION = 5;
        /// The client names the compression that it wants.
        PREF_COMPRESSION = 6;
        /// Scanouts by a file descriptor.
        GL_SCANOUT = 7;
        /// More codecs than MJPEG.
        MULTI_CODEC = 8;
        /// MJPEG.
        CODEC_MJPEG = 9;
        /// VP8.
        CODEC_VP8 = 10;
        /// H.264.
        CODEC_H264 = 11;
        /// The client names the codecs that it wants.
        PREF_VIDEO_CODEC_TYPE = 12;
        /// VP9.
        CODEC_VP9 = 13;
        /// H.265.
        CODEC_H265 = 14;
    }
    /// [`ChannelType::INPUTS`](crate::ChannelType::INPUTS)
    inputs {
        /// Raw scan codes.
        KEY_SCANCODE = 0;
    }
    /// [`ChannelType::PLAYBACK`](crate::ChannelType::PLAYBACK)
    playback {
        /// CELT 0.5.1.
        CELT_0_5_1 = 0;
        /// Volume messages.
        VOLUME = 1;
        /// Latency messages.
        LATENCY = 2;
        /// Opus.
        OPUS = 3;
    }
    /// [`ChannelType::RECORD`](crate::ChannelType::RECORD)
    record {
        /// CELT 0.5.1.
        CELT_0_5_1 = 0;
        /// Volume messages.
        VOLUME = 1;
        /// Opus.
        OPUS = 2;
    }
    /// [`ChannelType::USBREDIR`](crate::ChannelType::USBREDIR), [`PORT`](crate::ChannelType::PORT) and
    /// [`WEBDAV`](crate::ChannelType::WEBDAV), which are one kind of channel inside
    spicevmc {
        /// LZ4 of the data.
        DATA_COMPRESS_LZ4 = 0;
    }
}

impl ChannelType {
    /// Number and name of every capability that this channel's own list can have; empty for channels without any.
    pub const fn capabilities(self) -> &'static [(u32, &'static str)] {
        match self {
            Self::MAIN => main::ALL,
            Self::DISPLAY => display::ALL,
            Self::INPUTS => inputs::ALL,
            Self::PLAYBACK => playback::ALL,
            Self::RECORD => record::ALL,
            Self::USBREDIR | Self::PORT | Self::WEBDAV => spicevmc::ALL,
            _ => &[],
        }
    }

    /// The name of capability `bit` of this channel's own list.
    pub fn capability_name(self, bit: u32) -> Option<&'static str> {
        name_in(self.capabilities(), bit)
    }
}

/// The name of capability `bit` of the common list.
pub fn common_name(bit: u32) -> Option<&'static str> {
    name_in(common::ALL, bit)
}

fn name_in(list: &[(u32, &'static str)], bit: u32) -> Option<&'static str> {
    list.iter().find(|(number, _)| *number == bit).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, vec::Vec};

    #[test]
    fn missing_words_are_zero() {
        let caps = Caps::from_le_bytes(&[0x0b, 0, 0, 0, 1, 0, 0, 0x80, 7]);
        assert_eq!(caps.len(), 2);
        assert_eq!(caps.bits().collect::<Vec<_>>(), [0, 1, 3, 32, 63]);
        assert!(caps.contains(63) && !caps.contains(64) && !caps.contains(u32::MAX));
        assert_eq!(format!("{caps:?}"), "Caps[0xb, 0x80000001]");
        assert_eq!((caps.word(2), caps.word(usize::MAX)), (0, 0));
    }

    #[test]
    fn names_are_per_channel() {
        assert_eq!(common_name(3), Some("MINI_HEADER"));
        assert_eq!(ChannelType::PLAYBACK.capability_name(2), Some("LATENCY"));
        assert_eq!(ChannelType::RECORD.capability_name(2), Some("OPUS"));
        assert_eq!(ChannelType::CURSOR.capability_name(0), None);
        assert_eq!(ChannelType::DISPLAY.capability_name(12), Some("PREF_VIDEO_CODEC_TYPE"));
    }
}
