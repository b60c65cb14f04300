//! QEMU's way of writing JSON, byte by byte.
//!
//! QEMU separates with `, ` and `: `, writes ASCII only, and emits an object's members in the order of its hash table,
//! not in the order of the schema. That order is a function of the key set alone: [`bucket`] ascending, and the last
//! inserted first where two keys share a bucket ([`order`]). Everything that this crate writes is derived from that rule.
//!
//! Sources: QEMU's `qobject/qdict.c` (hash and table), `qobject/json-writer.c` (separators, escapes),
//! `qobject/qnum.c` (numbers); the rule is held against lines that a real QEMU sent in `tests/lines.rs`.

use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::scan;

/// Buckets of QEMU's hash table (`QDICT_BUCKET_MAX`).
pub const BUCKETS: u16 = 512;

/// The bucket of a key, 0…511: tdb's string hash, modulo the number of buckets.
///
/// ```
/// use qmp_schema::wire::bucket;
/// // `{"timestamp": …, "event": …, "data": …}`, although QEMU inserts the event's name first.
/// assert!(bucket("timestamp") < bucket("event") && bucket("event") < bucket("data"));
/// ```
#[must_use]
pub const fn bucket(key: &str) -> u16 {
    let bytes = key.as_bytes();
    // QEMU computes in C's 32-bit unsigned arithmetic; a key of 4 GiB can't come up.
    #[expect(clippy::cast_possible_truncation, reason = "C's conversion of the length")]
    let mut value = 0x238F_13AF_u32.wrapping_mul(bytes.len() as u32);
    let mut i = 0;
    while i < bytes.len() {
        value = value.wrapping_add((bytes[i] as u32) << (i * 5 % 24));
        i += 1;
    }
    let hash = value.wrapping_mul(1_103_515_243).wrapping_add(12_345);
    #[expect(clippy::cast_possible_truncation, reason = "below 512")]
    let bucket = (hash % BUCKETS as u32) as u16;
    bucket
}

/// Sorts what was inserted one after the other into the order in which QEMU emits it.
///
/// `key` tells an item's member name. QEMU's own insertion order is that of the schema, a base type's members first.
///
/// ```
/// let mut keys = ["host", "port", "family", "connection-id", "channel-type", "channel-id", "tls"];
/// qmp_schema::wire::order(&mut keys, |key| key);
/// assert_eq!(keys, ["port", "family", "channel-type", "connection-id", "host", "channel-id", "tls"]);
/// ```
pub fn order<T>(items: &mut [T], key: impl Fn(&T) -> &str) {
    // A new entry goes to the head of its bucket's list; a stable sort of the reversed insertion order does the same.
    items.reverse();
    items.sort_by_key(|item| bucket(key(item)));
}

/// Appends a string, quoted and escaped: `\b \f \n \r \t \" \\`, and `\uXXXX` for what is below 0x20 or above 0x7E
/// (a surrogate pair above U+FFFF). `/` and `'` stay as they are.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_text(out, text);
    out.push(b'"');
}

/// As [`write_str`], without the quotes.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    if scan::has_escaped(text.as_bytes()) {
        write_escaped(out, text);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

#[cold]
fn write_escaped(out: &mut Vec<u8>, text: &str) {
    for char in text.chars() {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            ' '..='~' => out.push(char as u8),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(b"\\u");
                    out.extend([12, 8, 4, 0].map(|shift| b"0123456789ABCDEF"[usize::from(*unit >> shift & 0xF)]));
                }
            }
        }
    }
}

/// Appends `true` or `false`.
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Appends an integer in decimal.
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Appends an unsigned integer in decimal.
pub fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    for pair in digits.as_chunks_mut::<2>().0.iter_mut().rev() {
        let two = PAIRS[(value % 100) as usize];
        *pair = two;
        value /= 100;
        at -= 2;
        if value == 0 {
            at += usize::from(two[0] == b'0');
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
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

/// Appends a floating-point number as C's `%.17g` does, which is what QEMU uses.
///
/// Beware: as in QEMU, infinities and NaN come out as bare `inf`, `-inf`, `nan` and `-nan`, which is not JSON.
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    const PRECISION: i32 = 17;
    if !value.is_finite() {
        if value.is_sign_negative() {
            out.push(b'-');
        }
        out.extend_from_slice(if value.is_nan() { b"nan" } else { b"inf" });
        return;
    }
    // `d.dddddddddddddddd…e-12`: 17 significant digits, correctly rounded.
    let mut text = Short::default();
    let written = write!(text, "{:.16e}", value.abs());
    debug_assert!(written.is_ok(), "23 bytes hold every double");
    let (mantissa, exponent) = text.split_exponent();
    let mut digits = [0; PRECISION as usize];
    for (digit, &byte) in digits.iter_mut().zip(mantissa.iter().filter(|byte| byte.is_ascii_digit())) {
        *digit = byte;
    }
    let significant = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
    let digits = &digits[..significant];
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if (-4..PRECISION).contains(&exponent) {
        write_fixed(out, digits, exponent);
    } else {
        out.push(digits[0]);
        if significant > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            out.push(b'0');
        }
        write_u64(out, u64::from(exponent.unsigned_abs()));
    }
}

/// `%f` with exactly the digits given, the first of which stands for 10^exponent.
fn write_fixed(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return write_fraction(out, digits, exponent);
    };
    if whole == 0 {
        return write_fraction(out, digits, exponent);
    }
    let split = whole.min(digits.len());
    out.extend_from_slice(&digits[..split]);
    out.resize(out.len() + whole - split, b'0');
    if split < digits.len() {
        out.push(b'.');
        out.extend_from_slice(&digits[split..]);
    }
}

/// `0.000ddd`, for an exponent below zero.
fn write_fraction(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.extend_from_slice(b"0.");
    for _ in exponent..-1 {
        out.push(b'0');
    }
    out.extend_from_slice(digits);
}

/// Room for one formatted double, without an allocation.
#[derive(Default)]
struct Short {
    bytes: [u8; 32],
    len: usize,
}

impl Short {
    /// The bytes before the `e`, and the number after it.
    fn split_exponent(&self) -> (&[u8], i32) {
        let text = &self.bytes[..self.len];
        let (mantissa, exponent) = match text.iter().position(|&byte| byte == b'e') {
            Some(e) => (&text[..e], &text[e + 1..]),
            None => (text, &[][..]),
        };
        let exponent = core::str::from_utf8(exponent).ok().and_then(|text| text.parse().ok());
        (mantissa, exponent.unwrap_or(0))
    }
}

impl core::fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(core::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_come_in_the_order_of_the_hash_table() {
        // Each line was seen from QEMU 7.2; the left side is the order of insertion.
        for (inserted, emitted) in [
            ("event timestamp data", "timestamp event data"),
            ("seconds microseconds", "seconds microseconds"),
            ("server client", "server client"),
            ("host port family", "port family host"),
            ("host port family auth", "auth port family host"),
            ("return id", "return id"),
            ("error id", "id error"),
            ("class desc", "class desc"),
            ("major minor micro", "micro minor major"),
            ("qemu package", "qemu package"),
            ("version capabilities", "version capabilities"),
            (
                "enabled migrated host port tls-port auth compiled-version mouse-mode channels",
                "migrated enabled auth port compiled-version tls-port host channels mouse-mode",
            ),
        ] {
            let mut keys: Vec<&str> = inserted.split(' ').collect();
            order(&mut keys, |key| key);
            assert_eq!(keys.join(" "), emitted);
        }
    }

    #[test]
    fn the_last_inserted_of_a_bucket_comes_first() {
        assert_eq!(bucket("ab"), bucket("ar"));
        let mut keys = ["ab", "zz", "ar"];
        order(&mut keys, |key| key);
        let place = |key| keys.iter().position(|&other| other == key);
        assert!(place("ar") < place("ab"));
    }

    #[test]
    fn strings_of_any_length_are_copied() {
        for len in 0..40 {
            let plain: String = ('a'..='z').cycle().take(len).collect();
            assert_eq!(text(|out| write_text(out, &plain)), plain);
        }
    }

    #[test]
    fn strings_are_ascii() {
        for (from, to) in [
            ("", r#""""#),
            ("127.0.0.1", r#""127.0.0.1""#),
            ("a/b'c", r#""a/b'c""#),
            ("q\"b\\", r#""q\"b\\""#),
            ("\u{8}\u{c}\n\r\t", r#""\b\f\n\r\t""#),
            ("\0\u{1f}\u{7f}", r#""\u0000\u001F\u007F""#),
            ("é\u{fffd}", r#""\u00E9\uFFFD""#),
            ("a😀b", r#""a\uD83D\uDE00b""#),
        ] {
            assert_eq!(text(|out| write_str(out, from)), to);
        }
    }

    #[test]
    fn integers_at_their_limits() {
        for value in [0, 1, 9, 10, 99, 100, 101, 999, 1000, i64::MAX, i64::MIN, -1, -10, -949_380_981] {
            assert_eq!(text(|out| write_i64(out, value)), alloc::format!("{value}"));
        }
        assert_eq!(text(|out| write_u64(out, u64::MAX)), "18446744073709551615");
        // Each digit in each place, and each carry.
        for power in (0..20).map(|exponent| 10_u64.pow(exponent)) {
            for value in
                (1..=9).flat_map(|digit| [power.wrapping_mul(digit), power.wrapping_mul(digit) - 1, power / 9 * digit])
            {
                assert_eq!(text(|out| write_u64(out, value)), alloc::format!("{value}"));
            }
        }
        for value in 0..100_000 {
            assert_eq!(text(|out| write_u64(out, value)), alloc::format!("{value}"));
        }
    }

    #[test]
    #[expect(clippy::excessive_precision, reason = "exactly what those doubles are: ties of the 17th digit")]
    fn doubles_as_c_prints_them() {
        // The right side is glibc's printf("%.17g").
        for (value, printed) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.10000000000000001"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789.125, "123456789.125"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (1.5e300, "1.5000000000000001e+300"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "4.9406564584124654e-324"),
            (1_234_567_890_123_456.25, "1234567890123456.2"),
            (1_234_567_890_123_456.75, "1234567890123456.8"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(text(|out| write_f64(out, value)), printed, "{value:e}");
        }
        assert_eq!(text(|out| write_f64(out, f64::NAN)), "nan");
    }
}
