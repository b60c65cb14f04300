//! The types that [`Decode`](crate::Decode) is implemented for.

use alloc::{borrow::Cow, vec::Vec};

/// Keeps [`Decode`](crate::Decode) to this crate.
pub trait Sealed {}

impl Sealed for Cow<'_, str> {}
impl<T: Sealed> Sealed for Vec<T> {}
impl<T: Sealed> Sealed for crate::Return<'_, T> {}

macro_rules! sealed {
    ($($borrowed:ident)*; $($copied:ident)*) => {
        $(impl Sealed for crate::$borrowed<'_> {})*
        $(impl Sealed for crate::$copied {})*
    };
}

macro_rules! scalars {
    ($($name:ident)*) => {
        $(impl Sealed for $name {})*
    };
}

scalars! { bool i64 u64 u32 u16 }
sealed! { Value Object Message Greeting Command ErrorReply RawJson EventMessage FullEvent; Timestamp }
crate::generated::with_all_types! { sealed }
