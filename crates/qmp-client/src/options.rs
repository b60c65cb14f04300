//! Limits and times of a client.

use std::time::Duration;

/// Limits and times of a client. Start from [`Options::default`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How long connecting with negotiation, and each command, may take. Default: 5 seconds.
    pub timeout: Duration,
    /// Whether to enable out-of-band commands, if the server offers them. Default: no.
    pub oob: bool,
    /// The longest message that is read, in bytes. Default: 16 MiB, of which QEMU's largest reply needs a fiftieth.
    pub max_message: usize,
    /// The number of events that may wait for the caller. Default: 65 536.
    pub max_events: usize,
    /// The number of commands without a reply. Default: 1024.
    pub max_commands: usize,
    /// The first pause before an [`EventStream`](crate::EventStream) connects again. It doubles with each failure. Default: 1 second.
    pub first_pause: Duration,
    /// The longest of these pauses. Default: 30 seconds.
    pub longest_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            oob: false,
            max_message: qmp_schema::stream::DEFAULT_LIMIT,
            max_events: 1 << 16,
            max_commands: 1 << 10,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets [`oob`](Self::oob).
    #[must_use]
    pub fn oob(self, oob: bool) -> Self {
        Self { oob, ..self }
    }

    /// Sets [`max_message`](Self::max_message).
    #[must_use]
    pub fn max_message(self, bytes: usize) -> Self {
        Self { max_message: bytes, ..self }
    }

    /// Sets [`max_events`](Self::max_events).
    #[must_use]
    pub fn max_events(self, events: usize) -> Self {
        Self { max_events: events, ..self }
    }

    /// Sets [`max_commands`](Self::max_commands).
    #[must_use]
    pub fn max_commands(self, commands: usize) -> Self {
        Self { max_commands: commands, ..self }
    }

    /// Sets [`first_pause`](Self::first_pause) and [`longest_pause`](Self::longest_pause).
    #[must_use]
    pub fn pauses(self, first: Duration, longest: Duration) -> Self {
        Self { first_pause: first, longest_pause: longest, ..self }
    }
}
