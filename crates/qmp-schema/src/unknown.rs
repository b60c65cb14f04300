//! Members that the schema does not name.

use alloc::{borrow::Cow, vec::Vec};

use crate::{
    Decode, Encode, Error, EventMessage,
    encode::display,
    reader::{Reader, Unknown},
    value::{Object, Value},
    wire,
};

/// An event together with the members that the schema does not name. An [`EventMessage`] alone drops them.
///
/// ```
/// use qmp_schema::{Encode, FullEvent};
///
/// let line = br#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "MIGRATION_PASS", "data": {"pass": 2, "news": [1]}}"#;
/// let event: FullEvent = qmp_schema::from_slice(line)?;
/// let news = event.unknown.iter().next().unwrap();
/// assert_eq!((&*news.path, &*news.name), (&["data"][..], "news"));
/// assert_eq!(event.to_vec(), line);
/// # Ok::<(), qmp_schema::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FullEvent<'a> {
    /// The event.
    pub message: EventMessage<'a>,
    /// The members that the schema does not name.
    pub unknown: UnknownMembers<'a>,
}

impl FullEvent<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> FullEvent<'static> {
        FullEvent { message: self.message.into_owned(), unknown: self.unknown.into_owned() }
    }
}

impl<'a> Decode<'a> for FullEvent<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.keep_unknown();
        let message = EventMessage::read(reader);
        let unknown = reader.take_unknown();
        let message = message?;
        let (end, depth) = (reader.lexer.offset(), reader.lexer.depth());
        let unknown = unknown.into_iter().map(|found| read_member(found, reader)).collect::<Result<_, _>>()?;
        reader.rewind(end, depth);
        Ok(Self { message, unknown: UnknownMembers(unknown) })
    }
}

/// Reads the value of a noted member.
fn read_member<'a>(found: Unknown<'a>, reader: &mut Reader<'a>) -> Result<UnknownMember<'a>, Error> {
    reader.rewind(found.at, found.depth);
    Ok(UnknownMember { path: found.path, name: found.name, value: Value::read(reader)? })
}

impl Encode for FullEvent<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        if self.unknown.is_empty() {
            return self.message.write_to(out);
        }
        let typed = self.message.to_vec();
        match crate::from_slice::<Object<'_>>(&typed) {
            Ok(mut object) => {
                self.unknown.insert_into(&mut object);
                object.write_to(out);
            }
            // Cannot happen: the crate reads what it writes.
            Err(_) => out.extend_from_slice(&typed),
        }
    }
}

/// A member of an event that this version of the crate has no field for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UnknownMember<'a> {
    /// The members that lead to its object: `["data", "client"]`. Empty for a member of the event itself.
    pub path: Vec<&'static str>,
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Value<'a>,
}

/// All unknown members of one event, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnknownMembers<'a>(Vec<UnknownMember<'a>>);

impl<'a> UnknownMembers<'a> {
    /// Whether the schema names every member of the event.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members.
    pub fn iter(&self) -> core::slice::Iter<'_, UnknownMember<'a>> {
        self.0.iter()
    }

    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> UnknownMembers<'static> {
        let own = |UnknownMember { path, name, value }: UnknownMember<'_>| UnknownMember {
            path,
            name: Cow::Owned(name.into_owned()),
            value: value.into_owned(),
        };
        UnknownMembers(self.0.into_iter().map(own).collect())
    }

    /// Puts the members back into an event from which they were dropped.
    fn insert_into<'s: 'o, 'o>(&'s self, event: &mut Object<'o>) {
        for member in &self.0 {
            if let Some(object) = member.path.iter().try_fold(&mut *event, |object, step| object_within(object, step)) {
                insert(object, Cow::Borrowed(&member.name), member.value.clone());
            }
        }
    }
}

/// The object in this member. A missing one is added: a newer QEMU can give data to an event without data.
fn object_within<'s, 'a>(object: &'s mut Object<'a>, name: &'static str) -> Option<&'s mut Object<'a>> {
    if object.get(name).is_none() {
        insert(object, Cow::Borrowed(name), Value::Object(Object::default()));
    }
    match object.get_mut(name) {
        Some(Value::Object(inner)) => Some(inner),
        _ => None,
    }
}

fn insert<'a>(object: &mut Object<'a>, name: Cow<'a, str>, value: Value<'a>) {
    // Keeps QEMU's order.
    let at = object.0.iter().rposition(|(key, _)| wire::bucket(key) <= wire::bucket(&name));
    object.0.insert(at.map_or(0, |before| before + 1), (name, value));
}

impl<'s, 'a> IntoIterator for &'s UnknownMembers<'a> {
    type Item = &'s UnknownMember<'a>;
    type IntoIter = core::slice::Iter<'s, UnknownMember<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

display! { FullEvent }
