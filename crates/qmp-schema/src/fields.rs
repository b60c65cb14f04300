//! Objects whose members the schema names.
//!
//! QEMU writes the members of an object in a fixed order. [`Members`] therefore expects each member at its place and compares
//! the text with the expected key in one step. If it finds anything else (another order, other white space, an unknown member),
//! it indexes the members and reads the object again by the index.

use alloc::{borrow::Cow, vec::Vec};

use crate::{
    Error, ErrorKind,
    reader::{Decode, Reader},
};

/// A type that is written as an object.
pub(crate) trait Fields<'a>: Sized {
    /// Takes each member, in QEMU's order.
    fn build(members: &mut Members<'_, 'a>) -> Self;
}

/// The value of a member. An error stays in the reader, and the returned value is meaningless then. Returning a `Result`
/// instead would give each of the hundreds of members an error path of its own.
pub(crate) trait Take<'a>: Sized {
    /// Takes the next value. Once the reader has failed, returns any value.
    fn take(reader: &mut Reader<'a>) -> Self;
}

/// The members of the object that is being read. Keys are given as QEMU writes them after another member: `, "key": `.
#[derive(Debug)]
pub(crate) struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// Offset and depth of the object, and the number of unknown members noted before it.
    start: (usize, usize, usize),
    /// The next key follows a comma.
    comma: bool,
    /// The discriminator, if the object is a case of a union: a member that `build` does not take.
    tag: Option<&'static str>,
    /// Something was not at its place.
    astray: bool,
    index: Option<Index<'a>>,
}

/// The place of each member of an object.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    entries: Vec<Entry<'a>>,
    /// Offset after the object's closing brace.
    end: usize,
}

#[derive(Debug)]
struct Entry<'a> {
    key: Cow<'a, str>,
    /// Offset of its value.
    at: usize,
    /// The schema names it.
    known: bool,
}

/// `, "key": ` → `key`
fn bare(key: &'static str) -> &'static str {
    key.get(3..key.len() - 3).unwrap_or_default()
}

/// Reads an object.
pub(crate) fn read<'a, T: Fields<'a>>(reader: &mut Reader<'a>) -> Result<T, Error> {
    let value = T::take(reader);
    reader.take_failure().map_or(Ok(value), Err)
}

impl<'a, T: Fields<'a>> Take<'a> for T {
    fn take(reader: &mut Reader<'a>) -> Self {
        let mut members = Members::open(reader);
        loop {
            let value = Self::build(&mut members);
            if members.is_done() {
                return value;
            }
        }
    }
}

impl<'r, 'a> Members<'r, 'a> {
    #[inline(never)]
    fn open(reader: &'r mut Reader<'a>) -> Self {
        let (start, tag) = ((reader.lexer.offset(), reader.lexer.depth(), reader.kept()), reader.tag.take());
        if !reader.has_failed()
            && let Err(error) = reader.lexer.open(b'{', "an object")
        {
            reader.fail(error);
        }
        Self { reader, start, comma: false, tag, astray: false, index: None }
    }

    /// Takes a required member.
    #[inline]
    pub(crate) fn required<T: Take<'a>>(&mut self, key: &'static str) -> T {
        if !self.go_to(key) {
            self.missing(key);
        }
        T::take(self.reader)
    }

    /// Takes an optional member.
    #[inline]
    pub(crate) fn optional<T: Take<'a>>(&mut self, key: &'static str) -> Option<T> {
        if self.go_to(key) { Some(T::take(self.reader)) } else { None }
    }

    /// Takes a required member of a type that is read by [`Decode`].
    pub(crate) fn decoded<T: Decode<'a>>(&mut self, key: &'static str) -> Option<T> {
        if !self.go_to(key) {
            self.missing(key);
            return None;
        }
        T::read(self.reader).map_err(|error| self.reader.fail(error)).ok()
    }

    /// Goes to the value of a member. `false`: the member is missing.
    #[inline(never)]
    fn go_to(&mut self, key: &'static str) -> bool {
        if self.reader.has_failed() {
            return false;
        }
        if self.index.is_none() && !self.reader.keeps_unknown() && self.tag.is_none() {
            let there = self.reader.lexer.eat_key(key, self.comma);
            self.comma |= there;
            return there;
        }
        self.go_to_slowly(key)
    }

    #[inline(never)]
    fn go_to_slowly(&mut self, key: &'static str) -> bool {
        let there = if let Some(index) = &mut self.index {
            let at = index.find(bare(key));
            self.reader.lexer.go_to(at.unwrap_or(self.reader.lexer.offset()));
            at.is_some()
        } else {
            self.pass_tag();
            let there = self.reader.lexer.eat_key(key, self.comma);
            self.comma |= there;
            there
        };
        if there {
            self.reader.note(bare(key));
        }
        there
    }

    /// Reads past the discriminator, if it is next.
    fn pass_tag(&mut self) {
        if let Some(tag) = self.tag
            && self.reader.lexer.eat_key(tag, self.comma)
        {
            self.comma = true;
            // Its grammar was checked when the discriminator was read.
            self.astray |= self.reader.lexer.skip().is_err();
        }
    }

    /// Reads the object's end after `build` has run. `false`: goes back to the start, because `build` must run again with an
    /// index.
    #[inline(never)]
    fn is_done(&mut self) -> bool {
        if let Some(index) = self.index.take() {
            self.finish(index);
            return true;
        }
        if !self.reader.has_failed() {
            self.pass_tag();
            self.astray |= !self.reader.lexer.close(b'}');
        }
        if self.astray {
            self.start_over();
        }
        self.index.is_none()
    }

    #[cold]
    #[inline(never)]
    fn missing(&mut self, key: &'static str) {
        if !self.reader.has_failed() {
            self.astray = self.index.is_none();
            let end = self.index.as_ref().map_or(0, |index| index.end.saturating_sub(1));
            self.reader.fail(Error::new(ErrorKind::Missing { member: bare(key) }, end));
        }
    }

    /// Goes back to the start of the object and indexes it.
    #[cold]
    fn start_over(&mut self) {
        self.reader.take_failure();
        let (at, depth, kept) = self.start;
        self.reader.rewind(at, depth);
        self.reader.forget_unknown(kept);
        match self.reader.index() {
            Ok(index) => {
                self.index = Some(index);
                self.reader.rewind(at, depth);
                self.reader.lexer.enter();
            }
            Err(error) => self.reader.fail(error),
        }
    }

    #[cold]
    fn finish(&mut self, mut index: Index<'a>) {
        if self.reader.has_failed() {
            return;
        }
        if let Some(tag) = self.tag {
            index.find(bare(tag));
        }
        self.reader.finish(index);
    }
}

/// Implements [`Take`] by [`Decode`], with the value to return after an error.
macro_rules! taken {
    ($($name:ty)*; $failed:expr) => {
        $(impl<'a> crate::fields::Take<'a> for $name {
            #[inline(never)]
            fn take(reader: &mut crate::Reader<'a>) -> Self {
                if !reader.has_failed() {
                    match <Self as crate::Decode<'a>>::read(reader) {
                        Ok(value) => return value,
                        Err(error) => reader.fail(error),
                    }
                }
                $failed
            }
        })*
    };
}

pub(crate) use taken;

taken! { Cow<'a, str>; Cow::Borrowed("") }
taken! { bool; false }
taken! { i64 u64 u32 u16; 0 }

impl<'a, T: Take<'a>> Take<'a> for Vec<T> {
    fn take(reader: &mut Reader<'a>) -> Self {
        let mut items = Self::new();
        if reader.has_failed() {
            return items;
        }
        if let Err(error) = reader.lexer.open(b'[', "an array") {
            reader.fail(error);
        }
        while reader.take_element(items.is_empty()) {
            items.push(T::take(reader));
        }
        items
    }
}

impl Index<'_> {
    /// Offset of the value of this member; of the last one if the key comes twice.
    pub(crate) fn find(&mut self, key: &str) -> Option<usize> {
        let mut at = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.key == key) {
            entry.known = true;
            at = Some(entry.at);
        }
        at
    }
}

impl Index<'_> {
    /// Makes a member unknown that was found before.
    pub(crate) fn forget(&mut self, key: &str) {
        self.entries.iter_mut().filter(|entry| entry.key == key).for_each(|entry| entry.known = false);
    }
}

impl<'a> Reader<'a> {
    /// Indexes the next object and checks its grammar.
    pub(crate) fn index(&mut self) -> Result<Index<'a>, Error> {
        let mut entries = Vec::new();
        self.lexer.open(b'{', "an object")?;
        while let Some(key) = self.lexer.next_key(entries.is_empty())? {
            // Skips the white space before the value.
            self.lexer.peek();
            entries.push(Entry { key, at: self.lexer.offset(), known: false });
            self.lexer.skip()?;
        }
        Ok(Index { entries, end: self.lexer.offset() })
    }

    /// Notes the unknown members of the innermost object and goes to its end.
    pub(crate) fn finish(&mut self, index: Index<'a>) {
        for Entry { key, at, .. } in index.entries.into_iter().filter(|entry| !entry.known) {
            self.keep(key, at);
        }
        self.lexer.go_to(index.end);
        self.lexer.leave();
    }

    /// Goes to the next element. `false`: the array has ended, or the reader has failed.
    fn take_element(&mut self, first: bool) -> bool {
        if self.has_failed() {
            return false;
        }
        self.lexer.next_element(first).unwrap_or_else(|error| {
            self.fail(error);
            false
        })
    }

    /// [`look_for_tag`](Self::look_for_tag), with the error left in the reader.
    pub(crate) fn take_tag(&mut self, tag: &'static str) -> Cow<'a, str> {
        if !self.has_failed() {
            match self.look_for_tag(tag) {
                Ok(value) => return value,
                Err(error) => self.fail(error),
            }
        }
        Cow::Borrowed("")
    }

    /// Reads a union's discriminator: the string member `tag` of the next object. The reader stays before the object.
    fn look_for_tag(&mut self, tag: &'static str) -> Result<Cow<'a, str>, Error> {
        let (start, depth) = (self.lexer.offset(), self.lexer.depth());
        let mut index = self.index()?;
        let end = self.lexer.offset();
        let Some(at) = index.find(bare(tag)) else {
            return Err(Error::new(ErrorKind::Missing { member: bare(tag) }, end.saturating_sub(1)));
        };
        self.lexer.go_to(at);
        let value = self.lexer.string();
        self.rewind(start, depth);
        value
    }

    /// Reads a case of a union: the next object, which also holds this discriminator.
    pub(crate) fn case<T: Take<'a>>(&mut self, tag: &'static str) -> T {
        self.tag = Some(tag);
        T::take(self)
    }
}
