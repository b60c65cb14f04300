//! Any JSON value, for what has no type of its own: ids, results, events that this crate does not know.

use alloc::{borrow::Cow, string::String, vec::Vec};

use crate::{
    Decode, Error, ErrorKind, MAX_VALUE_DEPTH,
    encode::display,
    fields::taken,
    reader::Reader,
    slice_writer::{Put, SliceWriter},
    wire,
};

/// A JSON value that borrows its strings where it can.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// `null`
    #[default]
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer of −2⁶³…2⁶³−1. QEMU reads integers as this first.
    Int(i64),
    /// An integer of 2⁶³…2⁶⁴−1.
    Uint(u64),
    /// Any other number. Beware of infinities and NaN: QEMU writes them bare, which is not JSON.
    Float(f64),
    /// A string.
    Str(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object: its members in the order in which they are written.
    Object(Object<'a>),
}

/// A copy of a text that borrows nothing.
pub(crate) fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// The members of a JSON object, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a>(pub Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Object<'a> {
    /// Puts members that were inserted one after the other into QEMU's order, see [`wire::order`].
    #[inline]
    #[must_use]
    pub fn in_qemu_order(inserted: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        let mut members = inserted;
        wire::order(&mut members, |(key, _)| key);
        Self(members)
    }

    /// The value of a member; of the last one where a key comes twice.
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

    /// The number, if it is an integer of −2⁶³…2⁶³−1.
    #[must_use]
    pub const fn as_i64(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// Whether it is `true`, if it is `true` or `false`.
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
            Self::Float(value) => out.value(value),
            Self::Str(text) => out.value(text),
            Self::Array(values) => out.value(values),
            Self::Object(members) => out.value(members),
        }
    }
}

impl Put for Object<'_> {
    /// Members come in the order in which they are held.
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

/// As QEMU: an `int64` where it fits, else a `uint64`, else a double. `-0` only comes from a double.
fn read_number<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, Error> {
    let start = reader.lexer.offset();
    let number = reader.lexer.number()?;
    if number.whole && number.text != "-0" {
        // 40 digits and more don't fit either.
        let value = number.text.parse::<i128>().unwrap_or(i128::MAX);
        if let Ok(value) = i64::try_from(value) {
            return Ok(Value::Int(value));
        }
        if let Ok(value) = u64::try_from(value) {
            return Ok(Value::Uint(value));
        }
    }
    // The grammar is Rust's too, so this can't fail; too large a number is an infinity.
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

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Str(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Uint(value), Self::Int)
    }
}

impl From<i32> for Value<'_> {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

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

/// Members in this order.
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
