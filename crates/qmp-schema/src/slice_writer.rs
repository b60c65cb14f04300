//! Writing into a slice: what the generated code writes with.
//!
//! An event consists of some forty short pieces, most of them fixed text. Appending them to a `Vec` one by one is slow, because
//! each piece waits for the length that the previous one has stored. So they are written into a slice that gets shorter with each
//! piece, and whose start and length stay in registers. A piece that does not fit leaves an empty slice, in which no later piece
//! fits either. [`append`] then repeats the writing with a longer slice.

use alloc::vec::Vec;

use crate::scan;

/// A value that is written as QEMU writes it.
pub(crate) trait Put {
    /// Writes the value, and returns the rest of the slice.
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r>;
}

/// The rest of a slice. It is empty if something did not fit.
#[derive(Debug)]
pub(crate) struct SliceWriter<'r>(&'r mut [u8]);

/// More bytes than most events need.
pub(crate) const EVENT: usize = 512;

/// Appends a value that probably needs less than `enough` bytes. If `out` has less spare capacity, that is tried before `out`
/// grows.
#[inline(never)]
pub(crate) fn append(out: &mut Vec<u8>, value: &dyn Put, enough: usize) {
    let start = out.len();
    let mut size = enough.min(out.capacity() - start);
    loop {
        out.resize(start + size, 0);
        let left = out.get_mut(start..).map_or(0, |out| value.put(SliceWriter(out)).0.len());
        // An empty rest can mean that the value fits exactly, or that it does not fit.
        if left > 0 {
            return out.truncate(start + size - left);
        }
        size = enough.max(size * 2);
    }
}

impl SliceWriter<'_> {
    #[inline]
    const fn none() -> Self {
        Self(&mut [])
    }

    /// Fixed text.
    #[inline]
    pub(crate) fn fixed<const N: usize>(self, text: &[u8; N]) -> Self {
        let Some((there, rest)) = self.0.split_first_chunk_mut() else { return Self::none() };
        *there = *text;
        Self(rest)
    }

    /// Copies bytes.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let Some((there, rest)) = self.0.split_at_mut_checked(bytes.len()) else { return Self::none() };
        scan::copy(bytes, there);
        Self(rest)
    }

    /// A value.
    #[inline]
    pub(crate) fn value<T: Put + ?Sized>(self, value: &T) -> Self {
        value.put(self)
    }

    /// The content of a string, without its quotes: see [`write_str`](crate::wire::write_str).
    pub(crate) fn text(self, text: &str) -> Self {
        let from = text.as_bytes();
        if let Some(there) = self.0.get_mut(..from.len())
            && scan::copy_short(from, there)
        {
            return self.behind(from.len());
        }
        self.any_text(text)
    }

    #[inline(never)]
    fn any_text(self, text: &str) -> Self {
        let from = text.as_bytes();
        let Some(there) = self.0.get_mut(..from.len()) else { return Self::none() };
        if scan::copy_plain(from, there) { self.behind(from.len()) } else { self.escaped(text) }
    }

    #[inline]
    fn behind(self, len: usize) -> Self {
        self.0.get_mut(len..).map_or(Self::none(), Self)
    }

    #[cold]
    #[inline(never)]
    fn escaped(self, text: &str) -> Self {
        text.chars().fold(self, |out, char| match char {
            '"' => out.fixed(b"\\\""),
            '\\' => out.fixed(b"\\\\"),
            '\u{8}' => out.fixed(b"\\b"),
            '\u{c}' => out.fixed(b"\\f"),
            '\n' => out.fixed(b"\\n"),
            '\r' => out.fixed(b"\\r"),
            '\t' => out.fixed(b"\\t"),
            ' '..='~' => out.fixed(&[char as u8]),
            _ => char.encode_utf16(&mut [0; 2]).iter().fold(out, |out, unit| {
                let digit = |shift: u32| b"0123456789ABCDEF"[usize::from(*unit >> shift & 0xF)];
                out.fixed(b"\\u").fixed(&[digit(12), digit(8), digit(4), digit(0)])
            }),
        })
    }

    /// Items in brackets, or members in braces.
    pub(crate) fn list<T>(self, [open, close]: [u8; 2], items: &[T], put: impl Fn(Self, &T) -> Self) -> Self {
        let mut out = self.fixed(&[open]);
        for (i, item) in items.iter().enumerate() {
            out = put(if i > 0 { out.fixed(b", ") } else { out }, item);
        }
        out.fixed(&[close])
    }

    /// An integer in decimal.
    #[inline]
    pub(crate) fn signed(self, value: i64) -> Self {
        let out = if value < 0 { self.fixed(b"-") } else { self };
        out.unsigned(value.unsigned_abs())
    }

    /// An unsigned integer in decimal.
    pub(crate) fn unsigned(self, value: u64) -> Self {
        const EIGHT_DIGITS: u64 = 100_000_000;
        match value {
            // A constant length for each case keeps the next piece from waiting for it.
            0..10 => self.digits::<1>(value),
            10..100 => self.digits::<2>(value),
            100..1_000 => self.digits::<3>(value),
            1_000..10_000 => self.digits::<4>(value),
            10_000..100_000 => self.digits::<5>(value),
            100_000..1_000_000 => self.digits::<6>(value),
            1_000_000..10_000_000 => self.digits::<7>(value),
            10_000_000..EIGHT_DIGITS => self.digits::<8>(value),
            _ => self.unsigned(value / EIGHT_DIGITS).digits::<8>(value % EIGHT_DIGITS),
        }
    }

    /// A number of at most `N` digits (at most eight), with leading zeros.
    #[inline]
    fn digits<const N: usize>(self, value: u64) -> Self {
        let Some((there, rest)) = self.0.split_first_chunk_mut::<N>() else { return Self::none() };
        let (first, pairs) = there.as_rchunks_mut::<2>();
        let mut value = u32::try_from(value).unwrap_or(u32::MAX);
        for pair in pairs.iter_mut().rev() {
            *pair = PAIRS[(value % 100) as usize];
            value /= 100;
        }
        for digit in first {
            *digit = b'0' | value.to_le_bytes()[0];
        }
        Self(rest)
    }
}

/// `00`, `01` … `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut i = 0_u8;
    while i < 100 {
        pairs[i as usize] = [b'0' + i / 10, b'0' + i % 10];
        i += 1;
    }
    pairs
};

impl<T: Put + ?Sized> Put for &T {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        (**self).put(out)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{borrow::Cow, string::String};

    use super::*;
    use crate::Value;

    #[test]
    fn writing_repeats_with_a_longer_slice() {
        for len in [0, 1, 4, 8, 17, 600, 100_000] {
            let text: String = ('a'..='z').cycle().take(len).collect();
            for spare in [0, 1, len, len + 2, len + 3, 4 * len] {
                let mut out = Vec::with_capacity(6 + spare);
                out.extend_from_slice(b"before");
                append(&mut out, &Value::Array(alloc::vec![Value::from(&*text), Value::Null]), 1);
                assert_eq!(out, alloc::format!("before[\"{text}\", null]").as_bytes());
            }
        }
    }

    #[test]
    fn enough_capacity_is_not_enlarged() {
        let mut out = Vec::with_capacity(8);
        let before = (out.as_ptr(), out.capacity());
        append(&mut out, &Cow::Borrowed("abcd"), EVENT);
        assert_eq!((out.as_ptr(), out.capacity()), before);
        assert_eq!(out, b"\"abcd\"");
    }
}
