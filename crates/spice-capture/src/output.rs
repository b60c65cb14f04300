use crate::{Notice, tcp::Volume};
use spice_events::{Anomaly, ChannelEvent, FlowId, Side, Timestamp};
use std::fmt;

/// What a capture shows, in the order in which it became known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// One of QEMU's events.
    Event(ChannelEvent),
    /// What was unusual about a SPICE connection.
    Anomaly(Anomaly),
    /// What was unusual about the capture.
    Notice(Notice),
    /// A connection's bytes can't be read: TLS without keys. Just after its `SPICE_CONNECTED`, and only with [`Config::transport`](crate::Config::transport).
    Unreadable(FlowId),
    /// A connection ends. Just before its `SPICE_DISCONNECTED`, and only with [`Config::transport`](crate::Config::transport).
    Ended(Ended),
    /// A connection is followed no longer: see [`Notice::TooManyConnections`]. Only with [`Config::transport`](crate::Config::transport).
    Forgotten(FlowId),
}

/// What TCP shows about a connection that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Ended {
    /// The connection.
    pub flow: FlowId,
    /// When.
    pub at: Timestamp,
    /// Who ended it first. `None` if that was not captured.
    pub by: Option<Side>,
    /// How much it has carried.
    pub volume: Volume,
    /// Bytes of its link stage that are not in the capture.
    pub missed: u64,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Anomaly(anomaly) => anomaly.fmt(f),
            Self::Notice(notice) => notice.fmt(f),
            Self::Unreadable(FlowId(flow)) => write!(f, "connection {flow}: the bytes can't be read"),
            Self::Ended(Ended { flow: FlowId(flow), volume, .. }) => {
                let Volume { from_client, from_server, .. } = volume;
                write!(
                    f,
                    "connection {flow}: ended after {from_client} bytes from the client, {from_server} from the server"
                )
            }
            Self::Forgotten(FlowId(flow)) => write!(f, "connection {flow}: followed no longer"),
        }
    }
}
