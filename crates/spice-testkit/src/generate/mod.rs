//! Generators: wire units, whole conversations, and how they are cut and interleaved; valid, and nearly valid.
//!
//! Every type here implements [`Arbitrary`]: it is made from bytes, its *choices*. So one generator has three drivers. A fuzzer
//! supplies its own bytes. proptest draws and shrinks them (`strategy`, with the feature `proptest`). [`Choices`] makes them from a
//! seed. Choices that run out are zeros, and zero is always the plain, valid choice, so fewer choices make a plainer case.
//!
//! ```
//! use spice_testkit::generate::{self, Mess};
//! use spice_link::LinkMess;
//!
//! let plain: Mess = generate::from_choices(&[]);
//! assert!(LinkMess::parse(&plain.bytes()).is_ok());
//! ```
//!
//! Nearly valid means that one or two fields are on the wrong side of a bound that a reader has to check (a size of 17, a count
//! of 1025, an offset that wraps a 32-bit sum), and that all others are sound. Such messages reach code that random bytes do not.

mod conversation;
mod delivery;
mod qmp;
mod sasl;
mod segments;
mod websocket;

pub use conversation::{Conversation, Turn};
pub use delivery::{Chunk, Delivery};
pub use qmp::QmpInput;
pub use sasl::{SaslExchange, SaslStep};
pub use segments::{Segment, Segments};
pub use websocket::{Frame, Frames};

pub use arbitrary::{Arbitrary, Error, Unstructured};
#[cfg(feature = "proptest")]
use proptest::strategy::Strategy;
pub(crate) use spice_conformance::choices::{few_bytes, near};
pub use spice_conformance::{
    Mess, Reply,
    choices::{Choices, plainest, rarely},
};

/// The value that these choices make. The generators of this crate never refuse choices. If another crate's generator does, the
/// result is the default value.
pub fn from_choices<T: for<'a> Arbitrary<'a> + Default>(choices: &[u8]) -> T {
    T::arbitrary(&mut Unstructured::new(choices)).unwrap_or_default()
}

/// The proptest strategy of any type here, from at most `choices` bytes. It shrinks towards the plain value.
#[cfg(feature = "proptest")]
pub fn strategy<T>(choices: usize) -> impl Strategy<Value = T>
where
    T: for<'a> Arbitrary<'a> + Default + std::fmt::Debug,
{
    bytes(choices).prop_map(|choices| from_choices(&choices))
}

/// The proptest strategy of choices themselves, for an oracle that takes bytes.
#[cfg(feature = "proptest")]
pub fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::num::u8::ANY, 0..=most)
}

/// A length as a word of the wire.
pub(crate) fn word(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
