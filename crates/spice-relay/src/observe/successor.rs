//! Observers whose connections stay in this process, while another process reports them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use spice_events::{Anomaly, ChannelEvent, Endpoints, FlowId, Input, Side};

use super::{ConnectionHandle, Ending};

/// What an observer was told about a connection. In another process, it tells the same to [`Observe`](super::Observe).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Report {
    /// See [`Observe::opened`](super::Observe::opened).
    Opened {
        /// The connection.
        flow: FlowId,
        /// Both ends.
        endpoints: Endpoints,
        /// Whether the client speaks TLS to the relay.
        tls: bool,
    },
    /// See [`Observe::secured`](super::Observe::secured).
    Secured {
        /// The connection.
        flow: FlowId,
        /// `1.2` or `1.3`
        version: String,
        /// The name of the cipher suite.
        cipher: String,
    },
    /// See [`Observe::bytes`](super::Observe::bytes).
    Bytes {
        /// The connection.
        flow: FlowId,
        /// The sender.
        from: Side,
        /// Bytes of the link stage.
        data: Vec<u8>,
    },
    /// See [`Observe::ending`](super::Observe::ending).
    Ending {
        /// The connection.
        flow: FlowId,
        /// Why it ends.
        ending: Ending,
    },
    /// See [`Observe::closed`](super::Observe::closed).
    Closed {
        /// The connection.
        flow: FlowId,
        /// Who ended it first.
        by: Option<Side>,
    },
}

impl Report {
    /// The report of a tracker's input. The relay has no others.
    pub(super) fn of(flow: FlowId, input: &Input<'_>) -> Option<Self> {
        Some(match input {
            Input::Opened { endpoints, tls, .. } => Self::Opened { flow, endpoints: endpoints.clone(), tls: *tls },
            Input::Bytes { from, data } => Self::Bytes { flow, from: *from, data: data.to_vec() },
            Input::Closed { by } => Self::Closed { flow, by: *by },
            _ => return None,
        })
    }
}

/// Takes the reports about connections that stay in this process. No call may block.
pub trait Successor: Send + Sync + 'static {
    /// Takes a report. Those of one connection come in order, and those of one observer in the order in which its tracker took them.
    fn report(&self, report: Report);

    /// Takes a connection that was opened after the hand-over. Comes just after its report.
    fn connection(&self, flow: FlowId, connection: &Arc<ConnectionHandle>);
}

/// What the sink of an observer was not told, because another process may have taken over.
#[derive(Debug)]
pub(super) enum Withheld {
    Event(ChannelEvent),
    Anomaly(Anomaly),
    Connection(FlowId, Arc<ConnectionHandle>),
    Secured(FlowId, String, String),
    Ending(FlowId, Ending),
}

/// The successor of an observer, and what is withheld until it is known whether it takes over.
pub(super) struct HandedOver {
    pub(super) successor: Arc<dyn Successor>,
    /// `None`: it has taken over.
    withheld: Mutex<Option<Vec<Withheld>>>,
}

impl HandedOver {
    pub(super) fn new(successor: Arc<dyn Successor>) -> Self {
        Self { successor, withheld: Mutex::new(Some(Vec::new())) }
    }

    pub(super) fn withhold(&self, what: Withheld) {
        if let Some(withheld) = &mut *self.withheld.lock().unwrap_or_else(PoisonError::into_inner) {
            withheld.push(what);
        }
    }

    /// Takes what was withheld. Nothing more is.
    pub(super) fn take(&self) -> Vec<Withheld> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

impl fmt::Debug for HandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandedOver").finish_non_exhaustive()
    }
}
