//! QEMU's own events as channel events: for a source that sees QMP and no bytes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use spice_events::{
    Address, Auth, Channel, ChannelEvent, Connection, Endpoints, EventKind, Family, FlowId, Timestamp,
    qmp_schema::{Event, EventMessage, NetworkAddressFamily, SpiceBasicInfo, SpiceChannel},
    spice_link::ChannelType,
};

/// Turns QEMU's events over QMP into [`ChannelEvent`]s, which name connections by number and not by addresses.
///
/// One for each QEMU. Events of one connection are found again by its two addresses; where several connections have the same ones, as those of a unix socket have, the
/// oldest that fits counts. A connection whose `SPICE_CONNECTED` was not seen is taken as connected with its first event.
#[derive(Debug, Default)]
pub struct QmpEvents {
    open: HashMap<Key, VecDeque<Open>>,
    len: usize,
    last: u64,
}

type Key = [Box<str>; 4];

#[derive(Debug)]
struct Open {
    flow: FlowId,
    connection: Arc<Connection>,
    is_channel: bool,
}

impl QmpEvents {
    /// Maximum number of open connections that are remembered. QEMU's own limit is that of its file descriptors, mostly lower.
    pub const MAX_CONNECTIONS: usize = 1 << 16;

    /// Without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// The channel events of a QMP event, oldest first. Empty if the event is not about SPICE. `at` is used where the event has no time.
    pub fn handle(&mut self, at: Timestamp, message: &EventMessage<'_>) -> Vec<ChannelEvent> {
        let at = message.timestamp.filter(|at| at.seconds >= 0).unwrap_or(at);
        let mut out = Vec::new();
        match &message.event {
            Event::SpiceConnected(data) => {
                let endpoints = Endpoints { server: address(&data.server), client: address(&data.client) };
                self.connected(at, endpoints, false, &mut out);
            }
            Event::SpiceInitialized(data) => {
                let server = SpiceBasicInfo {
                    host: data.server.host.clone(),
                    port: data.server.port.clone(),
                    family: data.server.family.clone(),
                };
                let auth = data.server.auth.as_deref().and_then(|auth| auth.parse().ok()).unwrap_or(Auth::Spice);
                self.initialized(at, address(&server), &data.client, auth, &mut out);
            }
            Event::SpiceDisconnected(data) => {
                let endpoints = Endpoints { server: address(&data.server), client: address(&data.client) };
                self.disconnected(at, &endpoints, &mut out);
            }
            _ => {}
        }
        out
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn connected(&mut self, at: Timestamp, endpoints: Endpoints, tls: bool, out: &mut Vec<ChannelEvent>) {
        if self.len >= Self::MAX_CONNECTIONS {
            return;
        }
        self.last += 1;
        self.len += 1;
        let flow = FlowId(self.last);
        let key = key(&endpoints);
        let connection = Arc::new(Connection { endpoints, tls });
        let open = Open { flow, connection: Arc::clone(&connection), is_channel: false };
        self.open.entry(key).or_default().push_back(open);
        out.push(ChannelEvent { at, flow, connection, kind: EventKind::Connected });
    }

    fn initialized(
        &mut self,
        at: Timestamp,
        server: Address,
        client: &SpiceChannel<'_>,
        auth: Auth,
        out: &mut Vec<ChannelEvent>,
    ) {
        let info =
            SpiceBasicInfo { host: client.host.clone(), port: client.port.clone(), family: client.family.clone() };
        let endpoints = Endpoints { server, client: address(&info) };
        let channel = Channel {
            // QEMU widens a C int; the two others are bytes on the wire.
            connection_id: i32::try_from(client.connection_id).unwrap_or_default(),
            channel_type: ChannelType(u8::try_from(client.channel_type).unwrap_or_default()),
            channel_id: u8::try_from(client.channel_id).unwrap_or_default(),
            auth,
        };
        let key = key(&endpoints);
        let is_linking = |opens: &VecDeque<Open>| opens.iter().any(|open| !open.is_channel);
        if !self.open.get(&key).is_some_and(is_linking) {
            self.connected(at, endpoints.clone(), client.tls, out);
        }
        let opens = self.open.get_mut(&key);
        let Some(open) = opens.and_then(|opens| opens.iter_mut().find(|open| !open.is_channel)) else { return };
        open.is_channel = true;
        if client.tls != open.connection.tls {
            open.connection = Arc::new(Connection { endpoints, tls: client.tls });
        }
        let (flow, connection) = (open.flow, Arc::clone(&open.connection));
        out.push(ChannelEvent { at, flow, connection, kind: EventKind::Initialized(channel) });
    }

    fn disconnected(&mut self, at: Timestamp, endpoints: &Endpoints, out: &mut Vec<ChannelEvent>) {
        let key = key(endpoints);
        let Some(opens) = self.open.get_mut(&key) else { return };
        if let Some(Open { flow, connection, .. }) = opens.pop_front() {
            self.len -= 1;
            out.push(ChannelEvent { at, flow, connection, kind: EventKind::Disconnected });
        }
        if opens.is_empty() {
            self.open.remove(&key);
        }
    }
}

fn key(endpoints: &Endpoints) -> Key {
    let Endpoints { server, client } = endpoints;
    [&server.host, &server.port, &client.host, &client.port].map(Clone::clone)
}

fn address(info: &SpiceBasicInfo<'_>) -> Address {
    let family = match info.family {
        NetworkAddressFamily::Ipv4 => Family::Ipv4,
        NetworkAddressFamily::Ipv6 => Family::Ipv6,
        NetworkAddressFamily::Unix => Family::Unix,
        NetworkAddressFamily::Vsock => Family::Vsock,
        _ => Family::Unknown,
    };
    Address { host: (&*info.host).into(), port: (&*info.port).into(), family }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spice_events::qmp_schema;

    const AT: Timestamp = Timestamp { seconds: 5, microseconds: 6 };

    fn line(event: &str, client: &str, more: &str) -> String {
        let (auth, timestamp) = if more.is_empty() {
            ("", "")
        } else {
            (r#""auth": "none", "#, r#""timestamp": {"seconds": 9, "microseconds": 1}, "#)
        };
        format!(
            r#"{{{timestamp}"event": "SPICE_{event}", "data": {{"server": {{{auth}"port": "5900", "family": "ipv4", "host": "h"}}, "client": {{"port": "{client}", "family": "ipv4", "host": "a"{more}}}}}}}"#
        )
    }

    fn check(lines: &[String], expected: &[(u64, &str)]) {
        let mut events = QmpEvents::new();
        let mut seen = Vec::new();
        for line in lines {
            let message = qmp_schema::from_slice::<EventMessage<'_>>(line.as_bytes()).unwrap();
            for event in events.handle(AT, &message) {
                let kind = match event.kind {
                    EventKind::Connected => "connected".to_owned(),
                    EventKind::Initialized(channel) => {
                        let Channel { connection_id, channel_type, channel_id, auth } = channel;
                        assert_eq!(event.at.seconds, 9, "the event's own time");
                        let tls = event.connection.tls;
                        format!("{channel_type}:{channel_id} {connection_id} {} tls={tls}", auth.name())
                    }
                    EventKind::Disconnected => "disconnected".to_owned(),
                };
                seen.push((event.flow.0, kind));
            }
        }
        let expected: Vec<_> = expected.iter().map(|(flow, kind)| (*flow, (*kind).to_owned())).collect();
        assert_eq!(seen, expected);
        assert!(events.is_empty());
    }

    const INPUTS: &str = r#", "channel-type": 3, "connection-id": -7, "channel-id": 1, "tls": true"#;

    #[test]
    fn events_of_a_connection_have_one_number() {
        let lines = [
            line("CONNECTED", "1", ""),
            line("CONNECTED", "2", ""),
            line("INITIALIZED", "1", INPUTS),
            line("DISCONNECTED", "2", ""),
            line("DISCONNECTED", "1", ""),
            line("DISCONNECTED", "1", ""),
        ];
        let inputs = "inputs:1 -7 none tls=true";
        let expected = [(1, "connected"), (2, "connected"), (1, inputs), (2, "disconnected"), (1, "disconnected")];
        check(&lines, &expected);
    }

    #[test]
    fn connections_with_the_same_addresses_are_told_apart_by_their_order() {
        let lines = [
            line("CONNECTED", "", ""),
            line("CONNECTED", "", ""),
            line("INITIALIZED", "", INPUTS),
            line("INITIALIZED", "", INPUTS),
            line("DISCONNECTED", "", ""),
            line("DISCONNECTED", "", ""),
        ];
        let inputs = "inputs:1 -7 none tls=true";
        let expected =
            [(1, "connected"), (2, "connected"), (1, inputs), (2, inputs), (1, "disconnected"), (2, "disconnected")];
        check(&lines, &expected);
    }

    #[test]
    fn channel_whose_connect_was_missed_is_connected_with_its_first_event() {
        let lines = [line("INITIALIZED", "1", INPUTS), line("DISCONNECTED", "1", "")];
        check(&lines, &[(1, "connected"), (1, "inputs:1 -7 none tls=true"), (1, "disconnected")]);
    }
}
