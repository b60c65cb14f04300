//! What the rules and the streams of a connection work on.

use super::{Shared, timers::Token};
use spice_events::Timestamp;

/// What a rule may change besides its connection.
pub(super) struct Context<'a, H> {
    pub(super) shared: &'a mut Shared,
    pub(super) handler: &'a mut H,
    pub(super) token: Token,
}

/// A segment's bytes and their place.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) at: Timestamp,
    pub(super) seq: u32,
    pub(super) data: &'a [u8],
    pub(super) missing: u32,
}
