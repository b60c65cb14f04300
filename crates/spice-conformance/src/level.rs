//! What a case holds a server to: the protocol, or everything that spice-server does.

use std::{fmt, str::FromStr};

/// What a case holds a server to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The case sends what the protocol allows a client to send, and a client that relies on the answer breaks without it. Any server
    /// should pass.
    Protocol,
    /// The answer is what spice-server does: to invalid input, or where the protocol leaves the choice to the server.
    SpiceServer,
}

/// The cases of [`Level::Protocol`].
const PROTOCOL: &[&str] = &[
    // A message is as long as its lists of capabilities, and a minor version changes nothing (sections 2 and 3).
    "minor-99",
    "caps-none",
    "caps-channel-words-alone",
    // What a client needs to read a reply and to seal a ticket (sections 2 and 5).
    "reply-header",
    "reply-size-is-exact",
    "reply-key",
    "reply-comes-before-the-mechanism",
    // Capabilities are optional: a client without one is served in the older way (sections 1 and 12).
    "no-selection-needs-no-mechanism",
    "selection-and-long-headers",
    "no-selection-and-long-headers",
    "no-capabilities-at-all",
    "main-init-behind-a-short-header",
    "main-init-behind-a-long-header",
    // TCP cuts messages anywhere (section 1).
    "byte-by-byte",
    // A client asks for a password after PERMISSION_DENIED (section 5).
    "ticket-right",
    "ticket-wrong",
    "ticket-empty",
    // A session and its channels (section 11).
    "session-id-is-not-0",
    "channel-joins-its-session",
    "cursor-joins-its-session",
    "refused-link-ends-nothing",
    // SASL, where the server requires it (section 6).
    "sasl-plain-right-password",
    "sasl-plain-wrong-password",
    "sasl-digest-md5-right-password",
    "sasl-digest-md5-wrong-password",
    // A client connects with TLS after NEED_SECURED (section 9).
    "policy-needs-tls",
    // A browser's client, where the server has WebSocket (section 10).
    "websocket-upgrade",
    "websocket-protocol-is-echoed",
    "websocket-link-in-one-frame",
    "websocket-fragments",
    "websocket-ping-between-frames",
    "websocket-byte-by-byte",
];

impl Level {
    /// The level of a case.
    pub(crate) fn of(case: &str) -> Self {
        if PROTOCOL.contains(&case) { Self::Protocol } else { Self::SpiceServer }
    }

    /// `protocol` or `spice-server`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::SpiceServer => "spice-server",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of no level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLevel(String);

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected protocol or spice-server, found `{}`", self.0)
    }
}

impl std::error::Error for UnknownLevel {}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let level = [Self::Protocol, Self::SpiceServer].into_iter().find(|level| level.name() == text);
        level.ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn every_case_of_the_protocol_level_is_in_the_table() {
        for name in PROTOCOL {
            assert_eq!(cases().filter(|case| case.name() == *name).count(), 1, "{name}");
        }
        assert_eq!(cases().filter(|case| case.level() == Level::Protocol).count(), PROTOCOL.len());
    }

    #[test]
    fn levels_are_parsed_and_shown() {
        for level in [Level::Protocol, Level::SpiceServer] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        let error = "expected protocol or spice-server, found `all`";
        assert_eq!("all".parse::<Level>().unwrap_err().to_string(), error);
    }
}
