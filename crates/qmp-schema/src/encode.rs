//! Writing values in QEMU's exact bytes.

use alloc::{borrow::Cow, string::String, vec::Vec};

use crate::{
    slice_writer::{EVENT, Put, SliceWriter, append},
    wire,
};

/// A value that is written as QEMU writes it: with QEMU's member order, separators and escapes, and without a line end.
///
/// On a QMP socket QEMU ends each message with CR LF. The caller adds it.
pub trait Encode {
    /// Appends the value to `out`. Only the growth of `out` allocates, except for a [`FullEvent`](crate::FullEvent) with unknown
    /// members.
    fn write_to(&self, out: &mut Vec<u8>);

    /// The value's bytes.
    fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn write_to(&self, out: &mut Vec<u8>) {
        (**self).write_to(out);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.as_slice().write_to(out);
    }
}

impl<T: Encode> Encode for [T] {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (i, item) in self.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            item.write_to(out);
        }
        out.push(b']');
    }
}

impl Encode for str {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_str(out, self);
    }
}

impl Encode for String {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_str(out, self);
    }
}

/// `{}`: the reply of a command without a result.
impl Encode for () {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{}");
    }
}

impl Encode for Cow<'_, str> {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_str(out, self);
    }
}

impl Put for str {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(b"\"").text(self).fixed(b"\"")
    }
}

impl Put for Cow<'_, str> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        (**self).put(out)
    }
}

impl<T: Put> Put for Vec<T> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.list(*b"[]", self, SliceWriter::value)
    }
}

macro_rules! scalars {
    ($($name:ident by |$out:ident, $value:ident| $put:expr;)*) => {
        $(impl Put for $name {
            #[inline]
            fn put<'r>(&self, $out: SliceWriter<'r>) -> SliceWriter<'r> {
                let $value = *self;
                $put
            }
        }

        impl Encode for $name {
            fn write_to(&self, out: &mut Vec<u8>) {
                append(out, self, wire::NUMBER);
            }
        })*
    };
}

scalars! {
    bool by |out, value| if value { out.fixed(b"true") } else { out.fixed(b"false") };
    i64 by |out, value| out.signed(value);
    u64 by |out, value| out.unsigned(value);
    u32 by |out, value| out.unsigned(value.into());
    u16 by |out, value| out.unsigned(value.into());
    u8 by |out, value| out.unsigned(value.into());
    i32 by |out, value| out.signed(value.into());
}

macro_rules! types {
    ($($name:ident)*; $($copied:ident)*) => {
        $(impl Encode for crate::$name<'_> {
            fn write_to(&self, out: &mut Vec<u8>) {
                append(out, self, EVENT);
            }
        })*
        $(impl Encode for crate::$copied {
            fn write_to(&self, out: &mut Vec<u8>) {
                append(out, self, EVENT);
            }
        })*
    };
}

types! { Value Object EventMessage; Timestamp }
crate::generated::with_all_types! { types }

/// Shows a value as its JSON text, as QEMU writes it.
macro_rules! display {
    ($($name:ident)*) => {
        $(
            /// The JSON text.
            impl core::fmt::Display for $name<'_> {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    let text = crate::Encode::to_vec(self);
                    // Everything that is written is ASCII.
                    f.write_str(core::str::from_utf8(&text).map_err(|_| core::fmt::Error)?)
                }
            }
        )*
    };
}
pub(crate) use display;
