//! Generates any value of every type from the bytes of a fuzzer or a property test (feature `arbitrary`).
//!
//! Only values that decoding can return are generated: the unknown value of an enumeration is never the name of a known one, an
//! unknown event never has a known name, and a number has the variant that reading gives it. Encoding and then decoding such a
//! value returns an equal one.

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use ::arbitrary::{Arbitrary, Result, Unstructured};

use crate::{
    Command, Error, ErrorKind, Event, EventInfo, EventMessage, Object, OtherEvent, Timestamp, Value, value::own,
};

/// Like [`Arbitrary`], for types with a lifetime. The generated values borrow nothing.
pub(crate) trait Generate: Sized {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self>;
}

/// Maximum nesting of arrays and objects in a [`Value`].
const LEVELS: usize = 4;

impl Generate for Cow<'_, str> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        <&str>::arbitrary(u).map(Cow::Borrowed).map(own)
    }
}

impl<T: Generate> Generate for Option<T> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        if bool::arbitrary(u)? { T::generate(u).map(Some) } else { Ok(None) }
    }
}

impl<T: Generate> Generate for Vec<T> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        (0..u.int_in_range(0..=3)?).map(|_| T::generate(u)).collect()
    }
}

macro_rules! as_they_are {
    ($($name:ty)*) => {
        $(impl Generate for $name {
            fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
                u.arbitrary()
            }
        })*
    };
}

as_they_are! { bool u16 u32 u64 i64 }

impl Generate for Value<'_> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        value(u, LEVELS)
    }
}

impl Generate for Object<'_> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        object(u, LEVELS)
    }
}

fn value(u: &mut Unstructured<'_>, levels: usize) -> Result<Value<'static>> {
    let kinds = if levels == 0 { 5 } else { 7 };
    Ok(match u.int_in_range(0..=kinds)? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => Value::Int(u.arbitrary()?),
        3 => Value::from(u.arbitrary::<u64>()?),
        4 => float(u.arbitrary()?),
        5 => Value::Str(Generate::generate(u)?),
        6 => {
            let len = u.int_in_range(0..=3)?;
            Value::Array((0..len).map(|_| value(u, levels - 1)).collect::<Result<_>>()?)
        }
        _ => Value::Object(object(u, levels - 1)?),
    })
}

/// A double that is read back as a double. One without a fraction and with up to 17 digits is written like an integer and read
/// as one.
fn float(value: f64) -> Value<'static> {
    const WHOLE: f64 = 1e17;
    if value.is_finite() && (value.abs() >= WHOLE || value % 1.0 != 0.0) {
        Value::Float(value)
    } else {
        Value::Float(0.5)
    }
}

fn object(u: &mut Unstructured<'_>, levels: usize) -> Result<Object<'static>> {
    let len = u.int_in_range(0..=3)?;
    (0..len).map(|_| Ok((Generate::generate(u)?, value(u, levels)?))).collect::<Result<_>>().map(Object)
}

/// Generates a text that is not a known one.
pub(crate) fn unknown(u: &mut Unstructured<'_>, known: impl Fn(&str) -> bool) -> Result<Cow<'static, str>> {
    let text = <&str>::arbitrary(u)?;
    Ok(Cow::Owned(if known(text) { format!("not {text}") } else { String::from(text) }))
}

/// Generates an unknown case of a union: an object whose discriminator is the name of no case of QEMU's unions.
pub(crate) fn unknown_case(tag: &'static str, u: &mut Unstructured<'_>) -> Result<Object<'static>> {
    let mut members = object(u, LEVELS)?;
    members.0.retain(|(key, _)| key != tag);
    let name = format!("not {}", <&str>::arbitrary(u)?);
    let at = u.int_in_range(0..=members.0.len())?;
    members.0.insert(at, (Cow::Borrowed(tag), Value::from(name)));
    Ok(members)
}

/// Generates an event of an unknown name.
pub(crate) fn unknown_event(u: &mut Unstructured<'_>) -> Result<OtherEvent<'static>> {
    let name = unknown(u, |name| EventInfo::of(name).is_some())?;
    let reason = Error { kind: ErrorKind::UnknownEvent, offset: 0 };
    Ok(OtherEvent { name, data: Generate::generate(u)?, reason })
}

impl Generate for Event<'_> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        let index = u.int_in_range(0..=EventInfo::all().len())?;
        Self::generate_named(EventInfo::all().get(index).map_or("", |info| info.name), u)
    }
}

impl Event<'_> {
    /// Generates an event of this name, or an untyped event if the name is unknown.
    pub fn arbitrary_named(name: &str, u: &mut Unstructured<'_>) -> Result<Self> {
        Self::generate_named(name, u)
    }
}

impl Generate for Timestamp {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { seconds: Generate::generate(u)?, microseconds: Generate::generate(u)? })
    }
}

impl Generate for EventMessage<'_> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { timestamp: Generate::generate(u)?, event: Generate::generate(u)? })
    }
}

impl Generate for Command<'_> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            execute: Generate::generate(u)?,
            arguments: Generate::generate(u)?,
            id: Generate::generate(u)?,
            oob: Generate::generate(u)?,
        })
    }
}

/// Implements [`Generate`] for structs, from the names of their fields.
macro_rules! generate_structs {
    ($($name:ident $(<$any:lifetime>)? { $($field:ident)* })*) => {
        $(impl Generate for crate::$name$(<$any>)? {
            fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
                Ok(Self { $($field: Generate::generate(u)?),* })
            }
        })*
    };
}
pub(crate) use generate_structs;

macro_rules! for_all {
    ($($name:ident)*; $($copied:ident)*) => {
        $(impl<'u> Arbitrary<'u> for crate::$name<'_> {
            fn arbitrary(u: &mut Unstructured<'u>) -> Result<Self> {
                Generate::generate(u)
            }
        })*
        $(impl<'u> Arbitrary<'u> for crate::$copied {
            fn arbitrary(u: &mut Unstructured<'u>) -> Result<Self> {
                Generate::generate(u)
            }
        })*
    };
}

for_all! { Value Object Event EventMessage Command; Timestamp }
crate::generated::with_all_types! { for_all }
