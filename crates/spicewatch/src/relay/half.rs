//! One direction of a connection: bytes from one side to the other, then the end of the stream.
//!
//! Bytes are read into a buffer of the thread and written from it at once; only what the other side does not take is kept
//! by the connection, so that an idle one holds no buffer. Where both sides are bare sockets and nobody looks at the
//! bytes any more, large reads give way to splice(2): the kernel moves them, through a pipe of the thread.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::{
    leg::Leg,
    pace::{Pace, SHORT},
    pipe::Pipe,
};

/// What one read may bring, in bytes.
const SCRATCH: usize = 64 * 1024;
/// A read of so many bytes shows a stream worth splicing, a splice of fewer one that is not.
const BULK: usize = 16 * 1024;
/// Reads before another connection of the thread has its turn.
const TURNS: usize = 16;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// Which side failed.
#[derive(Debug)]
pub(super) enum Fault {
    Read(io::Error),
    Write(io::Error),
}

/// How far a direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// The reader's end of stream was seen; what is kept still has to go, and then the end itself.
    Ending,
    Over,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) stage: Stage,
    /// Bytes that were read, in all.
    pub(super) moved: u64,
    /// What the writer did not take yet, and how much of it went since.
    kept: Vec<u8>,
    sent: usize,
    pipe: Option<Pipe>,
    bulk: bool,
    pace: Pace,
    /// TLS may hold bytes that its socket did not take.
    unflushed: bool,
}

impl Half {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Open,
            moved: 0,
            kept: Vec::new(),
            sent: 0,
            pipe: None,
            bulk: false,
            pace: Pace::default(),
            unflushed: false,
        }
    }

    /// Moves what there is, and shows it to `observe` after it went on. Ready when the direction is over.
    ///
    /// `answered` is what the other direction has moved so far. `observe` returns whether it wants to see more.
    pub(super) fn poll(
        &mut self,
        from: &mut Leg,
        to: &mut Leg,
        answered: u64,
        observing: &mut bool,
        mut observe: impl FnMut(&[u8]) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        let mut paused = false;
        for _ in 0..TURNS {
            ready!(self.poll_kept(to, cx)).map_err(Fault::Write)?;
            match self.stage {
                Stage::Over => return Poll::Ready(Ok(())),
                Stage::Ending => {
                    // A reader that is gone makes this fail, which is no news.
                    let _ = ready!(Pin::new(to).poll_shutdown(cx));
                    self.stage = Stage::Over;
                    return Poll::Ready(Ok(()));
                }
                Stage::Open => {}
            }
            let spliced = match (from.plain(), to.plain()) {
                (Some(from), Some(_)) if self.bulk && !*observing => match Pipe::take() {
                    Ok(mut pipe) => {
                        let moved = loop {
                            ready!(from.poll_read_ready(cx)).map_err(Fault::Read)?;
                            match from.try_io(Interest::READABLE, || pipe.fill(from)) {
                                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                                moved => break moved.map_err(Fault::Read)?,
                            }
                        };
                        self.bulk = moved >= BULK;
                        self.pipe = Some(pipe);
                        Some(moved)
                    }
                    // No descriptor for a pipe: the buffer does as well.
                    Err(_) => None,
                },
                _ => None,
            };
            let moved = match spliced {
                Some(moved) => moved,
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
                self.stage = Stage::Ending;
            } else if moved < SHORT && !paused {
                paused = self.pace.short_read(answered);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what was read before and not taken.
    fn poll_kept(&mut self, to: &mut Leg, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let (Some(pipe), Some(to)) = (&mut self.pipe, to.plain()) {
            while pipe.held() > 0 {
                ready!(to.poll_write_ready(cx))?;
                match to.try_io(Interest::WRITABLE, || pipe.drain(to)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    moved => drop(moved?),
                }
            }
            self.pipe = None;
        }
        while self.sent < self.kept.len() {
            self.sent += ready!(Pin::new(&mut *to).poll_write(cx, &self.kept[self.sent..]))?;
        }
        if !self.kept.is_empty() {
            (self.kept, self.sent) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// One read, and the write of what it brought.
    fn poll_copy(
        &mut self,
        from: &mut Leg,
        to: &mut Leg,
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
            self.bulk = bytes.len() >= BULK;
            self.unflushed = to.plain().is_none();
            let written = match Pin::new(&mut *to).poll_write(cx, bytes) {
                Poll::Ready(written) => written.map_err(Fault::Write),
                Poll::Pending => Ok(0),
            };
            if *observing {
                *observing = observe(bytes);
            }
            let written = written?;
            if written < bytes.len() {
                self.kept = bytes[written..].to_vec();
            }
            Poll::Ready(Ok(bytes.len()))
        })
    }
}
