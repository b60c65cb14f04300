use arbitrary::{Arbitrary, Result, Unstructured};

use super::{few_bytes, rarely};

/// What a QMP client sends: commands, nearly valid commands, and other bytes, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QmpInput(pub Vec<u8>);

impl QmpInput {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Arbitrary<'a> for QmpInput {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut out = Vec::new();
        if !rarely(u, 8)? {
            out.extend(br#"{"execute": "qmp_capabilities"}"#);
        }
        for _ in 0..u.int_in_range(0..=8)? {
            piece(u, &mut out)?;
            out.extend(*u.choose(&[&b"\n"[..], b"", b"\r\n", b" ", b"\t", b"\xff"])?);
        }
        if rarely(u, 4)? && !out.is_empty() {
            let at = u.choose_index(out.len())?;
            out[at] = u.arbitrary()?;
        }
        Ok(Self(out))
    }
}

fn piece(u: &mut Unstructured<'_>, out: &mut Vec<u8>) -> Result<()> {
    match u.int_in_range(0..=9)? {
        0..=6 => command(u, out),
        7 => {
            // Deep, and not always closed.
            let depth = *u.choose(&[1usize, 8, 1023, 1024, 1025])?;
            out.extend(std::iter::repeat_n(b'[', depth));
            out.extend(std::iter::repeat_n(b']', if rarely(u, 4)? { depth - 1 } else { depth }));
            Ok(())
        }
        8 => value(u, out, 0),
        _ => {
            out.extend(few_bytes(u, 12)?);
            Ok(())
        }
    }
}

fn command(u: &mut Unstructured<'_>, out: &mut Vec<u8>) -> Result<()> {
    let verb = *u.choose(&["execute", "exec-oob", "executes", "return"])?;
    let name =
        *u.choose(&["query-spice", "query-version", "query-commands", "qmp_capabilities", "query-events", "x"])?;
    out.extend(format!("{{\"{verb}\": \"{name}\"").bytes());
    if rarely(u, 3)? {
        out.extend(b", \"arguments\": ");
        value(u, out, 0)?;
    }
    if rarely(u, 2)? {
        out.extend(b", \"id\": ");
        value(u, out, 0)?;
    }
    if rarely(u, 8)? {
        out.extend(format!(", \"{verb}\": 1").bytes());
    }
    out.push(b'}');
    Ok(())
}

fn value(u: &mut Unstructured<'_>, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    const SCALARS: [&[u8]; 20] = [
        b"{}",
        b"[]",
        b"1",
        b"-0",
        b"01",
        b"9223372036854775807",
        b"9223372036854775808",
        b"18446744073709551616",
        b"1e400",
        b"-",
        b"1.5",
        b"true",
        b"null",
        b"nil",
        b"\"\"",
        b"'single'",
        b"\"\\ud83d\\ude00\"",
        b"\"\\ud83d\"",
        b"\"\xc0\x80\"",
        b"\"\xff\"",
    ];
    match u.int_in_range(0..=5)? {
        0..=3 => out.extend(*u.choose(&SCALARS)?),
        4 if depth < 4 => {
            out.extend(b"{\"enable\": ");
            value(u, out, depth + 1)?;
            out.push(b'}');
        }
        _ if depth < 4 => {
            out.push(b'[');
            for index in 0..u.int_in_range(0..=3)? {
                if index > 0 {
                    out.push(b',');
                }
                value(u, out, depth + 1)?;
            }
            out.push(b']');
        }
        _ => out.push(b'0'),
    }
    Ok(())
}
