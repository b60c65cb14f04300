//! HTTP: metrics, live sessions, history, events and a page, all of them only to read (docs/HTTP.md).
//!
//! ```text
//!             ┌─ /metrics ────── metrics ── totals of the hub
//!  listen ─ server ─ routes ─┼─ /v1/sessions ─── sessions ── table of the hub
//!  (address)  └ limits       ├─ /v1/history ──── history ─── SQLite
//!                            ├─ /v1/events ───── events ──── feed ◀── hub
//!                            └─ / ────────────── page
//! ```
//!
//! One thread serves all clients, and some more answer what takes time. No client slows the relay: the feed never waits.

mod address;
mod answer;
mod certificates;
mod events;
#[cfg(feature = "history")]
mod history;
mod listen;
mod metrics;
mod page;
mod process;
mod routes;
mod server;
mod sessions;
mod stall;

use std::sync::Arc;

pub(crate) use address::HttpAddress;
pub(crate) use certificates::Certificates;
pub(crate) use listen::HttpListener;
pub(crate) use server::start;

use crate::outputs::{Feed, SessionHub};

/// Where HTTP is served unless configured.
pub(crate) const DEFAULT_PATH: &str = "/run/spicewatch/http.sock";

/// What is served.
pub(crate) struct Content {
    pub(crate) hub: SessionHub,
    pub(crate) feed: Arc<Feed>,
    #[cfg(feature = "history")]
    pub(crate) history: Option<crate::history::Location>,
    pub(crate) certificates: Certificates,
    /// What a relay counts beside sessions.
    pub(crate) limits: Option<Limits>,
}

/// Reads the limits of a relay.
pub(crate) type Limits = Box<dyn Fn() -> LimitCounts + Send + Sync>;

/// The limits of a relay, and what they have refused.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LimitCounts {
    /// Open connections.
    pub(crate) connections: usize,
    pub(crate) max_connections: usize,
    /// Connections that were closed at once, since the start.
    pub(crate) refused: usize,
    /// Lines of the log that were lost, since the start.
    pub(crate) log_lines_lost: u64,
}
