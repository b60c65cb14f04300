//! The control socket: a running relay answers questions about its sessions, and ends one on request.
//!
//! A client sends one JSON object per line, and gets lines back (docs/CONTROL.md):
//!
//! ```text
//! → {"version": 1, "command": "who", "vm": "desk"}
//! ← {"session": {…}}                                     a session record, once for each session
//! ← {"return": {"sessions": 1}}                          or {"error": {"code": "unknown-vm", "message": "…"}}
//! ```

pub(crate) mod client;
pub(crate) mod server;
mod socket;

use serde_derive::{Deserialize, Serialize};
pub(crate) use socket::{ControlSocket, SocketMode};
use spice_sessions::Record;

use crate::hooks::HookCounts;

/// Where a relay listens and the commands ask, unless configured.
pub(crate) const DEFAULT_PATH: &str = "/run/spicewatch/control.sock";

/// The version of the protocol.
const VERSION: u32 = 1;

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    version: u32,
    #[serde(flatten)]
    command: Command,
}

/// What a client can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Command {
    /// The state of the process.
    Status,
    /// The live sessions.
    Who {
        /// Only those of this VM.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vm: Option<String>,
    },
    /// One live session.
    Show {
        /// Its id, or the id's last digits.
        session: String,
    },
    /// Ends the connections of a live session.
    End {
        /// Its id, or the id's last digits.
        session: String,
    },
    /// Reads the configuration again, as SIGHUP does, and waits for the outcome.
    Reload,
    /// Says what `reload` would change, and changes nothing.
    Preview,
    /// A VM accepts no more connections until the next reload.
    Drain {
        /// Its name.
        vm: String,
    },
    /// Lets the client take over. What follows on the connection is not for other clients: see `relay/upgrade`.
    Upgrade,
}

/// A line of the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// A live session. Others may follow.
    Session(Box<Record>),
    /// The end of the answer.
    Return(Answer),
    /// The request failed: the end of the answer.
    Error(Failure),
}

/// What a command returns, beside sessions. Each command sets its own members.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Box<Status>>,
    /// `who`: how many sessions were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sessions: Option<usize>,
    /// `who`: open connections of all VMs that belong to no session, because their link stage is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) linking: Option<usize>,
    /// `end`: how many connections are ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_connections: Option<usize>,
    /// `drain`: how many connections of the VM are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open_connections: Option<usize>,
    /// `preview`: the configuration file that the relay reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// `reload`: what has changed, for people. `preview`: what would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changes: Option<String>,
}

/// The state of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Status {
    /// The program's version.
    pub(crate) version: String,
    /// What it watches: `relay`.
    pub(crate) source: String,
    pub(crate) pid: u32,
    /// When it started, as in RFC 3339.
    pub(crate) since: String,
    pub(crate) vms: Vec<VmStatus>,
    pub(crate) sessions: usize,
    pub(crate) connections: usize,
    /// Sessions that began, since the start of the process; likewise the rest.
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) refused: u64,
    pub(crate) health_checks: u64,
    /// Session records that an output could not take.
    pub(crate) lost_records: u64,
    /// Absent as long as no hook is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hooks: Option<HookCounts>,
}

/// One VM.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VmStatus {
    pub(crate) name: String,
    pub(crate) sessions: usize,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// One of a documented set.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
}

impl Failure {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}
