//! Compares an answer with spice-server's.

use spice_link::{Answer, ChannelType, Error, LinkErrorCode, LinkReply, Parsed, TICKET_LEN};

use super::answer::{Answered, code};
use crate::{Judgement, judge};

/// How an answer differs from spice-server's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The check of spice-server that the message is about: `magic`, `version`, `size`, `caps-count`, `caps-range`, `incomplete` for a
    /// message that has not ended, or `accepted`.
    pub check: &'static str,
    /// The check's section in docs/PROTOCOL.md.
    pub section: u8,
    /// What was expected, in words.
    pub expected: String,
    /// What the server answered, in words.
    pub seen: String,
    /// The same in one word, without the bytes: two differences of one kind have the same.
    pub(super) outline: String,
}

/// Bits of the common capabilities.
const SELECTION: u32 = 1;
const SASL: u32 = 4;

/// SubjectPublicKeyInfo, rsaEncryption, BIT STRING, SEQUENCE, and the start of a modulus of 1024 bits; the exponent 65537.
const KEY_PREFIX: &[u8] =
    b"\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x81\x8d\x00\x30\x81\x89\x02\x81\x81\x00";
const KEY_SUFFIX: &[u8] = b"\x02\x03\x01\x00\x01";

/// How an answer to these bytes, which a client has sent and then no more, differs from spice-server's. `None`: it does not.
///
/// `channels` are the server's channels beside main. `None`: they are not known, so that a server may have any.
///
/// A sound message for a channel may be refused with 5 or 6, because the server may require or refuse TLS for it. Every other answer
/// is decided by the message. Of an accepting reply all that spice-server fixes is compared: header, size, offset, the shape of the
/// key, and that nothing follows it.
pub fn difference(sent: &[u8], answered: &Answered, channels: Option<&[(ChannelType, u8)]>) -> Option<Difference> {
    let (check, section, expected) = match judge(sent) {
        Judgement::Refused { answer: Some(Answer::Frame(code)), error } => {
            (check_of(&error), 8, refusal(code.0).to_vec())
        }
        Judgement::Refused { error, .. } => (check_of(&error), 8, Vec::new()),
        Judgement::Need => ("incomplete", 7, Vec::new()),
        Judgement::Accepted { common, len, .. } => return accepted(sent, len, &common, answered, channels),
    };
    if answered.bytes == expected && answered.is_ended {
        return None;
    }
    Some(differ(check, section, Answered::from(expected).to_string(), answered))
}

/// The 194 bytes with which spice-server refuses a first message: see [`LinkReply::refusal`].
pub fn refusal(code: u32) -> [u8; 194] {
    LinkReply::refusal(LinkErrorCode(code))
}

fn accepted(
    sent: &[u8],
    sent_len: usize,
    common: &[u32],
    answered: &Answered,
    channels: Option<&[(ChannelType, u8)]>,
) -> Option<Difference> {
    let (channel_type, channel_id) = (ChannelType(sent[20]), sent[21]);
    let is_main = channel_type == ChannelType::MAIN;
    let exists = if is_main { Some(true) } else { channels.map(|all| all.contains(&(channel_type, channel_id))) };
    let differs = |expected: &str| Some(differ("accepted", 2, expected.to_owned(), answered));
    if matches!(code(&answered.bytes), Some(code @ 5..=6) if answered.bytes == refusal(code)) && answered.is_ended {
        return None;
    }
    if answered.bytes.is_empty() && answered.is_ended && exists != Some(true) {
        return None;
    }
    if exists == Some(false) {
        return differs("nothing and the end, because there is no such channel");
    }
    let (reply, len) = match LinkReply::parse(&answered.bytes) {
        Ok(Parsed::Complete(reply, len)) => (reply, len),
        Ok(Parsed::Need(len)) if !answered.bytes.is_empty() => {
            return differs(&format!("an accepting reply of at least {len} bytes"));
        }
        Ok(_) => return differs("an accepting reply"),
        Err(error) => return differs(&format!("an accepting reply: {error}")),
    };
    if reply.error != LinkErrorCode::OK {
        return differs("an accepting reply");
    }
    let words = u32::try_from(reply.common_caps.len() + reply.channel_caps.len()).unwrap_or(u32::MAX);
    let header = [&b"REDQ\x02\0\0\0\x02\0\0\0"[..], &(178 + 4 * words).to_le_bytes()].concat();
    if answered.bytes[..16] != header[..] {
        return differs("an accepting reply whose version is 2.2 and whose size is 178 bytes and 4 for each word");
    }
    if answered.bytes[190..194] != 178u32.to_le_bytes() {
        return differs("an accepting reply whose caps_offset is 178");
    }
    let offered = reply.common_caps.words().next().unwrap_or(0);
    if offered & SASL != 0 && common.first().is_some_and(|word| word & SASL != 0) {
        if *reply.pub_key != [0; LinkReply::PUB_KEY_LEN] {
            return differs("an accepting reply with zeros in place of a key, because both ends support SASL");
        }
    } else if !(reply.pub_key.starts_with(KEY_PREFIX) && reply.pub_key.ends_with(KEY_SUFFIX)) {
        return differs("an accepting reply with an RSA key of 1024 bits");
    }
    let rest = &answered.bytes[len..];
    let selects = common.first().is_some_and(|word| word & SELECTION != 0);
    if offered & SASL != 0 && !selects {
        // A second reply, and a connection that spice-server does not close.
        return if *rest == refusal(4) { None } else { differs("an accepting reply, and a refusal with 4") };
    }
    match after_message(&sent[sent_len..], selects) {
        After::Anything => None,
        After::Refusal if *rest == refusal(3) && answered.is_ended => None,
        After::Refusal => differs("an accepting reply, a refusal with 3, and the end"),
        After::Result if matches!(rest, [0 | 7, 0, 0, 0, ..]) => None,
        After::Result => differs("an accepting reply, and a result"),
        After::Nothing if rest.is_empty() && answered.is_ended => None,
        After::Nothing => differs("an accepting reply, and the end when the client leaves"),
    }
}

/// What a server sends behind an accepting reply.
enum After {
    Nothing,
    /// The mechanism is not known.
    Refusal,
    /// The result of a ticket that was never encrypted: most servers refuse it.
    Result,
    /// A SASL exchange has started, or not.
    Anything,
}

/// What bytes behind the message are: a mechanism, if the client selects it, and a ticket.
fn after_message(bytes: &[u8], selects: bool) -> After {
    let ticket = match bytes {
        _ if !selects => bytes,
        [1, 0, 0, 0, ticket @ ..] => ticket,
        [2, 0, 0, 0, ..] => return After::Anything,
        [_, _, _, _, ..] => return After::Refusal,
        _ => return After::Nothing,
    };
    if ticket.len() < TICKET_LEN { After::Nothing } else { After::Result }
}

fn check_of(error: &Error) -> &'static str {
    match error {
        Error::Magic { .. } => "magic",
        Error::Version { .. } => "version",
        Error::Size { .. } => "size",
        Error::CapsCount { .. } => "caps-count",
        _ => "caps-range",
    }
}

fn differ(check: &'static str, section: u8, expected: String, answered: &Answered) -> Difference {
    let bytes = &answered.bytes;
    let what = match code(bytes) {
        _ if bytes.is_empty() => "nothing".to_owned(),
        Some(code) if *bytes == refusal(code) => format!("refusal-{code}"),
        Some(0) if bytes.starts_with(b"REDQ") => "reply".to_owned(),
        Some(_) => "other-reply".to_owned(),
        None => "few-bytes".to_owned(),
    };
    let outline = format!("{what}{}", if answered.is_ended { "" } else { "-without-end" });
    Difference { check, section, expected, seen: answered.to_string(), outline }
}
