#![doc = include_str!("../README.md")]

mod capture;
mod config;
mod counters;
pub mod decapsulate;
mod dual_stack;
mod error;
pub mod file;
pub mod link;
mod notice;
mod output;
pub mod packet;
mod preface;
pub mod recognise;
#[cfg(feature = "tls")]
mod secured;
mod spice;
mod tally;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;

pub use capture::{Capture, MIN_PAYLOAD};
pub use config::Config;
pub use counters::Counters;
pub use dual_stack::{DualStack, dual_stack_ports};
pub use error::Error;
pub use notice::{MAX_SILENT, Notice, Silent};
pub use output::{Ended, Output};
pub use preface::{MAX_PREFACES, ProxyKind};
/// The crate whose types are part of this API: events, anomalies, addresses, times.
pub use spice_events;
pub use tally::Unrecognised;
