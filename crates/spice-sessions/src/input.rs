use serde_derive::{Deserialize, Serialize};
use spice_events::{Anomaly, ChannelEvent, FlowId, Side, Timestamp};

use crate::{EndedBy, Reason};

/// A virtual machine, as [`Sessions::vm`](crate::Sessions::vm) names it. The default is for a source that does not know VMs: there, the server's address
/// and port identify the VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VmId(pub(crate) u32);

/// What happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The tracker reported one of QEMU's events. A `SPICE_DISCONNECTED` ends the connection: give its
    /// last [`Traffic`](Self::Traffic) and its [`Ending`](Self::Ending) before.
    Event(&'a ChannelEvent),
    /// The tracker reported an anomaly.
    Anomaly(&'a Anomaly),
    /// How many bytes a connection has carried so far. As often as the caller likes, and once before the end.
    Traffic {
        /// The connection.
        flow: FlowId,
        /// The counts since the connection was opened.
        traffic: Traffic,
    },
    /// The connection's content can't be read: TLS without keys. Comes after its `SPICE_CONNECTED`.
    Unreadable {
        /// The connection.
        flow: FlowId,
    },
    /// What the TLS handshake agreed on.
    Tls {
        /// The connection.
        flow: FlowId,
        /// `1.2` or `1.3`
        version: &'a str,
        /// The name of the cipher suite, as in IANA's registry.
        cipher: &'a str,
    },
    /// Why the connection is about to end. The first call for a connection counts.
    Ending {
        /// The connection.
        flow: FlowId,
        /// Who ended it, and why.
        ending: Ending,
    },
    /// The source follows this connection no longer, and will not report its end.
    Forgotten {
        /// The connection.
        flow: FlowId,
    },
}

/// How many bytes a connection has carried. All counts start when the connection is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes from the client.
    pub to_server: u64,
    /// Bytes from the server.
    pub to_client: u64,
    /// When the client's last byte came.
    #[serde(default, with = "crate::moment::optional")]
    pub last_from_client: Option<Timestamp>,
    /// Bytes that passed unseen: gaps in a capture. Also part of the other two counts, where the direction is known.
    pub missed: u64,
}

/// Who ended a connection, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Who ended it first.
    pub by: EndedBy,
    /// Why, as far as the transport or the relay shows it.
    pub reason: Reason,
}

impl Ending {
    /// The end of a TCP connection: who sent the first FIN or RST, and whether it was an RST.
    pub fn closed(by: Option<Side>, reset: bool) -> Self {
        let reason = match (by, reset) {
            (Some(Side::Client), false) => Reason::ClientLeft,
            (Some(Side::Client), true) => Reason::ClientReset,
            (Some(Side::Server), false) => Reason::ServerClosed,
            (Some(Side::Server), true) => Reason::ServerReset,
            (None, _) => Reason::Unknown,
        };
        Self { by: by.into(), reason }
    }

    /// The relay ended the connection.
    pub fn relay(reason: Reason) -> Self {
        Self { by: EndedBy::Relay, reason }
    }
}
