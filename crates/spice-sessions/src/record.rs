//! Session records, with the names of the Elastic Common Schema where it has one.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use serde_derive::{Deserialize, Serialize};
use spice_events::Timestamp;
use uuid::Uuid;

use crate::{EndedBy, Outcome, Reason, Source, Stage, moment};

/// One session record. As JSON it is an object of objects: `{"event": {"action": …}, "spice": {…}}`; what is not known is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// When it happened: the start, the end or the refusal.
    #[serde(rename = "@timestamp", with = "moment::text")]
    pub timestamp: Timestamp,
    /// What happened.
    pub event: Event,
    /// Which session. A refused link has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionIds>,
    /// The virtual machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<Name>,
    /// The machine that made the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    /// The client's end, and the bytes that it sent.
    pub client: End,
    /// The server's end, and the bytes that it sent.
    pub server: End,
    /// The connection: of a session, that of its main channel.
    pub network: Network,
    /// Its encryption.
    pub tls: Tls,
    /// What ECS has no name for.
    pub spice: Spice,
}

/// `event`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Always [`Kind::Event`].
    pub kind: Kind,
    /// `session` and `network`.
    pub category: Vec<Cow<'static, str>>,
    /// `start`, `end` or `info`.
    #[serde(rename = "type")]
    pub types: Vec<Cow<'static, str>>,
    /// Which record it is.
    pub action: Action,
    /// Whether it went well.
    pub outcome: Outcome,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// When the session's first channel, or the connection, began.
    #[serde(with = "moment::text")]
    pub start: Timestamp,
    /// When it ended.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// From start to end, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// The record's own id, of version 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Numbers the records of one source in the order in which they were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// `event.kind`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The only kind that is made here.
    #[default]
    Event,
}

/// `event.action`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A session began.
    SessionStarted,
    /// What is known of a live session; made on request, not by itself.
    SessionUpdated,
    /// A session ended.
    SessionEnded,
    /// A connection ended before it became a channel.
    LinkRefused,
}

/// `session`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionIds {
    /// A UUID of version 7, made when the session began.
    pub id: Uuid,
    /// The session that this one took over, or that migrated here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_id: Option<Uuid>,
}

/// `vm` and `host`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Name {
    /// The name that the operator gave it.
    pub name: String,
}

impl Name {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

/// `client` and `server`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct End {
    /// The IP address as QEMU shows it, or a unix socket's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The IP address, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Bytes that this end sent, over all channels. Absent where the source does not show bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// `network`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Network {
    /// `tcp`, `unix` or `vsock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Cow<'static, str>>,
    /// `ipv4` or `ipv6`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'static, str>>,
    /// Always `spice`.
    pub protocol: Cow<'static, str>,
    /// The connection's Community ID (version 1, seed 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub community_id: Option<String>,
}

/// `tls`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tls {
    /// Every channel so far runs inside TLS.
    pub established: bool,
    /// `1.2` or `1.3`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The cipher suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
}

/// `spice`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spice {
    /// The connection id as QMP shows it: 32 bits, signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<i32>,
    /// The server's `auth` setting: `spice`, `none` or `sasl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Cow<'static, str>>,
    /// Who ended the session or the connection first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// The last step that was reached.
    pub stage: Stage,
    /// What made the events.
    pub source: Source,
    /// When the client last sent a byte on an *inputs* channel: keyboard or mouse.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub inputs_last_at: Option<Timestamp>,
    /// Bytes that the capture has missed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed_bytes: u64,
    /// The names of the anomalies that were seen, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anomalies: Vec<Cow<'static, str>>,
    /// The channels, in the order in which they came up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// How many channels are not listed, as there were more than [`Config::MAX_CHANNELS`](crate::Config::MAX_CHANNELS).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub channels_omitted: u64,
}

/// `spice.channels[]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Channel {
    /// The channel type's number; absent where the content can't be read.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub channel_type: Option<u8>,
    /// The channel type's name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'static, str>>,
    /// Tells channels of one type apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u8>,
    /// When the channel came up: its link stage succeeded.
    #[serde(with = "moment::text")]
    pub opened_at: Timestamp,
    /// When its connection ended.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// It runs inside TLS.
    pub tls: bool,
    /// Bytes from the client, link stage included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_to_server: Option<u64>,
    /// Bytes from the server, link stage included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_to_client: Option<u64>,
    /// Why its connection ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Record {
    /// How long the user of a session has been idle: the time since the last client byte on an *inputs* channel, or since
    /// that channel came up. `None` without one, or where the source shows no bytes.
    pub fn idle(&self, now: Timestamp) -> Option<Duration> {
        self.spice.inputs_last_at.map(|at| moment::between(at, now))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
