//! What a hostile server sends to one client.

use std::{fmt, str::FromStr};

use arbitrary::{Arbitrary, Result, Unstructured};

use super::hex::from_hex;
use crate::{
    Reply,
    choices::{near, rarely},
};

/// What a hostile server sends to one client: a link reply, a list of SASL mechanisms if the client wants one, a link result, and
/// `MAIN_INIT`. The default is sound.
///
/// Its text is `server` and what is not plain in it, for example `server result=7 byte-by-byte`; a reply is in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Script {
    /// The reply. Its key is replaced by a real one if it is the default's.
    pub reply: Reply,
    /// The reply ends after this many bytes, and the connection with it.
    pub cut: Option<u16>,
    /// The names of SASL mechanisms, if the reply offers SASL.
    pub mechanisms: Vec<u8>,
    /// The length before them. `None`: the true one.
    pub mechanisms_len: Option<u32>,
    /// The link result.
    pub result: u32,
    /// The type of the message in the place of `MAIN_INIT`.
    pub message_type: u16,
    /// The size in its header, in bytes.
    pub message_size: u32,
    /// Every byte is sent by itself.
    pub byte_by_byte: bool,
    /// The bytes of the reply, in place of `reply`: from the text of a script.
    written: Option<Vec<u8>>,
}

/// `SPICE_MSG_MAIN_INIT` and its size.
const MAIN_INIT: (u16, u32) = (103, 32);

impl Default for Script {
    fn default() -> Self {
        Self {
            reply: Reply::default(),
            cut: None,
            mechanisms: b",PLAIN,".to_vec(),
            mechanisms_len: None,
            result: 0,
            message_type: MAIN_INIT.0,
            message_size: MAIN_INIT.1,
            byte_by_byte: false,
            written: None,
        }
    }
}

impl Script {
    /// The bytes of the reply with this key, cut where the script cuts it.
    pub(super) fn reply_bytes(&self, key: &[u8; 162]) -> Vec<u8> {
        let mut bytes = self.written.clone().unwrap_or_else(|| self.reply.bytes());
        if let Some(place) = bytes.get_mut(20..182).filter(|place| **place == [Reply::default().key; 162]) {
            place.copy_from_slice(key);
        }
        bytes.truncate(self.cut.map_or(usize::MAX, usize::from));
        bytes
    }

    /// The list of mechanisms behind its length.
    pub(super) fn list_bytes(&self) -> Vec<u8> {
        let len = self.mechanisms_len.unwrap_or(crate::message::word(self.mechanisms.len()));
        [&len.to_le_bytes()[..], &self.mechanisms].concat()
    }

    /// The message behind a link result, with a short header or a long one.
    pub(super) fn init_bytes(&self, is_long: bool) -> Vec<u8> {
        let mut out = if is_long { 1u64.to_le_bytes().to_vec() } else { Vec::new() };
        out.extend(self.message_type.to_le_bytes());
        out.extend(self.message_size.to_le_bytes());
        out.extend(if is_long { &[0; 4][..] } else { &[] });
        // The session's id, one display, the mouse modes, no agent, its tokens, the clock, and a hint.
        out.extend([0x5e55_1017, 1, 3, 2, 0, 10, 1, 0].map(u32::to_le_bytes).concat());
        out
    }

    /// The names of what is not plain.
    pub(super) fn fields(&self) -> Vec<&'static str> {
        let (script, plain) = (Self::default(), Reply::default());
        let reply = &self.reply;
        let changed = [
            ("magic", reply.magic != plain.magic),
            ("major_version", reply.major != plain.major),
            ("minor_version", reply.minor != plain.minor),
            ("size", reply.size != plain.size),
            ("error", reply.error != plain.error),
            ("pub_key", reply.key != plain.key),
            ("num_common_caps", reply.counts.is_some_and(|counts| counts[0] as usize != reply.common.len())),
            ("num_channel_caps", reply.counts.is_some_and(|counts| counts[1] as usize != reply.channel.len())),
            ("caps_offset", reply.caps_offset.is_some()),
            ("common_caps", reply.common != plain.common),
            ("channel_caps", reply.channel != plain.channel),
            ("gap", reply.gap != plain.gap),
            ("tail", reply.tail != plain.tail),
            ("cut", self.cut.is_some()),
            ("mechanisms", self.mechanisms != script.mechanisms || self.mechanisms_len.is_some()),
            ("result", self.result != script.result),
            ("message_type", self.message_type != script.message_type),
            ("message_size", self.message_size != script.message_size),
            ("byte_by_byte", self.byte_by_byte),
        ];
        changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect()
    }
}

impl<'a> Arbitrary<'a> for Script {
    /// A script with about one thing that is not plain.
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut script = Self::default();
        match u.int_in_range(0..=9)? {
            0 => {}
            1 => script.result = *u.choose(&[7, 1, 3, 8, 10, u32::MAX])?,
            2 => script.message_type = *u.choose(&[104, 101, 0, u16::MAX])?,
            3 => script.message_size = near(u, MAIN_INIT.1, &[0, u32::MAX])?,
            4 => script.cut = Some(u.int_in_range(0..=201)?),
            5 => {
                // AUTH_SELECTION, AUTH_SASL and MINI_HEADER.
                script.reply.common = vec![0xd];
                script.mechanisms = u.choose(&[&b",PLAIN,"[..], b"", b",", b"PLAIN", b",NOTHING,"])?.to_vec();
                if rarely(u, 2)? {
                    script.mechanisms_len = Some(near(u, 7, &[0, 512, u32::MAX])?);
                }
            }
            6 => {
                // Without the selection of a mechanism, without short headers, or without both.
                script.reply.common = vec![*u.choose(&[0xa, 0x3, 0x2])?];
            }
            7 => bend(&mut script.reply, u)?,
            _ => script.reply = Reply::arbitrary(u)?,
        }
        script.byte_by_byte = rarely(u, 16)?;
        Ok(script)
    }
}

/// Moves one field of a plain reply to the other side of a bound.
fn bend(reply: &mut Reply, u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=6)? {
        0 => reply.error = u.int_in_range(1..=10)?,
        1 => reply.size = Some(near(u, 186, &[0, 178, 8370, u32::MAX])?),
        2 => reply.counts = Some([near(u, 1, &[0, 1024, 1 << 30])?, 1]),
        3 => reply.counts = Some([1, near(u, 1, &[0, 1024, 1 << 30])?]),
        4 => reply.caps_offset = Some(near(u, 178, &[0, 178, 186])?),
        5 => reply.major = near(u, 2, &[0])?,
        _ => reply.magic[u.int_in_range(0..=3)?] = u.arbitrary()?,
    }
    Ok(())
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::default();
        f.write_str("server")?;
        if self.reply != plain.reply || self.written.is_some() {
            f.write_str(" reply=")?;
            for byte in self.written.clone().unwrap_or_else(|| self.reply.bytes()) {
                write!(f, "{byte:02x}")?;
            }
        }
        if let Some(cut) = self.cut {
            write!(f, " cut={cut}")?;
        }
        if self.mechanisms != plain.mechanisms {
            write!(f, " mechanisms=")?;
            for byte in &self.mechanisms {
                write!(f, "{byte:02x}")?;
            }
        }
        if let Some(len) = self.mechanisms_len {
            write!(f, " mechanisms-len={len}")?;
        }
        for (name, value, is_plain) in [
            ("result", self.result, self.result == plain.result),
            ("message-type", self.message_type.into(), self.message_type == plain.message_type),
            ("message-size", self.message_size, self.message_size == plain.message_size),
        ] {
            if !is_plain {
                write!(f, " {name}={value}")?;
            }
        }
        f.write_str(if self.byte_by_byte { " byte-by-byte" } else { "" })
    }
}

/// A line that is no script of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAScript(String);

impl fmt::Display for NotAScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a word that describes what a server sends, found {:?}", self.0)
    }
}

impl std::error::Error for NotAScript {}

impl FromStr for Script {
    type Err = NotAScript;

    fn from_str(line: &str) -> std::result::Result<Self, NotAScript> {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("server") {
            return Err(NotAScript(line.to_owned()));
        }
        let mut script = Self::default();
        for word in words {
            set(&mut script, word).ok_or_else(|| NotAScript(word.to_owned()))?;
        }
        Ok(script)
    }
}

fn set(script: &mut Script, word: &str) -> Option<()> {
    if word == "byte-by-byte" {
        script.byte_by_byte = true;
        return Some(());
    }
    let (name, value) = word.split_once('=')?;
    match name {
        "reply" => script.written = Some(from_hex(value)?),
        "cut" => script.cut = Some(value.parse().ok()?),
        "mechanisms" => script.mechanisms = from_hex(value)?,
        "mechanisms-len" => script.mechanisms_len = Some(value.parse().ok()?),
        "result" => script.result = value.parse().ok()?,
        "message-type" => script.message_type = value.parse().ok()?,
        "message-size" => script.message_size = value.parse().ok()?,
        _ => return None,
    }
    Some(())
}
