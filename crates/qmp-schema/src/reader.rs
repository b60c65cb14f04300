//! A pull decoder over one JSON text: what the generated code reads with.
//!
//! It walks the text once, front to back, borrows strings that hold no escape, and never looks at a byte twice on the
//! usual path: [`Members`] guesses that members come in QEMU's order and falls back to a search where they do not.

use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};

use crate::{
    Error, ErrorKind, MAX_DEPTH, scan,
    unknown::{UnknownMember, UnknownMembers},
    value::Value,
};

/// Something that can be read out of JSON text.
///
/// Implemented for every type of this crate; use it through [`from_str`](crate::from_str) and
/// [`from_slice`](crate::from_slice).
pub trait Decode<'a>: Sized {
    /// Reads one value, and leaves the reader behind it.
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error>;
}

/// A place in a JSON text.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// The discriminator of the union whose variant is read next: a member of the same object that is not unknown.
    tag: Option<&'static str>,
    keep: Option<Box<Keep<'a>>>,
}

/// The unknown members seen so far, and the path to where the reader is.
#[derive(Debug)]
struct Keep<'a> {
    /// Depth of the object whose members have no path.
    root: usize,
    /// The member that was last gone to, one for each object between there and here.
    path: Vec<&'static str>,
    members: Vec<UnknownMember<'a>>,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a text.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, tag: None, keep: None }
    }

    /// From here on, members that the schema does not name are kept.
    pub(crate) fn keep_unknown(&mut self) {
        self.keep = Some(Box::new(Keep { root: self.depth + 1, path: Vec::new(), members: Vec::new() }));
    }

    /// Notes that the reader has gone to a known member of the innermost object.
    fn note(&mut self, key: &'static str) {
        if let Some(keep) = &mut self.keep {
            let above = self.depth.saturating_sub(keep.root);
            keep.path.resize(above, "");
            keep.path.push(key);
        }
    }

    /// What was kept.
    pub(crate) fn take_unknown(&mut self) -> UnknownMembers<'a> {
        UnknownMembers::new(self.keep.take().map(|keep| keep.members).unwrap_or_default())
    }

    /// Bytes read so far.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// The text from an earlier offset up to here.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Goes to another place, which must be the start of a value outside of what is being read now.
    pub(crate) fn rewind(&mut self, at: usize, depth: usize) {
        self.at = at;
        self.depth = depth;
        self.tag = None;
    }

    /// How many unknown members were kept so far.
    pub(crate) fn kept(&self) -> usize {
        self.keep.as_ref().map_or(0, |keep| keep.members.len())
    }

    /// Forgets the unknown members kept after the first `len`.
    pub(crate) fn forget_unknown(&mut self, len: usize) {
        if let Some(keep) = &mut self.keep {
            keep.members.truncate(len);
        }
    }

    pub(crate) const fn depth(&self) -> usize {
        self.depth
    }

    /// Fails unless nothing but white space is left.
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

    /// The error for a value of another type than `expected`; a syntax error where there is no value at all.
    #[cold]
    fn mismatch(&mut self, expected: &'static str) -> Error {
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

    /// A string; borrowed unless it holds an escape.
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

    /// The rest of a string from its first byte that is not plain.
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

    /// `uXXXX`, or two of them for a surrogate pair. A lone surrogate stands for no character: U+FFFD, as QEMU itself
    /// writes for what it can't decode.
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

    /// The text of a number.
    pub(crate) fn number(&mut self) -> Result<Number<'a>, Error> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.mismatch("a number"));
        }
        let start = self.at;
        let negative = self.eat(b'-');
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
        Ok(Number { text: self.since(start), negative, whole })
    }

    fn digits(&mut self) -> Result<usize, Error> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += len;
        if len == 0 { Err(self.syntax("a digit")) } else { Ok(len) }
    }

    /// Reads an integer of up to 18 digits without going over its text twice; `None` where it is anything else.
    pub(crate) fn small_integer(&mut self) -> Option<i64> {
        let first = self.peek()?;
        let rest = self.text.as_bytes().get(self.at..)?;
        let negative = usize::from(first == b'-');
        let (mut value, mut len) = (0, negative);
        while let Some(digit @ b'0'..=b'9') = rest.get(len) {
            value = value * 10 + i64::from(digit - b'0');
            len += 1;
            if len > 18 {
                return None;
            }
        }
        let leading_zero = rest.get(negative) == Some(&b'0');
        if len == negative || leading_zero && len > 1 || matches!(rest.get(len), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at += len;
        Some(if negative == 1 { -value } else { value })
    }

    fn integer<T: TryFrom<i64> + core::str::FromStr>(&mut self, expected: &'static str) -> Result<T, Error> {
        let out_of_range = |at| Error::new(ErrorKind::Range { expected }, at);
        self.peek();
        let start = self.at;
        if let Some(value) = self.small_integer() {
            return T::try_from(value).map_err(|_| out_of_range(start));
        }
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.mismatch(expected));
        }
        let number = self.number()?;
        if !number.whole {
            let found = "a fractional number";
            return Err(Error::new(ErrorKind::Type { expected, found }, start));
        }
        let text = if number.text == "-0" { "0" } else { number.text };
        text.parse().map_err(|_| out_of_range(start))
    }

    /// Whether `null` comes next; if so, it is read.
    pub(crate) fn null(&mut self) -> Result<bool, Error> {
        if self.peek() == Some(b'n') { self.literal("null").map(|()| true) } else { Ok(false) }
    }

    fn literal(&mut self, literal: &'static str) -> Result<(), Error> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal.as_bytes()) {
            return Err(self.syntax(literal));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Reads a value and drops it, but checks its grammar.
    pub(crate) fn skip(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'{') => {
                let mut members = Members::open(self, &[])?;
                while members.any(self)? {
                    self.skip()?;
                }
                Ok(())
            }
            Some(b'[') => {
                let mut elements = Elements::open(self)?;
                while elements.next(self)? {
                    self.skip()?;
                }
                Ok(())
            }
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => Err(self.syntax("a value")),
        }
    }

    fn skip_string(&mut self) -> Result<(), Error> {
        self.string().map(drop)
    }

    /// Reads a key as [`Members`] has it, without its comma if that is not due; nothing is read where anything else
    /// comes next.
    #[inline]
    fn eat_key(&mut self, key: &str, comma: bool) -> bool {
        let key = key.as_bytes();
        let key = if comma { key } else { key.get(2..).unwrap_or_default() };
        let is = self.text.as_bytes().get(self.at..self.at + key.len()).is_some_and(|there| scan::same(there, key));
        self.at += if is { key.len() } else { 0 };
        is
    }

    /// Reads exactly this text; nothing is read where anything else comes next.
    #[inline]
    pub(crate) fn eat_exactly<const N: usize>(&mut self, text: &[u8; N]) -> bool {
        let is = self.text.as_bytes().get(self.at..self.at + N) == Some(text);
        self.at += if is { N } else { 0 };
        is
    }

    /// The string member `tag` (as [`Members`] has it) of the object that comes next, read ahead of the others: a
    /// union's discriminator.
    pub(crate) fn look_for_tag(&mut self, tag: &'static str) -> Result<Cow<'a, str>, Error> {
        let (at, depth, keep) = (self.at, self.depth, self.keep.take());
        let found = self.find(&[tag]);
        self.rewind(at, depth);
        self.keep = keep;
        found?.ok_or_else(|| Error::new(ErrorKind::Missing { member: bare(tag) }, at))
    }

    fn find(&mut self, keys: &[&'static str]) -> Result<Option<Cow<'a, str>>, Error> {
        let mut members = Members::open(self, keys)?;
        let mut found = None;
        while members.next(self)?.is_some() {
            found = Some(self.string()?);
        }
        Ok(found)
    }

    /// The next value.
    #[inline]
    pub(crate) fn value<T: Decode<'a>>(&mut self) -> Result<T, Error> {
        T::read(self)
    }

    /// Reads a union's case: the next object, which holds this discriminator too.
    pub(crate) fn case<T: Decode<'a>>(&mut self, tag: &'static str) -> Result<T, Error> {
        self.tag = Some(tag);
        T::read(self)
    }

    /// Enters an object that was read by other means up to this member's value.
    pub(crate) fn enter_at(&mut self, key: &'static str) {
        self.depth += 1;
        self.note(key);
    }

    /// Leaves an object whose end was read by other means.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Error::new(ErrorKind::Depth, self.at)) } else { Ok(()) }
    }
}

/// A number's text, of RFC 8259's grammar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'a> {
    pub(crate) text: &'a str,
    pub(crate) negative: bool,
    /// Neither a fraction nor an exponent.
    pub(crate) whole: bool,
}

/// Walks the members of an object whose keys are known beforehand.
#[derive(Debug)]
pub(crate) struct Members<'k> {
    /// Each as QEMU writes it behind another: `, "key": `.
    keys: &'k [&'static str],
    /// The key that comes next if they come in QEMU's order.
    next: usize,
    started: bool,
    tag: Option<&'static str>,
}

impl<'k> Members<'k> {
    /// Enters an object. `keys`: its members in QEMU's order, each as `, "key": `.
    pub(crate) fn open(reader: &mut Reader<'_>, keys: &'k [&'static str]) -> Result<Self, Error> {
        if !reader.eat(b'{') {
            return Err(reader.mismatch("an object"));
        }
        reader.enter()?;
        Ok(Self { keys, next: 0, started: false, tag: reader.tag.take() })
    }

    /// Goes to the next known member's value and tells its place among the keys; `None` at the object's end.
    #[inline]
    pub(crate) fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<usize>, Error> {
        if let Some(key) = self.keys.get(self.next)
            && reader.eat_key(key, self.started)
        {
            self.started = true;
            self.next += 1;
            if reader.keep.is_some() {
                reader.note(bare(key));
            }
            return Ok(Some(self.next - 1));
        }
        if !self.advance(reader)? {
            return Ok(None);
        }
        self.search(reader)
    }

    /// As [`next`](Self::next), where the next key is not the one that was guessed. The reader is at its quote.
    #[inline(never)]
    fn search(&mut self, reader: &mut Reader<'_>) -> Result<Option<usize>, Error> {
        loop {
            let key = reader.string()?;
            if let Some(place) = self.keys.iter().position(|known| bare(known) == key) {
                reader.colon()?;
                self.next = place + 1;
                reader.note(bare(self.keys[place]));
                return Ok(Some(place));
            }
            self.unknown(reader, key)?;
            if !self.advance(reader)? {
                return Ok(None);
            }
        }
    }

    /// Goes to the next member's value, whatever its key; `false` at the object's end.
    fn any(&mut self, reader: &mut Reader<'_>) -> Result<bool, Error> {
        if !self.advance(reader)? {
            return Ok(false);
        }
        reader.skip_string()?;
        reader.colon()?;
        Ok(true)
    }

    /// Goes to the next member's value and tells its key; `None` at the object's end.
    pub(crate) fn next_any<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Option<Cow<'a, str>>, Error> {
        if !self.advance(reader)? {
            return Ok(None);
        }
        let key = reader.string()?;
        reader.colon()?;
        Ok(Some(key))
    }

    /// Goes to the quote of the next key; `false` at the object's end.
    fn advance(&mut self, reader: &mut Reader<'_>) -> Result<bool, Error> {
        if reader.eat(b'}') {
            reader.depth -= 1;
            return Ok(false);
        }
        if self.started && !reader.eat(b',') {
            return Err(reader.syntax("',' or '}'"));
        }
        self.started = true;
        if reader.peek() == Some(b'"') { Ok(true) } else { Err(reader.syntax("a member's name")) }
    }

    /// Reads past the member whose key was just read, or keeps it where that was asked for.
    #[cold]
    fn unknown<'a>(&mut self, reader: &mut Reader<'a>, key: Cow<'a, str>) -> Result<(), Error> {
        reader.colon()?;
        if self.tag.is_some_and(|tag| bare(tag) == key) || reader.keep.is_none() {
            return reader.skip();
        }
        let value = Value::read(reader)?;
        let depth = reader.depth;
        if let Some(keep) = &mut reader.keep {
            let path = keep.path.get(..depth.saturating_sub(keep.root)).unwrap_or_default();
            keep.members.push(UnknownMember { path: path.into(), name: key, value });
        }
        Ok(())
    }
}

/// `, "key": ` → `key`
fn bare(key: &'static str) -> &'static str {
    key.get(3..key.len() - 3).unwrap_or_default()
}

/// A member that must be there: its value, or the error at the object's end.
pub(crate) fn required<T>(value: Option<T>, member: &'static str, reader: &Reader<'_>) -> Result<T, Error> {
    value.ok_or_else(|| missing(member, reader))
}

#[cold]
fn missing(member: &'static str, reader: &Reader<'_>) -> Error {
    Error::new(ErrorKind::Missing { member }, reader.at.saturating_sub(1))
}

/// Walks the elements of an array.
#[derive(Debug)]
pub(crate) struct Elements {
    started: bool,
}

impl Elements {
    /// Enters an array.
    pub(crate) fn open(reader: &mut Reader<'_>) -> Result<Self, Error> {
        if !reader.eat(b'[') {
            return Err(reader.mismatch("an array"));
        }
        reader.enter()?;
        Ok(Self { started: false })
    }

    /// Goes to the next element; `false` at the array's end.
    pub(crate) fn next(&mut self, reader: &mut Reader<'_>) -> Result<bool, Error> {
        // `[1,]` is no JSON: after a comma there must be a value, which the element's own reading finds out.
        if reader.peek() == Some(b']') {
            reader.at += 1;
            reader.depth -= 1;
            return Ok(false);
        }
        if self.started {
            if !reader.eat(b',') {
                return Err(reader.syntax("',' or ']'"));
            }
            if reader.peek() == Some(b']') {
                return Err(reader.syntax("a value"));
            }
        }
        self.started = true;
        Ok(true)
    }
}

impl<'a> Decode<'a> for Cow<'a, str> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.string()
    }
}

impl Decode<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.peek() {
            Some(b't') => reader.literal("true").map(|()| true),
            Some(b'f') => reader.literal("false").map(|()| false),
            _ => Err(reader.mismatch("a boolean")),
        }
    }
}

impl Decode<'_> for i64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.integer("a 64-bit integer")
    }
}

impl Decode<'_> for u64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.integer("an unsigned 64-bit integer")
    }
}

impl Decode<'_> for u32 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.integer("an unsigned 32-bit integer")
    }
}

impl Decode<'_> for u16 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.integer("an unsigned 16-bit integer")
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut elements = Elements::open(reader)?;
        let mut items = Self::new();
        while elements.next(reader)? {
            items.push(T::read(reader)?);
        }
        Ok(items)
    }
}
