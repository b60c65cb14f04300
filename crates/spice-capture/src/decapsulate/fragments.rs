//! Puts fragments of IP packets together.

use super::Bytes;
use crate::packet::Addresses;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// How long a packet waits for its fragments, in packet time. Shorter than [`tcp::PATIENCE`](crate::tcp::PATIENCE), so that what is there of an
/// incomplete packet is not lost for TCP. A filter for ports keeps only the first fragment of each packet.
pub const FRAGMENT_PATIENCE: Duration = Duration::from_millis(500);
/// Packets that wait for fragments at once. The oldest is given up for another.
pub const MAX_FRAGMENTED: usize = 1024;
/// Fragments of one packet: those of 64 KiB with the smallest MTU of IPv6 are 54, those with IPv4's 68 bytes are 1366.
pub const MAX_FRAGMENTS: usize = 1366;
/// Bytes of fragments that are kept in all.
pub const MAX_FRAGMENT_BYTES: usize = 16 << 20;
/// The longest packet that fragments can make.
const MAX_LENGTH: usize = 65_535;

/// A piece of an IP packet's payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) addresses: Addresses,
    pub(super) protocol: u8,
    pub(super) id: u32,
    /// Of the piece in the payload, in bytes.
    pub(super) offset: usize,
    /// Another piece follows.
    pub(super) more: bool,
    pub(super) bytes: Bytes<'a>,
}

/// A payload that was put together, or as much of its start as there is.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) addresses: Addresses,
    pub(super) protocol: u8,
    pub(super) data: Vec<u8>,
    /// The payload's length on the wire, as far as it is known.
    pub(super) wire: usize,
    /// How many fragments it came in, if some are missing.
    pub(super) incomplete: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    addresses: Addresses,
    protocol: u8,
    id: u32,
}

/// A packet that waits.
#[derive(Debug)]
struct Waiting {
    /// When its first fragment came, in microseconds of packet time.
    since: u64,
    /// Counts packets, so that a key that is used again is told from its predecessor.
    number: u64,
    /// Offset, bytes and length on the wire of each.
    pieces: Vec<(usize, Box<[u8]>, usize)>,
    /// The payload's length, once the last fragment is there.
    length: Option<usize>,
}

/// Packets of which some fragments are there.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: HashMap<Key, Waiting>,
    /// In the order in which they came.
    order: VecDeque<(Key, u64)>,
    kept: usize,
    numbered: u64,
}

impl Fragments {
    /// Takes a piece at this time. Returns the payload if it is complete.
    pub(super) fn insert(&mut self, now: u64, fragment: &Fragment<'_>) -> Option<Whole> {
        let Fragment { addresses, protocol, id, offset, more, bytes } = *fragment;
        let end = offset + bytes.wire();
        if bytes.wire() == 0 || end > MAX_LENGTH {
            return None;
        }
        let key = Key { addresses, protocol, id };
        let waiting = self.waiting.entry(key).or_insert_with(|| {
            self.numbered += 1;
            self.order.push_back((key, self.numbered));
            Waiting { since: now, number: self.numbered, pieces: Vec::new(), length: None }
        });
        if waiting.pieces.len() < MAX_FRAGMENTS
            && !waiting.pieces.iter().any(|(at, _, wire)| (*at, *wire) == (offset, bytes.wire()))
        {
            waiting.pieces.push((offset, bytes.data().into(), bytes.wire()));
            self.kept += cost(bytes.data());
        }
        if !more {
            waiting.length.get_or_insert(end);
        }
        if waiting.is_complete() {
            return self.take(key);
        }
        None
    }

    /// A packet that has waited long enough, or that has to go for others.
    pub(super) fn expired(&mut self, now: u64) -> Option<Whole> {
        let patience = FRAGMENT_PATIENCE.as_secs() * 1_000_000 + u64::from(FRAGMENT_PATIENCE.subsec_micros());
        loop {
            let &(key, number) = self.order.front()?;
            let waiting = self.waiting.get(&key).filter(|waiting| waiting.number == number);
            let Some(waiting) = waiting else {
                self.order.pop_front();
                continue;
            };
            let full = self.waiting.len() > MAX_FRAGMENTED || self.kept > MAX_FRAGMENT_BYTES;
            if !full && now < waiting.since + patience {
                return None;
            }
            self.order.pop_front();
            return self.take(key);
        }
    }

    /// Whether no packet waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take(&mut self, key: Key) -> Option<Whole> {
        let waiting = self.waiting.remove(&key)?;
        self.kept -= waiting.pieces.iter().map(|(_, data, _)| cost(data)).sum::<usize>();
        let count = waiting.pieces.len();
        let incomplete = (!waiting.is_complete()).then_some(count);
        let Key { addresses, protocol, .. } = key;
        let (data, wire) = waiting.join();
        Some(Whole { addresses, protocol, data, wire, incomplete })
    }
}

impl Waiting {
    /// Every byte up to the last was on the wire in some fragment, whether or not it was captured.
    fn is_complete(&self) -> bool {
        self.length.is_some_and(|length| self.reach(|_, wire| wire) >= length)
    }

    /// How far the pieces reach without a hole.
    fn reach(&self, length: impl Fn(&[u8], usize) -> usize) -> usize {
        let mut pieces: Vec<_> = self.pieces.iter().map(|(at, data, wire)| (*at, at + length(data, *wire))).collect();
        pieces.sort_unstable();
        pieces.into_iter().fold(0, |reach, (at, end)| if at <= reach { reach.max(end) } else { reach })
    }

    /// The captured bytes up to the first hole, and the length on the wire. Of two pieces that overlap, the one that came first counts.
    fn join(self) -> (Vec<u8>, usize) {
        let mut data = vec![0; self.reach(|data, _| data.len())];
        let mut wire = self.length.unwrap_or(0);
        for (at, piece, length) in self.pieces.iter().rev() {
            if let Some(place) = data.get_mut(*at..) {
                let n = place.len().min(piece.len());
                place[..n].copy_from_slice(&piece[..n]);
            }
            wire = wire.max(at + length);
        }
        (data, wire)
    }
}

/// Memory of a piece.
fn cost(data: &[u8]) -> usize {
    data.len() + size_of::<(usize, Box<[u8]>, usize)>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: Addresses = Addresses::V4 { from: [1; 4], to: [2; 4] };

    /// Puts pieces of `bytes` in, each as (start, end, captured), and returns what comes out.
    fn join(bytes: &[u8], pieces: &[(usize, usize, usize)]) -> Vec<(Vec<u8>, usize, bool)> {
        let mut fragments = Fragments::default();
        let mut joined: Vec<_> = pieces
            .iter()
            .filter_map(|&(start, end, captured)| {
                let (more, bytes) = (end < bytes.len(), Bytes::new(&bytes[start..start + captured], end - start));
                fragments.insert(0, &Fragment { addresses: ADDRESSES, protocol: 6, id: 7, offset: start, more, bytes })
            })
            .collect();
        joined.extend(fragments.expired(u64::MAX));
        assert!(fragments.is_empty() && fragments.kept == 0);
        joined.into_iter().map(|whole| (whole.data, whole.wire, whole.incomplete.is_none())).collect()
    }

    #[test]
    fn fragments_in_any_order_make_the_packet() {
        let bytes: Vec<u8> = (0..40).collect();
        for pieces in [[(0, 16, 16), (16, 32, 16), (32, 40, 8)], [(32, 40, 8), (16, 32, 16), (0, 16, 16)]] {
            assert_eq!(join(&bytes, &pieces), [(bytes.clone(), 40, true)]);
        }
        assert_eq!(join(&bytes, &[(0, 24, 24), (0, 24, 24), (16, 40, 24)]), [(bytes.clone(), 40, true)]);
    }

    #[test]
    fn bytes_behind_a_hole_are_not_used() {
        let bytes: Vec<u8> = (0..40).collect();
        assert_eq!(join(&bytes, &[(0, 16, 10), (16, 40, 24)]), [(bytes[..10].to_vec(), 40, true)]);
        assert_eq!(join(&bytes, &[(0, 16, 16), (32, 40, 8)]), [(bytes[..16].to_vec(), 40, false)]);
        assert_eq!(join(&bytes, &[(16, 32, 16)]), [(vec![], 32, false)]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut fragments = Fragments::default();
        let data = vec![0; 60_000];
        for id in 0..4000 {
            let bytes = Bytes::new(&data, data.len());
            let fragment = Fragment { addresses: ADDRESSES, protocol: 6, id, offset: 0, more: true, bytes };
            assert!(fragments.insert(0, &fragment).is_none());
            while fragments.expired(0).is_some() {}
            assert!(fragments.kept <= MAX_FRAGMENT_BYTES && fragments.waiting.len() <= MAX_FRAGMENTED);
            assert!(fragments.order.len() <= MAX_FRAGMENTED);
        }
    }
}
