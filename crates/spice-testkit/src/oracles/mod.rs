//! Oracles: functions that take bytes, put them to a part of the project, and panic where it breaks a promise.
//!
//! A fuzz target is three lines that call one. The same functions run on stable over the committed seeds, over what fuzzing
//! has found, and over bytes that proptest draws. Each takes any bytes: those of the wire, or the *choices* of a generator
//! ([`crate::generate`]), as its documentation says.

pub mod endpoints;
pub mod link;
pub mod observer;
#[cfg(feature = "qmp")]
pub mod qmp_server;
pub mod tracker;
pub mod websocket;
