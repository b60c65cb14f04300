#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "tokio"),
    doc = "A QMP server as QEMU's: the sans-IO session alone, without the feature `tokio`."
)]

mod answers;
mod check;
mod command;
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
mod value;

pub use answers::Responder;
pub use command::{Answer, Command, Reply};
pub use error::{CommandError, ErrorClass};
pub use limits::Limits;
#[cfg(feature = "tokio")]
pub use server::{BindError, DEFAULT_MAX_BEHIND, DEFAULT_MAX_CLIENTS, Listener, Server, ServerBuilder, Shutdown};
pub use service::{Service, ServiceBuilder, Version};
pub use session::Session;
pub use value::{Object, ParseError, Value};
