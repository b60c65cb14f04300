#![doc = include_str!("../README.md")]

mod command;
mod error;
mod json;
mod limits;
pub mod schema;
#[cfg(feature = "tokio")]
mod server;
mod service;
mod session;
mod value;
mod wire;

pub use command::{Answer, Command, Reply};
pub use error::{CommandError, ErrorClass};
pub use limits::Limits;
#[cfg(feature = "tokio")]
pub use server::{Listener, Server, ServerBuilder, Shutdown};
pub use service::{Service, ServiceBuilder, Version};
pub use session::{Responder, Session};
pub use value::{Object, Value};
