//! Capability lists: bit `n` of a set is bit `n % 32` of word `n / 32`; words that are not sent are 0.
//!
//! A message has two lists, and each has a type of its own, so that a capability of one can't be put into the other:
//!
//! ```compile_fail,E0271
//! use spice_link::{MainCap, caps::{CapsBuf, CommonList}};
//! let common = CapsBuf::<CommonList, 1>::new().with(MainCap::NAME_AND_UUID);
//! ```

use core::{fmt, hash::Hash, marker::PhantomData};

use crate::{BufferTooSmall, ChannelCap, ChannelType, CommonCap};

/// The longest list that spice-server accepts, in words of 32 bits (`reds.cpp`, `reds_handle_read_link_done`, since 0.14).
pub const MAX_CAPS_WORDS: u32 = 1024;

pub(crate) mod sealed {
    /// Keeps other crates from implementing a trait of this one.
    pub trait Sealed {}
}

/// One of the two lists of a message. Sealed: a message has no other.
pub trait List: sealed::Sealed + Copy + Eq + Hash + fmt::Debug {}

/// The common list: what an end supports in the link stage itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommonList {}

/// The channel's own list: what an end supports on this channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelList {}

impl sealed::Sealed for CommonList {}
impl sealed::Sealed for ChannelList {}
impl List for CommonList {}
impl List for ChannelList {}

/// A capability that belongs to one of the two lists: [`CommonCap`] to the common one, [`MainCap`](crate::MainCap),
/// [`DisplayCap`](crate::DisplayCap) and so on to the channel's. Sealed: the protocol defines them.
pub trait Capability: sealed::Sealed + Copy {
    /// The list that it belongs to.
    type List: List;

    /// Its number.
    fn bit(self) -> u32;
}

/// The common list of a message, borrowed from the input.
pub type CommonCaps<'a> = Caps<'a, CommonList>;

/// The channel's own list of a message, borrowed from the input.
pub type ChannelCaps<'a> = Caps<'a, ChannelList>;

/// One capability list as it is in a message: little-endian words, borrowed from the input.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caps<'a, L: List> {
    /// A multiple of four bytes.
    bytes: &'a [u8],
    list: PhantomData<L>,
}

impl<'a, L: List> Caps<'a, L> {
    /// A list without words.
    pub const EMPTY: Self = Self { bytes: &[], list: PhantomData };

    /// The list in these bytes: little-endian words of four bytes. One to three bytes left over at the end are not part of it.
    pub const fn from_le_bytes(bytes: &'a [u8]) -> Self {
        let (whole, _) = bytes.split_at(bytes.len() - bytes.len() % 4);
        Self { bytes: whole, list: PhantomData }
    }

    /// The words as they are on the wire.
    pub const fn as_le_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number of words.
    pub const fn len(&self) -> usize {
        self.bytes.len() / 4
    }

    /// Whether the list has no words. A list of zero words and a word of zero are different bytes and the same set.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The words, first to last.
    pub fn words(&self) -> impl ExactSizeIterator<Item = u32> + Clone + use<'a, L> {
        self.bytes.chunks_exact(4).map(|word| crate::bytes::u32_le(word, 0))
    }

    /// Word `index`, 0 if the list is shorter.
    pub fn word(&self, index: usize) -> u32 {
        index.checked_mul(4).map_or(0, |at| crate::bytes::u32_le(self.bytes, at))
    }

    /// Whether the capability is in the set.
    pub fn contains(&self, capability: impl Capability<List = L>) -> bool {
        let bit = capability.bit();
        self.word((bit / 32) as usize) >> (bit % 32) & 1 == 1
    }

    /// The numbers of the capabilities in the set, ascending.
    pub fn bits(&self) -> impl Iterator<Item = u32> + use<'a, L> {
        (0u32..)
            .zip(self.words())
            .flat_map(|(index, word)| (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 32 + bit))
    }
}

impl<'a> Caps<'a, CommonList> {
    /// The capabilities in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = CommonCap> + use<'a> {
        self.bits().map(CommonCap)
    }
}

impl<'a> Caps<'a, ChannelList> {
    /// The capabilities in the set, ascending, with the names that they have on a channel of this type.
    pub fn named(&self, channel_type: ChannelType) -> impl Iterator<Item = ChannelCap> + use<'a> {
        self.bits().map(move |bit| ChannelCap { channel_type, bit })
    }
}

impl<L: List> Default for Caps<'_, L> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<L: List> fmt::Debug for Caps<'_, L> {
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
/// use spice_link::{CommonCap, caps::CapsBuf};
/// let caps = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER);
/// assert_eq!(caps.as_caps().word(0), 0x9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CapsBuf<L: List, const WORDS: usize> {
    words: [[u8; 4]; WORDS],
    list: PhantomData<L>,
}

impl<L: List, const WORDS: usize> CapsBuf<L, WORDS> {
    /// `WORDS` words of zero.
    pub const fn new() -> Self {
        Self { words: [[0; 4]; WORDS], list: PhantomData }
    }

    /// These words.
    pub fn from_words(words: [u32; WORDS]) -> Self {
        Self { words: words.map(u32::to_le_bytes), list: PhantomData }
    }

    /// Adds a capability to the set. A capability beyond the last word is left out.
    #[must_use]
    pub fn with(mut self, capability: impl Capability<List = L>) -> Self {
        let bit = capability.bit();
        if let Some(word) = self.words.get_mut((bit / 32) as usize) {
            *word = (u32::from_le_bytes(*word) | 1 << (bit % 32)).to_le_bytes();
        }
        self
    }

    /// The list, to be put into a message.
    pub const fn as_caps(&self) -> Caps<'_, L> {
        Caps { bytes: self.words.as_flattened(), list: PhantomData }
    }
}

impl<L: List, const WORDS: usize> Default for CapsBuf<L, WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes both lists, the common one first. The caller has checked that there is room.
pub(crate) fn write_lists(
    out: &mut [u8],
    common: CommonCaps<'_>,
    channel: ChannelCaps<'_>,
) -> Result<(), BufferTooSmall> {
    let need = common.bytes.len() + channel.bytes.len();
    let Some((first, rest)) = out.get_mut(..need).map(|out| out.split_at_mut(common.bytes.len())) else {
        return Err(BufferTooSmall { need });
    };
    first.copy_from_slice(common.bytes);
    rest.copy_from_slice(channel.bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::MainCap;
    use std::{format, vec::Vec};

    #[test]
    fn missing_words_are_zero() {
        let caps = ChannelCaps::from_le_bytes(&[0x0b, 0, 0, 0, 1, 0, 0, 0x80, 7]);
        assert_eq!(caps.len(), 2);
        assert_eq!(caps.bits().collect::<Vec<_>>(), [0, 1, 3, 32, 63]);
        assert!(caps.contains(MainCap(63)) && !caps.contains(MainCap(64)) && !caps.contains(MainCap(u32::MAX)));
        assert_eq!(format!("{caps:?}"), "Caps[0xb, 0x80000001]");
        assert_eq!((caps.word(2), caps.word(usize::MAX)), (0, 0));
    }

    #[test]
    fn common_capabilities_print_their_names() {
        let caps = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SASL).with(CommonCap(30));
        let names: Vec<_> = caps.as_caps().iter().map(|cap| format!("{cap}")).collect();
        assert_eq!(names, ["AUTH_SASL", "30"]);
    }
}
