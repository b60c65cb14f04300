//! Any JSON value, for everything without a type of its own: ids, results, unknown events.

use alloc::{borrow::Cow, string::String, vec::Vec};

use crate::{
    Decode, Error, ErrorKind, MAX_VALUE_DEPTH,
    encode::display,
    fields::taken,
    reader::Reader,
    slice_writer::{Put, SliceWriter},
    wire,
};

/// A JSON value. It borrows strings without escapes from the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// `null`
    #[default]
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer from −2⁶³ to 2⁶³ − 1.
    Int(i64),
    /// An integer from 2⁶³ to 2⁶⁴ − 1.
    Uint(u64),
    /// Any other number. An infinity is written as `1e+999`, which is read as an infinity, and NaN as `null`. QEMU writes both as
    /// words that are not JSON.
    Float(f64),
    /// A string.
    Str(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// A copy of a text that borrows nothing.
pub(crate) fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// The members of a JSON object. Reading keeps the order of the text, and writing keeps the order of the members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a>(pub Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Object<'a> {
    /// An object without members.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets a member. An existing member keeps its place. A new member is inserted in [QEMU's order](wire::order), provided that
    /// the other members are in that order.
    ///
    /// ```
    /// use qmp_schema::Object;
    ///
    /// let object = Object::new().with("running", true).with("status", "running");
    /// assert_eq!(object.to_string(), r#"{"status": "running", "running": true}"#);
    /// ```
    pub fn insert(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        let (key, value) = (key.into(), value.into());
        if let Some(there) = self.get_mut(&key) {
            *there = value;
            return;
        }
        let bucket = wire::bucket(&key);
        // QEMU puts a new entry at the head of its bucket's list.
        let at = self.0.iter().position(|(other, _)| wire::bucket(other) >= bucket).unwrap_or(self.0.len());
        self.0.insert(at, (key, value));
    }

    /// [Inserts](Self::insert) a member, for use in an expression.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) -> Self {
        self.insert(key, value);
        self
    }

    /// Removes a member and returns its value; the last one if the key comes twice.
    pub fn remove(&mut self, key: &str) -> Option<Value<'a>> {
        let at = self.0.iter().rposition(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    /// Whether there is such a member.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The number of members.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no members.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Value<'a>)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// Sorts members into [QEMU's order](wire::order). `inserted` is the order in which QEMU would insert them.
    #[inline]
    #[must_use]
    pub fn in_qemu_order(inserted: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        let mut members = inserted;
        wire::order(&mut members, |(key, _)| key);
        Self(members)
    }

    /// The value of a member; of the last one if the key comes twice.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// As [`get`](Self::get), to change the value.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value<'a>> {
        self.0.iter_mut().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Object<'static> {
        let own = |(key, value): (Cow<'_, str>, Value<'_>)| (own(key), value.into_owned());
        Object(self.0.into_iter().map(own).collect())
    }
}

impl<'a> Value<'a> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Uint(value) => Value::Uint(value),
            Self::Float(value) => Value::Float(value),
            Self::Str(value) => Value::Str(own(value)),
            Self::Array(values) => Value::Array(values.into_iter().map(Value::into_owned).collect()),
            Self::Object(members) => Value::Object(members.into_owned()),
        }
    }

    /// The members, if it is an object.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The values, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }

    /// The number, if it is an integer from −2⁶³ to 2⁶³ − 1. A number with a fraction or an exponent is not an integer, as in
    /// QEMU.
    #[must_use]
    pub const fn as_i64(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// The number, if it is an integer from 0 to 2⁶⁴ − 1.
    #[must_use]
    pub const fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(number @ 0..) => Some(number.unsigned_abs()),
            Self::Uint(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, rounded to the nearest double.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "what asking for a double means, in QEMU too")]
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Uint(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { None }
    }
}

impl Put for Value<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        match self {
            Self::Null => out.fixed(b"null"),
            Self::Bool(value) => out.value(value),
            Self::Int(value) => out.signed(*value),
            Self::Uint(value) => out.unsigned(*value),
            Self::Float(value) if value.is_finite() => out.value(value),
            Self::Float(value) if value.is_nan() => out.fixed(b"null"),
            Self::Float(value) if value.is_sign_negative() => out.fixed(b"-1e+999"),
            Self::Float(_) => out.fixed(b"1e+999"),
            Self::Str(text) => out.value(text),
            Self::Array(values) => out.value(values),
            Self::Object(members) => out.value(members),
        }
    }
}

impl Put for Object<'_> {
    /// Keeps the order of the members.
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.list(*b"{}", &self.0, |out, (key, value)| out.value(key).fixed(b": ").value(value))
    }
}

impl<'a> Decode<'a> for Value<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match reader.lexer.peek() {
            Some(b'"') => Self::Str(reader.lexer.string()?),
            Some(b'{') => Self::Object(Object::read(reader)?),
            Some(b'[') => Self::Array(read_array(reader)?),
            Some(b't' | b'f') => Self::Bool(bool::read(reader)?),
            Some(b'n') => {
                reader.lexer.null()?;
                Self::Null
            }
            _ => read_number(reader)?,
        })
    }
}

fn read_array<'a>(reader: &mut Reader<'a>) -> Result<Vec<Value<'a>>, Error> {
    reader.lexer.open(b'[', "an array")?;
    reader.lexer.is_within(MAX_VALUE_DEPTH)?;
    let mut values = Vec::new();
    while reader.lexer.next_element(values.is_empty())? {
        values.push(Value::read(reader)?);
    }
    Ok(values)
}

/// Reads a number as QEMU does: as an `int64` if it fits, else as a `uint64`, else as a double. `-0` is a double.
fn read_number<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, Error> {
    let start = reader.lexer.offset();
    let number = reader.lexer.number()?;
    if number.whole && number.text != "-0" {
        // 40 digits and more do not fit an `i128`, nor any of the types below.
        let value = number.text.parse::<i128>().unwrap_or(i128::MAX);
        if let Ok(value) = i64::try_from(value) {
            return Ok(Value::Int(value));
        }
        if let Ok(value) = u64::try_from(value) {
            return Ok(Value::Uint(value));
        }
    }
    // Rust's grammar includes JSON's, so this can't fail. A number that is too large becomes an infinity.
    number.text.parse().map(Value::Float).map_err(|_| Error::new(ErrorKind::Range { expected: "a number" }, start))
}

impl<'a> Decode<'a> for Object<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.lexer.open(b'{', "an object")?;
        reader.lexer.is_within(MAX_VALUE_DEPTH)?;
        let mut object = Vec::new();
        while let Some(key) = reader.lexer.next_key(object.is_empty())? {
            object.push((key, Value::read(reader)?));
        }
        Ok(Self(object))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Str(Cow::Borrowed(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Str(text)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Str(Cow::Owned(text))
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Uint(value), Self::Int)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

macro_rules! from_integers {
    ($($name:ident)*) => {
        $(impl From<$name> for Value<'_> {
            fn from(value: $name) -> Self {
                Self::Int(value.into())
            }
        })*
    };
}

from_integers! { i64 i32 u32 u16 u8 }

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<Self>> for Value<'_> {
    fn from(values: Vec<Self>) -> Self {
        Self::Array(values)
    }
}

impl<'a> From<Object<'a>> for Value<'a> {
    fn from(members: Object<'a>) -> Self {
        Self::Object(members)
    }
}

impl<'a, K: Into<Cow<'a, str>>, V: Into<Value<'a>>, const N: usize> From<[(K, V); N]> for Object<'a> {
    /// Members in QEMU's order. The last value of a key counts.
    fn from(members: [(K, V); N]) -> Self {
        members.into_iter().fold(Self::new(), |object, (key, value)| object.with(key, value))
    }
}

/// Members in the order of the iterator, which need not be QEMU's.
///
/// ```
/// use qmp_schema::{Command, Encode as _, Object, Value};
///
/// let arguments: Object = [("enable", Value::from(vec!["oob".into()]))].into_iter().collect();
/// let command = Command { arguments: Some(arguments), ..Command::new("qmp_capabilities") };
/// assert_eq!(command.to_vec(), br#"{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#);
/// ```
impl<'a, K: Into<Cow<'a, str>>, V: Into<Value<'a>>> FromIterator<(K, V)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        Self(members.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

taken! { Value<'a>; Value::Null }
taken! { Object<'a>; Object::default() }

display! { Value Object }
