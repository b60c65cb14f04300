//! Bytes that came early.

use spice_events::Timestamp;
use std::collections::VecDeque;

/// A segment's worth.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) seq: u32,
    /// When its packet was captured.
    pub(super) at: Timestamp,
    pub(super) data: Box<[u8]>,
    /// Bytes that follow and were not captured.
    pub(super) missing: u32,
}

/// The early bytes of one direction, by sequence number. They may overlap: what is passed on first counts.
#[derive(Debug, Default)]
pub(super) struct Pending {
    chunks: VecDeque<Chunk>,
    /// What [`Chunk::cost`] says of all.
    pub(super) cost: usize,
}

impl Chunk {
    fn end(&self) -> u32 {
        self.seq.wrapping_add(length(&self.data, self.missing))
    }

    /// Memory: the bytes and what surrounds them.
    pub(super) fn cost(&self) -> usize {
        self.data.len() + size_of::<Self>()
    }
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Puts a segment in its place, unless another one has all of its bytes. Returns what it costs.
    pub(super) fn insert(&mut self, seq: u32, at: Timestamp, data: &[u8], missing: u32) -> usize {
        let end = seq.wrapping_add(length(data, missing));
        let mut place = self.chunks.len();
        while place > 0 && distance(self.chunks[place - 1].seq, seq) < 0 {
            place -= 1;
        }
        let covers = |c: &Chunk| distance(c.seq, seq) >= 0 && distance(end, c.end()) >= 0;
        if self.chunks.range(..place).rev().take(8).any(covers) {
            return 0;
        }
        let chunk = Chunk { seq, at, data: data.into(), missing };
        let cost = chunk.cost();
        self.cost += cost;
        self.chunks.insert(place, chunk);
        cost
    }

    /// The lowest sequence number and when it was seen.
    pub(super) fn first(&self) -> Option<(u32, Timestamp)> {
        self.chunks.front().map(|c| (c.seq, c.at))
    }

    /// The first `most` bytes, up to the first hole.
    pub(super) fn first_bytes(&self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut next = self.chunks.front().map_or(0, |c| c.seq);
        for chunk in &self.chunks {
            let old = distance(chunk.seq, next);
            let Some(new) = usize::try_from(old).ok().and_then(|old| chunk.data.get(old..)) else { break };
            bytes.extend_from_slice(&new[..new.len().min(most - bytes.len())]);
            if chunk.missing > 0 || bytes.len() >= most {
                break;
            }
            next = chunk.end();
        }
        bytes
    }

    /// The highest end of a chunk.
    pub(super) fn end(&self) -> Option<u32> {
        let first = self.chunks.front()?.seq;
        self.chunks.iter().map(Chunk::end).max_by_key(|&end| distance(first, end))
    }

    /// Takes the first chunk if it begins at `next` or before.
    pub(super) fn pop(&mut self, next: u32) -> Option<Chunk> {
        if distance(self.chunks.front()?.seq, next) < 0 {
            return None;
        }
        let chunk = self.chunks.pop_front()?;
        self.cost -= chunk.cost();
        Some(chunk)
    }
}

/// How far `b` is ahead of `a`, modulo 2^32.
pub(super) fn distance(a: u32, b: u32) -> i32 {
    b.wrapping_sub(a).cast_signed()
}

/// A payload's length. Packets are shorter than 2^21 bytes (`MAX_CAPTURED`, `MAX_PACKET`).
pub(super) fn length(data: &[u8], missing: u32) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX).saturating_add(missing)
}
