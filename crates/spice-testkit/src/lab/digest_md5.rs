//! DIGEST-MD5 (RFC 2831), the client's only answer: enough to be let in by a SASL server by hand.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

/// The answer to a server's challenge, a NUL at its end as SPICE wants it. `qop` is `auth-conf` (with the rc4 cipher)
/// or `auth-int`.
pub(super) fn respond(challenge: &str, user: &str, password: &str, qop: &str) -> io::Result<Vec<u8>> {
    let value = |name: &str| {
        let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
        rest.split('"').next()
    };
    let (Some(realm), Some(nonce)) = (value("realm"), value("nonce")) else {
        return Err(io::Error::other(format!("expected a realm and a nonce, the challenge is {challenge:?}")));
    };
    let (cnonce, count, uri) = ("bGFiIGNsaWVudCBub25jZQ==", "00000001", "spice/127.0.0.1");
    let secret = md5(format!("{user}:{realm}:{password}").as_bytes())?;
    let a1 = hex(&md5(&[&secret[..], format!(":{nonce}:{cnonce}").as_bytes()].concat())?);
    // RFC 2831, 2.1.2.1: 32 zeros stand for the body that integrity protection does not hash here.
    let a2 = hex(&md5(format!("AUTHENTICATE:{uri}:{:032}", 0).as_bytes())?);
    let response = hex(&md5(format!("{a1}:{nonce}:{count}:{cnonce}:{qop}:{a2}").as_bytes())?);
    let cipher = if qop == "auth-conf" { ",cipher=rc4" } else { "" };
    let answer = format!(
        "username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",cnonce=\"{cnonce}\",nc={count},qop={qop}{cipher},\
         maxbuf=65536,digest-uri=\"{uri}\",response={response}\0"
    );
    Ok(answer.into_bytes())
}

fn md5(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut command = Command::new("openssl");
    let mut child = command.args(["md5", "-binary"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(bytes)?;
    }
    Ok(child.wait_with_output()?.stdout)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
