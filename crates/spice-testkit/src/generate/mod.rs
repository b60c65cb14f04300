//! Generators: wire units, whole conversations, and how they are cut and interleaved; valid, and nearly valid.
//!
//! Every type here implements [`Arbitrary`]: it is made from a string of bytes, its *choices*. One generator so serves three
//! drivers. A fuzzer hands in its own bytes; proptest draws and shrinks them (`strategy`, with the feature `proptest`); a seed makes
//! them in order ([`Choices`]). Choices that run out are zeros, and zero is always the plain, valid choice, so that shrinking the
//! bytes makes a case plainer.
//!
//! ```
//! use spice_testkit::generate::{self, Mess};
//! use spice_link::LinkMess;
//!
//! let plain: Mess = generate::from_choices(&[]);
//! assert!(LinkMess::parse(&plain.bytes()).is_ok());
//! ```
//!
//! Nearly valid means: one or two fields moved to the other side of a bound that a reader has to check (a size of 17, a count
//! of 1025, an offset that wraps a 32-bit sum), the rest in good order. That reaches what random bytes don't.

mod conversation;
mod delivery;
mod mess;
mod qmp;
mod reply;
mod sasl;
mod segments;
mod websocket;

pub use conversation::{Conversation, Turn};
pub use delivery::{Chunk, Delivery};
pub use mess::Mess;
pub use qmp::QmpInput;
pub use reply::Reply;
pub use sasl::{SaslExchange, SaslStep};
pub use segments::{Segment, Segments};
pub use websocket::{Frame, Frames};

pub use arbitrary::{Arbitrary, Error, Unstructured};
#[cfg(feature = "proptest")]
use proptest::strategy::Strategy;

/// The value that these choices make. A generator of this crate never refuses its choices; one of somebody else's that does
/// gets the empty ones.
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

/// An endless row of cases from one seed, the same on every machine.
#[derive(Clone, Debug)]
pub struct Choices {
    state: u64,
}

impl Choices {
    /// The row of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits: SplitMix64 (Steele, Lea and Flood 2014).
    pub const fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`, by the next word; 0 where `n` is.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.word() % (n.max(1) as u64)).unwrap_or(0)
    }

    /// Fresh choices for one case: `len` bytes into `out`.
    pub fn fill(&mut self, out: &mut Vec<u8>, len: usize) {
        out.clear();
        while out.len() < len {
            out.extend(self.word().to_le_bytes());
        }
        out.truncate(len);
    }
}

/// The plainest choices of which something still holds that holds of these: parts are taken out, or zeros put in their place,
/// halves first and then ever smaller ones. So many are asked about at most.
///
/// # Errors
/// What `still` fails with.
pub fn plainest<E>(choices: &[u8], most: usize, mut still: impl FnMut(&[u8]) -> Result<bool, E>) -> Result<Vec<u8>, E> {
    let (mut best, mut asked) = (choices.to_vec(), 0);
    let mut size = best.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < best.len() {
            let end = (at + size).min(best.len());
            let cut = [&best[..at], &best[end..]].concat();
            let mut zeroed = best.clone();
            zeroed[at..end].fill(0);
            // What was cut out leaves other choices in its place.
            at = end;
            for candidate in [cut, zeroed] {
                if candidate == best {
                    continue;
                }
                if asked == most {
                    return Ok(best);
                }
                asked += 1;
                if still(&candidate)? {
                    at -= best.len() - candidate.len();
                    best = candidate;
                    break;
                }
            }
        }
        size /= 2;
    }
    Ok(best)
}

/// True once in so many times; never where the choices have run out, so that plain is what remains.
pub fn rarely(u: &mut Unstructured<'_>, one_in: u8) -> arbitrary::Result<bool> {
    let last = one_in.saturating_sub(1);
    Ok(u.int_in_range(0..=last)? == last)
}

/// A value near `plain`, or on one of the bounds that a reader has to check: one less, it, or one more.
pub(crate) fn near(u: &mut Unstructured<'_>, plain: u32, bounds: &[u32]) -> arbitrary::Result<u32> {
    let anchor = match u.int_in_range(0..=3)? {
        0 => plain,
        1 | 2 if !bounds.is_empty() => *u.choose(bounds)?,
        _ => return u.arbitrary(),
    };
    Ok(anchor.wrapping_add(*u.choose(&[0, 1, u32::MAX])?))
}

/// A short run of bytes, usually none.
pub(crate) fn few_bytes(u: &mut Unstructured<'_>, most: usize) -> arbitrary::Result<Vec<u8>> {
    let len = if rarely(u, 4)? { u.int_in_range(0..=most)? } else { 0 };
    (0..len).map(|_| u.arbitrary()).collect()
}

/// A length that is known to be small, as the wire has it.
pub(crate) fn word(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// What a link message and a link reply have in common on the wire, each part free to be wrong.
pub(crate) struct Framed<'a> {
    pub(crate) magic: [u8; 4],
    pub(crate) versions: [u32; 2],
    /// What the header says; `None`: the truth.
    pub(crate) size: Option<u32>,
    /// The fixed part up to the counts.
    pub(crate) fixed: &'a [u8],
    pub(crate) counts: Option<[u32; 2]>,
    pub(crate) caps_offset: Option<u32>,
    /// Bytes before the words, and behind them.
    pub(crate) around: [&'a [u8]; 2],
    pub(crate) words: [&'a [u32]; 2],
}

impl Framed<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let ([gap, tail], [common, channel]) = (self.around, self.words);
        let counts = self.counts.unwrap_or([word(common.len()), word(channel.len())]);
        let caps_offset = self.caps_offset.unwrap_or(word(self.fixed.len() + 12 + gap.len()));
        let mut body = self.fixed.to_vec();
        body.extend([counts[0], counts[1], caps_offset].map(u32::to_le_bytes).concat());
        body.extend(gap);
        body.extend(common.iter().chain(channel).flat_map(|word| word.to_le_bytes()));
        body.extend(tail);
        let size = self.size.unwrap_or(word(body.len()));
        let mut out = self.magic.to_vec();
        out.extend([self.versions[0], self.versions[1], size].map(u32::to_le_bytes).concat());
        out.append(&mut body);
        out
    }
}
