#![doc = include_str!("../README.md")]

#[cfg(feature = "captures")]
pub mod captures;
#[cfg(feature = "lab")]
pub mod lab;
