#![doc = include_str!("../README.md")]

pub mod connection;
mod error;
pub mod net;
pub mod observe;
mod relay;
mod shared_listener;

pub use error::Error;
pub use relay::{BoundRelay, Relay, RelayBuilder};
pub use shared_listener::{SharedListener, SharedListenerBuilder, SharedRoutes};
pub use spice_events;

/// The tracing target of log lines that any client can cause as often as it likes.
///
/// A program that writes the log to a disk should limit how many lines of this target it writes.
pub const PEER_LOG_TARGET: &str = "spice_relay::peer";
