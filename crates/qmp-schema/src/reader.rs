//! Decoding by a schema: a place in the text, and what the objects around it need.
//!
//! The grammar is the [lexer](crate::lexer)'s. Objects are read by [`fields`](crate::fields).

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

use crate::{Error, ErrorKind, lexer::Lexer, sealed::Sealed};

/// A type that can be read from JSON text.
///
/// Implemented for every type of this crate, and sealed: a caller reads through [`from_str`](crate::from_str) and
/// [`from_slice`](crate::from_slice), and cannot implement it.
pub trait Decode<'a>: Sized + Sealed {
    /// Reads one value, and leaves the reader behind it.
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error>;
}

/// What [`Decode`] reads from. A caller neither makes nor uses one.
#[derive(Debug)]
pub struct Reader<'a> {
    pub(crate) lexer: Lexer<'a>,
    /// The discriminator of the union whose variant is read next: a member of the same object that is not unknown.
    pub(crate) tag: Option<&'static str>,
    /// Where unknown members are noted. `None`: they are dropped.
    keep: Option<Box<Keep<'a>>>,
    /// The first error while members were [taken](crate::fields::Take). Nothing more is read after it.
    failure: Option<Error>,
}

/// The unknown members seen so far, and the path to the reader's place.
#[derive(Debug)]
struct Keep<'a> {
    /// Depth of the object whose members have no path.
    root: usize,
    /// The known member that was last entered, one for each object between the root and the reader's place.
    path: Vec<&'static str>,
    found: Vec<Unknown<'a>>,
}

/// The place of a member that the schema does not name, without its value.
#[derive(Debug)]
pub(crate) struct Unknown<'a> {
    /// The known members that lead to its object.
    pub(crate) path: Vec<&'static str>,
    pub(crate) name: Cow<'a, str>,
    /// Offset of its value.
    pub(crate) at: usize,
    /// Brackets around its value.
    pub(crate) depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a text.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { lexer: Lexer::new(text), tag: None, keep: None, failure: None }
    }

    /// Stops taking members, because of this error.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    #[inline]
    pub(crate) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The error, if there was one. The reader can go on from another place then.
    #[inline]
    pub(crate) const fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Goes to another place, which must be the start of a value outside of the one that is being read.
    pub(crate) const fn rewind(&mut self, at: usize, depth: usize) {
        self.lexer.go_to_level(at, depth);
        self.tag = None;
    }

    /// Notes members that the schema does not name, from here on.
    pub(crate) fn keep_unknown(&mut self) {
        self.keep = Some(Box::new(Keep { root: self.lexer.depth() + 1, path: Vec::new(), found: Vec::new() }));
    }

    #[inline]
    pub(crate) const fn keeps_unknown(&self) -> bool {
        self.keep.is_some()
    }

    /// The noted members. From here on none are noted.
    pub(crate) fn take_unknown(&mut self) -> Vec<Unknown<'a>> {
        self.keep.take().map(|keep| keep.found).unwrap_or_default()
    }

    /// The number of unknown members noted so far.
    pub(crate) fn kept(&self) -> usize {
        self.keep.as_ref().map_or(0, |keep| keep.found.len())
    }

    /// Forgets the unknown members noted after the first `len`.
    pub(crate) fn forget_unknown(&mut self, len: usize) {
        if let Some(keep) = &mut self.keep {
            keep.found.truncate(len);
        }
    }

    /// Notes an unknown member of the innermost object.
    pub(crate) fn keep(&mut self, name: Cow<'a, str>, at: usize) {
        let depth = self.lexer.depth();
        if let Some(keep) = &mut self.keep {
            let path = keep.path.get(..depth.saturating_sub(keep.root)).unwrap_or_default().into();
            keep.found.push(Unknown { path, name, at, depth });
        }
    }

    /// Notes that the reader has gone to a known member of the innermost object.
    pub(crate) fn note(&mut self, key: &'static str) {
        let depth = self.lexer.depth();
        if let Some(keep) = &mut self.keep {
            keep.path.resize(depth.saturating_sub(keep.root), "");
            keep.path.push(key);
        }
    }
}

impl<'a> Decode<'a> for Cow<'a, str> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.lexer.string()
    }
}

impl Decode<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.lexer.peek() {
            Some(b't') => reader.lexer.literal("true").map(|()| true),
            Some(b'f') => reader.lexer.literal("false").map(|()| false),
            _ => Err(reader.lexer.mismatch("a boolean")),
        }
    }
}

macro_rules! integers {
    ($($name:ident = $expected:literal)*) => {
        $(impl Decode<'_> for $name {
            fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
                reader.lexer.peek();
                let start = reader.lexer.offset();
                let out_of_range = |_| Error::new(ErrorKind::Range { expected: $expected }, start);
                reader.lexer.integer($expected)?.try_into().map_err(out_of_range)
            }
        })*
    };
}

integers! {
    i64 = "a 64-bit integer"
    u64 = "an unsigned 64-bit integer"
    u32 = "an unsigned 32-bit integer"
    u16 = "an unsigned 16-bit integer"
}

impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.lexer.open(b'[', "an array")?;
        let mut items = Self::new();
        while reader.lexer.next_element(items.is_empty())? {
            items.push(T::read(reader)?);
        }
        Ok(items)
    }
}
