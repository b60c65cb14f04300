#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "tokio"),
    doc = "A QMP server as QEMU's: the sans-IO session alone, without the feature `tokio`."
)]

mod answers;
mod check;
mod command;
mod dialect;
mod error;
#[cfg(feature = "tokio")]
mod fanout;
mod introspect;
mod json;
mod limits;
mod output;
pub mod schema;
#[cfg(feature = "tokio")]
mod server;
mod service;
mod session;

pub use answers::Responder;
pub use command::{Answer, Command, Reply, Request};
pub use dialect::Dialect;
pub use error::CommandError;
pub use json::{ParseError, parse_value};
pub use limits::Limits;
pub use qmp_schema::{self, Encode, ErrorClass, EventInfo, EventMessage, Object, Value, Version};
#[cfg(feature = "tokio")]
pub use server::{
    BindError, ClientHandle, CloseReason, DEFAULT_MAX_BEHIND, DEFAULT_MAX_CLIENTS, DEFAULT_NEGOTIATION_TIMEOUT,
    DEFAULT_RECONNECT, DEFAULT_RESERVED_FOR_UNIX, Dialer, Listener, Server, ServerBuilder, Shutdown,
};
#[cfg(all(feature = "tokio", unix))]
pub use server::{ListenerHandle, UnixOptions};
pub use service::{Service, ServiceBuilder};
pub use session::{EventSource, Session};
