//! Finding and copying bytes, eight at a time and without `unsafe`.

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

/// Marks the bytes that end the plain part of a string while reading: its end, an escape, a control character.
const fn ends_plain(word: u64) -> u64 {
    equals(word, b'"') | equals(word, b'\\') | below(word, 0x20)
}

/// Not zero if QEMU escapes any byte of this word in a string: below 0x20, above 0x7E, `"` or `\\`.
const fn escaped(word: u64) -> u64 {
    // A borrow or a carry comes only from a byte that is escaped itself. Exchanging 0x20 and 0x22 puts `"` below the limit.
    let low = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    // Above 0x80 this marks all bytes but 0xDC, and the addition of one marks all but 0xFF.
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (low | backslash | word.wrapping_add(ONES)) & HIGH
}

/// The index of the first byte that a word-wise test marks, or the length if it marks none.
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
    // The last bytes, padded with a byte that no test marks.
    let mut word = [b' '; 8];
    word[..rest.len()].copy_from_slice(rest);
    let hits = test(u64::from_le_bytes(word));
    at + (hits.trailing_zeros() as usize / 8).min(rest.len())
}

/// The number of bytes of a string before its end, its first escape or its first control character.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    find(bytes, ends_plain)
}

/// Copies text of up to 16 bytes. `false`: the text is longer or QEMU escapes a byte of it, and the copy is meaningless.
#[inline]
pub(crate) fn copy_short(from: &[u8], to: &mut [u8]) -> bool {
    if from.len() > 16 {
        return false;
    }
    // Two overlapping words cover any text from one to two words long.
    if let (Some(first), Some(last)) = (from.first_chunk::<8>(), from.last_chunk::<8>()) {
        put_first(to, first);
        put_last(to, last);
        return escaped(u64::from_le_bytes(*first)) | escaped(u64::from_le_bytes(*last)) == 0;
    }
    if let (Some(first), Some(last)) = (from.first_chunk::<4>(), from.last_chunk::<4>()) {
        put_first(to, first);
        put_last(to, last);
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return escaped(u64::from(last) << 32 | u64::from(first)) == 0;
    }
    false
}

/// As [`copy_short`], for text of any length.
pub(crate) fn copy_plain(from: &[u8], to: &mut [u8]) -> bool {
    let Some(last) = from.last_chunk::<8>() else {
        to.copy_from_slice(from);
        return from.iter().all(|&byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\');
    };
    for (from, to) in from.as_chunks::<8>().0.iter().zip(to.as_chunks_mut::<8>().0) {
        if escaped(u64::from_le_bytes(*from)) != 0 {
            return false;
        }
        *to = *from;
    }
    put_last(to, last);
    escaped(u64::from_le_bytes(*last)) == 0
}

/// As `copy_from_slice`, but without a call of the C library for 4 to 32 bytes.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    if let (true, Some(first), Some(last)) = (from.len() <= 32, from.first_chunk::<16>(), from.last_chunk::<16>()) {
        put_first(to, first);
        put_last(to, last);
    } else if let (true, Some(first), Some(last)) = (from.len() < 16, from.first_chunk::<8>(), from.last_chunk::<8>()) {
        put_first(to, first);
        put_last(to, last);
    } else if let (true, Some(first), Some(last)) = (from.len() < 8, from.first_chunk::<4>(), from.last_chunk::<4>()) {
        put_first(to, first);
        put_last(to, last);
    } else {
        to.copy_from_slice(from);
    }
}

fn put_first<const N: usize>(to: &mut [u8], bytes: &[u8; N]) {
    if let Some(to) = to.first_chunk_mut() {
        *to = *bytes;
    }
}

fn put_last<const N: usize>(to: &mut [u8], bytes: &[u8; N]) {
    if let Some(to) = to.last_chunk_mut() {
        *to = *bytes;
    }
}

/// Whether two texts are equal. For 8 to 24 bytes it is faster than a call of the C library.
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

/// The index of the first line feed.
pub(crate) fn line_end(bytes: &[u8]) -> Option<usize> {
    let at = find(bytes, |word| equals(word, b'\n'));
    (at < bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_at_every_index() {
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
                    let mut copy = alloc::vec![0; len];
                    let plain = copy_plain(&bytes, &mut copy);
                    assert_eq!(plain, !bytes.iter().any(escaped));
                    assert!(!plain || copy == bytes);
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
