//! What waits to be sent: written replies, and shared pieces between them.

use std::collections::VecDeque;

use bytes::Bytes;

/// Pieces smaller than this are copied behind each other, larger ones are passed on as they are.
const SHARED: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Bytes>,
    /// What was written since the last piece.
    tail: Vec<u8>,
    /// Bytes in `pieces`.
    queued: usize,
}

impl Output {
    /// Where to write what comes next.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        self.cut();
        self.queued += bytes.len();
        self.pieces.push_back(bytes);
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        if self.pieces.is_empty() {
            self.cut();
        }
        let bytes = self.pieces.pop_front()?;
        self.queued -= bytes.len();
        Some(bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.queued + self.tail.len()
    }

    fn cut(&mut self) {
        if !self.tail.is_empty() {
            self.queued += self.tail.len();
            self.pieces.push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }
}
