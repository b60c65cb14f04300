//! What an operator can do about an anomaly.

use spice_link::{Error, LinkErrorCode};
use spice_relay::spice_events::{Anomaly, AnomalyKind, Side};

/// What happened in plain words, and the key that solves it. `None` if the anomaly's own text is all that is known.
pub(super) fn hint(anomaly: &Anomaly) -> Option<&'static str> {
    let tls = anomaly.connection.tls;
    match (anomaly.kind, anomaly.place) {
        (AnomalyKind::Unreadable(Error::Magic { seen }), Some((Side::Client, _))) => match seen {
            // The first bytes of a TLS record with a handshake message.
            [0x16, 3, ..] if !tls => Some("the client speaks TLS, and this is a plain listener: use tls-listen"),
            // The first bytes of both versions of the PROXY protocol.
            [b'P', b'R', b'O', b'X'] | [b'\r', b'\n', b'\r', b'\n'] => {
                Some("a proxy sent a PROXY header, which is not expected from this source: use proxy-from")
            }
            [b'C', b'O', b'N', b'N'] => Some(
                "the client takes the relay for an HTTP proxy: use connect-listen, or connect without proxy or SPICE_PROXY",
            ),
            _ => None,
        },
        // A TLS record with an alert.
        (AnomalyKind::Unreadable(Error::Magic { seen: [0x15, 3, ..] }), Some((Side::Server, _))) => {
            Some("the upstream speaks TLS: use upstream-tls")
        }
        (AnomalyKind::Refused { code, .. }, _) => match code {
            LinkErrorCode::PERMISSION_DENIED => Some("the password is wrong or has expired, or the server has none"),
            LinkErrorCode::NEED_SECURED if tls => {
                Some("the server wants TLS for this channel, and the relay ends the client's TLS: use upstream-tls")
            }
            LinkErrorCode::NEED_SECURED => {
                Some("the server wants TLS for this channel: use tls-listen and upstream-tls")
            }
            LinkErrorCode::NEED_UNSECURED => Some("the server wants this channel without TLS: do not use upstream-tls"),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spice_link::RefusalForm;
    use spice_relay::spice_events::{Address, Connection, Endpoints, FlowId, Timestamp};
    use std::sync::Arc;

    #[test]
    fn hint_names_the_key_that_solves_it() {
        let anomaly = |kind, place, tls| {
            let endpoints = Endpoints { server: Address::unix("a"), client: Address::unix("b") };
            let connection = Arc::new(Connection { endpoints, tls });
            Anomaly { at: Timestamp { seconds: 0, microseconds: 0 }, flow: FlowId(1), connection, place, kind }
        };
        let magic = |seen: &[u8; 4]| AnomalyKind::Unreadable(Error::Magic { seen: *seen });
        let refused = |code| AnomalyKind::Refused { code, form: RefusalForm::Result };
        let (client, server) = (Some((Side::Client, 0)), Some((Side::Server, 0)));
        for (kind, place, tls, key) in [
            (magic(b"\x16\x03\x01\x02"), client, false, "tls-listen"),
            (magic(b"PROX"), client, false, "proxy-from"),
            (magic(b"\r\n\r\n"), client, true, "proxy-from"),
            (magic(b"CONN"), client, false, "SPICE_PROXY"),
            (magic(b"\x15\x03\x03\x00"), server, false, "upstream-tls"),
            (refused(LinkErrorCode::PERMISSION_DENIED), server, false, "the password is wrong"),
            (refused(LinkErrorCode::NEED_SECURED), server, true, "the relay ends the client's TLS: use upstream-tls"),
            (refused(LinkErrorCode::NEED_SECURED), server, false, "tls-listen and upstream-tls"),
            (refused(LinkErrorCode::NEED_UNSECURED), server, true, "do not use upstream-tls"),
        ] {
            let anomaly = anomaly(kind, place, tls);
            assert!(hint(&anomaly).is_some_and(|hint| hint.contains(key)), "{anomaly}");
        }
        for (kind, place, tls) in [
            (magic(b"GET "), client, false),
            (magic(b"\x16\x03\x01\x02"), client, true),
            (refused(LinkErrorCode::ERROR), server, false),
        ] {
            assert_eq!(hint(&anomaly(kind, place, tls)), None);
        }
    }
}
