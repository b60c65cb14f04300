use std::{fmt, sync::Arc};

use qmp_schema::{
    Event, EventMessage, SpiceBasicInfo, SpiceChannel, SpiceConnected, SpiceDisconnected, SpiceInitialized,
    SpiceServerInfo, Timestamp,
};
use spice_link::ChannelType;

use crate::{Address, Auth, Endpoints, FlowId};

/// The properties of a connection that never change. All outputs about it share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Connection {
    /// The accepted socket's two ends.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub endpoints: Endpoints,
    /// The channel runs inside TLS.
    pub tls: bool,
}

/// A channel whose link stage succeeded: what QEMU's `SPICE_INITIALIZED` adds to the two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Channel {
    /// The session's id: the wire's 32 bits as the signed number that QMP shows. 0 if it never became known.
    pub connection_id: i32,
    /// The kind of channel.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::channel_type"))]
    pub channel_type: ChannelType,
    /// The number of the channel among those of its kind.
    pub channel_id: u8,
    /// The server's `auth` setting.
    pub auth: Auth,
}

/// One of QEMU's three events about a connection. `Display` writes it as QEMU does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ChannelEvent {
    /// When it happened.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serde::timestamp"))]
    pub at: Timestamp,
    /// The connection's id.
    pub flow: FlowId,
    /// The connection.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serde::shared"))]
    pub connection: Arc<Connection>,
    /// Which event.
    pub kind: EventKind,
}

/// QEMU's three events about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum EventKind {
    /// `SPICE_CONNECTED`
    Connected,
    /// `SPICE_INITIALIZED`
    Initialized(Channel),
    /// `SPICE_DISCONNECTED`
    Disconnected,
}

impl ChannelEvent {
    /// The event in QMP's form, without its time. Borrows the connection's strings.
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

    /// The event with its time, as one QMP message. Borrows the connection's strings.
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
    /// The channel in QMP's form, which `SPICE_INITIALIZED` and `query-spice` share.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_displays_as_qemus_line() {
        let server = Address::from((std::net::Ipv6Addr::LOCALHOST.into(), 5900));
        let endpoints = Endpoints { server, client: Address::unknown() };
        let at = Timestamp { seconds: 7, microseconds: 8 };
        let connection = Arc::new(Connection { endpoints, tls: false });
        let event = ChannelEvent { at, flow: FlowId(1), connection, kind: EventKind::Connected };
        let line = concat!(
            r#"{"timestamp": {"seconds": 7, "microseconds": 8}, "event": "SPICE_CONNECTED", "data": "#,
            r#"{"server": {"port": "5900", "family": "ipv6", "host": "::1"}, "#,
            r#""client": {"port": "", "family": "unknown", "host": ""}}}"#,
        );
        let mut written = Vec::new();
        event.write_to(&mut written);
        assert_eq!((event.to_string().as_str(), &*written), (line, line.as_bytes()));
        assert_eq!(event.message(), EventMessage { timestamp: Some(at), event: event.event() });
    }
}
