//! One direction of a connection: bytes from one side to the other, then the end of the stream.
//!
//! Bytes are read into a buffer of the thread and written from there at once. The connection keeps only the bytes that the
//! other side did not take, so that an idle connection holds no buffer. If both sides are plain sockets and the observer
//! wants no more bytes, large reads are replaced by splice(2): the kernel moves the bytes through a pipe of the thread.
//!
//! Bytes of the link stage may have a password: SASL's PLAIN sends it as it is. They are wiped from both buffers after use.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use zeroize::Zeroize as _;

use super::{
    coalesce::{Coalesce, SHORT},
    splice::Pipe,
    stream::Stream,
};
use crate::net::Transport;

/// The most that one read takes, in bytes.
const BUFFER_SIZE: usize = 64 * 1024;
/// A read of this many bytes makes splice(2) worth while, and a splice of fewer ends it.
const BULK: usize = 16 * 1024;
/// How many reads one call makes before other connections of the thread run.
const READS: usize = 16;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER_SIZE].into());
}

/// Which side of a direction failed.
#[derive(Debug)]
pub(super) enum Fault {
    Read(io::Error),
    Write(io::Error),
}

/// How far a direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// The reader's end of stream was read. Kept bytes are still to be written, and then the end of stream.
    Ending,
    Over,
}

/// One direction.
#[derive(Debug)]
pub(super) struct HalfDuplex {
    pub(super) state: State,
    /// How many bytes were read.
    pub(super) moved: u64,
    kept: Kept,
    pipe: Option<Pipe>,
    bulk: bool,
    coalesce: Coalesce,
    /// The writer may hold bytes that its socket did not take; TLS does.
    unflushed: bool,
    /// The writer is gone: bytes are read and observed, and not written.
    discard: bool,
}

/// Bytes that the writer did not take at once.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// How many of them were written since.
    sent: usize,
    /// They are of the link stage.
    is_secret: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.is_secret {
            self.bytes.zeroize();
        }
    }
}

impl HalfDuplex {
    pub(super) fn new() -> Self {
        Self {
            state: State::Open,
            moved: 0,
            kept: Kept::default(),
            pipe: None,
            bulk: false,
            coalesce: Coalesce::default(),
            unflushed: false,
            discard: false,
        }
    }

    /// The writer is gone. Bytes are still read and observed.
    pub(super) fn discard(&mut self) {
        self.discard = true;
        (self.kept, self.pipe, self.unflushed) = (Kept::default(), None, false);
    }

    /// Whether the writer has not taken all bytes that were read, so that no more are read.
    pub(super) fn is_blocked(&self) -> bool {
        self.pipe.is_some() || !self.kept.bytes.is_empty()
    }

    /// Forwards all bytes that can be read, and shows them to `observe` afterwards. Ready when the direction is over.
    ///
    /// `answered` is how many bytes the other direction has moved so far. `observe` returns whether it wants more bytes.
    pub(super) fn poll<R: Transport, W: Transport>(
        &mut self,
        from: &mut Stream<R>,
        to: &mut Stream<W>,
        answered: u64,
        observing: &mut bool,
        mut observe: impl FnMut(&[u8]) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        let mut paused = false;
        for _ in 0..READS {
            ready!(self.poll_kept(to, cx)).map_err(Fault::Write)?;
            match self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Ending => {
                    if !self.discard {
                        // Fails if the peer is already gone, which needs no report.
                        let _ = ready!(Pin::new(to).poll_shutdown(cx));
                    }
                    self.state = State::Over;
                    return Poll::Ready(Ok(()));
                }
                State::Open => {}
            }
            let spliced = if self.bulk && !*observing { self.poll_splice(from, to, cx) } else { None };
            let moved = match spliced {
                Some(moved) => ready!(moved)?,
                None => match self.poll_copy(from, to, observing, &mut observe, cx) {
                    Poll::Ready(moved) => moved?,
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Fault::Write)?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                },
            };
            self.moved += moved as u64;
            if moved == 0 {
                self.state = State::Ending;
            } else if moved < SHORT && !paused {
                paused = self.coalesce.after_short_read(answered);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes the bytes that were read before and not taken.
    fn poll_kept<W: Transport>(&mut self, to: &mut Stream<W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let (Some(pipe), Some(to)) = (&mut self.pipe, to.plain_socket()) {
            while pipe.held() > 0 {
                ready!(to.poll_write_ready(cx))?;
                match to.try_io(Interest::WRITABLE, || pipe.drain(to)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    moved => drop(moved?),
                }
            }
            self.pipe = None;
        }
        let Kept { bytes, sent, .. } = &mut self.kept;
        while *sent < bytes.len() {
            *sent += ready!(Pin::new(&mut *to).poll_write(cx, &bytes[*sent..]))?;
        }
        if !bytes.is_empty() {
            self.kept = Kept::default();
        }
        Poll::Ready(Ok(()))
    }

    /// Moves what the reader has into a pipe. `None`: not both sides are plain sockets, or there is no descriptor for a pipe.
    fn poll_splice<R: Transport, W: Transport>(
        &mut self,
        from: &Stream<R>,
        to: &Stream<W>,
        cx: &mut Context<'_>,
    ) -> Option<Poll<Result<usize, Fault>>> {
        let (from, _) = from.plain_socket().zip(to.plain_socket())?;
        let mut pipe = Pipe::take().ok()?;
        loop {
            match from.poll_read_ready(cx) {
                Poll::Pending => return Some(Poll::Pending),
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(Fault::Read(error)))),
                Poll::Ready(Ok(())) => {}
            }
            match from.try_io(Interest::READABLE, || pipe.fill(from)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Some(Poll::Ready(Err(Fault::Read(error)))),
                Ok(moved) => {
                    self.bulk = moved >= BULK;
                    self.pipe = Some(pipe);
                    return Some(Poll::Ready(Ok(moved)));
                }
            }
        }
    }

    /// Makes one read, and writes the bytes that it found.
    fn poll_copy<R: Transport, W: Transport>(
        &mut self,
        from: &mut Stream<R>,
        to: &mut Stream<W>,
        observing: &mut bool,
        observe: &mut impl FnMut(&[u8]) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Fault>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(from).poll_read(cx, &mut read)).map_err(Fault::Read)?;
            let bytes = read.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(0));
            }
            self.bulk = bytes.len() >= BULK && !self.discard;
            self.unflushed = to.plain_socket().is_none() && !self.discard;
            let written = if self.discard {
                Ok(bytes.len())
            } else {
                match Pin::new(&mut *to).poll_write(cx, bytes) {
                    Poll::Ready(written) => written.map_err(Fault::Write),
                    Poll::Pending => Ok(0),
                }
            };
            let is_secret = *observing;
            if is_secret {
                *observing = observe(bytes);
            }
            let len = bytes.len();
            if let Ok(written) = written
                && written < len
            {
                self.kept = Kept { bytes: bytes[written..].to_vec(), sent: 0, is_secret };
            }
            if is_secret {
                buffer[..len].zeroize();
            }
            Poll::Ready(written.map(|_| len))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn bytes_of_the_link_stage_do_not_stay_in_the_buffer() {
        let ((from, mut client), (to, mut server)) = (duplex(100), duplex(100));
        let (mut from, mut to) = (Stream::plain(from), Stream::plain(to));
        let mut half = HalfDuplex::new();
        for (text, observing, stays) in [(b"secret", true, false), (b"public", false, true)] {
            client.write_all(text).await.unwrap();
            let mut is_observing = observing;
            let polled = poll_fn(|cx| {
                Poll::Ready(half.poll(&mut from, &mut to, 0, &mut is_observing, |_| true, cx).is_pending())
            });
            assert!(polled.await);
            let mut seen = [0; 6];
            server.read_exact(&mut seen).await.unwrap();
            assert_eq!(&seen, text);
            let is_there = BUFFER.with_borrow(|buffer| buffer.windows(6).any(|window| window == text));
            assert_eq!(is_there, stays, "{}", text.escape_ascii());
        }
    }
}
