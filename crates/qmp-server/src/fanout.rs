//! One stream of event lines for many readers: written once, shared by all, bounded.
//!
//! Lines are joined into chunks as they are published; a chunk is sealed when a reader takes it, or when it is large.
//! Readers hold a place between chunks, so that a burst of events costs a reader that was away a few chunks rather than
//! thousands of lines, and the memory of one log serves them all. A chunk goes when its last reader has taken it.
//! A reader that falls further behind than the log may be long loses its place, and learns so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{Bytes, BytesMut};

/// A chunk that has grown to this is sealed.
const CHUNK: usize = 64 * 1024;

/// The log, and who reads it. Clones are the same log.
#[derive(Clone, Debug)]
pub(crate) struct Fanout {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    max_bytes: usize,
    chunks: VecDeque<Chunk>,
    /// The number of `chunks[0]`, counted from the beginning of time.
    first: u64,
    /// Lines that were published since the last chunk was sealed.
    open: BytesMut,
    /// Bytes in `chunks`.
    sealed: usize,
    readers: HashMap<u64, Place>,
    next_reader: u64,
    /// Readers that have taken everything and wait for more.
    idle: Vec<u64>,
}

#[derive(Debug)]
struct Chunk {
    lines: Bytes,
    /// Readers that haven't taken it.
    readers: usize,
}

#[derive(Debug)]
struct Place {
    /// The number of the chunk to be taken next.
    next: u64,
    waker: Option<Waker>,
    idle: bool,
}

/// The reader was too slow: lines that it hadn't taken are gone.
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

    /// Appends a line, `\r\n` added, and wakes the readers that wait for one. Without readers there is nothing to do.
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

    /// A reader of what is published from now on.
    pub(crate) fn subscribe(&self) -> Reader {
        let mut inner = self.lock();
        inner.seal();
        let number = inner.next_reader;
        inner.next_reader += 1;
        let place = Place { next: inner.end(), waker: None, idle: false };
        inner.readers.insert(number, place);
        Reader { fanout: self.clone(), number }
    }

    /// Bytes that are kept.
    #[cfg(test)]
    fn kept(&self) -> usize {
        let inner = self.lock();
        inner.sealed + inner.open.len()
    }

    /// Nothing panics while it holds the lock, so what a panic elsewhere leaves is whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Hands over chunks until `budget` bytes are reached, and remembers whom to wake: for the next line if nothing is left,
    /// and in any case when the place is lost. True if everything that was published has been taken.
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

impl Drop for Reader {
    fn drop(&mut self) {
        let mut inner = self.fanout.lock();
        inner.forget(self.number);
        inner.drop_taken();
    }
}

impl Inner {
    /// The number of the chunk that will be sealed next.
    fn end(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    fn chunk(&mut self, number: u64) -> Option<&mut Chunk> {
        let at = number.checked_sub(self.first)?;
        self.chunks.get_mut(usize::try_from(at).ok()?)
    }

    /// Every reader is at the new chunk or before it, so all of them are to take it.
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

    /// Shortens a log that is too long. Readers that lose their place by it are forgotten, and are to be woken.
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

    /// Takes a reader off the chunks that were still to come to it.
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
    fn everyone_gets_what_came_since_they_subscribed() {
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
    fn a_log_without_readers_keeps_nothing() {
        let fanout = Fanout::new(1000);
        let a = fanout.subscribe();
        fanout.publish(b"1");
        assert_eq!(fanout.kept(), 3);
        drop(a);
        let _b = fanout.subscribe();
        assert_eq!(fanout.kept(), 0);
    }

    #[test]
    fn who_falls_behind_loses_the_place_and_nobody_else_does() {
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
    fn the_place_is_kept_through_a_budget() {
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
    fn a_line_that_is_longer_than_the_log_loses_everyone() {
        let fanout = Fanout::new(4);
        let mut a = fanout.subscribe();
        fanout.publish(b"12345");
        assert_eq!(take(&mut a, 100), Err(FellBehind));
        assert_eq!(fanout.kept(), 0);
    }
}
