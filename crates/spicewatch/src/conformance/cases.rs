//! The table of cases. Each is what spice-server 0.15 does; a difference to other versions is in its note.

mod link;
mod session;
mod transport;

use super::case::Case;

/// Every case, by section and in the order in which a server checks.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    link::CASES.iter().chain(session::CASES).chain(transport::CASES)
}

/// A case without a note.
const fn case(
    section: u8,
    name: &'static str,
    play: fn(&super::case::Server) -> std::io::Result<super::case::Verdict>,
) -> Case {
    Case { name, section, note: "", play }
}

/// A case with one.
const fn noted(
    section: u8,
    name: &'static str,
    note: &'static str,
    play: fn(&super::case::Server) -> std::io::Result<super::case::Verdict>,
) -> Case {
    Case { name, section, note, play }
}
