//! One client: a stream, a session, and a place among the events.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::Inner;
use crate::Session;
use crate::fanout::{Fanout, Reader};

/// Bytes that may wait for a client before it gets no more events and its commands aren't read: a client that doesn't
/// read costs so much, and what one reply adds.
const BACKLOG: usize = 64 * 1024;
/// Bytes read at a time.
const READ: usize = 8 * 1024;
/// Bytes kept of a client whose commands have to wait; reading on is how its end is noticed.
const READ_AHEAD: usize = 4 * 1024;
/// Pieces written in one call.
const PIECES: usize = 16;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The client closed it.
    Left,
    /// The client read too slowly.
    FellBehind,
    /// It broke.
    Failed(io::Error),
    /// The server shut down, and the client was sent everything.
    Flushed,
    /// The server shut down, and the client hadn't taken everything in time.
    CutOff,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the client left"),
            Self::FellBehind => f.write_str("the client fell too far behind the events"),
            Self::Failed(error) => write!(f, "{error}"),
            Self::Flushed => f.write_str("the server shuts down"),
            Self::CutOff => f.write_str("the client didn't take the last events before the deadline of the shutdown"),
        }
    }
}

/// Serves a client to its end, or the server's.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(stream: S, server: &Inner) -> Ending {
    let mut connection = Connection {
        stream,
        session: Session::new(&server.service),
        input: Vec::new(),
        ended: false,
        output: VecDeque::new(),
        output_len: 0,
        events: Events { fanout: server.events.clone(), reader: None },
    };
    let served = server.until_shutdown(poll_fn(|context| connection.poll_serve(context))).await;
    if let Some(ending) = served {
        ending
    } else {
        let until = (*server.deadline.borrow()).unwrap_or_else(Instant::now);
        let flushed = timeout_at(until, poll_fn(|context| connection.poll_flush(context))).await;
        flushed.unwrap_or(Ending::CutOff)
    }
}

struct Connection<S> {
    stream: S,
    session: Session,
    /// What was read and has to wait.
    input: Vec<u8>,
    /// The client sends no more.
    ended: bool,
    /// What the session gave out and the stream hasn't taken.
    output: VecDeque<Bytes>,
    output_len: usize,
    events: Events,
}

struct Events {
    fanout: Fanout,
    /// From the negotiation on.
    reader: Option<Reader>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Does all that can be done now; ready when the connection is over.
    fn poll_serve(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        loop {
            let mut progress = self.session.poll_answers(context).is_ready();
            // Events go first: a reply must know of every event that the client has seen.
            let all_taken = match self.take_events(context, !self.ended) {
                Ok(all) => all,
                Err(ending) => return Poll::Ready(ending),
            };
            progress |= self.run_commands();
            if !self.ended {
                match self.poll_read(context) {
                    Poll::Ready(Ok(0)) => {
                        self.ended = true;
                        progress = true;
                    }
                    Poll::Ready(Ok(_)) => progress = true,
                    Poll::Ready(Err(error)) => return Poll::Ready(Ending::Failed(error)),
                    Poll::Pending => {}
                }
            }
            match self.poll_write(context) {
                // The last of what there was needs no second look around, unless something waited for the room that it leaves.
                Poll::Ready(Ok(written)) => {
                    let was_all = all_taken && self.input.is_empty() && self.backlog() == 0 && written < BACKLOG;
                    progress |= written > 0 && !was_all;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Ending::Failed(error)),
                Poll::Pending => {}
            }
            // As in QEMU, who has hung up doesn't get the answers that are still to come.
            if self.ended && self.backlog() == 0 && (self.input.is_empty() || self.session.is_paused()) {
                return Poll::Ready(Ending::Left);
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    /// Writes all that has been published; ready when it is done and the client was told that nothing follows.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        loop {
            let all = match self.take_events(context, !self.ended) {
                Ok(all) => all || self.ended,
                Err(ending) => return Poll::Ready(ending),
            };
            match ready!(self.poll_write(context)) {
                Ok(0) if all => break,
                Ok(_) => {}
                Err(error) => return Poll::Ready(Ending::Failed(error)),
            }
        }
        let closed = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        self.discard_input(context);
        Poll::Ready(closed.map_or_else(Ending::Failed, |()| Ending::Flushed))
    }

    fn backlog(&self) -> usize {
        self.output_len + self.session.output_len()
    }

    /// Moves events to the session while there is room; whether there are no more.
    fn take_events(&mut self, context: &mut Context<'_>, wanted: bool) -> Result<bool, Ending> {
        let room = if wanted { BACKLOG.saturating_sub(self.backlog()) } else { 0 };
        let Some(reader) = &mut self.events.reader else { return Ok(true) };
        let session = &mut self.session;
        reader.take(room, context.waker(), |lines| session.deliver(lines)).map_err(|_| Ending::FellBehind)
    }

    /// Runs commands that were read and had to wait.
    fn run_commands(&mut self) -> bool {
        if self.input.is_empty() {
            return false;
        }
        let input = std::mem::take(&mut self.input);
        let taken = self.receive(&input);
        self.input = input;
        self.input.drain(..taken);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        taken > 0
    }

    /// Gives the session what it takes. From the negotiation on, events are for this client too.
    fn receive(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while taken < input.len() && !self.session.is_paused() && self.backlog() < BACKLOG {
            taken += self.session.receive(&input[taken..]);
            if self.session.is_negotiated() && self.events.reader.is_none() {
                self.events.reader = Some(self.events.fanout.subscribe());
            }
        }
        taken
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.len() >= READ_AHEAD || self.backlog() >= BACKLOG {
            return Poll::Pending;
        }
        let mut buffer = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        let taken = if self.input.is_empty() { self.receive(read) } else { 0 };
        self.input.extend_from_slice(&read[taken..]);
        Poll::Ready(Ok(read.len()))
    }

    /// Ready with 0 if there is nothing to write.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while self.output.len() < PIECES
            && let Some(bytes) = self.session.poll_output()
        {
            self.output_len += bytes.len();
            self.output.push_back(bytes);
        }
        if self.output.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let stream = Pin::new(&mut self.stream);
        let written = if let ([only], []) = self.output.as_slices() {
            // The cheaper system call: an event for everybody is one piece for each.
            stream.poll_write(context, only)
        } else {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            for (piece, bytes) in pieces.iter_mut().zip(&self.output) {
                *piece = IoSlice::new(bytes);
            }
            stream.poll_write_vectored(context, &pieces[..self.output.len().min(PIECES)])
        };
        let written = ready!(written)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.output_len -= written;
        let mut left = written;
        while let Some(first) = self.output.front_mut()
            && left > 0
        {
            let step = left.min(first.len());
            first.advance(step);
            left -= step;
            if first.is_empty() {
                self.output.pop_front();
            }
        }
        Poll::Ready(Ok(written))
    }

    /// Closing a TCP socket with unread input resets the connection, which can cost the peer what it hasn't read yet.
    fn discard_input(&mut self, context: &mut Context<'_>) {
        let mut buffer = [const { MaybeUninit::uninit() }; READ];
        for _ in 0..64 {
            let mut buffer = ReadBuf::uninit(&mut buffer);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                _ => return,
            }
        }
    }
}
