//! The links by hand of the committed captures: those that a SPICE server refuses, and unusual ones that it accepts.
//!
//! Each is a case of spice-conformance under the name that the captures' manifests have for it. [`Case::play`] returns what the
//! server really sent; [`Case::expected`] is what spice-server 0.15 answers.

use std::{io, net::SocketAddr};

use spice_conformance::{Received, Subject, Target, Wire, cases, spice_link::ChannelType};

use super::PATIENCE;
use crate::captures::{Ender, Link, PASSWORD, USER};

/// One link.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name in the captures' manifests.
    pub name: &'static str,
    /// Its name in spice-conformance. `None`: the client connects and leaves without a byte.
    conformance: Option<&'static str>,
    is_sasl: bool,
}

/// What a server answers to a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkAnswer {
    /// The codes of its link replies, in order.
    pub replies: Vec<u32>,
    /// Its link result.
    pub result: Option<u32>,
}

/// What a server with a password refuses. It needs a TLS port too, and `tls-channel=record`.
pub const REFUSED: &[Case] = &[
    case("wrong magic, 4 bytes", "magic-first-byte"),
    case("wrong magic, 16 bytes", "magic-reversed-with-a-header"),
    case("TLS ClientHello", "client-hello-to-a-plain-port"),
    case("HTTP without a WebSocket key", "websocket-without-a-key"),
    case("WebSocket request cut in two", "websocket-request-in-two"),
    case("major 0", "major-0-is-not-answered"),
    case("major 1", "major-1"),
    case("major 3", "major-3"),
    case("size 0", "size-0"),
    case("size 17", "size-17"),
    case("size 4097", "size-4097"),
    case("size 2^32-1", "size-largest"),
    case("1025 common words", "caps-1025-common-words"),
    case("1025 channel words", "caps-1025-channel-words"),
    case("2^32-1 words", "caps-count-largest"),
    case("1020 words", "caps-1020-words"),
    case("caps at 0", "caps-at-0"),
    case("caps at 17", "caps-at-17"),
    case("caps at 2^32-1", "caps-at-the-largest-offset"),
    case("more words than bytes", "caps-more-words-than-bytes"),
    case("TLS-only channel in plain", "policy-needs-tls"),
    case("channel type 0", "channel-type-0"),
    case("channel type 7", "channel-type-7-tunnel"),
    case("channel type 99", "channel-type-99"),
    case("inputs 5", "channel-id-that-is-not-there"),
    case("wrong password", "ticket-wrong"),
    case("empty password", "ticket-empty"),
    case("wrong password for a wrong id", "ticket-before-connection-id"),
    case("a ticket of zeros", "ticket-of-zeros"),
    case("inputs without an id", "channel-without-an-id"),
    case("inputs with a wrong id", "channel-with-a-wrong-id"),
    case("mechanism 0", "mechanism-0"),
    case("mechanism 3", "mechanism-3"),
    case("SASL where it is off", "sasl-where-it-is-off"),
    Case { name: "nothing sent", conformance: None, is_sasl: false },
    case("FIN at once", "fin-at-once"),
    case("FIN in the magic", "fin-in-the-magic"),
    case("FIN in the header", "fin-in-the-header"),
    case("FIN in the message", "fin-in-the-message"),
    case("FIN instead of a mechanism", "fin-instead-of-a-mechanism"),
    case("FIN in the ticket", "fin-in-the-ticket"),
];

/// What a server with a password accepts although no usual client sends it. Each opens a new session.
pub const ACCEPTED: &[Case] = &[
    case("minor 99", "minor-99"),
    case("bytes after the caps", "bytes-behind-the-caps"),
    case("caps at 19", "caps-at-19-with-room"),
    case("1019 words", "caps-1019-words"),
    case("size 4096", "size-4096"),
    case("channel id 9", "main-with-id-9"),
    case("channel id 255", "main-with-id-255"),
    case("no caps", "caps-none"),
    case("no caps, at 0", "caps-none-at-0"),
    case("no caps, at 2^32-1", "caps-none-at-the-largest-offset"),
    case("no mechanism selection", "no-selection-needs-no-mechanism"),
    case("no mini header", "selection-and-long-headers"),
    case("neither", "no-selection-and-long-headers"),
    case("SASL capability without SASL", "sasl-capability-where-it-is-off"),
    case("all capabilities", "caps-three-words-of-ones"),
    case("byte by byte", "byte-by-byte"),
    case("mechanism with the message", "mechanism-with-the-message"),
    case("bytes after the password", "ticket-with-bytes-behind-the-nul"),
];

/// What a SASL server with DIGEST-MD5 alone refuses, and one link that it accepts.
pub const SASL: &[Case] = &[
    sasl("a ticket on a SASL server", "sasl-ticket-is-refused"),
    sasl("mechanism name of 0 bytes", "sasl-name-of-0-bytes"),
    sasl("mechanism name of 101 bytes", "sasl-name-of-101-bytes"),
    sasl("mechanism that is not offered", "sasl-name-that-is-not-offered"),
    sasl("first data of more than 1 MiB", "sasl-first-data-of-more-than-1-mib"),
    sasl("later data of more than 1 MiB", "sasl-later-data-of-more-than-1-mib"),
    sasl("wrong password", "sasl-digest-md5-wrong-password"),
    sasl("integrity without encryption", "sasl-digest-md5-without-encryption"),
    sasl("FIN in the exchange", "sasl-fin-in-the-exchange"),
    sasl("inputs with a wrong id", "sasl-digest-md5-with-a-wrong-id"),
    sasl("main", "sasl-digest-md5-right-password"),
];

/// A client that can't choose a mechanism: an accepting reply and a refusal, and then the server never closes the connection. It has
/// to be the last.
pub const NO_SELECTION: Case = sasl("SASL without mechanism selection", "sasl-without-selection");

const fn case(name: &'static str, conformance: &'static str) -> Case {
    Case { name, conformance: Some(conformance), is_sasl: false }
}

const fn sasl(name: &'static str, conformance: &'static str) -> Case {
    Case { name, conformance: Some(conformance), is_sasl: true }
}

impl Case {
    /// What spice-server 0.15 answers.
    pub fn expected(&self) -> LinkAnswer {
        LinkAnswer::of(self.conformance().and_then(spice_conformance::Case::expected).unwrap_or_default())
    }

    /// Plays it against this server, which has the captures' password.
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn play(&self, server: SocketAddr) -> io::Result<Link> {
        let subject = self.subject(server);
        let wire = match self.conformance() {
            Some(case) => case.converse(&subject).unwrap_or_else(|| Err(io::Error::other("no conversation"))),
            None => Wire::connect(&subject.target).map_err(io::Error::from),
        };
        let wire = wire.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.name)))?;
        Ok(link(self.name, &wire))
    }

    fn conformance(&self) -> Option<&'static spice_conformance::Case> {
        let name = self.conformance?;
        cases().find(|case| case.name() == name)
    }

    /// What is known of a recorded server, so that it needs no survey.
    fn subject(&self, server: SocketAddr) -> Subject {
        let subject = subject(server).with_user(USER).with_secured(ChannelType::RECORD);
        if self.is_sasl { subject.with_mechanisms(",DIGEST-MD5,") } else { subject }
    }
}

/// A recorded server with a password.
pub(super) fn subject(server: SocketAddr) -> Subject {
    let target = Target::new(server).with_time_limit(PATIENCE);
    Subject::new(target).with_password(PASSWORD).with_channels(&[(ChannelType::INPUTS, 0)])
}

/// The bytes of a connection, in the form of the manifests.
pub(super) fn link(name: &str, wire: &Wire) -> Link {
    let LinkAnswer { replies, result } = LinkAnswer::of(wire.received());
    let [client_port, server_port] = wire.addresses().map_or([0, 0], |both| both.map(|end| end.port()));
    let [sent, received] = wire.byte_counts();
    let ended_by = match wire.received().last() {
        Some(Received::End) if wire.is_reset() => Ender::Reset,
        Some(Received::End) => Ender::Server,
        _ => Ender::Client,
    };
    Link { case: name.to_owned(), client_port, server_port, replies, result, sent, received, ended_by }
}

impl LinkAnswer {
    fn of(received: &[Received]) -> Self {
        let mut answer = Self::default();
        for item in received {
            match item {
                Received::Reply(code) => answer.replies.push(code.0),
                Received::Result(code) => answer.result = Some(code.0),
                _ => {}
            }
        }
        answer
    }

    /// Whether the link was answered so.
    pub fn is(&self, link: &Link) -> bool {
        self.replies == link.replies && self.result == link.result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_one_of_spice_conformance() {
        for case in REFUSED.iter().chain(ACCEPTED).chain(SASL).chain([&NO_SELECTION]) {
            let expected = case.conformance().and_then(spice_conformance::Case::expected);
            assert!(expected.is_some() || case.conformance.is_none(), "{case:?}");
        }
    }
}
