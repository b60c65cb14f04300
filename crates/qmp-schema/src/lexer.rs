//! A cursor over one JSON text. It knows the grammar, but no schema.
//!
//! It reads the text from front to back and borrows strings that hold no escape.

mod skip;

use alloc::{borrow::Cow, string::String};

use crate::{Error, ErrorKind, MAX_DEPTH, scan};

/// A place in a JSON text.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Lexer<'a> {
    /// A cursor at the start of a text.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Bytes read so far.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// The text from an earlier offset to the cursor.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Goes to the start of a value that has `depth` open brackets around it.
    pub(crate) const fn go_to_level(&mut self, at: usize, depth: usize) {
        self.at = at;
        self.depth = depth;
    }

    /// Goes to another place in the innermost object.
    pub(crate) const fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(crate) const fn depth(&self) -> usize {
        self.depth
    }

    /// Fails if anything but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end")),
        }
    }

    /// The next byte that is not white space.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.at) {
            Some(0..=b' ') => self.peek_far(),
            other => other.copied(),
        }
    }

    fn peek_far(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn colon(&mut self) -> Result<(), Error> {
        if self.eat(b':') { Ok(()) } else { Err(self.syntax("':'")) }
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[cold]
    fn syntax(&self, expected: &'static str) -> Error {
        let found = self.text.as_bytes().get(self.at).copied();
        Error::new(ErrorKind::Syntax { expected, found }, self.at)
    }

    /// The error for a value of another type than `expected`, or the syntax error for a missing value.
    #[cold]
    pub(crate) fn mismatch(&mut self, expected: &'static str) -> Error {
        let found = match self.peek() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            Some(b'-' | b'0'..=b'9') => "a number",
            _ => return self.syntax("a value"),
        };
        Error::new(ErrorKind::Type { expected, found }, self.at)
    }

    /// Reads a string. It is borrowed unless it holds an escape.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        if !self.eat(b'"') {
            return Err(self.mismatch("a string"));
        }
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let len = scan::plain_len(rest);
        self.at += len;
        if rest.get(len) == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(self.text.get(start..start + len).unwrap_or_default()));
        }
        self.string_rest(start).map(Cow::Owned)
    }

    /// Reads the rest of a string, from its first byte that is not plain.
    #[cold]
    fn string_rest(&mut self, start: usize) -> Result<String, Error> {
        let mut string = String::from(self.since(start));
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                Some(..0x20) | None => return Err(self.syntax("a string's next character")),
                Some(_) => {
                    let start = self.at;
                    self.at += scan::plain_len(self.text.as_bytes().get(start..).unwrap_or_default());
                    string.push_str(self.since(start));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        self.at += 1;
        let char = match self.text.as_bytes().get(self.at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.syntax("an escape")),
        };
        self.at += 1;
        Ok(char)
    }

    /// Reads `uXXXX`, or two of them that form a surrogate pair. A lone surrogate gives U+FFFD, which QEMU also writes for text
    /// that it can't decode.
    fn unicode_escape(&mut self) -> Result<char, Error> {
        self.at += 1;
        let first = self.hex4()?;
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if (0xD800..0xDC00).contains(&first) && rest.starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if let Some(Ok(char)) = char::decode_utf16([first, second]).next() {
                return Ok(char);
            }
            self.at = before;
        }
        Ok(char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u16, Error> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.text.as_bytes().get(self.at).and_then(|&byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.syntax("a hexadecimal digit")) };
            unit = unit << 4 | u16::try_from(digit).unwrap_or_default();
            self.at += 1;
        }
        Ok(unit)
    }

    /// Reads the text of a number.
    pub(crate) fn number(&mut self) -> Result<Number<'a>, Error> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.mismatch("a number"));
        }
        let start = self.at;
        self.eat(b'-');
        let integer = self.at;
        let digits = self.digits()?;
        if digits > 1 && self.text.as_bytes().get(integer) == Some(&b'0') {
            self.at = integer + 1;
            return Err(self.syntax("a number without leading zeros"));
        }
        let mut whole = true;
        if self.text.as_bytes().get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.as_bytes().get(self.at), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.text.as_bytes().get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(Number { text: self.since(start), whole })
    }

    fn digits(&mut self) -> Result<usize, Error> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += len;
        if len == 0 { Err(self.syntax("a digit")) } else { Ok(len) }
    }

    /// Reads an integer of up to 18 digits in one pass. `None`: something else comes next.
    pub(crate) fn small_integer(&mut self) -> Option<i64> {
        let first = self.peek()?;
        let rest = self.text.as_bytes().get(self.at..)?;
        let negative = usize::from(first == b'-');
        let (mut value, mut len) = (0, negative);
        while let Some(digit @ b'0'..=b'9') = rest.get(len) {
            if len == negative + 18 {
                return None;
            }
            value = value * 10 + i64::from(digit - b'0');
            len += 1;
        }
        let leading_zero = rest.get(negative) == Some(&b'0');
        if len == negative || leading_zero && len > 1 || matches!(rest.get(len), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at += len;
        Some(if negative == 1 { -value } else { value })
    }

    /// Reads an integer of any width in the schema.
    #[inline(never)]
    pub(crate) fn integer(&mut self, expected: &'static str) -> Result<i128, Error> {
        self.peek();
        let start = self.at;
        if let Some(value) = self.small_integer() {
            return Ok(value.into());
        }
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.mismatch(expected));
        }
        let number = self.number()?;
        if !number.whole {
            let found = "a fractional number";
            return Err(Error::new(ErrorKind::Type { expected, found }, start));
        }
        // A number with too many digits is outside of every range.
        Ok(number.text.parse().unwrap_or(i128::MAX))
    }

    /// Reads `null` if it comes next, and returns whether it did.
    pub(crate) fn null(&mut self) -> Result<bool, Error> {
        if self.peek() == Some(b'n') { self.literal("null").map(|()| true) } else { Ok(false) }
    }

    pub(crate) fn literal(&mut self, literal: &'static str) -> Result<(), Error> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal.as_bytes()) {
            return Err(self.syntax(literal));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Reads a key as QEMU writes it after another member (`, "key": `), or without the comma if `comma` is false. If anything else
    /// comes next, reads nothing.
    #[inline]
    pub(crate) fn eat_key(&mut self, key: &str, comma: bool) -> bool {
        let key = key.as_bytes();
        let key = if comma { key } else { key.get(2..).unwrap_or_default() };
        let is = self.text.as_bytes().get(self.at..self.at + key.len()).is_some_and(|there| scan::same(there, key));
        self.at += if is { key.len() } else { 0 };
        is
    }

    /// Reads exactly this text. If anything else comes next, reads nothing.
    #[inline]
    pub(crate) fn eat_exactly<const N: usize>(&mut self, text: &[u8; N]) -> bool {
        let is = self.text.as_bytes().get(self.at..self.at + N) == Some(text);
        self.at += if is { N } else { 0 };
        is
    }

    /// Enters an object whose opening brace was read in another way.
    pub(crate) const fn enter(&mut self) {
        self.depth += 1;
    }

    /// Leaves an object whose end was read in another way.
    pub(crate) const fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Enters an object or an array.
    #[inline]
    pub(crate) fn open(&mut self, bracket: u8, expected: &'static str) -> Result<(), Error> {
        if !self.eat(bracket) {
            return Err(self.mismatch(expected));
        }
        self.depth += 1;
        self.is_within(MAX_DEPTH)
    }

    /// Fails if more than `limit` objects and arrays are open.
    pub(crate) const fn is_within(&self, limit: usize) -> Result<(), Error> {
        if self.depth > limit { Err(Error::new(ErrorKind::Depth { limit }, self.at)) } else { Ok(()) }
    }

    /// Leaves an object or an array, if its end comes next.
    #[inline]
    pub(crate) fn close(&mut self, bracket: u8) -> bool {
        let closed = self.eat(bracket);
        self.depth -= usize::from(closed);
        closed
    }

    /// Goes to the value of the next member and returns its key. `None`: the object has ended.
    pub(crate) fn next_key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Error> {
        if !self.next_name(first)? {
            return Ok(None);
        }
        let key = self.string()?;
        self.colon()?;
        Ok(Some(key))
    }

    /// Goes to the key of the next member. `false`: the object has ended.
    fn next_name(&mut self, first: bool) -> Result<bool, Error> {
        if self.close(b'}') {
            return Ok(false);
        }
        if !first && !self.eat(b',') {
            return Err(self.syntax("',' or '}'"));
        }
        if self.peek() == Some(b'"') { Ok(true) } else { Err(self.syntax("a member's name")) }
    }

    /// Goes to the next element. `false`: the array has ended.
    pub(crate) fn next_element(&mut self, first: bool) -> Result<bool, Error> {
        if self.close(b']') {
            return Ok(false);
        }
        if !first && !self.eat(b',') {
            return Err(self.syntax("',' or ']'"));
        }
        if self.peek() == Some(b']') { Err(self.syntax("a value")) } else { Ok(true) }
    }
}

/// The text of a number, in the grammar of RFC 8259.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'a> {
    pub(crate) text: &'a str,
    /// The number has neither a fraction nor an exponent.
    pub(crate) whole: bool,
}
