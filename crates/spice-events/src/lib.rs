#![doc = include_str!("../README.md")]

mod config;
mod direction;
mod input;
mod linking;
mod output;
mod sessions;
mod tracker;

pub use config::{Auth, Config};
pub use input::{Address, Family, FlowId, Input};
pub use output::{Anomaly, AnomalyKind, Channel, Connection, Emitted, EventKind, Output};
pub use qmp_schema::{self, Timestamp};
pub use spice_link::{self, Side};
pub use tracker::Tracker;
