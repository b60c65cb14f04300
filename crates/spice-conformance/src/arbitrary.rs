//! Messages and replies from choices: see [`choices`](crate::choices).

use arbitrary::{Arbitrary, Result, Unstructured};
use spice_link::ChannelType;

use crate::{
    Mess, Reply,
    choices::{few_bytes, near, rarely},
    message::word,
};

impl Mess {
    /// A sound message: any channel, any capabilities, sometimes a layout that is unusual but valid.
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
            // The most words that a message can hold, split anywhere.
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

    /// Moves one field to the other side of a bound, or to any other value.
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
                // 2³⁰ words are 2³² bytes: a sum in 32 bits wraps to 0.
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

impl<'a> Arbitrary<'a> for Reply {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut reply = Self::default();
        if rarely(u, 4)? {
            reply = Self::refusal(u.int_in_range(0..=10)?);
        } else if rarely(u, 2)? {
            reply.common = words(u, 3)?;
            reply.channel = words(u, 3)?;
            reply.gap = few_bytes(u, 7)?;
            reply.tail = few_bytes(u, 7)?;
        }
        if rarely(u, 3)? {
            let truth = 178 + word(reply.gap.len());
            let counts = [word(reply.common.len()), word(reply.channel.len())];
            match u.int_in_range(0..=7)? {
                0 => reply.size = Some(near(u, truth, &[0, 178, 8370, u32::MAX])?),
                n @ 1..=2 => {
                    let mut counts = counts;
                    let count = &mut counts[n - 1];
                    *count = near(u, *count, &[0, 1024, 1 << 30, u32::MAX])?;
                    reply.counts = Some(counts);
                }
                3 => reply.caps_offset = Some(near(u, truth, &[0, 178, 182, 186, u32::MAX - 3])?),
                4 => reply.major = near(u, 2, &[0])?,
                5 => reply.minor = u.arbitrary()?,
                6 => reply.error = u.arbitrary()?,
                _ => {
                    let at = u.int_in_range(0..=3)?;
                    reply.magic[at] = u.arbitrary()?;
                }
            }
        }
        Ok(reply)
    }
}

/// A capability list of up to `most` words: one that peers send, a single bit, or any number.
fn words(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u32>> {
    let len = u.int_in_range(0..=most)?;
    (0..len)
        .map(|_| match u.int_in_range(0..=2)? {
            0 => Ok(*u.choose(&[0x9, 0xd, 0xf, 0x1, 0x8, 0x5, 0x0, 0xb])?),
            1 => Ok(1 << u.int_in_range(0..=31)?),
            _ => u.arbitrary(),
        })
        .collect()
}
