//! Prints the figures of PERFORMANCE.md, except those of whole programs.
//!
//! [`rows`] is the data. A row is one piece of work, done on the same bytes by us, by the peers, and by the least code that could
//! do it. The benches measure different things: `time` nanoseconds, `memory` allocations, `count` instructions under callgrind.
//! `cargo xtask bench` runs them all and writes the record.
//!
//! `xtask/bench` measures whole programs: `spicewatch read` beside tshark, the relay beside HAProxy.
#![allow(
    clippy::missing_panics_doc,
    reason = "a scenario that does not do what its row says is a mistake in this crate"
)]

pub mod bytes;
mod figure;
mod row;
mod rows {
    pub(crate) mod capture;
    pub(crate) mod link;
    pub(crate) mod qmp;
    pub(crate) mod session;
    pub(crate) mod tracker;
}

pub use figure::Figure;
pub use row::{Contender, Row};
pub use rows::tracker::Channels;

/// Numbers of channels in a full tracker.
pub const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// The row that reads a hundred megabytes of events. It is not among [`rows`] because one run takes seconds.
pub fn long_stream() -> Row {
    rows::qmp::long_stream()
}

/// All rows.
pub fn rows() -> Vec<Row> {
    vec![
        rows::link::parse(),
        rows::link::encode(),
        rows::qmp::write(),
        rows::qmp::read(),
        rows::qmp::stream(),
        rows::tracker::channel(),
        rows::session::round_trip(),
        rows::capture::read(),
    ]
}
