use std::{fmt, fmt::Write, io};

use super::{answer::ServerUnderTest, compare::difference};
use crate::{Mess, hunt::Difference};

/// What a server did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// It answers differently from spice-server.
    Differs,
    /// It accepts no connection after the message.
    Gone,
    /// It answers neither the message nor a plain one after it.
    Hung,
    /// It panics. Only a server that is a function can be seen to.
    Panicked,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Differs => "differs",
            Self::Gone => "gone",
            Self::Hung => "hung",
            Self::Panicked => "panicked",
        })
    }
}

/// A message at which a server does something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it did wrong.
    pub kind: FindingKind,
    /// The check of spice-server that the message is about: see [`Difference::check`].
    pub check: &'static str,
    /// The check's section in docs/PROTOCOL.md.
    pub section: u8,
    /// The plainest such message that was found.
    pub mess: Mess,
    /// What was expected, in words.
    pub expected: String,
    /// What was seen, in words.
    pub seen: String,
    /// The choices that make the message: a seed for a fuzzer.
    pub choices: Vec<u8>,
    /// How many messages of this kind were found.
    pub count: u64,
    pub(super) outline: String,
}

impl Finding {
    /// A name for the finding's kind, check and answer, for example `differs/version/refusal-4`. Findings of one hunt differ in it, and
    /// [`Hunt::allow`](super::Hunt::allow) takes it.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.check, self.outline)
    }

    /// The names of the message's fields that are not those of a plain main channel's message.
    pub fn fields(&self) -> Vec<&'static str> {
        let (mess, plain) = (&self.mess, Mess::default());
        let changed = [
            ("magic", mess.magic != plain.magic),
            ("major_version", mess.major != plain.major),
            ("minor_version", mess.minor != plain.minor),
            ("size", mess.size != plain.size),
            ("connection_id", mess.connection_id != plain.connection_id),
            ("channel_type", mess.channel_type != plain.channel_type),
            ("channel_id", mess.channel_id != plain.channel_id),
            ("num_common_caps", mess.counts.is_some_and(|counts| counts[0] as usize != mess.common.len())),
            ("num_channel_caps", mess.counts.is_some_and(|counts| counts[1] as usize != mess.channel.len())),
            ("caps_offset", mess.caps_offset != plain.caps_offset),
            ("common_caps", mess.common != plain.common),
            ("channel_caps", mess.channel != plain.channel),
            ("gap", mess.gap != plain.gap),
            ("tail", mess.tail != plain.tail),
        ];
        changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect()
    }

    /// A regression file: the message's bytes, which [`replay`] sends again without a generator.
    pub fn to_regression(&self) -> String {
        let mut text = format!("# {}: expected {}, saw {}\nsend ", self.key(), self.expected, self.seen);
        for byte in self.mess.bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} times): expected {}, saw {}", self.key(), self.count, self.expected, self.seen)?;
        writeln!(f, "  docs/PROTOCOL.md, section {}; fields: {}", self.section, self.fields().join(", "))?;
        writeln!(f, "  {:?}", self.mess)?;
        write!(f, "  on the wire:")?;
        let bytes = self.mess.bytes();
        for byte in bytes.iter().take(64) {
            write!(f, " {byte:02x}")?;
        }
        if let more @ 1.. = bytes.len().saturating_sub(64) {
            write!(f, " and {more} more")?;
        }
        write!(f, "\n  choices {:?}", self.choices)
    }
}

/// Sends the messages of a regression file again. Returns the first difference.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a line that is neither empty, nor a comment, nor `send` and an even number of hexadecimal digits; and what the
/// server fails with.
pub fn replay(text: &str, server: &mut impl ServerUnderTest) -> io::Result<Option<Difference>> {
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bytes = line.strip_prefix("send ").and_then(from_hex).ok_or_else(|| {
            let what = format!("expected `send` and hexadecimal digits, found {line:?}");
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        let found = difference(&bytes, &server.ask(&bytes)?, None);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
