//! Tokens to values, and QEMU's words for what is wrong (`qobject/json-streamer.c`, `qobject/json-parser.c`).
//!
//! QEMU collects a message's tokens and parses them when it ends. Here the value is built as the tokens come, and the
//! first error is kept until then: the same answers, without the tokens.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::lexer::Token;
use super::unicode;
use crate::{Limits, Object, Value};

/// QEMU formats a parse error into a buffer of 1024 bytes.
const MAX_MESSAGE: usize = 1023;
/// Members above which keys are looked up by hash to find a duplicate.
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
    failed: Option<Failure>,
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
    pub(super) fn new(limits: &Limits) -> Self {
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
        }
    }

    /// Takes a token; `Some` when it ends a message.
    pub(super) fn push(&mut self, token: Token, text: &[u8]) -> Option<Result<Value<'static>, String>> {
        match token {
            Token::OpenBrace => self.braces += 1,
            Token::CloseBrace => self.braces -= 1,
            Token::OpenBracket => self.brackets += 1,
            Token::CloseBracket => self.brackets -= 1,
            Token::Stray => {
                self.reset();
                return Some(Err(format!("JSON parse error, stray '{}'", unicode::lossy(text))));
            }
            _ => {}
        }
        let over = if self.bytes + text.len() + 1 > self.max_bytes {
            Some("token size")
        } else if self.tokens + 1 > self.max_tokens {
            Some("token count")
        } else if self.braces + self.brackets > self.max_nesting {
            Some("nesting depth")
        } else {
            None
        };
        if let Some(limit) = over {
            self.reset();
            return Some(Err(format!("JSON {limit} limit exceeded")));
        }
        self.bytes += text.len();
        self.tokens += 1;
        if self.failed.is_none()
            && let Err(mut failure) = self.grammar(token, text)
        {
            while failure.len() > MAX_MESSAGE {
                failure.pop();
            }
            self.failed = Some(failure);
            self.open = Vec::new();
            self.root = None;
        }
        if (self.braces > 0 || self.brackets > 0) && self.braces >= 0 && self.brackets >= 0 {
            return None;
        }
        // A message that balances without an error has a value; QEMU's word for one that hasn't is the other arm's.
        let message = match (self.failed.take(), self.root.take()) {
            (None, Some(value)) => Ok(value),
            (failed, _) => Err(failed.unwrap_or_else(|| "premature EOI".to_owned())),
        };
        self.reset();
        Some(message.map_err(|failure| format!("JSON parse error, {failure}")))
    }

    fn reset(&mut self) {
        (self.braces, self.brackets, self.bytes, self.tokens) = (0, 0, 0, 0);
        self.open = Vec::new();
        self.at = Expected::Value;
        self.root = None;
        self.failed = None;
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
                Err(format!("expected separator in {}", if in_object { "dict" } else { "list" }))
            }
            (Expected::Colon, Token::Colon) => {
                self.at = Expected::Value;
                Ok(())
            }
            (Expected::Colon, _) => Err("missing : in object pair".to_owned()),
            // Any value may stand where a key should; that it is no string shows when it is complete.
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

    /// Puts a value where it belongs.
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

/// The hashes of an object's keys, once there are many: finding a duplicate stays cheap however many a client sends.
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

/// The lexer let only ASCII digits, signs, a point and an exponent through, so parsing can't fail; range can.
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
        // QEMU quotes this number of bytes, which may include the closing quote of the token.
        let from = token.len() - 1 - sequence.len();
        let quoted = &token[from..token.len().min(from + len)];
        format!("{} is not a valid Unicode character", unicode::lossy(quoted))
    })
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits?;
    digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}
