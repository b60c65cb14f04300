#![doc = include_str!("../README.md")]

mod address;
mod anomaly;
mod auth;
mod config;
mod direction;
mod event;
mod follower;
mod input;
mod output;
#[cfg(feature = "serde")]
mod serde;
mod sessions;
mod summary;
mod tracker;

pub use address::{Address, Endpoints, Family};
pub use anomaly::{Anomaly, AnomalyKind, LinkStep};
pub use auth::Auth;
pub use config::Config;
pub use event::{Channel, ChannelEvent, Connection, EventKind};
pub use follower::{LinkFollower, LinkNote, LinkNoteKind};
pub use input::{FlowId, Input};
pub use output::Output;
pub use qmp_schema::{self, Timestamp};
pub use spice_link::{self, LinkRequest, Side, UnknownName};
pub use summary::{LinkCaps, LinkOutcome, LinkSummary};
pub use tracker::{LiveChannel, Tracker};
#[cfg(feature = "serde")]
pub use tracker::{RestoreError, TrackerState};
