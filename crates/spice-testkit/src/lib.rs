#![doc = include_str!("../README.md")]

#[cfg(feature = "captures")]
pub mod captures;
#[cfg(feature = "server")]
pub mod client;
pub mod events;
#[cfg(feature = "generate")]
pub mod generate;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "generate")]
pub mod link_events;
#[cfg(feature = "generate")]
pub mod model;
#[cfg(feature = "generate")]
pub mod oracles;
pub mod packets;
#[cfg(feature = "server")]
pub mod server;

/// The messages, the cases and their runner, at the version that this crate is built with.
#[cfg(any(feature = "generate", feature = "battery"))]
pub use spice_conformance;
/// Hunts for messages that a server answers wrongly.
#[cfg(feature = "generate")]
pub use spice_conformance::hunt;
/// The types of the generators and oracles, at the version that this crate is built with.
#[cfg(feature = "generate")]
pub use spice_link;
