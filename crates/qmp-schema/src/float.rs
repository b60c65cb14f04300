//! Floating-point numbers as C prints them.

use core::fmt::Write as _;

use crate::slice_writer::{Put, SliceWriter};

/// Significant digits. 17 distinguish any two doubles.
const PRECISION: usize = 17;

impl Put for f64 {
    /// As `%.17g` does.
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let out = if self.is_sign_negative() { out.fixed(b"-") } else { out };
        if !self.is_finite() {
            return if self.is_nan() { out.fixed(b"nan") } else { out.fixed(b"inf") };
        }
        // `d.dddddddddddddddde-12`: correctly rounded.
        let mut text = Short::default();
        let written = write!(text, "{:.16e}", self.abs());
        debug_assert!(written.is_ok(), "32 bytes hold every double");
        let (mantissa, exponent) = text.split_exponent();
        let mut digits = [0; PRECISION];
        for (digit, &byte) in digits.iter_mut().zip(mantissa.iter().filter(|byte| byte.is_ascii_digit())) {
            *digit = byte;
        }
        let significant = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
        let digits = &digits[..significant];
        match exponent {
            -4..0 => fraction(out, digits, exponent),
            0..17 => fixed(out, digits, exponent.unsigned_abs() as usize + 1),
            _ => scientific(out, digits, exponent),
        }
    }
}

/// `d.ddde+12`; the exponent has two digits or three.
fn scientific<'r>(out: SliceWriter<'r>, digits: &[u8], exponent: i32) -> SliceWriter<'r> {
    let (first, rest) = digits.split_at(1);
    let mut out = out.bytes(first);
    if !rest.is_empty() {
        out = out.fixed(b".").bytes(rest);
    }
    out = if exponent < 0 { out.fixed(b"e-") } else { out.fixed(b"e+") };
    if exponent.abs() < 10 {
        out = out.fixed(b"0");
    }
    out.unsigned(exponent.unsigned_abs().into())
}

/// `ddd.ddd`, with `whole` digits before the point.
fn fixed<'r>(out: SliceWriter<'r>, digits: &[u8], whole: usize) -> SliceWriter<'r> {
    let (before, behind) = digits.split_at(whole.min(digits.len()));
    let mut out = out.bytes(before);
    for _ in before.len()..whole {
        out = out.fixed(b"0");
    }
    if behind.is_empty() { out } else { out.fixed(b".").bytes(behind) }
}

/// `0.000ddd`, for a negative exponent.
fn fraction<'r>(out: SliceWriter<'r>, digits: &[u8], exponent: i32) -> SliceWriter<'r> {
    let mut out = out.fixed(b"0.");
    for _ in exponent..-1 {
        out = out.fixed(b"0");
    }
    out.bytes(digits)
}

/// A buffer for one formatted double, without an allocation.
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
    use alloc::{string::String, vec::Vec};

    use crate::wire::write_f64;

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
            assert_eq!(text(value), printed, "{value:e}");
        }
        assert_eq!(text(f64::NAN), "nan");
    }

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }
}
