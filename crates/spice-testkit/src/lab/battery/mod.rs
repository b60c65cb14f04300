//! Link attempts that a SPICE server refuses, and odd ones that it accepts: what is sent, and what spice-server answers.
//!
//! Each case is a conversation by hand on a connection of its own. [`Case::play`] returns what the server really put on
//! the wire; [`Case::expected`] is what spice-server 0.15 is known to answer, for whoever tests another server.

mod accepted;
mod refused;
mod sasl;

use std::{io, net::SocketAddr};

use super::link::Wire;
use crate::captures::Link;

pub use accepted::ACCEPTED;
pub use refused::REFUSED;
pub use sasl::{NO_SELECTION, SASL};

/// One link attempt.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// A word or two.
    pub name: &'static str,
    /// What comes back.
    pub expected: Answer,
    play: fn(&mut Wire) -> io::Result<()>,
}

/// What a server answers to a link attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The error fields of its link replies, in order. None: it said nothing in SPICE's words.
    pub replies: &'static [u32],
    /// Its link result.
    pub result: Option<u32>,
}

impl Answer {
    /// The connection is closed without a byte.
    pub const SILENCE: Self = Self { replies: &[], result: None };

    /// A link reply with this error, then the end.
    pub const fn refused(replies: &'static [u32]) -> Self {
        Self { replies, result: None }
    }

    /// A good link reply, and this link result after the authentication.
    pub const fn result(result: u32) -> Self {
        Self { replies: &[0], result: Some(result) }
    }

    /// Whether this is what was seen.
    pub fn is(&self, seen: &Link) -> bool {
        self.replies == seen.replies && self.result == seen.result
    }
}

impl Case {
    /// Plays it against this server.
    pub fn play(&self, server: SocketAddr) -> io::Result<Link> {
        let mut wire = Wire::connect(server)?;
        (self.play)(&mut wire).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.name)))?;
        Ok(wire.seen(self.name))
    }
}
