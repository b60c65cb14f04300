use arbitrary::{Arbitrary, Result, Unstructured};

use super::{Framed, few_bytes, mess::words, near, rarely, word};

/// `SpiceLinkReply` behind its header, every field free to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `REDQ`
    pub magic: [u8; 4],
    /// 2
    pub major: u32,
    /// 2
    pub minor: u32,
    /// What the header says; `None`: the truth.
    pub size: Option<u32>,
    /// 0, or why the link is refused.
    pub error: u32,
    /// Each of the key's 162 bytes.
    pub key: u8,
    /// How many words the reply says there are; `None`: the truth.
    pub counts: Option<[u32; 2]>,
    /// Where it says that they start; `None`: the truth.
    pub caps_offset: Option<u32>,
    /// Bytes between the fixed part and the words.
    pub gap: Vec<u8>,
    /// The common words.
    pub common: Vec<u32>,
    /// The channel's words.
    pub channel: Vec<u32>,
    /// Bytes behind the words.
    pub tail: Vec<u8>,
}

impl Default for Reply {
    /// What spice-server 0.15 sends for a main channel where tickets are on.
    fn default() -> Self {
        Self {
            magic: *b"REDQ",
            major: 2,
            minor: 2,
            size: None,
            error: 0,
            key: 0x30,
            counts: None,
            caps_offset: None,
            gap: Vec::new(),
            common: vec![0xb],
            channel: vec![0xf],
            tail: Vec::new(),
        }
    }
}

impl Reply {
    /// The refusal that spice-server sends: all zeros but for the code.
    pub fn refusal(error: u32) -> Self {
        Self { error, key: 0, caps_offset: Some(0), common: Vec::new(), channel: Vec::new(), ..Self::default() }
    }

    /// The bytes as they go on the wire, header first.
    pub fn bytes(&self) -> Vec<u8> {
        let mut fixed = self.error.to_le_bytes().to_vec();
        fixed.extend([self.key; 162]);
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
