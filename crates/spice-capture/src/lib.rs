#![doc = include_str!("../README.md")]

mod capture;
mod error;
pub mod file;
pub mod link;
pub mod packet;
pub mod recognise;
mod spice;
pub mod tcp;

pub use capture::{Capture, Config, Counters, Notice, Output};
pub use error::Error;
