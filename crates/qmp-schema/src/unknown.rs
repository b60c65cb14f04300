//! Members that the schema does not name.

use alloc::{borrow::Cow, vec::Vec};

use crate::value::{Object, Value};

/// A member of an event that this version of the crate has no field for.
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownMember<'a> {
    /// The members that lead to the object that holds it: `["data", "client"]`; empty for the event itself.
    pub path: Vec<&'static str>,
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Value<'a>,
}

/// All unknown members of one event, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnknownMembers<'a>(Vec<UnknownMember<'a>>);

impl<'a> UnknownMembers<'a> {
    pub(crate) const fn new(members: Vec<UnknownMember<'a>>) -> Self {
        Self(members)
    }

    /// Whether the schema names everything that the event had.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members.
    pub fn iter(&self) -> core::slice::Iter<'_, UnknownMember<'a>> {
        self.0.iter()
    }

    /// A copy that borrows nothing.
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
    pub(crate) fn insert_into(&self, event: &mut Object<'a>) {
        for member in &self.0 {
            let mut place = Some(&mut *event);
            for step in &member.path {
                place = place.and_then(|object| match object.get_mut(step) {
                    Some(Value::Object(inner)) => Some(inner),
                    _ => None,
                });
            }
            if let Some(object) = place {
                let mut members = core::mem::take(&mut object.0);
                members.push((member.name.clone(), member.value.clone()));
                // A stable sort: what already is in QEMU's order stays so.
                members.sort_by_key(|(key, _)| crate::wire::bucket(key));
                object.0 = members;
            }
        }
    }
}

impl<'s, 'a> IntoIterator for &'s UnknownMembers<'a> {
    type Item = &'s UnknownMember<'a>;
    type IntoIter = core::slice::Iter<'s, UnknownMember<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
