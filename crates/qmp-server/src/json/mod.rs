//! An incremental parser of QEMU's JSON: bytes to tokens to values.

mod lexer;
mod parser;
mod unicode;

use std::fmt;

use crate::{Dialect, Limits, Value};
use lexer::Lexer;
use parser::Parser;

/// Splits a stream of bytes into JSON values.
///
/// A message ends when its braces and brackets balance. Nothing else separates messages. Text that is not a token ends the
/// message at once.
#[derive(Debug)]
pub(crate) struct Stream {
    lexer: Lexer,
    parser: Parser,
}

impl Stream {
    pub(crate) fn new(limits: &Limits, dialect: Dialect) -> Self {
        Self { lexer: Lexer::new(limits.token_bytes), parser: Parser::new(limits, dialect) }
    }

    /// Reads until there is a message or an error. Returns the number of bytes read, and the message or QEMU's error text.
    pub(crate) fn read(&mut self, input: &[u8]) -> (usize, Option<Result<Value<'static>, String>>) {
        let mut taken = 0;
        while taken < input.len() {
            let (n, token) = self.lexer.next(&input[taken..]);
            taken += n;
            if let Some(token) = token
                && let Some(message) = self.parser.push(token, self.lexer.text(), self.lexer.token_start())
            {
                return (taken, Some(message));
            }
        }
        (taken, None)
    }
}

/// Why a text is not one JSON value, in QEMU's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

/// Reads one value in QEMU's dialect of JSON, with its default [`Limits`].
///
/// The dialect is wider than JSON (single quotes) and narrower (no noncharacters); [`qmp_schema::from_str`] reads JSON.
///
/// ```
/// use qmp_server::parse_value;
///
/// assert_eq!(parse_value("{'a': [1, -2.5]}")?.to_string(), r#"{"a": [1, -2.5]}"#);
/// assert_eq!(parse_value("[1 2]").unwrap_err().to_string(), "1:4: JSON parse error, expected ',' or ']'");
/// # Ok::<(), qmp_server::ParseError>(())
/// ```
pub fn parse_value(text: &str) -> Result<Value<'static>, ParseError> {
    let mut stream = Stream::new(&Limits::default(), Dialect::default());
    // A number or a keyword ends only when something else follows.
    let (text, end) = (text.trim_ascii_end().as_bytes(), b" ");
    let (taken, value) = match stream.read(text) {
        (taken, None) => (taken, stream.read(end).1),
        read => read,
    };
    match value {
        Some(Ok(_)) if taken < text.len() => Err(ParseError(format!("expected nothing after byte {taken}"))),
        Some(value) => value.map_err(ParseError),
        None => Err(ParseError("the text ends before the value does".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_read_from_text() {
        for (text, expected) in [
            ("{'a': [1, -2.5, null]}", "{\"a\": [1, -2.5, null]}"),
            ("7", "7"),
            (" true\n", "true"),
            ("1 2", "expected nothing after byte 1"),
            ("[1", "the text ends before the value does"),
            ("", "the text ends before the value does"),
            ("[1 2]", "1:4: JSON parse error, expected ',' or ']'"),
        ] {
            let text = match parse_value(text) {
                Ok(value) => value.to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(text, expected);
        }
    }
}
