use std::{fmt, fmt::Write};

use spice_link::Side;

use super::pcap;
#[cfg(feature = "run")]
use super::{conversation::Conversation, script::Script};
use crate::Mess;

/// The most characters of a message that are shown.
const MOST_TEXT: usize = 400;

/// What a server or a client did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// A server answers differently from spice-server; a client goes on where a sound one closes, or the other way round.
    Differs,
    /// A server accepts no connection after the message; a client crashes.
    Gone,
    /// A server answers neither the message nor a plain one after it; a client does not end when its connection has.
    Hung,
    /// It panics. Only a server or a client that is a function can be seen to.
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

/// What was sent to a server or a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sent {
    /// A first message, and no more.
    Message(Mess),
    /// A whole conversation.
    #[cfg(feature = "run")]
    Conversation(Conversation),
    /// What a server sent to a client under test.
    #[cfg(feature = "run")]
    Script(Script),
}

/// A message, a conversation or a script at which a server or a client does something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it did wrong.
    pub kind: FindingKind,
    /// The check of spice-server that it is about: of a message, see [`Difference::check`](super::Difference::check); of a conversation `existence`, `tls-policy`,
    /// `websocket`, `key`, `selection`, `mechanism`, `ticket`, `sasl`, `connection-id`, `duplicate`, `main-init`, `session-id`,
    /// `take-over`, `main-leaves` or `reply`; of a script `first-message`, `magic`, `version`, `size`, `caps-count`, `caps-range`, `reply`,
    /// `mechanism`, `ticket`, `sasl`, `result`, `main-init` or `end`.
    pub check: &'static str,
    /// The check's section in docs/PROTOCOL.md.
    pub section: u8,
    /// The plainest that was found.
    pub sent: Sent,
    /// What was expected, in words.
    pub expected: String,
    /// What was seen, in words.
    pub seen: String,
    /// The choices that make it: a seed for a fuzzer.
    pub choices: Vec<u8>,
    /// How many of this kind were found.
    pub count: u64,
    /// The server's answer to a first message, as far as there was one.
    pub answer: Vec<u8>,
    pub(super) outline: String,
}

impl Finding {
    /// A name for the finding's kind, check and answer, for example `differs/version/refusal-4`. Findings of one hunt differ in it, and
    /// [`Hunt::allow`](super::Hunt::allow) takes it.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.check, self.outline)
    }

    /// The names of the fields that are not plain: those of a message, of a conversation's links, or of a script.
    pub fn fields(&self) -> Vec<&'static str> {
        match &self.sent {
            Sent::Message(mess) => fields(mess),
            #[cfg(feature = "run")]
            Sent::Conversation(conversation) => conversation.fields(),
            #[cfg(feature = "run")]
            Sent::Script(script) => script.fields(),
        }
    }

    /// A regression file: the message's bytes or the conversation's links, which [`replay`](super::replay) and
    /// [`replay_conversation`](super::replay_conversation) send again
    /// without a generator.
    pub fn to_regression(&self) -> String {
        let mut text = format!("# {}: expected {}, saw {}\n", self.key(), self.expected, self.seen);
        match &self.sent {
            Sent::Message(mess) => {
                text.push_str("send ");
                for byte in mess.bytes() {
                    let _ = write!(text, "{byte:02x}");
                }
            }
            #[cfg(feature = "run")]
            Sent::Conversation(conversation) => {
                let _ = write!(text, "{conversation}");
            }
            #[cfg(feature = "run")]
            Sent::Script(script) => {
                let _ = write!(text, "{script}");
            }
        }
        text.push('\n');
        text
    }

    /// The finding as a pcap file, which Wireshark reads: a first message and its answer, or a plain message and the reply of a script, on
    /// a connection to port 5900. The addresses, ports and times are made up. `None` for a conversation, which has several connections.
    pub fn to_pcap(&self) -> Option<Vec<u8>> {
        let (client, server) = match &self.sent {
            Sent::Message(mess) => (mess.bytes(), self.answer.clone()),
            #[cfg(feature = "run")]
            Sent::Conversation(_) => return None,
            #[cfg(feature = "run")]
            Sent::Script(script) => (Mess::default().bytes(), script.reply_bytes(&[crate::Reply::default().key; 162])),
        };
        Some(pcap::connection(&[(Side::Client, &client), (Side::Server, &server)]))
    }

    /// The finding that the server did not survive what was sent.
    pub(super) fn lost(
        kind: FindingKind,
        check: &'static str,
        section: u8,
        sent: Sent,
        choices: &[u8],
        seen: &str,
    ) -> Self {
        Self {
            kind,
            check,
            section,
            sent,
            expected: "an answer, and a server that goes on".to_owned(),
            seen: seen.to_owned(),
            choices: choices.to_vec(),
            count: 1,
            answer: Vec::new(),
            outline: "server".to_owned(),
        }
    }
}

fn fields(mess: &Mess) -> Vec<&'static str> {
    let plain = Mess::default();
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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} times): expected {}, saw {}", self.key(), self.count, self.expected, self.seen)?;
        writeln!(f, "  docs/PROTOCOL.md, section {}; fields: {}", self.section, self.fields().join(", "))?;
        match &self.sent {
            Sent::Message(mess) => {
                let text = format!("{mess:?}");
                match text.char_indices().nth(MOST_TEXT) {
                    Some((end, _)) => writeln!(f, "  {} …", &text[..end])?,
                    None => writeln!(f, "  {text}")?,
                }
                write!(f, "  on the wire:")?;
                let bytes = mess.bytes();
                for byte in bytes.iter().take(64) {
                    write!(f, " {byte:02x}")?;
                }
                if let more @ 1.. = bytes.len().saturating_sub(64) {
                    write!(f, " and {more} more")?;
                }
            }
            #[cfg(feature = "run")]
            Sent::Conversation(conversation) => {
                write!(f, "  {}", conversation.to_string().replace('\n', "\n  "))?;
            }
            #[cfg(feature = "run")]
            Sent::Script(script) => write!(f, "  {script}")?,
        }
        write!(f, "\n  choices {:?}", self.choices)
    }
}
