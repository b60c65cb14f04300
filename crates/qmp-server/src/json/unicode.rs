//! Modified UTF-8 (U+0000 may be `C0 80`), as QEMU decodes it (`util/unicode.c`).

/// The first character of `bytes` and its length; `None` for a sequence that is not a character.
///
/// A bad sequence is as long as QEMU takes it: the lead byte and the continuation bytes that follow it, up to what the
/// lead byte announces. Lead bytes announce up to six, as UTF-8 once did.
pub(super) fn decode(bytes: &[u8]) -> (Option<char>, usize) {
    let Some(&lead) = bytes.first() else { return (None, 0) };
    let announced = lead.leading_ones() as usize;
    match announced {
        0 => return (Some(char::from(lead)), 1),
        // A continuation byte without a lead, and FE and FF, which UTF-8 never had.
        1 | 7 | 8 => return (None, 1),
        _ => {}
    }
    let mut code = u32::from(lead) & (0x7F >> announced);
    for at in 1..announced {
        match bytes.get(at) {
            Some(&byte) if byte & 0xC0 == 0x80 => code = code << 6 | u32::from(byte & 0x3F),
            _ => return (None, at),
        }
    }
    let least = [0x80, 0x800, 0x1_0000, 0x20_0000, 0x400_0000][announced - 2];
    let overlong = code < least && !(code == 0 && announced == 2);
    (if overlong { None } else { character(code) }, announced)
}

/// The character of a code point; surrogates and noncharacters are none.
pub(super) fn character(code: u32) -> Option<char> {
    let noncharacter = (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE;
    if noncharacter { None } else { char::from_u32(code) }
}

/// Bytes as QEMU prints a C string: up to the first NUL, U+FFFD for each bad sequence.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let mut rest = &bytes[..end];
    let mut text = String::with_capacity(end);
    while !rest.is_empty() {
        let (char, len) = decode(rest);
        text.push(char.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = &rest[len..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_good_and_bad() {
        for (bytes, char, len) in [
            (&b"a"[..], Some('a'), 1),
            (b"\x7f", Some('\x7f'), 1),
            (b"\xc3\xa9", Some('é'), 2),
            (b"\xf0\x9f\x98\x80", Some('😀'), 4),
            (b"\xc0\x80", Some('\0'), 2),   // the one overlong form that modified UTF-8 has
            (b"\xc1\x81", None, 2),         // overlong
            (b"\xe0\x80\x80", None, 3),     // overlong, although zero
            (b"\xed\xa0\x80", None, 3),     // surrogate
            (b"\xef\xbf\xbe", None, 3),     // U+FFFE
            (b"\xef\xb7\x90", None, 3),     // U+FDD0
            (b"\xf4\x90\x80\x80", None, 4), // above U+10FFFF
            (b"\xfc\x84\x80\x80\x80\x80", None, 6),
            (b"\x80", None, 1),
            (b"\xfe", None, 1),
            (b"\xff", None, 1),
            (b"\xc3", None, 1),
            (b"\xe2\x82a", None, 2),
        ] {
            assert_eq!(decode(bytes), (char, len), "{bytes:02x?}");
        }
    }

    #[test]
    fn text_for_people_ends_at_nul() {
        assert_eq!(lossy(b"a\xffb\xc3"), "a\u{fffd}b\u{fffd}");
        assert_eq!(lossy(b"a\0b"), "a");
    }
}
