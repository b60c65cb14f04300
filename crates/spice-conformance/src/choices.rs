//! *Choices*: the bytes that a generated value is made from.
//!
//! A fuzzer supplies its own bytes, a property test draws and shrinks them, and [`Choices`] makes them from a seed. Choices that run
//! out are zeros, and zero is always the plain, valid choice. So shorter choices make plainer values.
//!
//! A generated message is sound or nearly valid: one or two of its fields are on the wrong side of a bound that a reader has to check
//! (a size of 17, a count of 1025, an offset that wraps a sum of 32 bits), and all others are sound. Such messages reach the checks
//! behind the first one, which random bytes do not.

#[cfg(feature = "arbitrary")]
use arbitrary::{Result as Chosen, Unstructured};

/// An endless sequence of choices from one seed, the same on every machine.
#[derive(Clone, Debug)]
pub struct Choices {
    state: u64,
}

impl Choices {
    /// The sequence of this seed.
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

    /// A number below `n`, from the next word; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.word() % (n.max(1) as u64)).unwrap_or(0)
    }

    /// Replaces `out` by the next `len` bytes: the choices of one case.
    pub fn fill(&mut self, out: &mut Vec<u8>, len: usize) {
        out.clear();
        while out.len() < len {
            out.extend(self.word().to_le_bytes());
        }
        out.truncate(len);
    }
}

/// Shortens choices while `still` holds of them. It removes parts of them or replaces parts by zeros, first halves and then ever
/// smaller parts, and calls `still` at most `most` times.
///
/// # Errors
/// The first error of `still`.
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
            // After a cut, other choices are at this place.
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

/// True once in `one_in` times; never when the choices have run out, so that the plain value remains.
#[cfg(feature = "arbitrary")]
pub fn rarely(u: &mut Unstructured<'_>, one_in: u8) -> Chosen<bool> {
    let last = one_in.saturating_sub(1);
    Ok(u.int_in_range(0..=last)? == last)
}

/// A value at `plain` or at one of `bounds`, or one less or one more than it; or any value. `bounds` are those that a reader has to check.
#[cfg(feature = "arbitrary")]
pub fn near(u: &mut Unstructured<'_>, plain: u32, bounds: &[u32]) -> Chosen<u32> {
    let anchor = match u.int_in_range(0..=3)? {
        0 => plain,
        1 | 2 if !bounds.is_empty() => *u.choose(bounds)?,
        _ => return u.arbitrary(),
    };
    Ok(anchor.wrapping_add(*u.choose(&[0, 1, u32::MAX])?))
}

/// At most `most` bytes, usually none.
#[cfg(feature = "arbitrary")]
pub fn few_bytes(u: &mut Unstructured<'_>, most: usize) -> Chosen<Vec<u8>> {
    let len = if rarely(u, 4)? { u.int_in_range(0..=most)? } else { 0 };
    (0..len).map(|_| u.arbitrary()).collect()
}
