use std::{fmt, sync::Arc};

use qmp_schema::Timestamp;
use spice_link::{LinkErrorCode, RefusalForm, Side};

use crate::{Connection, Endpoints, FlowId};

/// Something that QMP has no event for: a peer broke the protocol, bytes could not be read, or a fact had to be inferred.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Anomaly {
    /// When it was noticed.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serde::timestamp"))]
    pub at: Timestamp,
    /// The connection's id.
    pub flow: FlowId,
    /// The connection.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serde::shared"))]
    pub connection: Arc<Connection>,
    /// The sender of the bytes that it is about, and how many SPICE bytes of that direction came before them. `None` if it is not
    /// about bytes.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serde::place"))]
    pub place: Option<(Side, u64)>,
    /// The kind of anomaly.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serde::anomaly_kind"))]
    pub kind: AnomalyKind,
}

/// The kinds of anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// This direction's bytes are not valid. Nothing more is read from it.
    Unreadable(spice_link::Error),
    /// The client asked for WebSocket, and the HTTP head of one side is not valid, or longer than spice-server reads.
    WebSocketHead,
    /// Bytes were lost that had to be read. Nothing more is read from a client; what follows from a server may still show that the link succeeded.
    Lost {
        /// The number of lost bytes.
        len: u64,
    },
    /// The end of the client's message was lost. Its start has what QEMU reports.
    Cut {
        /// The number of lost bytes.
        len: u64,
    },
    /// More bytes came than are held while the other direction must be read first.
    Backlog {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The link stages of all connections together hold more bytes than [`Config::max_held`](crate::Config::max_held). This connection's bytes are not read on.
    HeldTotal {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server refused the link.
    Refused {
        /// The reason.
        code: LinkErrorCode,
        /// The message that says so.
        form: RefusalForm,
    },
    /// spice-server has just leaked this socket without closing it: QEMU will send no `SPICE_DISCONNECTED`.
    Leaked,
    /// The link result was lost, or is hidden in a SASL security layer. Its success was inferred from what followed.
    Inferred,
    /// A main channel's id could not be read. It was learned from another channel of its session.
    IdLearned,
    /// The same, but several main channels of the same client host waited for an id: two of them may have each other's.
    IdAmbiguous,
    /// A main channel's id never became known. `SPICE_INITIALIZED` has 0 instead.
    IdUnknown,
    /// A main channel joined an existing session: it is the target of a migration.
    MigrationTarget,
    /// The connection ended in the link stage, and its bytes give no reason.
    Unlinked {
        /// The last step that was seen.
        after: LinkStep,
    },
    /// The caller opened a connection whose id was still in use. The older connection counts as closed.
    Reopened,
}

/// The last step of a link stage that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LinkStep {
    /// The client's message is not complete.
    #[default]
    Accept,
    /// The client has sent its whole message.
    Message,
    /// The server has replied.
    Reply,
    /// The client has selected SASL.
    Sasl,
    /// The server has sent a link result that can't be read: it is inside SASL's security layer.
    HiddenResult,
}

impl fmt::Display for LinkStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Message => "the client's message",
            Self::Reply => "the server's reply",
            Self::Sasl => "the choice of sasl",
            Self::HiddenResult => "a hidden link result",
        })
    }
}

impl AnomalyKind {
    /// A short name that never changes, for machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::WebSocketHead => "websocket-head",
            Self::Lost { .. } => "lost",
            Self::Cut { .. } => "cut",
            Self::Backlog { .. } => "backlog",
            Self::HeldTotal { .. } => "held-total",
            Self::Refused { .. } => "refused",
            Self::Leaked => "leaked",
            Self::Inferred => "inferred",
            Self::IdLearned => "id-learned",
            Self::IdAmbiguous => "id-ambiguous",
            Self::IdUnknown => "id-unknown",
            Self::MigrationTarget => "migration-target",
            Self::Unlinked { .. } => "unlinked",
            Self::Reopened => "reopened",
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => {
                write!(f, "{error}")?;
                match error.answer() {
                    Some(answer) => write!(f, " (spice-server {answer})"),
                    None => Ok(()),
                }
            }
            Self::WebSocketHead => f.write_str("expected the head of a websocket upgrade, found something else"),
            Self::Lost { len } => write!(f, "{len} bytes of the link stage were lost"),
            Self::Cut { len } => write!(f, "{len} bytes of the link message were lost; what QEMU reports of it was there"),
            Self::Backlog { limit } => {
                write!(f, "more than {limit} bytes came before the other direction could be read")
            }
            Self::HeldTotal { limit } => {
                write!(f, "the link stages of all connections hold {limit} bytes, so this one is not read on")
            }
            Self::Refused { code, form } => {
                write!(f, "the server refused the link in {form}: {}, {code}", code.0)
            }
            Self::Leaked => {
                f.write_str("spice-server leaked this socket without closing it; no SPICE_DISCONNECTED will follow")
            }
            Self::Inferred => f.write_str(
                "the link result was lost or is inside a sasl security layer; its success was inferred from what followed",
            ),
            Self::IdLearned => {
                f.write_str("the main channel's connection-id was learned from another channel of the session")
            }
            Self::IdAmbiguous => f.write_str(
                "the main channel's connection-id was learned from another channel, but several main channels waited for one: it may be another one's",
            ),
            Self::IdUnknown => {
                f.write_str("the main channel's connection-id never became known; the event has 0 instead")
            }
            Self::MigrationTarget => {
                f.write_str("a main channel joined an existing session: it is the target of a migration")
            }
            Self::Unlinked { after } => {
                write!(f, "the connection ended in the link stage, after {after}, and its bytes give no reason")
            }
            Self::Reopened => f.write_str("the connection was opened again before it was closed"),
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoints { server, client } = &self.connection.endpoints;
        write!(f, "{client} -> {server}: ")?;
        if let Some((side, offset)) = self.place {
            write!(f, "{side} byte {offset}: ")?;
        }
        self.kind.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;

    #[test]
    fn each_kind_has_a_name_and_a_sentence() {
        let leaked = "spice-server leaked this socket without closing it; no SPICE_DISCONNECTED will follow";
        let unlinked = |after| AnomalyKind::Unlinked { after };
        for (kind, name, text) in [
            (
                AnomalyKind::Unreadable(spice_link::Error::SaslFlag { seen: 6 }),
                "unreadable",
                "expected 0 or 1 after a sasl answer, found 6",
            ),
            (
                AnomalyKind::WebSocketHead,
                "websocket-head",
                "expected the head of a websocket upgrade, found something else",
            ),
            (
                AnomalyKind::Cut { len: 5 },
                "cut",
                "5 bytes of the link message were lost; what QEMU reports of it was there",
            ),
            (
                AnomalyKind::Backlog { limit: 9 },
                "backlog",
                "more than 9 bytes came before the other direction could be read",
            ),
            (
                AnomalyKind::HeldTotal { limit: 9 },
                "held-total",
                "the link stages of all connections hold 9 bytes, so this one is not read on",
            ),
            (AnomalyKind::Leaked, "leaked", leaked),
            (
                AnomalyKind::Inferred,
                "inferred",
                "the link result was lost or is inside a sasl security layer; its success was inferred from what followed",
            ),
            (
                AnomalyKind::IdLearned,
                "id-learned",
                "the main channel's connection-id was learned from another channel of the session",
            ),
            (
                AnomalyKind::IdAmbiguous,
                "id-ambiguous",
                "the main channel's connection-id was learned from another channel, but several main channels waited for one: it may be another one's",
            ),
            (
                AnomalyKind::IdUnknown,
                "id-unknown",
                "the main channel's connection-id never became known; the event has 0 instead",
            ),
            (
                AnomalyKind::MigrationTarget,
                "migration-target",
                "a main channel joined an existing session: it is the target of a migration",
            ),
            (
                unlinked(LinkStep::Accept),
                "unlinked",
                "the connection ended in the link stage, after accept, and its bytes give no reason",
            ),
            (
                unlinked(LinkStep::Reply),
                "unlinked",
                "the connection ended in the link stage, after the server's reply, and its bytes give no reason",
            ),
            (
                unlinked(LinkStep::Sasl),
                "unlinked",
                "the connection ended in the link stage, after the choice of sasl, and its bytes give no reason",
            ),
            (
                unlinked(LinkStep::HiddenResult),
                "unlinked",
                "the connection ended in the link stage, after a hidden link result, and its bytes give no reason",
            ),
            (AnomalyKind::Reopened, "reopened", "the connection was opened again before it was closed"),
        ] {
            assert_eq!((kind.name(), &*kind.to_string()), (name, text));
        }
    }

    #[test]
    fn anomaly_displays_its_place_and_its_kind() {
        let server = Address::from((std::net::Ipv6Addr::LOCALHOST.into(), 5900));
        let endpoints = Endpoints { server, client: Address::unix("/run/\u{1b}[2J") };
        let connection = Arc::new(Connection { endpoints, tls: false });
        let at = Timestamp { seconds: 7, microseconds: 8 };
        let code = LinkErrorCode::PERMISSION_DENIED;
        for (place, kind, text) in [
            (
                Some((Side::Client, 3)),
                AnomalyKind::Unreadable(spice_link::Error::Magic { seen: *b"GET " }),
                "client byte 3: expected the magic \"REDQ\", found \"GET \" (spice-server answers 2, invalid magic)",
            ),
            (
                Some((Side::Server, 9)),
                AnomalyKind::Lost { len: 5 },
                "server byte 9: 5 bytes of the link stage were lost",
            ),
            (
                None,
                AnomalyKind::Refused { code, form: RefusalForm::Sasl },
                "the server refused the link in the last word of the sasl exchange: 7, permission denied",
            ),
            (
                None,
                AnomalyKind::Refused { code, form: RefusalForm::SecondReply },
                "the server refused the link in a second reply: 7, permission denied",
            ),
            (
                None,
                AnomalyKind::Unlinked { after: LinkStep::Message },
                "the connection ended in the link stage, after the client's message, and its bytes give no reason",
            ),
        ] {
            let anomaly = Anomaly { at, flow: FlowId(1), connection: Arc::clone(&connection), place, kind };
            assert_eq!(anomaly.to_string(), format!("localhost:/run/\\u{{1b}}[2J -> [::1]:5900: {text}"));
        }
    }
}
