//! The macro that makes open code points.
//!
//! A code that a peer sends is an open number with named constants and not an enum: a value that this crate does not know is
//! carried on, and prints as a number.

/// Makes an open code: a newtype with constants, `ALL`, `name()`, `Display`, `Debug` and `FromStr`.
///
/// `Display` and `FromStr` use the name where the value has one, and the decimal number otherwise. Without an explicit name the
/// constant's own name is used.
macro_rules! open_code {
    (@name $const:ident $name:literal) => { $name };
    (@name $const:ident) => { stringify!($const) };
    ($(#[$doc:meta])* $type:ident($int:ty) {
        $($(#[$const_doc:meta])* $const:ident = $value:literal $(, $name:literal)?;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $type(pub $int);

        impl $type {
            $($(#[$const_doc])* pub const $const: Self = Self($value);)+

            /// Every value that has a name, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$const),+];

            /// The name in the protocol's own spelling, if the value has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(open_code!(@name $const $($name)?)),)+
                    _ => None,
                }
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => core::fmt::Display::fmt(&self.0, f),
                }
            }
        }

        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($type), "({}"), self.0)?;
                match self.name() {
                    Some(name) => write!(f, " {name})"),
                    None => f.write_str(")"),
                }
            }
        }

        impl core::str::FromStr for $type {
            type Err = crate::UnknownName;

            fn from_str(text: &str) -> Result<Self, crate::UnknownName> {
                match text {
                    $(open_code!(@name $const $($name)?) => Ok(Self::$const),)+
                    _ => text.parse().map(Self).map_err(|_| crate::UnknownName {
                        expected: concat!($(open_code!(@name $const $($name)?), ", ",)+ "or a number"),
                    }),
                }
            }
        }
    };
}

pub(crate) use open_code;
