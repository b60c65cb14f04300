//! Looking for bytes, eight at a time and without `unsafe`.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// In each byte of a word, the highest bit is set where the byte is `wanted`. Only the lowest such byte is certain.
const fn equals(word: u64, wanted: u8) -> u64 {
    let difference = word ^ (ONES * wanted as u64);
    difference.wrapping_sub(ONES) & !difference & HIGH
}

/// As [`equals`], for bytes below `limit` (at most 0x80).
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGH
}

/// Bytes that end the plain part of a string that is read: its end, an escape, a control character.
const fn ends_plain(word: u64) -> u64 {
    equals(word, b'"') | equals(word, b'\\') | below(word, 0x20)
}

/// Bytes that QEMU escapes when it writes a string.
const fn is_escaped(word: u64) -> u64 {
    equals(word, b'"') | equals(word, b'\\') | below(word, 0x20) | equals(word, 0x7F) | (word & HIGH)
}

/// The first byte that a word-wise test hits; the length where none is.
#[inline]
fn find(bytes: &[u8], test: impl Fn(u64) -> u64) -> usize {
    let mut at = 0;
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let hits = test(u64::from_le_bytes(*word));
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
        rest = behind;
    }
    // The last few, filled up with a byte that no test hits.
    let mut word = [b' '; 8];
    word[..rest.len()].copy_from_slice(rest);
    let hits = test(u64::from_le_bytes(word));
    at + (hits.trailing_zeros() as usize / 8).min(rest.len())
}

/// Bytes of a string before its end, its first escape or its first control character.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    find(bytes, ends_plain)
}

/// Whether QEMU escapes anything in this text.
#[inline]
pub(crate) fn has_escaped(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<8>() {
        // The last word overlaps the one before it where the length is no multiple of eight.
        let (words, _) = bytes.as_chunks::<8>();
        return words.iter().chain([last]).any(|word| is_escaped(u64::from_le_bytes(*word)) != 0);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return is_escaped(u64::from(last) << 32 | u64::from(first)) != 0;
    }
    bytes.iter().any(|&byte| !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\')
}

/// Whether two texts are the same; for 8…24 bytes quicker than a call of the C library.
#[inline]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    let len = one.len();
    if len != other.len() {
        return false;
    }
    match (one.first_chunk::<8>(), other.first_chunk::<8>(), one.last_chunk::<8>(), other.last_chunk::<8>()) {
        (Some(a), Some(b), Some(y), Some(z)) if len <= 16 => a == b && y == z,
        (Some(a), Some(b), Some(y), Some(z)) if len <= 24 => a == b && y == z && one[8..16] == other[8..16],
        _ => one == other,
    }
}

/// The first line feed.
pub(crate) fn line_end(bytes: &[u8]) -> Option<usize> {
    let at = find(bytes, |word| equals(word, b'\n'));
    (at < bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_wherever_it_lies() {
        for len in 0..28 {
            for at in 0..=len {
                for byte in 0..=u8::MAX {
                    let mut bytes = alloc::vec![b'a'; len];
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                    let first = |test: fn(u8) -> bool| bytes.iter().position(|&byte| test(byte)).unwrap_or(len);
                    assert_eq!(plain_len(&bytes), first(|byte| byte < 0x20 || byte == b'"' || byte == b'\\'));
                    let escaped = |&byte: &u8| !(0x20..0x7F).contains(&byte) || byte == b'"' || byte == b'\\';
                    assert_eq!(has_escaped(&bytes), bytes.iter().any(escaped));
                    assert!(same(&bytes, &bytes.clone()));
                    let mut other = bytes.clone();
                    if let Some(place) = other.get_mut(at) {
                        *place ^= 1;
                    }
                    assert_eq!(same(&bytes, &other), at == len);
                    assert_eq!(line_end(&bytes).unwrap_or(len), first(|byte| byte == b'\n'));
                }
            }
        }
    }
}
