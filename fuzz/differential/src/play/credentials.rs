//! The client's credentials: a ticket, or its part of a SASL exchange.

use spice_link::{LinkReply, ticket};
use spice_testkit::generate::SaslExchange;

use super::{Difference, Stage};
use crate::{
    case::{Plan, Sasl, Ticket},
    digest_md5,
    real::PASSWORD,
};

impl Stage<'_> {
    pub(super) fn sasl(&mut self, index: usize, plan: &Plan, carry: &mut Option<Vec<u8>>) -> Result<(), Difference> {
        let field = SaslExchange::field;
        self.links[index].in_sasl = true;
        let name = field(b"DIGEST-MD5");
        match &plan.sasl {
            Sasl::Name { length, name } => {
                let mut bytes = field(name);
                if let Some(length) = length {
                    bytes[..4].copy_from_slice(&length.to_le_bytes());
                }
                self.say(index, plan, carry, &bytes, None)
            }
            Sasl::FirstLength(length) => {
                self.say(index, plan, carry, &name, None)?;
                self.say(index, plan, carry, &length.to_le_bytes(), None)
            }
            Sasl::LaterLength(length) => {
                self.say(index, plan, carry, &[name, field(b"")].concat(), None)?;
                self.say(index, plan, carry, &length.to_le_bytes(), None)
            }
            Sasl::Answer(answer) => {
                self.say(index, plan, carry, &[name, field(b"")].concat(), None)?;
                self.say(index, plan, carry, &field(answer), None)
            }
            Sasl::Plain { right } => {
                let password = if *right { PASSWORD } else { "secret" };
                let data = format!("\0{}\0{password}\0", digest_md5::USER);
                self.say(index, plan, carry, &[field(b"PLAIN"), field(data.as_bytes())].concat(), None)
            }
            Sasl::Digest { right, protection } => {
                let before = self.links[index].said.len();
                self.say(index, plan, carry, &[name, field(b"")].concat(), None)?;
                let password = if *right { PASSWORD } else { "secret" };
                let answer = self.links[index].said.get(before + 4..).unwrap_or_default();
                let Some(mut answer) = digest_md5::respond(answer, password, protection) else { return Ok(()) };
                answer.push(0);
                self.say(index, plan, carry, &field(&answer), None)
            }
        }
    }
}

/// A ticket for this key.
pub(super) fn seal(what: Ticket, key: &[u8; LinkReply::PUB_KEY_LEN]) -> [u8; 128] {
    let more = format!("{PASSWORD}\0and more");
    let nul = format!("{PASSWORD}\0");
    let plain: &[u8] = match what {
        Ticket::Right => nul.as_bytes(),
        Ticket::NoNul => PASSWORD.as_bytes(),
        Ticket::More => more.as_bytes(),
        Ticket::Wrong => b"secret\0",
        Ticket::Short => b"sekri\0",
        Ticket::Empty => b"\0",
        Ticket::Nothing => b"",
        Ticket::Garbage => return [0x5a; 128],
        Ticket::Zeros => return [0; 128],
    };
    ticket::seal_bytes(key, plain).unwrap_or([0; 128])
}
