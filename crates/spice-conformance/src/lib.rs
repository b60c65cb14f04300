#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))] // on docs.rs: which feature an item needs

#[cfg(feature = "arbitrary")]
mod arbitrary;
#[cfg(feature = "run")]
mod case;
#[cfg(feature = "run")]
mod cases;
pub mod choices;
#[cfg(feature = "run")]
mod digest_md5;
#[cfg(feature = "run")]
mod error;
#[cfg(feature = "arbitrary")]
pub mod hunt;
mod judge;
#[cfg(feature = "run")]
mod level;
mod message;
#[cfg(feature = "run")]
mod received;
#[cfg(feature = "run")]
mod report;
#[cfg(feature = "run")]
mod stream;
#[cfg(feature = "run")]
mod subject;
#[cfg(feature = "run")]
mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "run")]
mod websocket;
#[cfg(feature = "run")]
mod wire;

pub use judge::{Judgement, Lists, judge, read_lists};
pub use message::{Mess, Reply};
#[cfg(feature = "tls")]
pub use tls::TlsInfo;
#[cfg(feature = "run")]
pub use {
    case::{Case, Outcome, Verdict},
    cases::cases,
    error::Error,
    level::{Level, UnknownLevel},
    received::Received,
    report::{Counts, Report},
    stream::ClientStream,
    subject::Subject,
    target::{Carrier, ServerAddress, Target},
    websocket::WebSocket,
    wire::{QUIET, Wire},
};

/// The crate whose types are in this crate's signatures.
pub use spice_link;
