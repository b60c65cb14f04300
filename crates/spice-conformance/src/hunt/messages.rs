//! First messages, each on a connection of its own.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    thread,
};

use arbitrary::{Arbitrary as _, Unstructured};
use spice_link::ChannelType;

use super::{
    answer::{Answered, ServerUnderTest},
    compare::difference,
    finding::{Finding, FindingKind, Sent},
    probe::{Health, Probe, Taken},
};
use crate::Mess;

/// A server that is asked about one first message at a time.
pub(super) struct Messages<S> {
    pub(super) server: S,
    /// The server's channels beside main, if they are known.
    pub(super) channels: Option<Vec<(ChannelType, u8)>>,
}

impl<S: ServerUnderTest> Probe for Messages<S> {
    const CHOICES: usize = 200;

    fn take(&mut self, choices: &[u8]) -> Taken {
        let Ok(mess) = Mess::arbitrary(&mut Unstructured::new(choices)) else { return Taken::Right };
        let bytes = mess.bytes();
        let answered = match panic::catch_unwind(AssertUnwindSafe(|| self.server.ask(&bytes))) {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => return Taken::NoConnection(error),
            Err(_) => return Taken::Wrong(Box::new(self.lost(FindingKind::Panicked, choices, "a panic"))),
        };
        let Some(found) = difference(&bytes, &answered, self.channels.as_deref()) else { return Taken::Right };
        // A server that sends nothing, or does not end, may be dead: a plain message tells.
        if answered.bytes.is_empty() || !answered.is_ended {
            match self.health() {
                Health::Fine => {}
                Health::Gone(error) => return Taken::Wrong(Box::new(self.lost(FindingKind::Gone, choices, &error))),
                Health::Hung => {
                    let seen = "no answer to it, and none to a plain message";
                    return Taken::Wrong(Box::new(self.lost(FindingKind::Hung, choices, seen)));
                }
            }
        }
        Taken::Wrong(Box::new(Finding {
            kind: FindingKind::Differs,
            check: found.check,
            section: found.section,
            sent: Sent::Message(mess),
            expected: found.expected,
            seen: found.seen,
            choices: choices.to_vec(),
            count: 1,
            answer: answered.bytes,
            outline: found.outline,
        }))
    }

    fn take_all(&mut self, cases: &[Vec<u8>]) -> Vec<Taken> {
        let others: Option<Vec<_>> = cases.iter().map(|_| self.server.another()).collect();
        let Some(others) = others.filter(|others| others.len() > 1) else {
            return cases.iter().map(|choices| self.take(choices)).collect();
        };
        thread::scope(|scope| {
            let ask = |(server, choices): (_, &Vec<u8>)| {
                let mut messages = Messages { server, channels: self.channels.clone() };
                let choices = choices.clone();
                scope.spawn(move || messages.take(&choices))
            };
            let asked: Vec<_> = others.into_iter().zip(cases).map(ask).collect();
            let lost = || Taken::NoConnection(io::Error::other("the thread that sends the message has panicked"));
            asked.into_iter().map(|asked| asked.join().unwrap_or_else(|_| lost())).collect()
        })
    }

    fn health(&mut self) -> Health {
        let bytes = Mess::default().bytes();
        match panic::catch_unwind(AssertUnwindSafe(|| self.server.ask(&bytes))) {
            Ok(Ok(answered)) if answered.bytes.is_empty() && !answered.is_ended => Health::Hung,
            // It may have died just now. Then it accepts no other connection.
            Ok(Ok(answered)) if answered.bytes.is_empty() => match self.server.ask(&bytes) {
                Err(error) => Health::Gone(error.to_string()),
                Ok(_) => Health::Fine,
            },
            Ok(Err(error)) => Health::Gone(error.to_string()),
            Ok(Ok(_)) | Err(_) => Health::Fine,
        }
    }

    fn lost(&self, kind: FindingKind, choices: &[u8], seen: &str) -> Finding {
        let mess = Mess::arbitrary(&mut Unstructured::new(choices)).unwrap_or_default();
        // Any answer differs from this one: so the check and its section are known.
        let found = difference(&mess.bytes(), &Answered { bytes: vec![0], is_ended: false }, None);
        let (check, section) = found.map_or(("accepted", 2), |found| (found.check, found.section));
        Finding::lost(kind, check, section, Sent::Message(mess), choices, seen)
    }

    fn most_to_shorten(kind: FindingKind) -> usize {
        match kind {
            FindingKind::Differs => 1000,
            // Each prints a panic.
            FindingKind::Panicked => 200,
            // Each costs a restart or a time limit.
            FindingKind::Gone | FindingKind::Hung => 40,
        }
    }
}
