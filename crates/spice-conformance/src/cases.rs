//! The table of cases: what spice-server 0.15 answers. A case's note tells how other versions differ.

mod answers;
mod message;
mod sasl;
mod session;
mod transport;

use std::io;

use crate::{
    Mess,
    case::{Case, Play, Requirement},
    received::Received,
    subject::Subject,
    wire::Wire,
};

/// Every case, in the order in which a server checks.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [message::CASES, session::CASES, sasl::CASES, transport::CASES].into_iter().flatten()
}

/// A case without requirements.
const fn case(section: u8, name: &'static str, expected: &'static [&'static [Received]], play: Play) -> Case {
    Case::new(section, name, &[], expected, play)
}

/// A case that is one conversation.
const fn converse(
    section: u8,
    name: &'static str,
    requires: &'static [Requirement],
    expected: &'static [&'static [Received]],
    converse: fn(&Subject) -> io::Result<Wire>,
) -> Case {
    Case::new(section, name, requires, expected, Play::Converse(converse))
}

/// A case that decides by itself.
const fn check(section: u8, name: &'static str, requires: &'static [Requirement], play: Play) -> Case {
    Case::new(section, name, requires, &[], play)
}

/// A connection on which a main channel's message was sent and the reply was read.
fn replied(subject: &Subject) -> io::Result<Wire> {
    let mut wire = subject.connect()?;
    wire.send(&Mess::default().bytes())?;
    wire.read_reply()?;
    Ok(wire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: BTreeSet<_> = cases().map(Case::name).collect();
        assert_eq!(names.len(), cases().count());
        let is_plain = |name: &&str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        assert!(names.iter().all(is_plain) && names.len() >= 140, "{names:?}");
    }
}
