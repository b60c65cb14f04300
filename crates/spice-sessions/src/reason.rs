//! Why a session or a link ended: closed sets, named as the records name them.

use std::fmt;

use serde_derive::{Deserialize, Serialize};
use spice_events::Side;

/// Why a session ended, or why a link did not become a channel: `event.reason`, in snake_case.
///
/// The set is closed. A link that ended without a verdict of the server has one of the reasons of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The client closed the connection (FIN).
    ClientLeft,
    /// The client reset the connection (RST).
    ClientReset,
    /// The server closed the connection (FIN): QEMU ended, or an operator disconnected the client.
    ServerClosed,
    /// The server reset the connection (RST).
    ServerReset,
    /// A new session on the same VM took over.
    Replaced,
    /// The VM moved to another host, and the client followed.
    Migrated,
    /// The relay ended a session whose user was idle for too long.
    IdleTimeout,
    /// The peer stopped answering: keepalive probes, or written data, were not acknowledged.
    PeerVanished,
    /// The relay shut down gracefully, and the time for open connections was over.
    Drained,
    /// An operator ended the session at the relay.
    Terminated,
    /// The relay ended without closing its records. The end is the time of its last heartbeat.
    RelayDied,
    /// The source does not show why.
    Unknown,

    /// The TLS handshake failed.
    TlsFailed,
    /// One side's bytes are not SPICE, and no link result says so.
    NotSpice,
    /// The server answered that the client's first four bytes are not `REDQ` (link result 2).
    BadMagic,
    /// The major version is not the server's (link result 4), or 0, which spice-server does not answer.
    BadVersion,
    /// A size, count or offset in the client's message is out of range (link result 3).
    InvalidData,
    /// The channel has to be opened with TLS (link result 5).
    NeedSecured,
    /// The channel has to be opened without TLS (link result 6).
    NeedUnsecured,
    /// The server closed the connection after a whole link message, without an answer: it has no such channel.
    NoSuchChannel,
    /// The server does not accept the client's authentication mechanism.
    BadMechanism,
    /// The SASL exchange ended with a refusal.
    SaslRejected,
    /// The server refused the ticket (link result 7): the password is wrong, has expired, or none is set.
    PermissionDenied,
    /// No session has the connection id that the client asked for (link result 8).
    BadConnectionId,
    /// The channel went away while the client was linking (link result 9).
    ChannelNotAvailable,
    /// The link stage took longer than the relay allows.
    LinkTimeout,
    /// The relay could not connect to the server.
    UpstreamUnreachable,
    /// The relay had as many connections as it is allowed.
    OverLimit,
    /// The connection ended before the client sent a byte, as health checks and port scans do.
    HealthCheck,
}

impl Reason {
    /// Every reason: first those of an end, then those of a refused link.
    pub const ALL: [Self; 29] = [
        Self::ClientLeft,
        Self::ClientReset,
        Self::ServerClosed,
        Self::ServerReset,
        Self::Replaced,
        Self::Migrated,
        Self::IdleTimeout,
        Self::PeerVanished,
        Self::Drained,
        Self::Terminated,
        Self::RelayDied,
        Self::Unknown,
        Self::TlsFailed,
        Self::NotSpice,
        Self::BadMagic,
        Self::BadVersion,
        Self::InvalidData,
        Self::NeedSecured,
        Self::NeedUnsecured,
        Self::NoSuchChannel,
        Self::BadMechanism,
        Self::SaslRejected,
        Self::PermissionDenied,
        Self::BadConnectionId,
        Self::ChannelNotAvailable,
        Self::LinkTimeout,
        Self::UpstreamUnreachable,
        Self::OverLimit,
        Self::HealthCheck,
    ];

    /// The name in a record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::ClientReset => "client_reset",
            Self::ServerClosed => "server_closed",
            Self::ServerReset => "server_reset",
            Self::Replaced => "replaced",
            Self::Migrated => "migrated",
            Self::IdleTimeout => "idle_timeout",
            Self::PeerVanished => "peer_vanished",
            Self::Drained => "drained",
            Self::Terminated => "terminated",
            Self::RelayDied => "relay_died",
            Self::Unknown => "unknown",
            Self::TlsFailed => "tls_failed",
            Self::NotSpice => "not_spice",
            Self::BadMagic => "bad_magic",
            Self::BadVersion => "bad_version",
            Self::InvalidData => "invalid_data",
            Self::NeedSecured => "need_secured",
            Self::NeedUnsecured => "need_unsecured",
            Self::NoSuchChannel => "no_such_channel",
            Self::BadMechanism => "bad_mechanism",
            Self::SaslRejected => "sasl_rejected",
            Self::PermissionDenied => "permission_denied",
            Self::BadConnectionId => "bad_connection_id",
            Self::ChannelNotAvailable => "channel_not_available",
            Self::LinkTimeout => "link_timeout",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::OverLimit => "over_limit",
            Self::HealthCheck => "health_check",
        }
    }

    /// Whether a reason of a refused link, and not of an end.
    pub const fn is_refusal(self) -> bool {
        self as u8 >= Self::TlsFailed as u8
    }

    /// What it means for `event.outcome` of a session that ended.
    pub(crate) const fn outcome_of_end(self) -> Outcome {
        match self {
            Self::ClientLeft
            | Self::ServerClosed
            | Self::Replaced
            | Self::Migrated
            | Self::IdleTimeout
            | Self::Drained
            | Self::Terminated => Outcome::Success,
            Self::Unknown => Outcome::Unknown,
            _ => Outcome::Failure,
        }
    }

    /// What it means for `event.outcome` of a link.
    pub(crate) const fn outcome_of_link(self) -> Outcome {
        match self {
            Self::HealthCheck | Self::Unknown => Outcome::Unknown,
            _ => Outcome::Failure,
        }
    }

    /// The step of the link that ends with this refusal; `None` for a reason of an end.
    pub(crate) const fn stage(self) -> Option<Stage> {
        match self {
            Self::TlsFailed => Some(Stage::Tls),
            Self::PermissionDenied | Self::BadMechanism => Some(Stage::Auth),
            Self::SaslRejected => Some(Stage::Sasl),
            Self::BadConnectionId | Self::ChannelNotAvailable => Some(Stage::Channel),
            _ if self.is_refusal() => Some(Stage::Link),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who ended a connection first: `spice.ended_by`. Of a link that the server answered with an error, it is the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The client.
    Client,
    /// The server.
    Server,
    /// The relay between them.
    Relay,
    /// The source does not show it.
    #[default]
    Unknown,
}

impl EndedBy {
    /// The name in a record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Relay => "relay",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Option<Side>> for EndedBy {
    fn from(side: Option<Side>) -> Self {
        match side {
            Some(Side::Client) => Self::Client,
            Some(Side::Server) => Self::Server,
            None => Self::Unknown,
        }
    }
}

/// The last step that a connection reached: `spice.stage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The TLS handshake, or TLS whose content the source can't read.
    Tls,
    /// The exchange of link message and reply.
    Link,
    /// The ticket.
    Auth,
    /// The SASL exchange.
    Sasl,
    /// The channel itself.
    Channel,
}

impl Stage {
    /// The name in a record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Link => "link",
            Self::Auth => "auth",
            Self::Sasl => "sasl",
            Self::Channel => "channel",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `event.outcome`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It went as intended.
    Success,
    /// It did not.
    Failure,
    /// The source does not show it.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once_in_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason}");
            assert_eq!(reason.is_refusal(), reason.stage().is_some(), "{reason}");
        }
    }

    #[test]
    fn names_are_those_of_records() {
        for by in [EndedBy::Client, EndedBy::Server, EndedBy::Relay, EndedBy::Unknown] {
            assert_eq!(format!("\"{by}\""), serde_json::to_string(&by).unwrap());
        }
        for stage in [Stage::Tls, Stage::Link, Stage::Auth, Stage::Sasl, Stage::Channel] {
            assert_eq!(format!("\"{stage}\""), serde_json::to_string(&stage).unwrap());
        }
        for reason in Reason::ALL {
            assert_eq!(format!("\"{reason}\""), serde_json::to_string(&reason).unwrap());
        }
    }
}
