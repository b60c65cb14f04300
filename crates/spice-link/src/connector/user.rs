//! What a client's user decides.

use crate::{AuthMechanism, LinkReply, SaslAnswer, TICKET_LEN};

/// What a client's user knows and decides, asked by a [`LinkConnector`](super::LinkConnector).
///
/// A user with a password needs [`ticket`](Self::ticket) alone.
pub trait LinkUser {
    /// The server's reply, for whoever wants its capabilities or its key.
    fn replied(&mut self, reply: &LinkReply<'_>) {
        let _ = reply;
    }

    /// Which mechanism to use, where both ends can select one: tickets, unless the user does SASL and the server asks for it.
    fn mechanism(&mut self, reply: &LinkReply<'_>) -> AuthMechanism {
        let _ = reply;
        AuthMechanism::SPICE
    }

    /// Encrypts the password for a server's key; `false` gives the link up. A server that asks for no password still wants a
    /// ticket, of whatever password.
    fn ticket(&mut self, pub_key: &[u8; LinkReply::PUB_KEY_LEN], ticket: &mut [u8; TICKET_LEN]) -> bool;

    /// The mechanism to take of the server's list (which has commas at both ends since spice-server 0.14.1), written to the start
    /// of `name`, and its length; `None` gives the link up.
    fn sasl_name(&mut self, list: &[u8], name: &mut [u8; 100]) -> Option<usize> {
        let _ = (list, name);
        None
    }

    /// The next data of the exchange: the first where `challenge` is `None`, then an answer to each challenge of the server. It
    /// goes to the start of `out`, which has 1024 bytes.
    fn sasl_data(&mut self, challenge: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        let _ = (challenge, out);
        SaslAnswer::REFUSED
    }

    /// The server's last data, with which the exchange is complete; `false` gives the link up.
    fn sasl_complete(&mut self, data: &[u8]) -> bool {
        let _ = data;
        true
    }

    /// Whether the exchange negotiated a security layer: always, on a connection without TLS.
    fn layer(&self) -> bool {
        false
    }

    /// Takes a frame of the security layer apart: its bytes behind the length, into the start of `out`, and how many they became.
    fn open(&mut self, frame: &[u8], out: &mut [u8]) -> Option<usize> {
        let _ = (frame, out);
        None
    }
}
