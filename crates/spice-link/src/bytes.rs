//! Little-endian reads at places that the caller has already checked.

/// The first `N` bytes, if there are that many.
#[inline]
pub(crate) fn head<const N: usize>(input: &[u8]) -> Option<&[u8; N]> {
    input.first_chunk()
}

/// The u32 at `at`; 0 past the end.
#[inline]
pub(crate) fn u32_le(input: &[u8], at: usize) -> u32 {
    match input.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => 0,
    }
}
