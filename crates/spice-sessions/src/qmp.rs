//! QEMU's own events as channel events: for a source that sees QMP and no bytes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use spice_events::{
    Address, Auth, Channel, ChannelEvent, Connection, Endpoints, EventKind, Family, FlowId, Timestamp,
    qmp_schema::{Event, EventMessage, NetworkAddressFamily, SpiceBasicInfo, SpiceChannel, SpiceInfo},
    spice_link::ChannelType,
};

/// Turns QEMU's events over QMP into [`ChannelEvent`]s, which name connections by number and not by addresses.
///
/// One for each QEMU. Events of one connection are found again by its two addresses; where several connections have the same ones, as those of a unix socket have, the
/// oldest that fits counts. A connection whose `SPICE_CONNECTED` was not seen is taken as connected with its first event.
///
/// After a lost connection to QEMU, [`resynchronize`](Self::resynchronize) takes up what `query-spice` shows. It does not show the server's address of a channel, so
/// that those of channels that were not known before are empty.
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
    channel: Option<Channel>,
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

    /// Events may have been missed: makes up for them from what `query-spice` has returned. `None` is a QEMU without SPICE.
    ///
    /// Connections whose link stage was not over are not in that list. They are taken as disconnected, unless `is_first`: the stream has just
    /// begun, and what is known comes from events of this connection to QEMU.
    pub fn resynchronize(&mut self, at: Timestamp, spice: Option<&SpiceInfo<'_>>, is_first: bool) -> Vec<ChannelEvent> {
        let mut out = Vec::new();
        let auth =
            spice.and_then(|spice| spice.auth.as_deref()).and_then(|auth| auth.parse().ok()).unwrap_or(Auth::Spice);
        let channels = spice.and_then(|spice| spice.channels.as_deref()).unwrap_or_default();
        let mut new: Vec<_> =
            channels.iter().map(|channel| (channel, client(channel), channel_of(channel, auth))).collect();
        let mut gone = Vec::new();
        let mut open: Vec<_> =
            self.open.iter().flat_map(|(key, opens)| opens.iter().map(move |open| (key, open))).collect();
        open.sort_by_key(|(_, open)| open.flow);
        for (key, open) in open {
            let listed = new.iter().position(|(_, client, channel)| {
                let is_same = |known: &Channel| {
                    (known.connection_id, known.channel_type, known.channel_id)
                        == (channel.connection_id, channel.channel_type, channel.channel_id)
                };
                open.channel.as_ref().is_some_and(is_same) && open.connection.endpoints.client == *client
            });
            match listed {
                Some(index) => drop(new.swap_remove(index)),
                None if open.channel.is_none() && is_first => {}
                None => gone.push((key.clone(), open.flow)),
            }
        }
        for (key, flow) in gone {
            self.remove(at, &key, flow, &mut out);
        }
        // In QEMU's order, as far as it is left: the main channel of a session first.
        new.sort_by_key(|(channel, ..)| channel.channel_type != i64::from(ChannelType::MAIN.0));
        for (channel, _, _) in new {
            self.initialized(
                at,
                Address { host: "".into(), port: "".into(), family: Family::Unknown },
                channel,
                auth,
                &mut out,
            );
        }
        out
    }

    /// QEMU has ended: every connection is disconnected.
    pub fn end_all(&mut self, at: Timestamp) -> Vec<ChannelEvent> {
        self.resynchronize(at, None, false)
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
        let open = Open { flow, connection: Arc::clone(&connection), channel: None };
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
        let endpoints = Endpoints { server, client: self::client(client) };
        let channel = channel_of(client, auth);
        let key = key(&endpoints);
        let is_linking = |opens: &VecDeque<Open>| opens.iter().any(|open| open.channel.is_none());
        if !self.open.get(&key).is_some_and(is_linking) {
            self.connected(at, endpoints.clone(), client.tls, out);
        }
        let opens = self.open.get_mut(&key);
        let Some(open) = opens.and_then(|opens| opens.iter_mut().find(|open| open.channel.is_none())) else { return };
        open.channel = Some(channel);
        if client.tls != open.connection.tls {
            open.connection = Arc::new(Connection { endpoints, tls: client.tls });
        }
        let (flow, connection) = (open.flow, Arc::clone(&open.connection));
        out.push(ChannelEvent { at, flow, connection, kind: EventKind::Initialized(channel) });
    }

    fn disconnected(&mut self, at: Timestamp, endpoints: &Endpoints, out: &mut Vec<ChannelEvent>) {
        let known = key(endpoints);
        // One that was taken up from query-spice has no server's address.
        let unnamed = [Box::default(), Box::default(), known[2].clone(), known[3].clone()];
        let first = |key: &Key| Some(self.open.get(key)?.front()?.flow);
        if let Some(flow) = first(&known) {
            self.remove(at, &known, flow, out);
        } else if let Some(flow) = first(&unnamed) {
            self.remove(at, &unnamed, flow, out);
        }
    }

    fn remove(&mut self, at: Timestamp, key: &Key, flow: FlowId, out: &mut Vec<ChannelEvent>) {
        let Some(opens) = self.open.get_mut(key) else { return };
        let index = opens.iter().position(|open| open.flow == flow);
        if let Some(Open { connection, .. }) = index.and_then(|index| opens.remove(index)) {
            self.len -= 1;
            out.push(ChannelEvent { at, flow, connection, kind: EventKind::Disconnected });
        }
        if opens.is_empty() {
            self.open.remove(key);
        }
    }
}

fn client(channel: &SpiceChannel<'_>) -> Address {
    let SpiceChannel { host, port, family, .. } = channel;
    address(&SpiceBasicInfo { host: host.clone(), port: port.clone(), family: family.clone() })
}

fn channel_of(channel: &SpiceChannel<'_>, auth: Auth) -> Channel {
    Channel {
        // QEMU widens a C int; the two others are bytes on the wire.
        connection_id: i32::try_from(channel.connection_id).unwrap_or_default(),
        channel_type: ChannelType(u8::try_from(channel.channel_type).unwrap_or_default()),
        channel_id: u8::try_from(channel.channel_id).unwrap_or_default(),
        auth,
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
    fn resynchronized_channels_begin_and_end_once() {
        let spice = |channels: &[(&str, i64)]| {
            let channel = |(port, kind): &(&str, i64)| {
                format!(
                    r#"{{"host": "a", "port": "{port}", "family": "ipv4", "connection-id": -7, "channel-type": {kind}, "channel-id": 1, "tls": true}}"#
                )
            };
            let channels: Vec<_> = channels.iter().map(channel).collect();
            format!(
                r#"{{"enabled": true, "migrated": false, "auth": "sasl", "mouse-mode": "client", "channels": [{}]}}"#,
                channels.join(", ")
            )
        };
        let mut events = QmpEvents::new();
        let mut seen = Vec::new();
        let mut take = |out: Vec<ChannelEvent>| {
            for event in out {
                let kind = match event.kind {
                    EventKind::Connected => "connected".to_owned(),
                    EventKind::Initialized(channel) => format!("{} {}", channel.channel_type, channel.auth.name()),
                    EventKind::Disconnected => "disconnected".to_owned(),
                };
                seen.push((event.connection.endpoints.client.port.to_string(), kind));
            }
        };
        let message = |line: &str| qmp_schema::from_slice::<EventMessage<'_>>(line.as_bytes()).unwrap().into_owned();
        // 1 and 2 are channels; the link stage of 3 is not over.
        for line in [
            line("CONNECTED", "1", ""),
            line("INITIALIZED", "1", INPUTS),
            line("INITIALIZED", "2", INPUTS),
            line("CONNECTED", "3", ""),
        ] {
            take(events.handle(AT, &message(&line)));
        }
        let same = spice(&[("2", 3), ("1", 3)]);
        let state = |text: &str| qmp_schema::from_slice::<SpiceInfo<'_>>(text.as_bytes()).unwrap().into_owned();
        take(events.resynchronize(AT, Some(&state(&same)), true));
        assert_eq!(events.len(), 3, "nothing has changed");
        // 1 and 3 have gone meanwhile, and 4 and 5 have come.
        take(events.resynchronize(AT, Some(&state(&spice(&[("5", 3), ("4", 1), ("2", 3)]))), false));
        take(events.handle(AT, &message(&line("DISCONNECTED", "4", ""))));
        take(events.end_all(AT));
        assert!(events.is_empty());
        let expected = [
            ("1", "connected"),
            ("1", "inputs none"),
            ("2", "connected"),
            ("2", "inputs none"),
            ("3", "connected"),
            ("1", "disconnected"),
            ("3", "disconnected"),
            ("4", "connected"),
            ("4", "main sasl"),
            ("5", "connected"),
            ("5", "inputs sasl"),
            ("4", "disconnected"),
            ("2", "disconnected"),
            ("5", "disconnected"),
        ];
        let expected: Vec<_> = expected.iter().map(|(port, kind)| ((*port).to_owned(), (*kind).to_owned())).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn channel_whose_connect_was_missed_is_connected_with_its_first_event() {
        let lines = [line("INITIALIZED", "1", INPUTS), line("DISCONNECTED", "1", "")];
        check(&lines, &[(1, "connected"), (1, "inputs:1 -7 none tls=true"), (1, "disconnected")]);
    }
}
