//! Every figure of PERFORMANCE.md that is not about a whole program, printed again.
//!
//! [`rows`] is the data: each row is one piece of work, done by us, by the peers, and by the least that anyone must do, on the
//! same bytes. The benches only differ in what they measure of it: `time` nanoseconds, `memory` allocations, `count` what
//! callgrind counts. `cargo xtask bench` runs them all and keeps the record.
//!
//! Not here: whole programs beside whole programs (`read` beside tshark, the relay beside HAProxy). Those are xtask's.
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

/// How many channels a full tracker holds.
pub const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// What is read in seconds, not in nanoseconds, and so is not among [`rows`]: a hundred megabytes of events.
pub fn long_stream() -> Row {
    rows::qmp::long_stream()
}

/// Every row.
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
