//! A JSON value as QMP means it: integers kept apart from floating-point numbers, and written as QEMU writes.

use std::fmt;
use std::str::FromStr;

use qmp_schema::wire;

use crate::Limits;
use crate::json::Stream;

/// Any JSON value.
///
/// Numbers are what QEMU's parser makes of them (`qobject/json-parser.c`): an integer that fits `i64` is [`Int`](Self::Int),
/// else one that fits `u64` is [`Uint`](Self::Uint), all others are [`Float`](Self::Float).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer from −2⁶³ to 2⁶³ − 1.
    Int(i64),
    /// An integer from 2⁶³ to 2⁶⁴ − 1.
    Uint(u64),
    /// Every other number.
    Float(f64),
    /// Text. QEMU's parser refuses noncharacters and lone surrogates, so this holds all that it lets through.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The integer; floating-point numbers don't count as integers, nor do they in QEMU.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, where it isn't negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::Uint(value) => Some(*value),
            _ => None,
        }
    }

    /// Any number.
    #[expect(clippy::cast_precision_loss, reason = "what asking for a double means, in QEMU too")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Appends the value as QEMU writes it: separators `, ` and `: `, ASCII only, members in the order of QEMU's hash table.
    ///
    /// The one departure: QEMU writes a number beyond the range of a double as `inf`, which no JSON parser takes.
    /// Here it is `1e+999` (or `-1e+999`), which parsers read as infinity or as the largest double. NaN can't be parsed in,
    /// and is written as `null`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => wire::write_bool(out, *value),
            Self::Int(value) => wire::write_i64(out, *value),
            Self::Uint(value) => wire::write_u64(out, *value),
            Self::Float(value) if value.is_finite() => wire::write_f64(out, *value),
            Self::Float(value) if value.is_nan() => out.extend_from_slice(b"null"),
            Self::Float(value) => out.extend_from_slice(if *value < 0.0 { b"-1e+999" } else { b"1e+999" }),
            Self::String(text) => wire::write_str(out, text),
            Self::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(b", ");
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(object) => object.write(out),
        }
    }

    /// The value's text, see [`Value::write`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

/// Why a text isn't one JSON value, in QEMU's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Value {
    type Err = ParseError;

    /// Reads one value in QEMU's dialect of JSON, with its default [`Limits`].
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut stream = Stream::new(&Limits::default());
        // A number or a word ends where something else begins.
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
}

/// A JSON object. Members are kept in the order of insertion, and written in that of QEMU's hash table.
///
/// Equality is that of JSON: the order of members doesn't count.
#[derive(Clone, Debug, Default)]
pub struct Object {
    members: Vec<(String, Value)>,
}

impl Object {
    /// An object without members.
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// The value of a member.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Whether there is such a member.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a member; one that is there keeps its place.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.members.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.members.push((key, value)),
        }
    }

    /// The same, for building one in an expression.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// Appends a member whose key is known to be new, which spares the search.
    pub(crate) fn push_new(&mut self, key: String, value: Value) {
        self.members.push((key, value));
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.members.iter().position(|(name, _)| name == key)?;
        Some(self.members.remove(at).1)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members in the order of insertion.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.members.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The members in the order in which QEMU walks them, to write them or to find the first one that is wrong.
    pub fn in_qdict_order(&self) -> Vec<(&str, &Value)> {
        let mut members: Vec<_> = self.iter().collect();
        wire::order(&mut members, |(name, _)| name);
        members
    }

    /// Appends the object as QEMU writes it, see [`Value::write`].
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (name, value)) in self.in_qdict_order().into_iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            wire::write_str(out, name);
            out.extend_from_slice(b": ");
            value.write(out);
        }
        out.push(b'}');
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let mut object = Self::new();
        for (key, value) in members {
            object.insert(key, value);
        }
        object
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Object {
    fn from(members: [(K, V); N]) -> Self {
        members.into_iter().collect()
    }
}

macro_rules! from {
    ($($from:ty => |$value:ident| $into:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        })*
    };
}

from! {
    bool => |value| Self::Bool(value),
    i64 => |value| Self::Int(value),
    i32 => |value| Self::Int(value.into()),
    u32 => |value| Self::Int(value.into()),
    u16 => |value| Self::Int(value.into()),
    u8 => |value| Self::Int(value.into()),
    u64 => |value| i64::try_from(value).map_or(Self::Uint(value), Self::Int),
    f64 => |value| Self::Float(value),
    &str => |value| Self::String(value.to_owned()),
    String => |value| Self::String(value),
    Vec<Value> => |value| Self::Array(value),
    Object => |value| Self::Object(value),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_in_the_order_of_the_hash_table() {
        let object = Object::from([("host", "::1"), ("port", "5900"), ("family", "ipv6"), ("auth", "spice")]);
        let text = br#"{"auth": "spice", "port": "5900", "family": "ipv6", "host": "::1"}"#;
        assert_eq!(Value::from(object).to_bytes(), text);
    }

    #[test]
    fn numbers_keep_their_kind() {
        for (value, text) in [
            (Value::from(u64::MAX), "18446744073709551615"),
            (Value::from(i64::MIN), "-9223372036854775808"),
            (Value::from(7_u64), "7"),
            (Value::from(0.1), "0.10000000000000001"),
            (Value::from(f64::INFINITY), "1e+999"),
            (Value::from(f64::NEG_INFINITY), "-1e+999"),
        ] {
            assert_eq!(value.to_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn text_is_read_back() {
        for (text, expected) in [
            ("{'a': [1, -2.5, null]}", "{\"a\": [1, -2.5, null]}"),
            ("7", "7"),
            (" true\n", "true"),
            ("1 2", "expected nothing after byte 1"),
            ("[1", "the text ends before the value does"),
            ("", "the text ends before the value does"),
            ("[1 2]", "JSON parse error, expected separator in list"),
        ] {
            let text = match text.parse::<Value>() {
                Ok(value) => String::from_utf8(value.to_bytes()).unwrap(),
                Err(error) => error.to_string(),
            };
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn order_of_members_is_not_a_difference() {
        assert_eq!(Object::from([("a", 1), ("b", 2)]), Object::from([("b", 2), ("a", 1)]));
        assert_ne!(Object::from([("a", 1)]), Object::from([("a", 1), ("b", 2)]));
    }
}
