//! Text for terminals, JSON and CSV. Names and addresses come from peers and operators, and may have any content.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

/// A text without characters that a terminal acts on: each is shown as `\u{1b}`.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if acts(char) {
            out.extend(char.escape_unicode());
        } else {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

/// A line of JSON without characters that a terminal acts on.
pub(super) fn json_line(value: &impl serde::Serialize) -> String {
    escaped(&serde_json::to_string(value).unwrap_or_default()) + "\n"
}

/// JSON without characters that a terminal acts on, line ends between its values excepted. serde_json escapes those below U+0020, and
/// nothing else.
pub(crate) fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 1);
    for char in json.chars() {
        if acts(char) && char != '\n' {
            // All of them are in the first plane: one escape each.
            let _ = write!(out, "\\u{:04x}", u32::from(char));
        } else {
            out.push(char);
        }
    }
    out
}

/// A line of CSV (RFC 4180). A cell that a spreadsheet would run as a formula begins with an apostrophe.
pub(super) fn csv_line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        let cell = if formula { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) };
        if cell.contains(['"', ',', '\r', '\n', ';']) || cell != cell.trim() {
            let _ = write!(line, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            line.push_str(&cell);
        }
    }
    line.push_str("\r\n");
    line
}

/// Bytes in three digits: `206`, `12.3k`, `4.1M`. A k is 1000.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1000 {
        return bytes.to_string();
    }
    // Tenths of the unit.
    let mut tenths = bytes / 100;
    for unit in ["k", "M", "G", "T", "P"] {
        if tenths < 1000 {
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
        if tenths < 10_000 {
            return format!("{}{unit}", tenths / 10);
        }
        tenths /= 1000;
    }
    format!("{}.{}E", tenths / 10, tenths % 10)
}

/// A duration in its largest unit or two: `12s`, `5m`, `2h03m`, `3d04h`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if minutes == 0 => format!("{seconds}s"),
        () if hours == 0 => format!("{minutes}m"),
        () if days == 0 => format!("{hours}h{:02}m", minutes % 60),
        () => format!("{days}d{:02}h", hours % 24),
    }
}

/// Control characters, and those that change the direction or the order of what follows (Unicode's Bidi_Control).
fn acts(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_escaped() {
        assert_eq!(shown("desk-17 ü"), "desk-17 ü");
        assert_eq!(shown("a\x1b[2Jb\u{9b}c\u{202e}\n"), "a\\u{1b}[2Jb\\u{9b}c\\u{202e}\\u{a}");
        let json = json_line(&"a\x1b[2J\u{9b}\u{7f}\u{202e}ü\"");
        assert_eq!(json, "\"a\\u001b[2J\\u009b\\u007f\\u202eü\\\"\"\n");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "a\x1b[2J\u{9b}\u{7f}\u{202e}ü\"");
    }

    #[test]
    fn csv_cells_are_quoted_and_are_no_formulas() {
        for (cell, line) in [
            ("desk", "desk"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\nb", "\"a\nb\""),
            (" a", "\" a\""),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2+3", "'-2+3"),
            ("+1", "'+1"),
            ("\t=1", "'\t=1"),
            ("=cmd|'/c calc',\"", "\"'=cmd|'/c calc',\"\"\""),
        ] {
            assert_eq!(csv_line([cell, "x"]), format!("{line},x\r\n"));
        }
    }

    #[test]
    fn sizes_and_durations_are_short() {
        for (bytes, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0k"),
            (12_345, "12.3k"),
            (99_999, "99.9k"),
            (123_456, "123k"),
            (999_999, "999k"),
            (1_000_000, "1.0M"),
            (4_100_000_000, "4.1G"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7380, "2h03m"), (86_400, "1d00h"), (273_600, "3d04h")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
