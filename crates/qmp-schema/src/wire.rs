//! QEMU's way of writing JSON.
//!
//! QEMU separates with `, ` and `: `, writes ASCII only, and writes the members of an object in the order of its hash table, not
//! in the order of the schema. That order is by ascending [`bucket`]. Of two keys in one bucket the last inserted comes first
//! ([`order`]). Everything that this crate writes follows from that rule.
//!
//! Sources: QEMU's `qobject/qdict.c` (hash and table), `qobject/json-writer.c` (separators, escapes),
//! `qobject/qnum.c` (numbers). `tests/lines.rs` compares the rule with lines that a real QEMU sent.

use alloc::vec::Vec;

use crate::slice_writer::append;

/// Buckets of QEMU's hash table (`QDICT_BUCKET_MAX`).
pub const BUCKETS: u16 = 512;

/// The bucket of a key, 0 to 511: tdb's string hash, modulo the number of buckets.
///
/// ```
/// use qmp_schema::wire::bucket;
/// // `{"timestamp": …, "event": …, "data": …}`, although QEMU inserts the event's name first.
/// assert!(bucket("timestamp") < bucket("event") && bucket("event") < bucket("data"));
/// ```
#[must_use]
pub const fn bucket(key: &str) -> u16 {
    let bytes = key.as_bytes();
    // QEMU computes in C's 32-bit unsigned arithmetic. No key is 4 GiB long.
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

/// Sorts items from the order of insertion into the order in which QEMU writes them.
///
/// `key` returns the member name of an item. QEMU inserts in the order of the schema, the members of a base type first.
///
/// ```
/// let mut keys = ["host", "port", "family", "connection-id", "channel-type", "channel-id", "tls"];
/// qmp_schema::wire::order(&mut keys, |key| key);
/// assert_eq!(keys, ["port", "family", "channel-type", "connection-id", "host", "channel-id", "tls"]);
/// ```
pub fn order<T>(items: &mut [T], key: impl Fn(&T) -> &str) {
    // QEMU puts a new entry at the head of its bucket's list. A stable sort of the reversed order of insertion does the same.
    items.reverse();
    items.sort_by_key(|item| bucket(key(item)));
}

/// Appends a string, quoted and escaped: `\b \f \n \r \t \" \\`, and `\uXXXX` for characters below 0x20
/// or above 0x7E (a surrogate pair above U+FFFF). `/` and `'` are not escaped.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    append(out, &text, text.len() + 3);
}

/// Appends `true` or `false`.
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Appends an integer in decimal.
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    append(out, &value, NUMBER);
}

/// Appends an unsigned integer in decimal.
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    append(out, &value, NUMBER);
}

/// Appends a floating-point number as C's `%.17g` does, which is what QEMU uses.
///
/// As in QEMU, infinities and NaN are written as `inf`, `-inf`, `nan` and `-nan`, which are not JSON.
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    append(out, &value, NUMBER);
}

/// More bytes than any number needs: `-2.2250738585072014e-308` has 24.
pub(crate) const NUMBER: usize = 25;

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
    fn last_inserted_of_a_bucket_comes_first() {
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
            assert_eq!(text(|out| write_str(out, &plain)), alloc::format!("\"{plain}\""));
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
}
