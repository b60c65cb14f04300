use std::{fmt, sync::Arc};

use qmp_schema::{
    Event, EventMessage, SpiceBasicInfo, SpiceChannel, SpiceConnected, SpiceDisconnected, SpiceInitialized,
    SpiceServerInfo, Timestamp,
};
use spice_link::{ChannelType, LinkErrorCode, RefusalForm, Side};

use crate::{Address, Auth, Endpoints, FlowId};

/// What the tracker has to say, in the order in which it became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// One of QEMU's events.
    Event(ChannelEvent),
    /// Something that QMP has no word for.
    Anomaly(Anomaly),
}

/// What never changes in a connection's life. Shared by all that is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The accepted socket's two ends.
    pub endpoints: Endpoints,
    /// The channel runs inside TLS.
    pub tls: bool,
}

/// A channel whose link stage succeeded: what QEMU's `SPICE_INITIALIZED` adds to the two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// The session's id: the wire's 32 bits as the signed number that QMP shows. 0 where it never became known.
    pub connection_id: i32,
    /// What kind of channel.
    pub channel_type: ChannelType,
    /// Which one of its kind.
    pub channel_id: u8,
    /// The server's `auth` setting.
    pub auth: Auth,
}

/// One of QEMU's three events about a connection. Shows itself as QEMU writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChannelEvent {
    /// When it happened.
    pub at: Timestamp,
    /// The connection that it speaks of.
    pub flow: FlowId,
    /// That connection's ends.
    pub connection: Arc<Connection>,
    /// Which event.
    pub kind: EventKind,
}

/// Which of QEMU's three events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `SPICE_CONNECTED`
    Connected,
    /// `SPICE_INITIALIZED`
    Initialized(Channel),
    /// `SPICE_DISCONNECTED`
    Disconnected,
}

impl ChannelEvent {
    /// The event as QMP has it, without its time. Borrows the connection's strings.
    pub fn event(&self) -> Event<'_> {
        let Endpoints { server, client } = &self.connection.endpoints;
        match self.kind {
            EventKind::Connected => {
                Event::SpiceConnected(SpiceConnected { server: basic(server), client: basic(client) })
            }
            EventKind::Initialized(channel) => Event::SpiceInitialized(SpiceInitialized {
                server: SpiceServerInfo {
                    auth: Some(channel.auth.name().into()),
                    host: (&*server.host).into(),
                    port: (&*server.port).into(),
                    family: server.family.into(),
                },
                client: channel.info(&self.connection),
            }),
            EventKind::Disconnected => {
                Event::SpiceDisconnected(SpiceDisconnected { server: basic(server), client: basic(client) })
            }
        }
    }

    /// The event with its time, as one message of QMP. Borrows the connection's strings.
    pub fn message(&self) -> EventMessage<'_> {
        EventMessage { timestamp: Some(self.at), event: self.event() }
    }

    /// Appends the event as QEMU writes it, without a line end.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.message().write_to(out);
    }
}

impl fmt::Display for ChannelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl Channel {
    /// The channel as QMP has it, in `SPICE_INITIALIZED` and in `query-spice`.
    pub fn info<'a>(&self, connection: &'a Connection) -> SpiceChannel<'a> {
        let client = &connection.endpoints.client;
        SpiceChannel {
            host: (&*client.host).into(),
            port: (&*client.port).into(),
            family: client.family.into(),
            connection_id: self.connection_id.into(),
            channel_type: self.channel_type.0.into(),
            channel_id: self.channel_id.into(),
            tls: connection.tls,
        }
    }
}

fn basic(address: &Address) -> SpiceBasicInfo<'_> {
    SpiceBasicInfo { host: (&*address.host).into(), port: (&*address.port).into(), family: address.family.into() }
}

/// Something that a peer did which SPICE does not foresee, or that could not be read, or had to be inferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// When it was seen.
    pub at: Timestamp,
    /// The connection.
    pub flow: FlowId,
    /// Its ends.
    pub connection: Arc<Connection>,
    /// Whose bytes it concerns, where it concerns bytes, and how many SPICE bytes of that direction came before.
    pub place: Option<(Side, u64)>,
    /// What it is.
    pub kind: AnomalyKind,
}

/// What was odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// This direction's bytes can't be read; nothing more is read of it.
    Unreadable(spice_link::Error),
    /// The client asked for WebSocket, and the head of one side is none, or longer than spice-server reads.
    WebSocketHead,
    /// Bytes were lost where each one counts; nothing more is read of this direction.
    Lost {
        /// How many, in bytes.
        len: u64,
    },
    /// The other direction had to be read on first, and more came than is held.
    Backlog {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server refused the link.
    Refused {
        /// Why.
        code: LinkErrorCode,
        /// Where it said so.
        form: RefusalForm,
    },
    /// spice-server has just forgotten this socket without closing it: QEMU will send no `SPICE_DISCONNECTED`.
    Leaked,
    /// The link result is hidden in a SASL security layer; that the link succeeded was inferred from what followed.
    Inferred,
    /// A main channel's id could not be read, and was learned from another channel of its session.
    IdLearned,
    /// A main channel's id never became known; `SPICE_INITIALIZED` says 0.
    IdUnknown,
    /// A main channel joined an existing session: the target of a migration.
    MigrationTarget,
    /// The connection ended in the link stage, and no byte says why.
    Unlinked,
    /// The caller opened a connection whose id was still in use; the older one counts as closed.
    Reopened,
}

impl AnomalyKind {
    /// A short fixed name, for machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::WebSocketHead => "websocket-head",
            Self::Lost { .. } => "lost",
            Self::Backlog { .. } => "backlog",
            Self::Refused { .. } => "refused",
            Self::Leaked => "leaked",
            Self::Inferred => "inferred",
            Self::IdLearned => "id-learned",
            Self::IdUnknown => "id-unknown",
            Self::MigrationTarget => "migration-target",
            Self::Unlinked => "unlinked",
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
            Self::Lost { len } => write!(f, "{len} bytes were lost in the link stage"),
            Self::Backlog { limit } => {
                write!(f, "more than {limit} bytes came before the other direction could be read")
            }
            Self::Refused { code, form } => {
                write!(f, "the server refused the link in {form}: {}, {code}", code.0)
            }
            Self::Leaked => {
                f.write_str("spice-server forgot this socket without closing it; no SPICE_DISCONNECTED will follow")
            }
            Self::Inferred => {
                f.write_str("the link result is inside a sasl security layer; success inferred from what followed")
            }
            Self::IdLearned => {
                f.write_str("the main channel's connection-id was learned from another channel of the session")
            }
            Self::IdUnknown => {
                f.write_str("the main channel's connection-id never became known; 0 stands in its place")
            }
            Self::MigrationTarget => {
                f.write_str("a main channel joined an existing session: the target of a migration")
            }
            Self::Unlinked => f.write_str("closed in the link stage without a reason on the wire"),
            Self::Reopened => f.write_str("opened anew before it was closed"),
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

    const AT: Timestamp = Timestamp { seconds: 7, microseconds: 8 };

    fn connection(server: Address, client: Address) -> Arc<Connection> {
        Arc::new(Connection { endpoints: Endpoints { server, client }, tls: false })
    }

    #[test]
    fn an_event_shows_itself_as_its_line() {
        let server = Address::from((std::net::Ipv6Addr::LOCALHOST.into(), 5900));
        let connection = connection(server, Address::unknown());
        let event = ChannelEvent { at: AT, flow: FlowId(1), connection, kind: EventKind::Connected };
        let line = concat!(
            r#"{"timestamp": {"seconds": 7, "microseconds": 8}, "event": "SPICE_CONNECTED", "data": "#,
            r#"{"server": {"port": "5900", "family": "ipv6", "host": "::1"}, "#,
            r#""client": {"port": "", "family": "unknown", "host": ""}}}"#,
        );
        let mut written = Vec::new();
        event.write_to(&mut written);
        assert_eq!((event.to_string().as_str(), &*written), (line, line.as_bytes()));
        assert_eq!(event.message(), EventMessage { timestamp: Some(AT), event: event.event() });
    }

    #[test]
    fn an_anomaly_says_where_and_what() {
        let server = Address::from((std::net::Ipv6Addr::LOCALHOST.into(), 5900));
        let connection = connection(server, Address::unix("/run/\u{1b}[2J"));
        let anomaly =
            |place, kind| Anomaly { at: AT, flow: FlowId(1), connection: Arc::clone(&connection), place, kind };
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
                "server byte 9: 5 bytes were lost in the link stage",
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
            (None, AnomalyKind::Unlinked, "closed in the link stage without a reason on the wire"),
        ] {
            let expected = format!("localhost:/run/\\u{{1b}}[2J -> [::1]:5900: {text}");
            assert_eq!(anomaly(place, kind).to_string(), expected);
        }
    }
}
