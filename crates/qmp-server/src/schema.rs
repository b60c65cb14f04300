//! The types of arguments, answers and events: what arguments are checked against, and what `query-qmp-schema` tells.

use std::borrow::Cow;
use std::sync::Arc;

use qmp_schema::qapi;

/// A QAPI type.
///
/// Integers of every width are one type to introspection, as in QEMU; the width is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// `str`
    Str,
    /// `int`: −2⁶³ … 2⁶³ − 1
    Int,
    /// `int8`, `int16`, `int32`, `uint8`, `uint16`, `uint32`: an integer from `min` to `max`, called `name` in the error.
    Ranged {
        /// The name in "Parameter 'x' expects …": `int32_t` and the like.
        name: &'static str,
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// `uint64` or `size`: 0 … 2⁶⁴ − 1. Negative integers pass too: QEMU accepts them and adds 2⁶⁴.
    Uint64,
    /// `number`
    Number,
    /// `bool`
    Bool,
    /// `null`
    Null,
    /// `any`
    Any,
    /// An enumeration.
    Enum(Enum),
    /// An array of one type.
    Array(Box<Type>),
    /// A struct.
    Struct(Struct),
    /// A flat union.
    Union(Union),
}

impl Type {
    /// `int32`, the usual width of small numbers.
    pub const INT32: Self = Self::Ranged { name: "int32_t", min: i32::MIN as i64, max: i32::MAX as i64 };
    /// `uint16`, as of ports.
    pub const UINT16: Self = Self::Ranged { name: "uint16_t", min: 0, max: u16::MAX as i64 };
    /// `uint32`
    pub const UINT32: Self = Self::Ranged { name: "uint32_t", min: 0, max: u32::MAX as i64 };
    /// `uint8`
    pub const UINT8: Self = Self::Ranged { name: "uint8_t", min: 0, max: u8::MAX as i64 };

    /// An array of `element`.
    #[must_use]
    pub fn array(element: impl Into<Self>) -> Self {
        Self::Array(Box::new(element.into()))
    }

    /// An enumeration of `values`.
    pub fn of<V: Into<Cow<'static, str>>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::Enum(Enum { values: values.into_iter().map(Into::into).collect() })
    }
}

/// The values of an enumeration. Introspection calls it by a number, as QEMU's does, so it has no name here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Enum {
    pub(crate) values: Arc<[Cow<'static, str>]>,
}

/// A flat union whose base is the discriminator alone: QEMU's `SocketAddress`, for example.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Union {
    /// The name of the discriminator, and the enumeration of the cases.
    pub(crate) tag: (Cow<'static, str>, Enum),
    /// The members of each case, in the order of the enumeration.
    pub(crate) variants: Vec<Struct>,
}

/// The members of a struct, in the order in which they are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Struct {
    pub(crate) members: Vec<Member>,
}

/// A member of a struct.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: Type,
    pub(crate) optional: bool,
}

impl Struct {
    /// A struct without members.
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// Adds a member that must be there.
    #[must_use]
    pub fn required(self, name: impl Into<Cow<'static, str>>, kind: impl Into<Type>) -> Self {
        self.member(name.into(), kind.into(), false)
    }

    /// Adds a member that may be left out.
    #[must_use]
    pub fn optional(self, name: impl Into<Cow<'static, str>>, kind: impl Into<Type>) -> Self {
        self.member(name.into(), kind.into(), true)
    }

    /// The members of a type of `qmp-schema`; none if it is no struct.
    pub(crate) fn of(kind: &qapi::Type) -> Self {
        let qapi::Type::Struct(members) = kind else { return Self::new() };
        members
            .iter()
            .fold(Self::new(), |all, member| all.member(member.name.into(), member.kind.into(), member.optional))
    }

    fn member(mut self, name: Cow<'static, str>, kind: Type, optional: bool) -> Self {
        self.members.push(Member { name, kind, optional });
        self
    }
}

impl From<Struct> for Type {
    fn from(members: Struct) -> Self {
        Self::Struct(members)
    }
}

/// A type of `qmp-schema`: `SpiceInfo::TYPE` and the like.
impl From<qapi::Type> for Type {
    fn from(kind: qapi::Type) -> Self {
        match kind {
            qapi::Type::Str => Self::Str,
            qapi::Type::Bool => Self::Bool,
            qapi::Type::Int => Self::Int,
            qapi::Type::Uint16 => Self::UINT16,
            qapi::Type::Uint32 => Self::UINT32,
            qapi::Type::Uint64 => Self::Uint64,
            qapi::Type::Enum(values) => Self::of(values.iter().copied()),
            qapi::Type::Array(element) => Self::array(*element),
            qapi::Type::Struct(_) => Self::Struct(Struct::of(&kind)),
            qapi::Type::Union { tag, variants } => Self::Union(Union {
                tag: (tag.into(), Enum { values: variants.iter().map(|variant| variant.case.into()).collect() }),
                variants: variants.iter().map(|variant| Struct::of(&variant.kind)).collect(),
            }),
            // A kind of type that qmp-schema learns later.
            _ => Self::Any,
        }
    }
}
