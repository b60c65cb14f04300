//! Any value of every type, made of a fuzzer's or a property test's bytes (feature `arbitrary`).
//!
//! What is made is what decoding can give: an enumeration's unknown value is never a known one's name, an unknown event has
//! no known name, a number is held in the one way in which it is read. So encoding and decoding gives the same value again.

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use ::arbitrary::{Arbitrary, Result, Unstructured};

use crate::{
    Command, Error, ErrorKind, Event, EventInfo, EventMessage, Object, OtherEvent, Timestamp, Value, value::own,
};

/// As [`Arbitrary`], for types that may borrow and here never do.
pub(crate) trait Generate: Sized {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self>;
}

/// Levels of arrays and objects in a [`Value`].
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

/// As it is read: a double without a fraction is written without one, up to 17 digits, and comes back as an integer.
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

/// A text that is not one of these.
pub(crate) fn unknown(u: &mut Unstructured<'_>, known: impl Fn(&str) -> bool) -> Result<Cow<'static, str>> {
    let text = <&str>::arbitrary(u)?;
    Ok(Cow::Owned(if known(text) { format!("not {text}") } else { String::from(text) }))
}

/// A union's case that has no type: some object with this discriminator. No union of QEMU's has a case of this name.
pub(crate) fn unknown_case(tag: &'static str, u: &mut Unstructured<'_>) -> Result<Object<'static>> {
    let mut members = object(u, LEVELS)?;
    members.0.retain(|(key, _)| key != tag);
    let name = format!("not {}", <&str>::arbitrary(u)?);
    let at = u.int_in_range(0..=members.0.len())?;
    members.0.insert(at, (Cow::Borrowed(tag), Value::from(name)));
    Ok(members)
}

/// An event that has no type.
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
    /// Any event of this name; one that has no type where the name is unknown.
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

/// Structs, each with its fields.
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
