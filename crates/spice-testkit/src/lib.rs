#![doc = include_str!("../README.md")]

#[cfg(feature = "captures")]
pub mod captures;
pub mod events;
#[cfg(feature = "generate")]
pub mod facts;
#[cfg(feature = "generate")]
pub mod generate;
#[cfg(feature = "generate")]
pub mod hunt;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "generate")]
pub mod model;
#[cfg(feature = "generate")]
pub mod oracles;
pub mod packets;
#[cfg(feature = "server")]
pub mod server;

/// What the generators and oracles speak in, at the version that they are built with.
#[cfg(feature = "generate")]
pub use spice_link;
