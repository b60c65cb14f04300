use serde_derive::{Deserialize, Serialize};
use std::time::Duration;

/// What the caller knows, and the limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where the events come from.
    pub source: Source,
    /// `host.name` of every record.
    pub host: Option<Box<str>>,
    /// Random bytes, from which the ids of sessions and records are made. With the same seed and input, the ids are the same.
    pub seed: [u8; 16],
    /// `event.sequence` of the first record.
    pub first_sequence: u64,
    /// Report connections that ended before the client sent a byte, as health checks do.
    pub health_checks: bool,
    /// Maximum number of connections that are followed at a time. More are counted and not followed.
    pub max_connections: usize,
}

impl Config {
    /// The default of [`max_connections`](Self::max_connections). The source has its own limit, which mostly is lower.
    pub const MAX_CONNECTIONS: usize = 1 << 21;

    /// Channels that a record lists. spice-gtk opens a dozen. Of more, the oldest closed ones are left out and
    /// counted; their bytes stay in the session's sums.
    pub const MAX_CHANNELS: usize = 256;

    /// Ended sessions and refused links that wait for what follows them. Of more, the oldest is reported at once.
    pub const MAX_WAITING: usize = 1024;

    /// Live sessions that are searched for one connection id, in one VM: spice-server before 0.15.1 gives nearly every
    /// server's first session the same id. Channels of older ones, beyond that, are not joined to them.
    pub const MAX_SAME_ID: usize = 1024;

    /// Bytes of a host name, IP address or socket path that are kept: more than any socket has.
    pub const MAX_ADDRESS: usize = 256;

    /// How long an ended session waits for the session that may have taken its place. spice-server closes the old session and reports
    /// the new one within the same callback; a relay sees both within milliseconds.
    pub const TAKE_OVER_WAIT: Duration = Duration::from_secs(2);

    /// How long a refusal with NEED_SECURED or NEED_UNSECURED waits for the client's next try, which spice-gtk makes at once.
    pub const RETRY_WAIT: Duration = Duration::from_secs(5);

    /// How long after its end a session is still found as the source of a migration.
    pub const MIGRATION_WAIT: Duration = Duration::from_secs(30);

    /// The defaults, with the name of the source and random bytes.
    pub fn new(source: Source, seed: [u8; 16]) -> Self {
        Self {
            source,
            host: None,
            seed,
            first_sequence: 0,
            health_checks: false,
            max_connections: Self::MAX_CONNECTIONS,
        }
    }

    /// With the name of the machine that makes the records.
    #[must_use]
    pub fn host(mut self, name: &str) -> Self {
        self.host = Some(name.into());
        self
    }
}

/// What makes the events: `spice.source`, named as the program's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A relay in front of the server.
    Relay,
    /// A live interface.
    Tap,
    /// A capture file.
    Read,
    /// QEMU's own events over QMP. They show no bytes, and not who closed a connection.
    Follow,
}
