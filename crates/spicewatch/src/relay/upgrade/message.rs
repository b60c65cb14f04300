//! What the two processes of an upgrade tell each other.

use serde_derive::{Deserialize, Serialize};
use spice_relay::{
    observe::Report,
    spice_events::{FlowId, TrackerState},
};
use spice_sessions::SessionsState;

/// The number of this form of the messages. A process with another one is refused.
pub(super) const FORM: u32 = 1;

/// The first message of the new process: what it is, and what it is going to serve.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) form: u32,
    pub(super) version: String,
    pub(super) pid: u32,
    pub(super) vms: Vec<VmOutline>,
}

/// What has to be the same in both processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VmOutline {
    pub(super) name: String,
    pub(super) listeners: Vec<String>,
    pub(super) qmp: Vec<String>,
}

/// The answer of the old process. Descriptors of `sockets` come with it, in their order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The old process goes on as before, because of this.
    Refused(String),
    State(Box<State>),
}

/// Everything that the new process goes on with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The old process's id.
    pub(super) pid: u32,
    /// No connection of the old process has this number or a higher one.
    pub(super) next_flow: u64,
    pub(super) vms: Vec<VmState>,
    pub(super) sessions: Option<SessionsState>,
    pub(super) connections: Vec<Counts>,
    pub(super) sockets: Vec<SocketState>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct VmState {
    pub(super) name: String,
    pub(super) tracker: TrackerState,
}

/// How much a connection has carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) flow: FlowId,
    pub(super) from_client: u64,
    pub(super) from_server: u64,
    /// When the client's last byte came, in microseconds since 1970.
    pub(super) client_at: Option<u64>,
}

/// A socket that listens.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SocketState {
    /// The address that is configured.
    pub(super) address: String,
    /// Whether the file of a unix socket goes when the process ends.
    pub(super) owns_file: bool,
    /// Whether a service manager has passed it.
    pub(super) is_kept: bool,
}

/// The new process, after the state: whether it can go on with it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ready {
    Yes,
    No(String),
}

/// The old process, after [`Ready::Yes`]: the new one owns everything. It answers [`Taken`] before it does anything.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Go {}

/// The new process has read [`Go`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Taken {}

/// From the old process, after [`Taken`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromOld {
    /// The old process has closed its outputs.
    Released,
    /// What the observer of a VM was told. The number is the VM's place in [`State::vms`].
    Report(usize, Report),
    Counts(Counts),
}

/// From the new process, after [`Taken`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromNew {
    /// End this connection.
    Terminate(FlowId),
}
