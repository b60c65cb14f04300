//! QAPI types as data. Servers answer `query-qmp-schema` from them.
//!
//! Each type of the crate has a constant `TYPE`, generated from the same facts as the type itself:
//!
//! ```
//! use qmp_schema::{EventInfo, SpiceBasicInfo, SpiceConnected, qapi::{Member, Type}};
//!
//! const ENDS: &[Member] = &[Member::required("server", SpiceBasicInfo::TYPE), Member::required("client", SpiceBasicInfo::TYPE)];
//! assert_eq!(SpiceConnected::TYPE, Type::Struct(ENDS));
//! assert_eq!(EventInfo::of("SPICE_CONNECTED").map(|info| info.data), Some(SpiceConnected::TYPE));
//! ```

/// A QAPI type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// `str`
    Str,
    /// `bool`
    Bool,
    /// `int`: −2⁶³ … 2⁶³ − 1
    Int,
    /// `uint16`
    Uint16,
    /// `uint32`
    Uint32,
    /// `uint64` or `size`
    Uint64,
    /// An enumeration: its values.
    Enum(&'static [&'static str]),
    /// An array: the type of its elements.
    Array(&'static Type),
    /// A struct: its members, in the order of the declaration.
    Struct(&'static [Member]),
    /// A flat union whose base is the discriminator alone.
    Union {
        /// The discriminator: a member whose type is the enumeration of the cases.
        tag: &'static str,
        /// The cases.
        variants: &'static [Variant],
    },
}

/// A member of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Whether it may be absent.
    pub optional: bool,
}

/// A case of a union.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Variant {
    /// The discriminator's value.
    pub case: &'static str,
    /// The members of the case: a struct.
    pub kind: Type,
}

impl Member {
    /// A required member.
    #[must_use]
    pub const fn required(name: &'static str, kind: Type) -> Self {
        Self { name, kind, optional: false }
    }

    /// An optional member.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Type) -> Self {
        Self { name, kind, optional: true }
    }
}

impl Variant {
    /// A case with this struct's members.
    #[must_use]
    pub const fn new(case: &'static str, kind: Type) -> Self {
        Self { case, kind }
    }
}
