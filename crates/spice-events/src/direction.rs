//! One direction of a connection in its link stage: removes WebSocket, and holds the bytes that can't be read yet.

use bytes::{Buf, BytesMut};
use spice_link::{
    FirstBytes, MAGIC, Side,
    websocket::{self, Deframer},
};

/// The unread SPICE bytes of one direction.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Direction {
    carrier: Carrier,
    /// SPICE bytes that have not been read. Until the carrier is known, the bytes of its head.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::bytes"))]
    unread: BytesMut,
    /// How many bytes after `unread` were lost or not kept. After the first of them, nothing more is kept.
    missing: u64,
    /// How many SPICE bytes came before `unread`.
    pub(crate) offset: u64,
    /// How many unread bytes the next read needs.
    need: usize,
    /// The next read waits for the other direction.
    blocked: bool,
}

/// What carries the SPICE bytes.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Carrier {
    /// Not yet known: the first four bytes decide.
    Unknown,
    /// None: the stream consists of the SPICE bytes.
    Plain,
    /// WebSocket, before the end of its head; how many bytes were searched for the end.
    Head { searched: usize },
    /// WebSocket, inside its frames.
    Frames(Deframer),
}

/// The HTTP head of a WebSocket upgrade is not valid.
#[derive(Debug)]
pub(crate) struct BadHead;

impl Direction {
    /// The most bytes that are reserved because a peer announces them: more than the reply of any real server.
    const RESERVED: usize = 512;

    pub(crate) fn new() -> Self {
        Self { carrier: Carrier::Unknown, unread: BytesMut::new(), missing: 0, offset: 0, need: 0, blocked: false }
    }

    /// Takes new bytes. Returns them if they can be read without a copy, because nothing is held before them and no carrier is around
    /// them. The caller passes the bytes that it does not read to [`hold`](Self::hold).
    pub(crate) fn take<'a>(&mut self, side: Side, data: &'a [u8], limit: usize) -> Result<&'a [u8], BadHead> {
        if matches!(self.carrier, Carrier::Unknown) {
            match self.recognise(side, data) {
                FirstBytes::WebSocket => self.carrier = Carrier::Head { searched: 0 },
                FirstBytes::Incomplete => {
                    self.hold(data, limit);
                    return Ok(&[]);
                }
                _ => self.carrier = Carrier::Plain,
            }
        }
        match &mut self.carrier {
            Carrier::Plain if self.unread.is_empty() && self.missing == 0 => return Ok(data),
            Carrier::Plain | Carrier::Unknown => self.hold(data, limit),
            Carrier::Frames(deframer) => deframe(deframer, data, &mut self.unread, &mut self.missing, limit),
            Carrier::Head { searched } => {
                // At most the head's limit, and the bytes that came together with its end.
                self.unread.extend_from_slice(data);
                let Some(end) = websocket::head_end(&self.unread, *searched) else {
                    *searched = self.unread.len();
                    return if *searched > websocket::MAX_HEAD { Err(BadHead) } else { Ok(&[]) };
                };
                let head = self.unread.split_to(end);
                if end > websocket::MAX_HEAD || (side == Side::Server && !websocket::is_switching(&head)) {
                    return Err(BadHead);
                }
                let rest = self.unread.split();
                let mut deframer = Deframer::new();
                deframe(&mut deframer, &rest, &mut self.unread, &mut self.missing, limit);
                self.carrier = Carrier::Frames(deframer);
            }
        }
        Ok(&[])
    }

    /// Recognises the direction's carrier by the held bytes and those that follow them.
    fn recognise(&self, side: Side, data: &[u8]) -> FirstBytes {
        if self.unread.is_empty() {
            return spice_link::recognise(side, data);
        }
        let mut start = [0; MAGIC.len()];
        let bytes = self.unread.iter().chain(data);
        let len = start.iter_mut().zip(bytes).map(|(slot, byte)| *slot = *byte).count();
        spice_link::recognise(side, start.get(..len).unwrap_or_default())
    }

    /// Keeps bytes for later, up to the limit, and none after a gap.
    pub(crate) fn hold(&mut self, data: &[u8], limit: usize) {
        if self.unread.is_empty() && !data.is_empty() && !self.is_blocked() {
            // Reserve what the next read needs, so that the buffer does not grow: a message usually comes in pieces.
            self.unread.reserve(self.need.min(Self::RESERVED).min(limit));
        }
        keep(&mut self.unread, &mut self.missing, data, limit);
    }

    /// Notes lost bytes. `Some(len)`: nothing is held before them and no carrier is around them, so the observer decides whether they
    /// can be skipped.
    pub(crate) fn lose(&mut self, len: u64) -> Option<u64> {
        if matches!(self.carrier, Carrier::Unknown) && self.unread.is_empty() {
            // What the lost bytes were does not matter: in WebSocket's frames nothing could be found behind them.
            self.carrier = Carrier::Plain;
        }
        match self.carrier {
            Carrier::Plain if self.unread.is_empty() && self.missing == 0 => Some(len),
            _ => {
                self.missing = self.missing.saturating_add(len);
                None
            }
        }
    }

    /// Whether the carrier is known, and the held bytes are SPICE bytes.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.carrier, Carrier::Plain | Carrier::Frames(_))
    }

    /// Whether bytes behind a gap can be found again: not in frames.
    pub(crate) fn survives_gaps(&self) -> bool {
        matches!(self.carrier, Carrier::Plain)
    }

    /// How many bytes are missing after the unread ones.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// Skips the unread bytes.
    pub(crate) fn skip_unread(&mut self) {
        self.offset = self.offset.saturating_add(self.unread.len() as u64);
        self.unread.clear();
    }

    /// The missing bytes are accounted for: what follows them is kept again.
    pub(crate) fn forget_missing(&mut self) {
        self.missing = 0;
    }

    /// The held bytes.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Takes the held bytes out to read them. Give the rest back with [`put_back`](Self::put_back).
    pub(crate) fn take_unread(&mut self) -> BytesMut {
        std::mem::take(&mut self.unread)
    }

    /// Takes back the bytes of [`take_unread`](Self::take_unread), without the first `consumed`.
    pub(crate) fn put_back(&mut self, mut held: BytesMut, consumed: usize) {
        held.advance(consumed.min(held.len()));
        if !held.is_empty() {
            self.unread = held;
        }
    }

    /// Sets how many unread bytes the next read needs.
    pub(crate) fn set_need(&mut self, need: usize) {
        (self.need, self.blocked) = (need, false);
    }

    /// The next read waits for the other direction. Bytes that come meanwhile are still passed to the observer, which must know that
    /// they are older than the other direction's next ones.
    pub(crate) fn block(&mut self) {
        (self.need, self.blocked) = (1, true);
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether this many unread bytes are enough for the next read.
    pub(crate) fn is_ready(&self, unread: usize) -> bool {
        unread >= self.need
    }

    /// Whether it holds no more than it may. One that another process has sent may hold anything.
    #[cfg(feature = "serde")]
    pub(crate) fn check(&mut self, limit: usize) -> bool {
        match &mut self.carrier {
            Carrier::Head { searched } => {
                *searched = self.unread.len().min(*searched);
                self.unread.len() <= websocket::MAX_HEAD
            }
            _ => self.unread.len() <= limit,
        }
    }

    /// Frees the memory when nothing more is read.
    pub(crate) fn clear(&mut self) {
        self.unread = BytesMut::new();
    }
}

fn keep(unread: &mut BytesMut, missing: &mut u64, data: &[u8], limit: usize) {
    let room = if *missing == 0 { limit.saturating_sub(unread.len()).min(data.len()) } else { 0 };
    let (kept, dropped) = data.split_at(room);
    unread.extend_from_slice(kept);
    *missing = missing.saturating_add(dropped.len() as u64);
}

fn deframe(deframer: &mut Deframer, data: &[u8], unread: &mut BytesMut, missing: &mut u64, limit: usize) {
    deframer.read(data, |run| {
        let room = if *missing == 0 { limit.saturating_sub(unread.len()).min(run.len()) } else { 0 };
        *missing = missing.saturating_add((run.len() - room) as u64);
        unread.extend(run.take(room));
    });
}
