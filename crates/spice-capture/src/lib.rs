#![doc = include_str!("../README.md")]

mod capture;
mod dual_stack;
mod error;
pub mod file;
pub mod link;
pub mod packet;
pub mod recognise;
mod spice;
pub mod tcp;

pub use capture::{Capture, Config, Counters, Notice, Output};
pub use dual_stack::{DualStack, dual_stack_ports};
pub use error::Error;
/// Whose types stand in this crate's: events, anomalies, addresses, times.
pub use spice_events;
