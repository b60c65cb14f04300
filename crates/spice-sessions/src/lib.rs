#![doc = include_str!("../README.md")]

mod config;
mod connection;
mod ids;
mod input;
mod moment;
mod place;
mod qmp;
mod reason;
mod record;
mod retry;
mod session;
mod sessions;

pub use config::{Config, Source};
pub use input::{Ending, Input, Traffic, VmId};
pub use qmp::QmpEvents;
pub use reason::{EndedBy, Outcome, Reason, Stage};
pub use record::{Action, Channel, End, Event, Kind, Name, Network, Record, SessionIds, Spice, Tls};
pub use sessions::{AtVm, Counters, LiveKey, RestoreError, Sessions, SessionsState};
pub use spice_events::{self, Timestamp};
pub use uuid::Uuid;
