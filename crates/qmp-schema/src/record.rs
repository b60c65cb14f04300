//! Objects whose members the schema names.
//!
//! QEMU emits an object's members in an order that is known beforehand, so [`Members`] looks for each where it should be
//! and compares it in one go with what should be there. Where anything else is found (another order, other white space,
//! a member that the schema does not name), the object is read again, by an index of its members.

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

use crate::{
    Decode, Error, ErrorKind,
    reader::Reader,
    unknown::{UnknownMember, UnknownMembers},
    value::Value,
};

/// A type that is written as an object.
pub(crate) trait Record<'a>: Sized {
    /// Asks for each member in QEMU's order.
    fn build(members: &mut Members<'_, 'a>) -> Result<Self, Error>;
}

/// The members of an object that is being read. Keys are given as QEMU writes them behind another: `, "key": `.
#[derive(Debug)]
pub(crate) struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// Where the object is, how deep, and how many unknown members were kept before it.
    start: (usize, usize, usize),
    /// A comma is due before the next key.
    comma: bool,
    /// The discriminator of the union whose case this is: a member that `build` does not ask for.
    tag: Option<&'static str>,
    /// Something was not where it should be.
    astray: bool,
    index: Option<Index<'a>>,
}

/// Where each member of an object is.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    entries: Vec<Entry<'a>>,
    /// Behind the object's bracket.
    end: usize,
}

#[derive(Debug)]
struct Entry<'a> {
    key: Cow<'a, str>,
    /// Where its value is.
    at: usize,
    /// Was asked for.
    known: bool,
}

/// The unknown members seen so far, and the path to where the reader is.
#[derive(Debug)]
pub(crate) struct Keep<'a> {
    /// Depth of the object whose members have no path.
    root: usize,
    /// The member that was last gone to, one for each object between there and here.
    path: Vec<&'static str>,
    members: Vec<UnknownMember<'a>>,
}

/// `, "key": ` → `key`
fn bare(key: &'static str) -> &'static str {
    key.get(3..key.len() - 3).unwrap_or_default()
}

/// Reads an object.
pub(crate) fn read<'a, T: Record<'a>>(reader: &mut Reader<'a>) -> Result<T, Error> {
    let mut members = Members::open(reader)?;
    loop {
        let value = T::build(&mut members);
        if members.is_done(value.is_ok())? {
            return value;
        }
    }
}

impl<'r, 'a> Members<'r, 'a> {
    fn open(reader: &'r mut Reader<'a>) -> Result<Self, Error> {
        let (start, tag) = ((reader.offset(), reader.depth(), reader.kept()), reader.tag.take());
        reader.open(b'{', "an object")?;
        Ok(Self { reader, start, comma: false, tag, astray: false, index: None })
    }

    /// A member that must be there.
    #[inline]
    pub(crate) fn required<T: Decode<'a>>(&mut self, key: &'static str) -> Result<T, Error> {
        if self.go_to(key) { T::read(self.reader) } else { Err(self.missing(key)) }
    }

    /// A member that may be absent.
    #[inline]
    pub(crate) fn optional<T: Decode<'a>>(&mut self, key: &'static str) -> Result<Option<T>, Error> {
        if self.go_to(key) { T::read(self.reader).map(Some) } else { Ok(None) }
    }

    /// Goes to a member's value, if it is there.
    fn go_to(&mut self, key: &'static str) -> bool {
        if self.index.is_none() && self.reader.keep.is_none() && self.tag.is_none() {
            let there = self.reader.eat_key(key, self.comma);
            self.comma |= there;
            return there;
        }
        self.go_to_slowly(key)
    }

    #[inline(never)]
    fn go_to_slowly(&mut self, key: &'static str) -> bool {
        let there = if let Some(index) = &mut self.index {
            let at = index.find(bare(key));
            self.reader.go_to(at.unwrap_or(self.reader.offset()));
            at.is_some()
        } else {
            self.pass_tag();
            let there = self.reader.eat_key(key, self.comma);
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
            && self.reader.eat_key(tag, self.comma)
        {
            self.comma = true;
            // Its grammar was checked when the union's case was looked for.
            self.astray |= self.reader.skip().is_err();
        }
    }

    /// Looks for the object's end once `build` has run. If it should run again, by an index, goes back for that.
    fn is_done(&mut self, built: bool) -> Result<bool, Error> {
        if self.index.is_some() {
            return self.finish(built);
        }
        if built {
            self.pass_tag();
            self.astray |= !self.reader.close(b'}');
        }
        if self.astray {
            self.start_over()?;
        }
        Ok(!self.astray)
    }

    #[cold]
    fn missing(&mut self, key: &'static str) -> Error {
        self.astray = true;
        let end = self.index.as_ref().map_or(0, |index| index.end.saturating_sub(1));
        Error::new(ErrorKind::Missing { member: bare(key) }, end)
    }

    /// Goes back to the object's start, and indexes it.
    #[cold]
    fn start_over(&mut self) -> Result<(), Error> {
        let (at, depth, kept) = self.start;
        self.reader.rewind(at, depth);
        self.reader.forget_unknown(kept);
        self.index = Some(self.reader.index()?);
        self.reader.rewind(at, depth);
        self.reader.enter();
        Ok(())
    }

    #[cold]
    fn finish(&mut self, built: bool) -> Result<bool, Error> {
        if let (true, Some(mut index)) = (built, self.index.take()) {
            if let Some(tag) = self.tag {
                index.find(bare(tag));
            }
            self.reader.finish(index)?;
        }
        Ok(true)
    }
}

impl Index<'_> {
    /// Where this member's value is: the last one's, where a key comes twice.
    pub(crate) fn find(&mut self, key: &str) -> Option<usize> {
        let mut at = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.key == key) {
            entry.known = true;
            at = Some(entry.at);
        }
        at
    }
}

impl<'a> Reader<'a> {
    /// Indexes the object that comes next, and checks its grammar.
    pub(crate) fn index(&mut self) -> Result<Index<'a>, Error> {
        let mut entries = Vec::new();
        self.open(b'{', "an object")?;
        while let Some(key) = self.next_key(entries.is_empty())? {
            // Past the white space before the value.
            self.peek();
            entries.push(Entry { key, at: self.offset(), known: false });
            self.skip()?;
        }
        Ok(Index { entries, end: self.offset() })
    }

    /// Keeps the members of the innermost object that were not asked for, and goes behind it.
    pub(crate) fn finish(&mut self, index: Index<'a>) -> Result<(), Error> {
        if self.keep.is_some() {
            for Entry { key, at, .. } in index.entries.into_iter().filter(|entry| !entry.known) {
                self.go_to(at);
                let value = Value::read(self)?;
                self.keep(key, value);
            }
        }
        self.go_to(index.end);
        self.leave();
        Ok(())
    }

    /// The string member `tag` of the object that comes next, read ahead of the others: a union's discriminator.
    pub(crate) fn look_for_tag(&mut self, tag: &'static str) -> Result<Cow<'a, str>, Error> {
        let (start, depth) = (self.offset(), self.depth());
        let mut index = self.index()?;
        let end = self.offset();
        let Some(at) = index.find(bare(tag)) else {
            return Err(Error::new(ErrorKind::Missing { member: bare(tag) }, end.saturating_sub(1)));
        };
        self.go_to(at);
        let value = self.string();
        self.rewind(start, depth);
        value
    }

    /// Reads a union's case: the next object, which holds this discriminator too.
    pub(crate) fn case<T: Decode<'a>>(&mut self, tag: &'static str) -> Result<T, Error> {
        self.tag = Some(tag);
        T::read(self)
    }

    /// From here on, members that the schema does not name are kept.
    pub(crate) fn keep_unknown(&mut self) {
        self.keep = Some(Box::new(Keep { root: self.depth() + 1, path: Vec::new(), members: Vec::new() }));
    }

    /// What was kept.
    pub(crate) fn take_unknown(&mut self) -> UnknownMembers<'a> {
        UnknownMembers::new(self.keep.take().map(|keep| keep.members).unwrap_or_default())
    }

    /// How many unknown members were kept so far.
    pub(crate) fn kept(&self) -> usize {
        self.keep.as_ref().map_or(0, |keep| keep.members.len())
    }

    /// Forgets the unknown members kept after the first `len`.
    pub(crate) fn forget_unknown(&mut self, len: usize) {
        if let Some(keep) = &mut self.keep {
            keep.members.truncate(len);
        }
    }

    /// Keeps an unknown member of the innermost object.
    fn keep(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        let depth = self.depth();
        if let Some(keep) = &mut self.keep {
            let path = keep.path.get(..depth.saturating_sub(keep.root)).unwrap_or_default().into();
            keep.members.push(UnknownMember { path, name, value });
        }
    }

    /// Notes that the reader has gone to a known member of the innermost object.
    pub(crate) fn note(&mut self, key: &'static str) {
        let depth = self.depth();
        if let Some(keep) = &mut self.keep {
            keep.path.resize(depth.saturating_sub(keep.root), "");
            keep.path.push(key);
        }
    }
}
