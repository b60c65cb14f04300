#![doc = include_str!("../README.md")]

#[cfg(feature = "captures")]
pub mod captures;
pub mod events;
#[cfg(feature = "lab")]
pub mod lab;
pub mod packets;
