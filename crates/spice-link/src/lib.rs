#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))] // on docs.rs: which feature an item needs

mod acceptor;
mod bytes;
mod capabilities;
pub mod caps;
mod codes;
mod connector;
mod data;
mod error;
mod header;
mod mess;
mod names;
mod observer;
mod open_code;
mod recognise;
mod reply;
mod request;
pub mod sasl;
mod side;
#[cfg(feature = "ticket")]
pub mod ticket;
mod upgrade;
pub mod websocket;

pub use acceptor::{
    AcceptStatus, AcceptTurn, CloseReason, Join, LinkAcceptor, LinkHost, Linked, SaslAnswer, SaslVerdict,
};
pub use capabilities::{ChannelCap, CommonCap, DisplayCap, InputsCap, MainCap, PlaybackCap, RecordCap, SpicevmcCap};
pub use caps::{Caps, CapsBuf, ChannelCaps, CommonCaps, MAX_CAPS_WORDS};
pub use codes::{AuthMechanism, ChannelType, LinkErrorCode};
pub use connector::{ConnectStatus, ConnectTurn, LinkConnector, LinkUser};
pub use data::{DataHeader, HeaderKind, MainInit};
pub use error::{Answer, BufferTooSmall, Error, Parsed};
pub use header::{LinkHeader, MAGIC, VERSION_MAJOR, VERSION_MINOR};
pub use mess::LinkMess;
pub use names::UnknownName;
pub use observer::{Evidence, LinkEvent, LinkObserver, Outcome, RefusalForm, Step, TICKET_LEN};
pub use recognise::{FirstBytes, recognise};
pub use reply::LinkReply;
pub use request::LinkRequest;
pub use side::Side;
pub use upgrade::Upgrade;
