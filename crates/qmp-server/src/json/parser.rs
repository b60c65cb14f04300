//! Tokens to values, with QEMU's error texts (`qobject/json-streamer.c`, `qobject/json-parser.c`).
//!
//! QEMU up to 10.2 collects the tokens of a message and parses them when it ends. This parser builds the value from each token, and
//! keeps the first error until the message ends: the answers are the same.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::lexer::{Position, Token};
use super::unicode;
use crate::{Dialect, Limits, Object, Value};

/// QEMU formats a parse error into a buffer of 1024 bytes.
const MAX_MESSAGE: usize = 1023;
/// Number of members above which duplicate keys are found by hash.
const FEW: usize = 16;

type Failure = String;
/// The members of an object in the order in which they were sent.
type Members = Vec<(Cow<'static, str>, Value<'static>)>;

#[derive(Debug)]
pub(super) struct Parser {
    max_bytes: usize,
    max_tokens: usize,
    max_nesting: i64,
    braces: i64,
    brackets: i64,
    bytes: usize,
    tokens: usize,
    open: Vec<Container>,
    at: Expected,
    root: Option<Value<'static>>,
    /// The error to report when the message ends.
    failed: Option<Failure>,
    /// An error is reported, and the rest of the message is skipped.
    skipping: bool,
    dialect: Dialect,
}

/// What the grammar allows next, in the innermost open container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Value,
    /// A value, or the end of an array that has none.
    ValueOrEnd,
    /// A key, or the end of an object that has none.
    KeyOrEnd,
    Key,
    Colon,
    CommaOrEnd,
}

#[derive(Debug)]
enum Container {
    Array(Vec<Value<'static>>),
    Object { members: Members, key: Option<Cow<'static, str>>, seen: Seen },
}

impl Parser {
    pub(super) fn new(limits: &Limits, dialect: Dialect) -> Self {
        Self {
            max_bytes: limits.token_bytes,
            max_tokens: limits.tokens,
            max_nesting: i64::try_from(limits.nesting.min(Limits::MAX_NESTING)).unwrap_or(i64::MAX),
            braces: 0,
            brackets: 0,
            bytes: 0,
            tokens: 0,
            open: Vec::new(),
            at: Expected::Value,
            root: None,
            failed: None,
            skipping: false,
            dialect,
        }
    }

    /// Takes a token, which begins at `start`. Returns a message or QEMU's error text if the token completes one.
    pub(super) fn push(
        &mut self,
        token: Token,
        text: &[u8],
        start: Position,
    ) -> Option<Result<Value<'static>, String>> {
        match token {
            Token::OpenBrace => self.braces += 1,
            Token::CloseBrace => self.braces -= 1,
            Token::OpenBracket => self.brackets += 1,
            Token::CloseBracket => self.brackets -= 1,
            Token::Stray => {
                let skipping = self.skipping;
                let limit = self.exceeded_limit(text).filter(|_| self.dialect != Dialect::Qemu10);
                self.reset();
                let failure = match limit {
                    Some(limit) => over(limit),
                    None => self.at(start, format!("JSON parse error, stray '{}'", unicode::lossy(text))),
                };
                return (!skipping).then_some(Err(failure));
            }
            _ => {}
        }
        let message = if self.skipping { None } else { self.push_unless_over(token, text, start) };
        if (self.braces > 0 || self.brackets > 0) && self.braces >= 0 && self.brackets >= 0 {
            return message;
        }
        // The message has ended. An old QEMU reports its error only here.
        let message = match (message, self.failed.take(), self.root.take()) {
            (None, Some(failure), _) => Some(Err(failure)),
            (None, None, Some(value)) => Some(Ok(value)),
            (message, ..) => message,
        };
        self.reset();
        message
    }

    /// Takes a token of a message without a reported error.
    fn push_unless_over(
        &mut self,
        token: Token,
        text: &[u8],
        start: Position,
    ) -> Option<Result<Value<'static>, String>> {
        if let Some(limit) = self.exceeded_limit(text) {
            match self.dialect {
                Dialect::Qemu10 => self.reset(),
                Dialect::Qemu11 => self.skip(),
            }
            return Some(Err(over(limit)));
        }
        self.bytes += text.len();
        self.tokens += 1;
        if self.failed.is_some() {
            return None;
        }
        let mut failure = self.grammar(token, text).err()?;
        while failure.len() > MAX_MESSAGE {
            failure.pop();
        }
        let failure = self.at(start, format!("JSON parse error, {failure}"));
        (self.open, self.root) = (Vec::new(), None);
        match self.dialect {
            Dialect::Qemu10 => {
                self.failed = Some(failure);
                None
            }
            Dialect::Qemu11 => {
                self.skip();
                Some(Err(failure))
            }
        }
    }

    fn exceeded_limit(&self, text: &[u8]) -> Option<&'static str> {
        if self.bytes + text.len() + 1 > self.max_bytes {
            Some("token size")
        } else if self.tokens + 1 > self.max_tokens {
            Some("token count")
        } else if self.braces + self.brackets > self.max_nesting {
            Some("nesting depth")
        } else {
            None
        }
    }

    /// Adds the position to an error text, if the dialect has it.
    fn at(&self, start: Position, failure: String) -> String {
        match self.dialect {
            Dialect::Qemu10 => failure,
            Dialect::Qemu11 => format!("{}:{}: {failure}", start.line, start.column),
        }
    }

    /// Skips the rest of the message.
    fn skip(&mut self) {
        (self.open, self.root, self.skipping) = (Vec::new(), None, true);
    }

    fn reset(&mut self) {
        (self.braces, self.brackets, self.bytes, self.tokens) = (0, 0, 0, 0);
        self.open = Vec::new();
        self.at = Expected::Value;
        self.root = None;
        self.failed = None;
        self.skipping = false;
    }

    fn grammar(&mut self, token: Token, text: &[u8]) -> Result<(), Failure> {
        let in_object = matches!(self.open.last(), Some(Container::Object { .. }));
        match (self.at, token) {
            (Expected::ValueOrEnd, Token::CloseBracket) | (Expected::KeyOrEnd, Token::CloseBrace) => self.close(),
            (Expected::CommaOrEnd, Token::CloseBrace) if in_object => self.close(),
            (Expected::CommaOrEnd, Token::CloseBracket) if !in_object => self.close(),
            (Expected::CommaOrEnd, Token::Comma) => {
                self.at = if in_object { Expected::Key } else { Expected::Value };
                Ok(())
            }
            (Expected::CommaOrEnd, _) => {
                let expected = match (self.dialect, in_object) {
                    (Dialect::Qemu10, true) => "expected separator in dict",
                    (Dialect::Qemu10, false) => "expected separator in list",
                    (Dialect::Qemu11, true) => "expected ',' or '}'",
                    (Dialect::Qemu11, false) => "expected ',' or ']'",
                };
                Err(expected.to_owned())
            }
            (Expected::Colon, Token::Colon) => {
                self.at = Expected::Value;
                Ok(())
            }
            (Expected::Colon, _) => Err(match self.dialect {
                Dialect::Qemu10 => "missing : in object pair".to_owned(),
                Dialect::Qemu11 => "expecting ':'".to_owned(),
            }),
            (Expected::Key | Expected::KeyOrEnd, _) if self.dialect == Dialect::Qemu11 && token != Token::String => {
                Err("expecting key".to_owned())
            }
            // An old QEMU reads any value as a key, and reports one that is not a string when it is complete.
            (_, Token::OpenBrace) => {
                self.open.push(Container::Object { members: Members::new(), key: None, seen: Seen::default() });
                self.at = Expected::KeyOrEnd;
                Ok(())
            }
            (_, Token::OpenBracket) => {
                self.open.push(Container::Array(Vec::new()));
                self.at = Expected::ValueOrEnd;
                Ok(())
            }
            _ => self.complete(scalar(token, text)?),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self.open.pop() {
            Some(Container::Array(items)) => self.complete(Value::Array(items)),
            Some(Container::Object { members, .. }) => self.complete(Value::Object(Object::in_qemu_order(members))),
            None => Err("expecting value".to_owned()),
        }
    }

    /// Adds a complete value to its container.
    fn complete(&mut self, value: Value<'static>) -> Result<(), Failure> {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Container::Array(items)) => {
                items.push(value);
                self.at = Expected::CommaOrEnd;
            }
            Some(Container::Object { members, key, seen }) => match key.take() {
                None => {
                    let Value::Str(name) = value else { return Err("key is not a string in object".to_owned()) };
                    *key = Some(name);
                    self.at = Expected::Colon;
                }
                Some(name) => {
                    if seen.is_duplicate(members, &name) {
                        return Err("duplicate key".to_owned());
                    }
                    members.push((name, value));
                    self.at = Expected::CommaOrEnd;
                }
            },
        }
        Ok(())
    }
}

fn over(limit: &str) -> Failure {
    format!("JSON {limit} limit exceeded")
}

/// The hashes of an object's keys, for objects with many members: finding a duplicate takes constant time.
#[derive(Debug, Default)]
struct Seen(Option<Box<(RandomState, HashSet<u64>)>>);

impl Seen {
    fn is_duplicate(&mut self, members: &[(Cow<'static, str>, Value<'static>)], key: &str) -> bool {
        let is_there = || members.iter().any(|(name, _)| name == key);
        if members.len() < FEW {
            return is_there();
        }
        let (state, hashes) = &mut **self.0.get_or_insert_with(|| {
            let state = RandomState::new();
            let hashes = members.iter().map(|(name, _)| state.hash_one(&**name)).collect();
            Box::new((state, hashes))
        });
        !hashes.insert(state.hash_one(key)) && is_there()
    }
}

fn scalar(token: Token, text: &[u8]) -> Result<Value<'static>, Failure> {
    match token {
        Token::String => string(text).map(Value::from),
        Token::Integer | Token::Float => Ok(number(token, text)),
        Token::Keyword => match text {
            b"true" => Ok(Value::Bool(true)),
            b"false" => Ok(Value::Bool(false)),
            b"null" => Ok(Value::Null),
            _ => Err(format!("invalid keyword '{}'", unicode::lossy(text))),
        },
        _ => Err("expecting value".to_owned()),
    }
}

/// The lexer accepts only ASCII digits, signs, a point and an exponent, so parsing fails only for numbers out of range.
fn number(token: Token, text: &[u8]) -> Value<'static> {
    let text = std::str::from_utf8(text).unwrap_or("0");
    if token == Token::Integer {
        if let Ok(value) = text.parse() {
            return Value::Int(value);
        }
        if let Ok(value) = text.parse() {
            return Value::Uint(value);
        }
    }
    Value::Float(text.parse().unwrap_or(0.0))
}

/// A string token without its quotes, escapes resolved.
fn string(token: &[u8]) -> Result<String, Failure> {
    let mut rest = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    let mut text = String::with_capacity(rest.len());
    while !rest.is_empty() {
        if let [b'\\', tail @ ..] = rest {
            let (char, taken) = escape(rest, tail, token)?;
            text.push(char);
            rest = rest.get(taken..).unwrap_or_default();
            continue;
        }
        let (char, len) = unicode::decode(rest);
        text.push(char.ok_or_else(|| "invalid UTF-8 sequence in string".to_owned())?);
        rest = &rest[len..];
    }
    Ok(text)
}

/// The character of an escape sequence, and how many bytes it takes, backslash included.
fn escape(sequence: &[u8], tail: &[u8], token: &[u8]) -> Result<(char, usize), Failure> {
    let char = match tail.first() {
        Some(&byte @ (b'"' | b'\'' | b'\\' | b'/')) => char::from(byte),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return hex_escape(sequence, token),
        _ => return Err("invalid escape sequence in string".to_owned()),
    };
    Ok((char, 2))
}

/// `\uXXXX`, or two of them that make a surrogate pair.
fn hex_escape(sequence: &[u8], token: &[u8]) -> Result<(char, usize), Failure> {
    let (mut code, mut len) = (hex(sequence.get(2..6)), 6);
    if matches!(code, Some(0xD800..=0xDBFF)) && sequence.get(6..8) == Some(b"\\u") {
        code = match (code, hex(sequence.get(8..12))) {
            (Some(high), Some(low @ 0xDC00..=0xDFFF)) => {
                len = 12;
                Some(0x1_0000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
            }
            _ => None,
        };
    }
    code.and_then(unicode::character).map(|char| (char, len)).ok_or_else(|| {
        // QEMU quotes `len` bytes of the token, which can include the closing quote.
        let from = token.len() - 1 - sequence.len();
        let quoted = &token[from..token.len().min(from + len)];
        format!("{} is not a valid Unicode character", unicode::lossy(quoted))
    })
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits?;
    digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}
