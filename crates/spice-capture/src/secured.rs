//! Connections inside TLS that is decrypted: their plaintext takes the way of any other connection's bytes.

use crate::{
    Notice,
    preface::Decision,
    recognise::MAX_BYTES_TOTAL,
    spice::{Follow, Held, Kind, Secured, Spice},
    tcp::{Handler, Interest, Side},
    tls::{MAX_RECORD, Need, Next, Unreadable},
};
use spice_events::{Input, Timestamp};
use std::net::SocketAddr;

impl Spice {
    /// Whether TLS is looked into.
    pub(crate) fn decrypts(&self) -> bool {
        self.config.keys.as_ref().is_some_and(crate::tls::KeyLog::is_of_use)
    }

    pub(crate) fn push_keys(&mut self, data: &[u8]) {
        if let Some(keys) = &mut self.config.keys {
            keys.push(data);
        }
    }

    /// Whether the client's first bytes begin a TLS record with a handshake message.
    pub(crate) fn may_be_secured(&self, held: &Held, from: Side, data: &[u8]) -> bool {
        const HANDSHAKE: &[u8] = &[22, 3];
        held.kind == Kind::Plain
            && from == Side::Client
            && held.is_fresh()
            && !held.expected
            && data.starts_with(HANDSHAKE)
            && self.decrypts()
    }

    pub(crate) fn secured_bytes(&mut self, state: &mut Follow, at: Timestamp, from: Side, data: &[u8]) -> Interest {
        let mut interest = Interest::Bytes;
        for piece in data.chunks(MAX_RECORD) {
            let Follow::Secured(secured) = state else { break };
            secured.decryptor.push(at, from, piece);
            interest = self.decrypt(secured, at);
            self.unwrap_if_over(state, interest);
        }
        interest
    }

    pub(crate) fn secured_gap(&mut self, state: &mut Follow, at: Timestamp, from: Side, len: u64) -> Interest {
        let Follow::Secured(secured) = state else { return Interest::Nothing };
        secured.decryptor.lose(from, len);
        let interest = self.decrypt(secured, at);
        self.unwrap_if_over(state, interest);
        interest
    }

    /// The connection has ended: secrets that have come since its last byte are used now. Returns what is known of the plaintext.
    pub(crate) fn end_secured(&mut self, mut secured: Secured, at: Timestamp) -> Follow {
        self.decrypt(&mut secured, at);
        if let (true, Follow::Spice(flow)) = (secured.waits, &secured.inner) {
            self.input(at, *flow, Input::Opaque);
        }
        // One that waits for secrets stays counted as one without them.
        secured.waits = false;
        self.release_secured(secured)
    }

    /// Nothing more of it will be seen.
    pub(crate) fn release_secured(&mut self, secured: Secured) -> Follow {
        self.held -= secured.held;
        secured.inner
    }

    /// The end of the capture.
    pub(crate) fn finish_secured(&mut self) {
        if self.without_secrets > 0 {
            self.notice(Notice::MissingSecrets { connections: self.without_secrets });
        }
    }

    /// Once the plaintext is of no more interest, the connection is like any other.
    fn unwrap_if_over(&mut self, state: &mut Follow, interest: Interest) {
        if interest != Interest::Bytes
            && let Follow::Secured(secured) = std::mem::take(state)
        {
            *state = self.release_secured(*secured);
        }
    }

    /// Hands on the plaintext that can be read now.
    fn decrypt(&mut self, secured: &mut Secured, at: Timestamp) -> Interest {
        loop {
            let Some(keys) = &self.config.keys else { return Interest::End };
            let interest = match secured.decryptor.next(keys) {
                Ok(Next::Plaintext(plain)) => {
                    secured.last = secured.last.max(plain.at);
                    self.bytes(&mut secured.inner, secured.last, plain.from, plain.data)
                }
                Ok(Next::Need(need)) => return self.wait(secured, need, at),
                Err(why) => self.unreadable(secured, at, why),
            };
            if interest != Interest::Bytes {
                return interest;
            }
        }
    }

    /// Nothing more can be read now.
    fn wait(&mut self, secured: &mut Secured, need: Need, at: Timestamp) -> Interest {
        let waits = need == Need::Secrets;
        if waits != std::mem::replace(&mut secured.waits, waits) {
            if waits {
                self.without_secrets += 1;
            } else {
                self.without_secrets -= 1;
            }
        }
        let held = secured.decryptor.held() + size_of::<Secured>();
        self.held = self.held - secured.held + held;
        secured.held = held;
        if self.held > MAX_BYTES_TOTAL {
            let from = Side::Server;
            let why = if waits { Unreadable::NoSecrets } else { Unreadable::Backlog { from } };
            return self.unreadable(secured, at, why);
        }
        Interest::Bytes
    }

    /// A direction, or both, can't be read any further.
    fn unreadable(&mut self, secured: &mut Secured, at: Timestamp, why: Unreadable) -> Interest {
        let endpoints = secured.connection.endpoints.map(SocketAddr::from);
        let has_secrets = |random| self.config.keys.as_ref().is_some_and(|keys| keys.knows(random));
        let is_ours = match &secured.inner {
            Follow::Spice(_) => true,
            // Another TLS connection is of no interest unless somebody has logged its secrets.
            _ => secured.decryptor.random().is_some_and(has_secrets),
        };
        if why == Unreadable::NoSecrets {
            self.without_secrets += u64::from(!std::mem::take(&mut secured.waits));
        } else if is_ours {
            self.notice(Notice::Tls { at, endpoints, why });
        }
        match (&secured.inner, why) {
            (Follow::Spice(flow), Unreadable::Gap { from, len }) if !secured.decryptor.is_over() => {
                let flow = *flow;
                self.input(at, flow, Input::Gap { from, len });
                self.interest(flow)
            }
            (Follow::Spice(flow), _) => {
                self.input(at, *flow, Input::Opaque);
                Interest::End
            }
            (Follow::Undecided(_), Unreadable::Gap { from: Side::Server, .. }) if !secured.decryptor.is_over() => {
                Interest::Bytes
            }
            (Follow::Undecided(_), _) => {
                if let Follow::Undecided(held) = std::mem::take(&mut secured.inner) {
                    self.dismiss(&held, Decision::Tls);
                }
                Interest::Nothing
            }
            _ => Interest::Nothing,
        }
    }
}
