//! A server's bytes without those that it draws at random: two conversations of the same case have equal bytes then.

/// In `SpiceLinkReply`, after the error field.
const PUB_KEY: std::ops::Range<usize> = 20..182;

/// The server's bytes with `?` for the key of a link reply, the session's id and the clock of MAIN_INIT, and SASL's nonce and
/// proof. The bytes after MAIN_INIT, or after the end of SASL, depend on time or are encrypted, and are cut off.
pub fn steady(down: &[u8]) -> Vec<u8> {
    let mut out = down.to_vec();
    let mut at = 0;
    while out[at..].starts_with(b"REDQ") && out.len() >= at + PUB_KEY.end {
        if number(&out, at + 16) == 0 {
            out[at..][PUB_KEY].fill(b'?');
        }
        at += 16 + number(&out, at + 12) as usize;
    }
    hide(&mut out, b"nonce=\"", |byte| byte != b'"');
    if let Some(proof) = hide(&mut out, b"rspauth=", |byte| byte.is_ascii_hexdigit()) {
        // A NUL, whether the exchange is complete, and the link result.
        out.truncate(proof + 1 + 1 + 4);
    } else if let Some(init) = main_init(&out, at + 4) {
        out[init..init + 4].fill(b'?');
        out[init + 24..init + 28].fill(b'?');
        out.truncate(init + 32);
    }
    out
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
}

/// Where the body of a MAIN_INIT (type 103) starts, whose header is at `at`: of 6 bytes, or of 18 with a serial number first.
fn main_init(bytes: &[u8], at: usize) -> Option<usize> {
    [(0, 6), (8, 18)].into_iter().find_map(|(kind, header)| {
        let there = bytes.get(at + kind..)?.starts_with(&[103, 0, 32, 0, 0, 0]);
        (there && bytes.len() >= at + header + 32).then_some(at + header)
    })
}

/// Overwrites the bytes after a word while `goes_on` accepts them. Returns where that ends.
fn hide(bytes: &mut [u8], word: &[u8], goes_on: impl Fn(u8) -> bool) -> Option<usize> {
    let start = bytes.windows(word.len()).position(|window| window == word)? + word.len();
    let len = bytes[start..].iter().take_while(|byte| goes_on(**byte)).count();
    bytes[start..start + len].fill(b'?');
    Some(start + len)
}
