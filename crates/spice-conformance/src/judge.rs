//! A second reading of spice-server's checks on a link message. It shares no code with spice-link's parser, which is tested by it.

use spice_link::{Answer, Error, LinkErrorCode};

/// What spice-server does with a client's first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields have the names of the message's")]
pub enum Judgement {
    /// It waits for more bytes.
    Need,
    /// It refuses them for this error, and answers in this way.
    Refused { error: Error, answer: Option<Answer> },
    /// It accepts this message, which is `len` bytes long.
    Accepted { common: Vec<u32>, channel: Vec<u32>, len: usize },
}

/// Reads a client's first bytes with spice-server's checks in spice-server's order: the magic when four bytes are there, version
/// and size when sixteen are, counts and range of the capability lists when all of the message is. All sums have 64 bits.
///
/// ```
/// use spice_conformance::{Judgement, Mess, judge};
/// use spice_link::{Answer, Error, LinkErrorCode};
///
/// let bytes = Mess { size: Some(17), ..Mess::default() }.bytes();
/// let error = Error::Size { seen: 17, min: 18, max: 4096 };
/// assert_eq!(judge(&bytes), Judgement::Refused { error, answer: Some(Answer::Frame(LinkErrorCode::INVALID_DATA)) });
/// ```
pub fn judge(input: &[u8]) -> Judgement {
    match read_lists(input, 18, 4096) {
        None => Judgement::Need,
        Some(Ok(Lists { common, channel, len })) => Judgement::Accepted { common, channel, len },
        Some(Err(error)) => {
            let answer = match error {
                Error::Magic { .. } => Answer::Frame(LinkErrorCode(2)),
                Error::Version { major: 0 } => Answer::SilentClose,
                Error::Version { .. } => Answer::Frame(LinkErrorCode(4)),
                _ => Answer::Frame(LinkErrorCode(3)),
            };
            Judgement::Refused { error, answer: Some(answer) }
        }
    }
}

/// Both capability lists of a message or a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lists {
    /// The common list, in words.
    pub common: Vec<u32>,
    /// The channel's list, in words.
    pub channel: Vec<u32>,
    /// The length of the whole message, header included, in bytes.
    pub len: usize,
}

/// Reads what a message and a reply have in common: a header, a fixed part of `fixed` bytes that ends in two counts and an
/// offset, and the lists. `max` is the largest size, in bytes. `None`: more bytes are needed.
pub fn read_lists(input: &[u8], fixed: u32, max: u32) -> Option<Result<Lists, Error>> {
    let [m0, m1, m2, m3, ..] = *input else { return None };
    if [m0, m1, m2, m3] != *b"REDQ" {
        return Some(Err(Error::Magic { seen: [m0, m1, m2, m3] }));
    }
    if input.len() < 16 {
        return None;
    }
    let (major, size) = (word(input, 4), word(input, 12));
    if major != 2 {
        return Some(Err(Error::Version { major }));
    }
    if !(fixed..=max).contains(&size) {
        return Some(Err(Error::Size { seen: size, min: fixed, max }));
    }
    let len = 16 + size as usize;
    if input.len() < len {
        return None;
    }
    let counts = 16 + fixed as usize - 12;
    let (common, channel, offset) = (word(input, counts), word(input, counts + 4), word(input, counts + 8));
    if common > 1024 || channel > 1024 {
        return Some(Err(Error::CapsCount { common, channel }));
    }
    let words = common + channel;
    if words > 0 && (offset < fixed || u64::from(offset) + 4 * u64::from(words) > u64::from(size)) {
        return Some(Err(Error::CapsRange { offset, words, size }));
    }
    let list = |first: u32, count: u32| {
        (first..first + count).map(|index| word(input, 16 + (offset as usize) + 4 * (index as usize))).collect()
    };
    Some(Ok(Lists { common: list(0, common), channel: list(common, channel), len }))
}

fn word(input: &[u8], at: usize) -> u32 {
    input.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}
