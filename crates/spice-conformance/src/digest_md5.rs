//! The client's answer of DIGEST-MD5 (RFC 2831), in the form that SPICE wants: a NUL at its end.

use md5::{Digest, Md5};

/// What a client asks for behind the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Integrity alone: spice-server requires encryption on a connection without TLS.
    Integrity,
    /// Encryption, with the cipher rc4.
    Confidentiality,
}

/// The response to a server's challenge; `None` if the challenge has no realm or no nonce.
pub(crate) fn respond(challenge: &[u8], user: &str, password: &str, protection: Protection) -> Option<Vec<u8>> {
    let challenge = String::from_utf8_lossy(challenge);
    let value = |name: &str| challenge.split_once(&format!("{name}=\""))?.1.split('"').next();
    let (realm, nonce) = (value("realm")?, value("nonce")?);
    let (cnonce, count, uri) = ("c3BpY2UtY29uZm9ybWFuY2U=", "00000001", "spice/127.0.0.1");
    let secret = Md5::digest(format!("{user}:{realm}:{password}"));
    let a1 = hex(&Md5::digest([&secret[..], format!(":{nonce}:{cnonce}").as_bytes()].concat()));
    // RFC 2831, 2.1.2.1: 32 zeros in place of a hash of the body.
    let a2 = hex(&Md5::digest(format!("AUTHENTICATE:{uri}:{:032}", 0)));
    let (qop, cipher) = match protection {
        Protection::Integrity => ("auth-int", ""),
        Protection::Confidentiality => ("auth-conf", ",cipher=rc4"),
    };
    let response = hex(&Md5::digest(format!("{a1}:{nonce}:{count}:{cnonce}:{qop}:{a2}")));
    let answer = format!(
        "username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",cnonce=\"{cnonce}\",nc={count},qop={qop}{cipher},\
         maxbuf=65536,digest-uri=\"{uri}\",response={response}\0"
    );
    Some(answer.into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_is_that_of_the_rfc() {
        // The hashes of RFC 2831's formulas for these values, made with `openssl md5`.
        let challenge = b"nonce=\"OA6MG9tEQGm2hh\",realm=\"vm\",qop=\"auth-conf\"";
        let response = respond(challenge, "alice", "sekrit", Protection::Confidentiality).unwrap();
        let response = String::from_utf8(response).unwrap();
        assert!(response.starts_with("username=\"alice\",realm=\"vm\",nonce=\"OA6MG9tEQGm2hh\","), "{response}");
        assert!(response.ends_with(",response=a94c5913d1e31a6fdfb613558e07f01d\0"), "{response}");
        assert_eq!(respond(b"realm=\"vm\"", "alice", "sekrit", Protection::Integrity), None);
    }
}
