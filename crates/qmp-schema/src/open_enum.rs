//! QEMU's enumerations. Later versions of QEMU add values.

/// Implements everything that follows from the names of an enumeration's values.
macro_rules! open_enum {
    ($name:ident { $($variant:ident = $text:literal,)* }) => {
        impl $name<'_> {
            /// The name of the value in QMP.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// A copy that borrows nothing.
            #[inline]
            #[must_use]
            pub fn into_owned(self) -> $name<'static> {
                match self {
                    $(Self::$variant => $name::$variant,)*
                    Self::Other(text) => $name::Other(crate::value::own(text)),
                }
            }
        }

        impl<'a> From<alloc::borrow::Cow<'a, str>> for $name<'a> {
            fn from(text: alloc::borrow::Cow<'a, str>) -> Self {
                match &*text {
                    $($text => Self::$variant,)*
                    _ => Self::Other(text),
                }
            }
        }

        impl<'a> From<&'a str> for $name<'a> {
            #[inline]
            fn from(text: &'a str) -> Self {
                Self::from(alloc::borrow::Cow::Borrowed(text))
            }
        }

        #[cfg(feature = "arbitrary")]
        impl crate::arbitrary::Generate for $name<'_> {
            fn generate(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<Self> {
                const KNOWN: &[&str] = &[$($text),*];
                let index = u.int_in_range(0..=KNOWN.len())?;
                let Some(text) = KNOWN.get(index) else {
                    return crate::arbitrary::unknown(u, |text| KNOWN.contains(&text)).map(Self::Other);
                };
                Ok(Self::from(*text))
            }
        }

        impl core::fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl<'a> crate::Decode<'a> for $name<'a> {
            fn read(reader: &mut crate::Reader<'a>) -> Result<Self, crate::Error> {
                reader.lexer.string().map(Self::from)
            }
        }

        impl<'a> crate::fields::Take<'a> for $name<'a> {
            fn take(reader: &mut crate::Reader<'a>) -> Self {
                Self::from(<alloc::borrow::Cow<'a, str>>::take(reader))
            }
        }

        impl crate::slice_writer::Put for $name<'_> {
            fn put<'r>(&self, out: crate::slice_writer::SliceWriter<'r>) -> crate::slice_writer::SliceWriter<'r> {
                match self {
                    Self::Other(text) => out.value(text),
                    known => out.fixed(b"\"").bytes(known.as_str().as_bytes()).fixed(b"\""),
                }
            }
        }
    };
}

pub(crate) use open_enum;
