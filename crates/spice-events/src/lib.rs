#![doc = include_str!("../README.md")]

mod address;
mod auth;
mod config;
mod direction;
mod input;
mod linking;
mod output;
mod sessions;
mod tracker;

pub use address::{Address, Endpoints, Family};
pub use auth::Auth;
pub use config::Config;
pub use input::{FlowId, Input};
pub use output::{Anomaly, AnomalyKind, Channel, ChannelEvent, Connection, EventKind, Output};
pub use qmp_schema::{self, Timestamp};
pub use spice_link::{self, LinkRequest, Side, UnknownName};
pub use tracker::Tracker;
