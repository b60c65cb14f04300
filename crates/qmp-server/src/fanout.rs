//! One bounded log of event lines, which all readers share.
//!
//! Published lines are joined into chunks. A chunk is sealed when a reader takes it, or when it is large. Each reader has a place
//! between chunks, so that after a burst a slow reader takes a few chunks instead of thousands of lines. A chunk is dropped when
//! its last reader has taken it. A reader that falls further behind than the maximum length of the log loses its place and gets an
//! error.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{Bytes, BytesMut};

use crate::EventSource;

/// Bytes at which a chunk is sealed.
const CHUNK: usize = 64 * 1024;

/// The log and its readers. Clones share one log.
#[derive(Clone, Debug)]
pub(crate) struct Fanout {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    max_bytes: usize,
    chunks: VecDeque<Chunk>,
    /// The number of `chunks[0]`. Chunks are numbered in the order in which they were sealed.
    first: u64,
    /// Lines published since the last chunk was sealed.
    open: BytesMut,
    /// Bytes in `chunks`.
    sealed: usize,
    readers: HashMap<u64, Place>,
    next_reader: u64,
    /// Readers that have taken everything and wait for the next line.
    idle: Vec<u64>,
}

#[derive(Debug)]
struct Chunk {
    lines: Bytes,
    /// The number of readers that have not taken it.
    readers: usize,
}

#[derive(Debug)]
struct Place {
    /// The number of the next chunk to take.
    next: u64,
    waker: Option<Waker>,
    idle: bool,
}

/// The reader was too slow: lines that it had not taken were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FellBehind;

/// A place in the log.
#[derive(Debug)]
pub(crate) struct Reader {
    fanout: Fanout,
    number: u64,
}

impl Fanout {
    pub(crate) fn new(max_bytes: usize) -> Self {
        let inner = Inner {
            max_bytes,
            chunks: VecDeque::new(),
            first: 0,
            open: BytesMut::new(),
            sealed: 0,
            readers: HashMap::new(),
            next_reader: 0,
            idle: Vec::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Appends a line and `\r\n`, and wakes the readers that wait. Without readers the line is dropped.
    pub(crate) fn publish(&self, line: &[u8]) {
        let mut inner = self.lock();
        if inner.readers.is_empty() {
            return;
        }
        inner.open.reserve(line.len() + 2);
        inner.open.extend_from_slice(line);
        inner.open.extend_from_slice(b"\r\n");
        if inner.open.len() >= CHUNK {
            inner.seal();
        }
        let mut wakers = inner.trim();
        for reader in std::mem::take(&mut inner.idle) {
            if let Some(place) = inner.readers.get_mut(&reader) {
                place.idle = false;
                wakers.extend(place.waker.take());
            }
        }
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Adds a reader of the lines that are published from now on.
    pub(crate) fn subscribe(&self) -> Reader {
        let mut inner = self.lock();
        inner.seal();
        let number = inner.next_reader;
        inner.next_reader += 1;
        let place = Place { next: inner.end(), waker: None, idle: false };
        inner.readers.insert(number, place);
        Reader { fanout: self.clone(), number }
    }

    /// The number of bytes kept.
    #[cfg(test)]
    fn kept(&self) -> usize {
        let inner = self.lock();
        inner.sealed + inner.open.len()
    }

    /// No code panics while it holds the lock, so a poisoned log is intact.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Takes chunks until `budget` bytes are reached. `true`: everything that is published has been taken. The task is woken for
    /// the next line after everything has been taken, and when the place is lost.
    pub(crate) fn take(
        &mut self,
        budget: usize,
        waker: &Waker,
        mut sink: impl FnMut(Bytes),
    ) -> Result<bool, FellBehind> {
        let mut inner = self.fanout.lock();
        let inner = &mut *inner;
        let Some(place) = inner.readers.get(&self.number) else { return Err(FellBehind) };
        let mut next = place.next;
        let mut taken = 0;
        while taken < budget {
            if next == inner.end() {
                inner.seal();
            }
            let Some(chunk) = inner.chunk(next) else { break };
            chunk.readers -= 1;
            taken += chunk.lines.len();
            sink(chunk.lines.clone());
            next += 1;
        }
        inner.drop_taken();
        let done = next == inner.end() && inner.open.is_empty();
        let Some(place) = inner.readers.get_mut(&self.number) else { return Err(FellBehind) };
        place.next = next;
        if !place.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            place.waker = Some(waker.clone());
        }
        if done && !place.idle {
            place.idle = true;
            inner.idle.push(self.number);
        }
        Ok(done)
    }
}

impl EventSource for Reader {
    /// After the place is lost, there are no more lines; [`take`](Reader::take) reports the loss.
    fn next_lines(&mut self) -> Option<Bytes> {
        let mut inner = self.fanout.lock();
        let inner = &mut *inner;
        let next = inner.readers.get(&self.number)?.next;
        if next == inner.end() {
            inner.seal();
        }
        let chunk = inner.chunk(next)?;
        chunk.readers -= 1;
        let lines = chunk.lines.clone();
        inner.readers.get_mut(&self.number)?.next += 1;
        inner.drop_taken();
        Some(lines)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut inner = self.fanout.lock();
        inner.forget(self.number);
        inner.drop_taken();
    }
}

impl Inner {
    /// The number that the next sealed chunk gets.
    fn end(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    fn chunk(&mut self, number: u64) -> Option<&mut Chunk> {
        let at = number.checked_sub(self.first)?;
        self.chunks.get_mut(usize::try_from(at).ok()?)
    }

    /// Every reader is at the new chunk or before it, so all of them will take it.
    fn seal(&mut self) {
        if !self.open.is_empty() {
            let lines = self.open.split().freeze();
            self.sealed += lines.len();
            self.chunks.push_back(Chunk { lines, readers: self.readers.len() });
        }
    }

    fn drop_taken(&mut self) {
        while self.chunks.front().is_some_and(|chunk| chunk.readers == 0) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.sealed -= chunk.lines.len();
            self.first += 1;
        }
    }

    /// Shortens a log that is too long. Returns the wakers of readers that lose their place; they are removed.
    fn trim(&mut self) -> Vec<Waker> {
        if self.sealed + self.open.len() <= self.max_bytes {
            return Vec::new();
        }
        self.seal();
        while self.sealed > self.max_bytes {
            self.drop_oldest();
        }
        let first = self.first;
        let lost: Vec<u64> =
            self.readers.iter().filter(|(_, place)| place.next < first).map(|(number, _)| *number).collect();
        let wakers = lost.into_iter().filter_map(|number| self.forget(number)).collect();
        self.drop_taken();
        wakers
    }

    /// Removes a reader, also from the chunks that it has not taken.
    fn forget(&mut self, reader: u64) -> Option<Waker> {
        let place = self.readers.remove(&reader)?;
        let from = usize::try_from(place.next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for chunk in self.chunks.iter_mut().skip(from) {
            chunk.readers -= 1;
        }
        if self.readers.is_empty() {
            self.open.clear();
        }
        if place.idle {
            self.idle.retain(|number| *number != reader);
        }
        place.waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(reader: &mut Reader, budget: usize) -> Result<String, FellBehind> {
        let mut text = Vec::new();
        reader.take(budget, Waker::noop(), |lines| text.extend_from_slice(&lines))?;
        Ok(String::from_utf8(text).unwrap().replace("\r\n", " "))
    }

    #[test]
    fn readers_get_the_lines_since_they_subscribed() {
        let fanout = Fanout::new(1000);
        fanout.publish(b"0");
        let mut a = fanout.subscribe();
        fanout.publish(b"1");
        let mut b = fanout.subscribe();
        fanout.publish(b"2");
        fanout.publish(b"3");
        assert_eq!(take(&mut a, 100), Ok("1 2 3 ".to_owned()));
        fanout.publish(b"4");
        assert_eq!(take(&mut b, 100), Ok("2 3 4 ".to_owned()));
        assert_eq!(take(&mut b, 100), Ok(String::new()));
        assert_eq!(take(&mut a, 100), Ok("4 ".to_owned()));
        assert_eq!(fanout.kept(), 0, "what all have taken is kept no longer");
    }

    #[test]
    fn log_without_readers_keeps_nothing() {
        let fanout = Fanout::new(1000);
        let a = fanout.subscribe();
        fanout.publish(b"1");
        assert_eq!(fanout.kept(), 3);
        drop(a);
        let _b = fanout.subscribe();
        assert_eq!(fanout.kept(), 0);
    }

    #[test]
    fn slow_reader_loses_its_place_and_others_do_not() {
        let fanout = Fanout::new(20);
        let (mut slow, mut quick) = (fanout.subscribe(), fanout.subscribe());
        for i in 10..100 {
            fanout.publish(i.to_string().as_bytes());
            assert_eq!(take(&mut quick, 100), Ok(format!("{i} ")));
            assert!(fanout.kept() <= 20);
        }
        assert_eq!(take(&mut slow, 100), Err(FellBehind));
        assert_eq!(take(&mut slow, 100), Err(FellBehind));
        assert_eq!(fanout.kept(), 0, "nothing is kept for the one that is lost");
    }

    #[test]
    fn budget_does_not_change_the_place() {
        let fanout = Fanout::new(1000);
        let (mut a, mut b) = (fanout.subscribe(), fanout.subscribe());
        for i in 0..3 {
            fanout.publish(i.to_string().as_bytes());
            assert_eq!(take(&mut b, 100), Ok(format!("{i} ")), "seals a chunk");
        }
        assert_eq!(take(&mut a, 0), Ok(String::new()));
        assert_eq!(take(&mut a, 1), Ok("0 ".to_owned()));
        assert_eq!(take(&mut a, 4), Ok("1 2 ".to_owned()));
        assert_eq!(fanout.kept(), 0);
    }

    #[test]
    fn line_longer_than_the_log_loses_every_reader() {
        let fanout = Fanout::new(4);
        let mut a = fanout.subscribe();
        fanout.publish(b"12345");
        assert_eq!(take(&mut a, 100), Err(FellBehind));
        assert_eq!(fanout.kept(), 0);
    }
}
