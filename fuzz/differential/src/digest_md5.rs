//! The client's answer in DIGEST-MD5 (RFC 2831).

use md5::{Digest, Md5};

/// The only user of the SASL servers. Its password is the password of the tickets.
pub(crate) const USER: &str = "alice";

/// The answer to a server's challenge, without SPICE's NUL. `None` if the challenge can't be read.
pub(crate) fn respond(challenge: &[u8], password: &str, protection: &str) -> Option<Vec<u8>> {
    let challenge = std::str::from_utf8(challenge).ok()?;
    let value = |name: &str| challenge.split_once(&format!("{name}=\""))?.1.split('"').next();
    let (realm, nonce) = (value("realm")?, value("nonce")?);
    let (cnonce, count, uri) = ("cmVmZXJlbmNl", "00000001", "spice/localhost");
    let secret = Md5::digest(format!("{USER}:{realm}:{password}"));
    let first = hex(&Md5::digest([&secret[..], format!(":{nonce}:{cnonce}").as_bytes()].concat()));
    // RFC 2831, 2.1.2.1: with a security layer, 32 zeros replace the hash of the body.
    let body = if protection == "auth" { String::new() } else { format!(":{:032}", 0) };
    let second = hex(&Md5::digest(format!("AUTHENTICATE:{uri}{body}")));
    let proof = hex(&Md5::digest(format!("{first}:{nonce}:{count}:{cnonce}:{protection}:{second}")));
    let cipher = if protection == "auth-conf" { ",cipher=rc4" } else { "" };
    Some(
        format!(
            "username=\"{USER}\",realm=\"{realm}\",nonce=\"{nonce}\",cnonce=\"{cnonce}\",nc={count},qop={protection}{cipher},\
             maxbuf=65536,digest-uri=\"{uri}\",response={proof}"
        )
        .into_bytes(),
    )
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
