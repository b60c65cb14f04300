#![doc = include_str!("../README.md")]
#![no_std]

mod bytes;
pub mod caps;
mod codes;
mod data;
mod error;
mod header;
mod mess;
mod observer;
mod reply;
pub mod sasl;
mod side;
pub mod websocket;

pub use caps::{Caps, CapsBuf, MAX_CAPS_WORDS};
pub use codes::{AuthMechanism, ChannelType, LinkErrorCode};
pub use data::{DataHeader, HeaderKind, MainInit};
pub use error::{Answer, BufferTooSmall, Error, Parsed};
pub use header::{LinkHeader, MAGIC, VERSION_MAJOR, VERSION_MINOR};
pub use mess::LinkMess;
pub use observer::{Evidence, LinkEvent, LinkObserver, Outcome, RefusalForm, Step, TICKET_LEN};
pub use reply::LinkReply;
pub use side::Side;
