//! One session, from its first channel to its last.

use std::{borrow::Cow, collections::VecDeque, net::IpAddr, sync::Arc};

use serde_derive::{Deserialize, Serialize};
use spice_events::{Address, Auth, Connection, Family, FlowId, Timestamp, spice_link::ChannelType};
use uuid::Uuid;

use crate::{
    Action, Channel, Config, EndedBy, Ending, Outcome, Reason, Source, Stage, Traffic, VmId,
    connection::{Anomalies, Followed, TlsParameters},
    ids::community_id,
    moment::{between, micros},
    place::Place,
    record::{End, Event, Kind, Network, Record, SessionIds, Spice, Tls},
};

/// A session that is live, or that ended and waits for what follows.
#[expect(clippy::struct_excessive_bools, reason = "each holds or not, in any combination")]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) previous: Option<Uuid>,
    pub(crate) connection_id: Option<i32>,
    pub(crate) auth: Option<Auth>,
    #[serde(with = "crate::moment::text")]
    pub(crate) started_at: Timestamp,
    /// That of the main channel, or of the first one where that was not seen.
    pub(crate) connection: Arc<Connection>,
    pub(crate) main: Main,
    /// Connections that are open.
    pub(crate) open: usize,
    /// The servers' addresses that its channels use, or its VM: mostly one.
    pub(crate) places: Vec<Place>,
    /// The content can't be read.
    pub(crate) is_unreadable: bool,
    /// It has a record that it started. A session whose content can't be read has none before its first byte.
    pub(crate) is_reported: bool,
    /// A migration's target has taken up this session.
    pub(crate) is_migrated: bool,
    /// A new session came up at this place, and when: if the server ends this one now, it was replaced.
    pub(crate) challenger: Option<Challenger>,
    /// The end of the connection that closed last.
    pub(crate) last_ending: Option<Ending>,
    pub(crate) tls: Option<TlsParameters>,
    channels: VecDeque<Listed>,
    channels_omitted: u64,
    all_tls: bool,
    traffic: Option<Traffic>,
    #[serde(default, with = "crate::moment::optional")]
    inputs_last_at: Option<Timestamp>,
    anomalies: Anomalies,
}

/// A new session that came up at the place of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Challenger {
    pub(crate) serial: u64,
    #[serde(with = "crate::moment::text")]
    pub(crate) since: Timestamp,
}

/// What is known of the main channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Main {
    /// It was not seen.
    Unseen,
    /// It is open.
    Open(FlowId),
    /// It ended.
    Closed {
        #[serde(with = "crate::moment::text")]
        at: Timestamp,
        ending: Ending,
    },
}

/// A channel of the record, and its connection while it is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Listed {
    flow: Option<FlowId>,
    channel: Channel,
}

impl Session {
    pub(crate) fn new(id: Uuid, at: Timestamp, followed: &Followed) -> Self {
        Self {
            id,
            previous: None,
            connection_id: followed.channel.map(|channel| channel.connection_id).filter(|id| *id != 0),
            auth: followed.channel.map(|channel| channel.auth),
            started_at: at,
            connection: Arc::clone(&followed.connection),
            main: Main::Unseen,
            open: 0,
            places: Vec::new(),
            is_unreadable: followed.is_unreadable,
            is_reported: false,
            is_migrated: false,
            challenger: None,
            last_ending: None,
            tls: followed.tls.clone(),
            channels: VecDeque::new(),
            channels_omitted: 0,
            all_tls: true,
            traffic: None,
            inputs_last_at: None,
            anomalies: Anomalies::default(),
        }
    }

    /// A connection has become one of its channels.
    pub(crate) fn join(&mut self, at: Timestamp, flow: FlowId, followed: &Followed) {
        let channel_type = followed.channel.map(|channel| channel.channel_type);
        if channel_type == Some(ChannelType::MAIN) && self.main == Main::Unseen {
            self.main = Main::Open(flow);
            self.connection = Arc::clone(&followed.connection);
            self.tls = followed.tls.clone().or(self.tls.take());
        }
        if channel_type == Some(ChannelType::INPUTS) {
            self.active_at(at);
        }
        self.open += 1;
        self.all_tls &= followed.connection.tls;
        self.anomalies.add_all(&followed.anomalies);
        let traffic = followed.traffic;
        self.channels.push_back(Listed {
            flow: Some(flow),
            channel: Channel {
                channel_type: channel_type.map(|kind| kind.0),
                name: channel_type.and_then(ChannelType::name).map(Cow::Borrowed),
                id: followed.channel.map(|channel| channel.channel_id),
                opened_at: at,
                closed_at: None,
                tls: followed.connection.tls,
                bytes_to_server: traffic.map(|traffic| traffic.to_server),
                bytes_to_client: traffic.map(|traffic| traffic.to_client),
                reason: None,
            },
        });
        if let Some(traffic) = traffic {
            self.count(Traffic::default(), traffic, false);
        }
        if self.channels.len() > Config::MAX_CHANNELS {
            let closed = self.channels.iter().position(|listed| listed.flow.is_none()).unwrap_or(0);
            self.channels.remove(closed);
            self.channels_omitted += 1;
        }
    }

    /// A channel has carried more bytes.
    pub(crate) fn traffic(&mut self, flow: FlowId, old: Option<Traffic>, new: Traffic) {
        let listed = self.channels.iter_mut().find(|listed| listed.flow == Some(flow));
        let mut is_inputs = false;
        if let Some(Listed { channel, .. }) = listed {
            channel.bytes_to_server = Some(new.to_server);
            channel.bytes_to_client = Some(new.to_client);
            is_inputs = channel.channel_type == Some(ChannelType::INPUTS.0);
        }
        self.count(old.unwrap_or_default(), new, is_inputs);
    }

    fn count(&mut self, old: Traffic, new: Traffic, is_inputs: bool) {
        let sum = self.traffic.get_or_insert_default();
        sum.to_server = sum.to_server.saturating_add(new.to_server.saturating_sub(old.to_server));
        sum.to_client = sum.to_client.saturating_add(new.to_client.saturating_sub(old.to_client));
        sum.missed = sum.missed.saturating_add(new.missed.saturating_sub(old.missed));
        if let Some(at) = new.last_from_client.filter(|_| is_inputs) {
            self.active_at(at);
        }
    }

    fn active_at(&mut self, at: Timestamp) {
        if self.inputs_last_at.is_none_or(|last| micros(last) < micros(at)) {
            self.inputs_last_at = Some(at);
        }
    }

    /// An anomaly was seen on one of its connections.
    pub(crate) fn note(&mut self, name: &'static str) {
        self.anomalies.add(name);
    }

    /// One of its connections ended. Whether it was the last.
    pub(crate) fn leave(&mut self, at: Timestamp, flow: FlowId, ending: Ending) -> bool {
        if let Some(listed) = self.channels.iter_mut().find(|listed| listed.flow == Some(flow)) {
            listed.flow = None;
            listed.channel.closed_at = Some(at);
            listed.channel.reason = Some(ending.reason);
        }
        if self.main == Main::Open(flow) {
            self.main = Main::Closed { at, ending };
        }
        self.last_ending = Some(ending);
        self.open = self.open.saturating_sub(1);
        self.open == 0
    }

    /// How it ended, as far as its own connections show: as its main channel did, or else its last one.
    pub(crate) fn ending(&self) -> Ending {
        let main = match self.main {
            Main::Closed { ending, .. } if ending.reason != Reason::Unknown => Some(ending),
            _ => None,
        };
        main.or(self.last_ending).unwrap_or(Ending { by: EndedBy::Unknown, reason: Reason::Unknown })
    }

    /// Whether the server may have ended it in favour of another session.
    pub(crate) fn may_be_replaced(&self) -> bool {
        let Ending { by, reason } = self.ending();
        !self.is_migrated && !self.is_unreadable && (reason == Reason::Unknown || by == EndedBy::Server)
    }

    /// Keeps what it lists, and what it counts, within their bounds.
    pub(crate) fn limit(&mut self) {
        self.channels.truncate(Config::MAX_CHANNELS);
        self.channels_omitted = self.channels_omitted.min(u64::MAX / 2);
        self.open = self.open.min(usize::MAX / 2);
    }

    /// Its open connections, without those that are not listed.
    pub(crate) fn flows(&self) -> impl Iterator<Item = FlowId> + '_ {
        self.channels.iter().filter_map(|listed| listed.flow)
    }

    /// Its VM.
    pub(crate) fn vm(&self) -> VmId {
        self.places.first().map_or(VmId::default(), |place| place.vm)
    }

    /// Whether the client has sent a byte.
    pub(crate) fn has_bytes(&self) -> bool {
        self.traffic.is_some_and(|traffic| traffic.to_server > 0)
    }

    /// The client's host.
    pub(crate) fn client_host(&self) -> &str {
        &self.connection.endpoints.client.host
    }

    /// As a record. `event.id` and `event.sequence` are set when it is handed out.
    pub(crate) fn record(&self, action: Action, at: Timestamp, source: Source, end: Option<Ending>) -> Record {
        let traffic = self.traffic;
        let is_end = action == Action::SessionEnded;
        let outcome = match end {
            _ if self.is_unreadable => Outcome::Unknown,
            Some(Ending { reason, .. }) => reason.outcome_of_end(),
            None => Outcome::Success,
        };
        let (client, server) = ends(&self.connection, traffic);
        Record {
            timestamp: at,
            event: Event {
                outcome,
                reason: end.map(|end| end.reason),
                ..event(action, self.started_at, is_end.then_some(at))
            },
            session: Some(SessionIds { id: self.id, previous_id: self.previous }),
            vm: None,
            host: None,
            client,
            server,
            network: network(&self.connection),
            tls: Tls {
                established: self.all_tls,
                version: self.tls.as_ref().map(|tls| tls.version.to_string()),
                cipher: self.tls.as_ref().map(|tls| tls.cipher.to_string()),
            },
            spice: Spice {
                connection_id: self.connection_id,
                auth: self.auth.map(|auth| Cow::Borrowed(auth.name())),
                ended_by: end.map(|end| end.by),
                stage: if self.is_unreadable { Stage::Tls } else { Stage::Channel },
                source,
                inputs_last_at: self.inputs_last_at.filter(|_| traffic.is_some()),
                missed_bytes: traffic.map_or(0, |traffic| traffic.missed),
                anomalies: self.anomalies.0.clone(),
                channels: self.channels.iter().map(|listed| listed.channel.clone()).collect(),
                channels_omitted: self.channels_omitted,
            },
        }
    }
}

/// The record of a connection that ended before it became a channel.
pub(crate) fn refused(followed: &Followed, at: Timestamp, source: Source) -> Record {
    let verdict = followed.verdict();
    let (client, server) = ends(&followed.connection, followed.traffic);
    Record {
        timestamp: at,
        event: Event {
            outcome: verdict.reason.outcome_of_link(),
            reason: Some(verdict.reason),
            ..event(Action::LinkRefused, followed.opened_at, Some(at))
        },
        session: None,
        vm: None,
        host: None,
        client,
        server,
        network: network(&followed.connection),
        tls: Tls {
            established: followed.connection.tls && verdict.reason != Reason::TlsFailed,
            version: followed.tls.as_ref().map(|tls| tls.version.to_string()),
            cipher: followed.tls.as_ref().map(|tls| tls.cipher.to_string()),
        },
        spice: Spice {
            connection_id: None,
            auth: None,
            ended_by: Some(verdict.ended_by),
            stage: verdict.stage,
            source,
            inputs_last_at: None,
            missed_bytes: followed.traffic.map_or(0, |traffic| traffic.missed),
            anomalies: followed.anomalies.0.clone(),
            channels: Vec::new(),
            channels_omitted: 0,
        },
    }
}

fn event(action: Action, start: Timestamp, end: Option<Timestamp>) -> Event {
    let kind = match action {
        Action::SessionStarted => "start",
        Action::SessionUpdated => "info",
        Action::SessionEnded | Action::LinkRefused => "end",
    };
    let nanos = |end| u64::try_from(between(start, end).as_nanos()).unwrap_or(u64::MAX);
    Event {
        kind: Kind::Event,
        category: vec![Cow::Borrowed("session"), Cow::Borrowed("network")],
        types: vec![Cow::Borrowed(kind)],
        action,
        outcome: Outcome::Unknown,
        reason: None,
        start,
        end,
        duration: end.map(nanos),
        id: None,
        sequence: None,
    }
}

fn ends(connection: &Connection, traffic: Option<Traffic>) -> (End, End) {
    let end = |address: &Address, bytes| {
        let (host, port) = (kept(&address.host), kept(&address.port));
        if address.family == Family::Unix {
            let address = Some(port).filter(|path| !path.is_empty());
            return End { address, ip: None, port: None, bytes };
        }
        let ip = host.parse::<IpAddr>().ok();
        End { address: Some(host).filter(|host| !host.is_empty()), ip, port: port.parse().ok(), bytes }
    };
    let endpoints = &connection.endpoints;
    (
        end(&endpoints.client, traffic.map(|traffic| traffic.to_server)),
        end(&endpoints.server, traffic.map(|traffic| traffic.to_client)),
    )
}

fn network(connection: &Connection) -> Network {
    let (transport, kind) = match connection.endpoints.server.family {
        Family::Ipv4 => (Some("tcp"), Some("ipv4")),
        Family::Ipv6 => (Some("tcp"), Some("ipv6")),
        Family::Unix => (Some("unix"), None),
        Family::Vsock => (Some("vsock"), None),
        Family::Unknown => (None, None),
    };
    Network {
        transport: transport.map(Cow::Borrowed),
        kind: kind.map(Cow::Borrowed),
        protocol: Cow::Borrowed("spice"),
        community_id: community_id(&connection.endpoints),
    }
}

/// An address's text, cut to [`Config::MAX_ADDRESS`].
fn kept(text: &str) -> String {
    let end = (0..=text.len().min(Config::MAX_ADDRESS)).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}
