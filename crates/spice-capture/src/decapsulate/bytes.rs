//! A packet's bytes behind the headers that were read.

use super::Stop;

/// What was captured of a packet from some header on, and how much there was on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    data: &'a [u8],
    /// At least `data.len()`.
    wire: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(data: &'a [u8], wire: usize) -> Self {
        Self { data, wire: wire.max(data.len()) }
    }

    /// The captured bytes.
    pub(super) fn data(&self) -> &'a [u8] {
        self.data
    }

    /// How many bytes there were on the wire.
    pub(super) fn wire(&self) -> usize {
        self.wire
    }

    /// The first `N` bytes.
    pub(super) fn header<const N: usize>(&self) -> Result<&'a [u8; N], Stop> {
        self.data.first_chunk().ok_or_else(|| self.short(N))
    }

    /// The byte at an offset.
    pub(super) fn byte(&self, at: usize) -> Result<u8, Stop> {
        self.data.get(at).copied().ok_or_else(|| self.short(at + 1))
    }

    /// A big-endian number of 16 bits at an offset.
    pub(super) fn be16(&self, at: usize) -> Result<u16, Stop> {
        let bytes = self.data.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().map(u16::from_be_bytes).ok_or_else(|| self.short(at + 2))
    }

    /// A little-endian number of 16 bits at an offset.
    pub(super) fn le16(&self, at: usize) -> Result<u16, Stop> {
        self.be16(at).map(u16::swap_bytes)
    }

    /// A little-endian number of 32 bits at an offset.
    pub(super) fn le32(&self, at: usize) -> Result<u32, Stop> {
        let bytes = self.data.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().map(u32::from_le_bytes).ok_or_else(|| self.short(at + 4))
    }

    /// What follows the first `n` bytes.
    pub(super) fn after(&self, n: usize) -> Result<Self, Stop> {
        let data = self.data.get(n..).ok_or_else(|| self.short(n))?;
        Ok(Self { data, wire: self.wire - n })
    }

    /// The first `n` bytes; all of them where there are fewer.
    pub(super) fn first(&self, n: usize) -> Self {
        let wire = self.wire.min(n);
        Self { data: &self.data[..self.data.len().min(wire)], wire }
    }

    /// Whether the packet ended too early on the wire, or the capture cut it.
    fn short(&self, needed: usize) -> Stop {
        if self.wire >= needed { Stop::Truncated } else { Stop::Malformed }
    }
}
