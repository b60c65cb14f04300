use arbitrary::{Arbitrary, Result, Unstructured};
use spice_link::ChannelType;

use super::{Framed, few_bytes, near, rarely, word};

/// `SpiceLinkMess` behind its header, every field free to be wrong. Laid out here by hand, so that it checks the encoder and
/// the parser of spice-link instead of repeating them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mess {
    /// `REDQ`
    pub magic: [u8; 4],
    /// 2
    pub major: u32,
    /// 2
    pub minor: u32,
    /// What the header says; `None`: the truth.
    pub size: Option<u32>,
    /// 0 for a new session.
    pub connection_id: u32,
    /// What kind of channel.
    pub channel_type: u8,
    /// Which one of its kind.
    pub channel_id: u8,
    /// How many words the message says there are; `None`: the truth.
    pub counts: Option<[u32; 2]>,
    /// Where it says that they start; `None`: the truth.
    pub caps_offset: Option<u32>,
    /// Bytes between the fixed part and the words.
    pub gap: Vec<u8>,
    /// The common words.
    pub common: Vec<u32>,
    /// The channel's words.
    pub channel: Vec<u32>,
    /// Bytes behind the words, inside the message.
    pub tail: Vec<u8>,
}

impl Default for Mess {
    /// What spice-gtk sends for a new session's main channel, less its channel capabilities.
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
    /// A message for another channel.
    pub fn channel(connection_id: u32, channel_type: ChannelType, channel_id: u8) -> Self {
        Self { connection_id, channel_type: channel_type.0, channel_id, ..Self::default() }
    }

    /// The bytes as they go on the wire, header first.
    pub fn bytes(&self) -> Vec<u8> {
        let mut fixed = self.connection_id.to_le_bytes().to_vec();
        fixed.extend([self.channel_type, self.channel_id]);
        let framed = Framed {
            magic: self.magic,
            versions: [self.major, self.minor],
            size: self.size,
            fixed: &fixed,
            counts: self.counts,
            caps_offset: self.caps_offset,
            around: [&self.gap, &self.tail],
            words: [&self.common, &self.channel],
        };
        framed.bytes()
    }

    /// In good order: any channel, any capabilities, an unusual but legal layout now and then.
    pub fn valid(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut mess = Self::default();
        if rarely(u, 2)? {
            let known = u.choose(ChannelType::ALL)?;
            mess.channel_type = if rarely(u, 8)? { u.arbitrary()? } else { known.0 };
            mess.channel_id = if rarely(u, 4)? { u.arbitrary()? } else { 0 };
        }
        if rarely(u, 2)? {
            mess.connection_id = *u.choose(&[1, 0x8000_0000, u32::MAX, 0x7fff_ffff])?;
        } else if rarely(u, 4)? {
            mess.connection_id = u.arbitrary()?;
        }
        if rarely(u, 2)? {
            mess.common = words(u, 3)?;
            mess.channel = words(u, 3)?;
        }
        if rarely(u, 16)? {
            // As many as a message can hold, cut in two anywhere.
            let all = 1019;
            let common = u.int_in_range(0..=all)?;
            mess.common = vec![0x9; common];
            mess.channel = vec![u32::MAX; all - common];
        }
        let room = 4078 - 4 * (mess.common.len() + mess.channel.len());
        mess.gap = few_bytes(u, room.min(7))?;
        mess.tail = few_bytes(u, (room - mess.gap.len()).min(7))?;
        if mess.common.is_empty() && mess.channel.is_empty() && rarely(u, 2)? {
            mess.caps_offset = Some(near(u, 0, &[18, 4096, u32::MAX])?);
        }
        if rarely(u, 8)? {
            mess.minor = u.arbitrary()?;
        }
        if rarely(u, 32)? {
            mess.tail.resize(room - mess.gap.len(), 0xee);
        }
        Ok(mess)
    }

    /// Moves one field over a bound.
    pub fn bend(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let body = 18 + self.gap.len() + 4 * (self.common.len() + self.channel.len()) + self.tail.len();
        match u.int_in_range(0..=7)? {
            0 => {
                let at = u.int_in_range(0..=3)?;
                self.magic[at] = self.magic[at].wrapping_add(u.arbitrary()?);
            }
            1 => self.major = near(u, 2, &[0, 1])?,
            2 => self.size = Some(near(u, word(body), &[0, 18, 4096, u32::MAX])?),
            3 => {
                let mut counts = [word(self.common.len()), word(self.channel.len())];
                let which = u.int_in_range(0..=1)?;
                // 2³⁰ words are 2³² bytes: a sum in 32 bits wraps to nothing.
                counts[which] = near(u, counts[which], &[0, 1024, 1 << 30, 1 << 31, u32::MAX])?;
                self.counts = Some(counts);
            }
            4 => {
                let truth = 18 + word(self.gap.len());
                let words = word(self.common.len() + self.channel.len());
                let last = word(body).wrapping_sub(4 * words);
                let wraps = 0u32.wrapping_sub(4 * words);
                self.caps_offset = Some(near(u, truth, &[0, 18, last, word(body), wraps, u32::MAX])?);
            }
            5 => self.channel_type = u.arbitrary()?,
            6 => self.channel_id = u.arbitrary()?,
            _ => self.connection_id = near(u, self.connection_id, &[0, 1 << 31])?,
        }
        Ok(())
    }
}

impl<'a> Arbitrary<'a> for Mess {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut mess = Self::valid(u)?;
        for _ in 0..*u.choose(&[0, 0, 1, 1, 1, 2])? {
            mess.bend(u)?;
        }
        Ok(mess)
    }
}

/// A capability list of up to `most` words: what peers send, single bits, anything.
pub(super) fn words(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u32>> {
    let len = u.int_in_range(0..=most)?;
    (0..len)
        .map(|_| match u.int_in_range(0..=2)? {
            0 => Ok(*u.choose(&[0x9, 0xd, 0xf, 0x1, 0x8, 0x5, 0x0, 0xb])?),
            1 => Ok(1 << u.int_in_range(0..=31)?),
            _ => u.arbitrary(),
        })
        .collect()
}
