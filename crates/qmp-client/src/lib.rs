#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "tokio"), doc = "A QMP client: the sans-IO core alone, without the feature `tokio`.")]

#[cfg(feature = "tokio")]
mod address;
#[cfg(feature = "tokio")]
mod client;
mod conversation;
mod error;
#[cfg(feature = "tokio")]
mod event_stream;
mod options;

#[cfg(feature = "tokio")]
pub use address::{Address, AddressError};
#[cfg(feature = "tokio")]
pub use client::Client;
pub use conversation::{CommandId, Conversation, Incoming};
pub use error::Error;
#[cfg(feature = "tokio")]
pub use event_stream::{EventStream, Update};
pub use options::Options;
pub use qmp_schema;
