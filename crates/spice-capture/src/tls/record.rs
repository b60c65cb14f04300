//! Records of one direction: type 1 byte, version 2, length 2, body.

use super::Unreadable;
use spice_events::{Side, Timestamp};
use std::{collections::VecDeque, ops::Range};

/// The longest body of a record, in bytes: 2^14 of plaintext and 2048 of overhead in TLS 1.2 (RFC 5246 §6.2.3); less in TLS 1.3.
pub const MAX_RECORD: usize = (1 << 14) + 2048;
/// Bytes of one direction that wait for the rest of their record, for the other direction or for secrets.
pub const MAX_HELD: usize = 64 << 10;

/// type 1 + version 2 + length 2
pub(super) const HEADER: usize = 5;
/// Pieces whose times are kept apart.
const MAX_MARKS: usize = 256;

/// A record's type: RFC 8446 §5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content(pub(super) u8);

impl Content {
    pub(super) const CHANGE_CIPHER_SPEC: Self = Self(20);
    pub(super) const ALERT: Self = Self(21);
    pub(super) const HANDSHAKE: Self = Self(22);
    pub(super) const APPLICATION_DATA: Self = Self(23);
    /// Heartbeat, RFC 6520.
    const HEARTBEAT: Self = Self(24);
}

/// A whole record at the front of [`Records`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) content: Content,
    pub(super) header: [u8; HEADER],
    pub(super) len: usize,
    /// When its last byte came.
    pub(super) at: Timestamp,
}

/// The unread bytes of one direction, and when they came.
#[derive(Debug)]
pub(super) struct Records {
    side: Side,
    unread: Vec<u8>,
    /// Bytes at the front of `unread` that were read.
    read: usize,
    /// For each piece, the number of bytes of the direction up to its end, and when it came.
    marks: VecDeque<(u64, Timestamp)>,
    /// Bytes of the direction that were read.
    offset: u64,
}

impl Records {
    pub(super) fn new(side: Side) -> Self {
        Self { side, unread: Vec::new(), read: 0, marks: VecDeque::new(), offset: 0 }
    }

    /// Bytes that are held.
    pub(super) fn len(&self) -> usize {
        self.unread.len() - self.read
    }

    pub(super) fn push(&mut self, at: Timestamp, data: &[u8]) {
        self.unread.drain(..std::mem::take(&mut self.read));
        self.unread.extend_from_slice(data);
        let end = self.offset + self.unread.len() as u64;
        let full = self.marks.len() >= MAX_MARKS;
        match self.marks.back_mut() {
            Some(last) if full || last.1 == at => *last = (end, at),
            _ => self.marks.push_back((end, at)),
        }
    }

    /// The record at the front, once its last byte is there. An error has the time of the byte that shows it.
    pub(super) fn front(&self) -> Result<Option<Head>, (Timestamp, Unreadable)> {
        let unread = self.unread.get(self.read..).unwrap_or_default();
        let mut seen = [0; HEADER];
        seen.iter_mut().zip(unread).for_each(|(to, from)| *to = *from);
        // A wrong start tells before the header is whole.
        let known = Content::CHANGE_CIPHER_SPEC.0..=Content::HEARTBEAT.0;
        let fits = [known.contains(&seen[0]), seen[1] == 3, seen[2] <= 4];
        if let Some(wrong) = unread.iter().zip(fits).position(|(_, fits)| !fits) {
            return Err((self.time_of(wrong), Unreadable::NotTls { from: self.side, seen }));
        }
        let Some(header) = unread.first_chunk::<HEADER>() else { return Ok(None) };
        let claimed = u16::from_be_bytes([header[3], header[4]]);
        let len = usize::from(claimed);
        if len > MAX_RECORD {
            return Err((self.time_of(HEADER - 1), Unreadable::RecordLength { from: self.side, len: claimed }));
        }
        if unread.len() < HEADER + len {
            return Ok(None);
        }
        let at = self.time_of(HEADER + len - 1);
        Ok(Some(Head { content: Content(header[0]), header: *header, len, at }))
    }

    /// When an unread byte came.
    fn time_of(&self, index: usize) -> Timestamp {
        let place = self.offset + index as u64;
        let at = self.marks.iter().find(|(mark, _)| *mark > place).or(self.marks.back()).map(|(_, at)| *at);
        at.unwrap_or(Timestamp { seconds: 0, microseconds: 0 })
    }

    /// Takes the record that [`front`](Self::front) showed. Returns its body, and where that is for [`get`](Self::get).
    pub(super) fn take(&mut self, head: &Head) -> (&mut [u8], usize) {
        let start = self.read + HEADER;
        self.read = start + head.len;
        self.offset += (HEADER + head.len) as u64;
        while self.marks.front().is_some_and(|(mark, _)| *mark <= self.offset) {
            self.marks.pop_front();
        }
        (&mut self.unread[start..start + head.len], start)
    }

    /// Bytes of a record that was taken; they stay until the next [`push`](Self::push).
    pub(super) fn get(&self, range: Range<usize>) -> &[u8] {
        self.unread.get(range).unwrap_or_default()
    }

    /// Nothing more is read: gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.side);
    }
}
