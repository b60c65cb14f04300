#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))] // on docs.rs: which feature an item needs

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "arbitrary")]
mod arbitrary;
#[cfg(feature = "serde")]
mod deserializer;
mod encode;
mod error;
mod event;
mod fields;
mod float;
mod generated;
mod info;
#[cfg(feature = "std")]
pub mod io;
mod lexer;
mod message;
mod open_enum;
pub mod qapi;
mod reader;
mod scan;
mod sealed;
#[cfg(feature = "serde")]
mod serde;
mod slice_writer;
pub mod stream;
mod timestamp;
mod unknown;
mod value;
mod version;
pub mod wire;

pub use encode::Encode;
pub use error::{Error, ErrorKind};
pub use event::{EventMessage, OtherEvent};
pub use generated::*;
pub use info::{EventInfo, RateLimit};
pub use message::{Command, ErrorReply, Greeting, Message, RawJson, Return};
pub(crate) use open_enum::open_enum;
pub use reader::{Decode, Reader};
pub use timestamp::Timestamp;
pub use unknown::{FullEvent, UnknownMember, UnknownMembers};
pub use value::{Object, Value};

/// Maximum nesting of objects and arrays that are read, the outermost included. QEMU's parser has the same limit.
pub const MAX_DEPTH: usize = 1024;

/// Maximum nesting of a [`Value`], the outermost object or array included. A `Value` is a tree, and code that walks it needs stack
/// for each level. The result of a reply stays text ([`RawJson`]), so only [`MAX_DEPTH`] applies to it.
pub const MAX_VALUE_DEPTH: usize = 128;

/// Reads a value from a text that holds its JSON and nothing else.
pub fn from_str<'a, T: Decode<'a>>(text: &'a str) -> Result<T, Error> {
    let mut reader = Reader::new(text);
    let value = T::read(&mut reader)?;
    reader.lexer.end()?;
    Ok(value)
}

/// As [`from_str`], from bytes.
pub fn from_slice<'a, T: Decode<'a>>(text: &'a [u8]) -> Result<T, Error> {
    from_str(utf8(text)?)
}

fn utf8(text: &[u8]) -> Result<&str, Error> {
    core::str::from_utf8(text).map_err(|error| Error::new(ErrorKind::Utf8, error.valid_up_to()))
}
