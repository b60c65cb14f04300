//! The decisions of a client in the link stage.

use crate::{AuthMechanism, LinkReply, SaslAnswer, TICKET_LEN};

/// The decisions of a client. A [`LinkConnector`](super::LinkConnector) asks for them.
///
/// A client with a password implements [`ticket`](Self::ticket) only; the feature `ticket` has one ready-made
/// (`ticket::Password`).
pub trait LinkUser {
    /// Called with the server's reply, for clients that need its capabilities or its key.
    fn received(&mut self, reply: &LinkReply<'_>) {
        let _ = reply;
    }

    /// The mechanism to use. Called if both ends support the selection of one. The default is a ticket.
    fn mechanism(&mut self, reply: &LinkReply<'_>) -> AuthMechanism {
        let _ = reply;
        AuthMechanism::SPICE
    }

    /// Encrypts the password for a server's key. `false` aborts the link. A server without passwords requires a ticket too, with any
    /// password in it.
    fn ticket(&mut self, pub_key: &[u8; LinkReply::PUB_KEY_LEN], ticket: &mut [u8; TICKET_LEN]) -> bool;

    /// Chooses a mechanism from the server's list, which has a comma at both ends since spice-server 0.14.1. Writes its name to the
    /// start of `name` and returns its length. `None` aborts the link.
    fn sasl_name(&mut self, list: &[u8], name: &mut [u8; 100]) -> Option<usize> {
        let _ = (list, name);
        None
    }

    /// The next data of the exchange: the first data if `challenge` is `None`, then an answer to each challenge of the server. It
    /// goes to the start of `out`, which has 1024 bytes.
    fn sasl_data(&mut self, challenge: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        let _ = (challenge, out);
        SaslAnswer::REFUSED
    }

    /// Called with the server's last data, which completes the exchange. `false` aborts the link.
    fn sasl_complete(&mut self, data: &[u8]) -> bool {
        let _ = data;
        true
    }

    /// Whether the exchange negotiated a security layer. On a connection without TLS it always does.
    fn security_layer(&self) -> bool {
        false
    }

    /// Decrypts a frame of the security layer, given without its length word, into the start of `out`. Returns the length of the
    /// result; `None` aborts the link.
    fn unseal(&mut self, frame: &[u8], out: &mut [u8]) -> Option<usize> {
        let _ = (frame, out);
        None
    }
}
