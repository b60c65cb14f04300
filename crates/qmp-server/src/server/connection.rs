//! One client: a stream, a session, and a place in the log of events.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout_at};

use super::Inner;
use super::client_handle::CloseReason;
use crate::fanout::{Fanout, Reader};
use crate::{EventSource, Session};

/// Bytes waiting for a client above which it gets no more events and its commands are not run. A client that does not read costs
/// this much memory, plus one reply and the events before it.
const BACKLOG: usize = 64 * 1024;
/// Bytes requested in one read.
const READ: usize = 8 * 1024;
/// Bytes read ahead from a client whose commands have to wait. Reading ahead detects the end of the connection.
const READ_AHEAD: usize = 4 * 1024;
/// How long a client that has half-closed its connection waits for the replies of its commands.
const HALF_CLOSED: Duration = Duration::from_secs(60);
/// Pieces passed to one write.
const PIECES: usize = 16;

/// A stream, and what only some streams know.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Whether the peer has closed both directions, as far as the stream can tell. It may be called after the end of the input.
    fn is_hung_up(&self) -> bool {
        false
    }
}

/// A stream of any kind.
pub(super) struct Any<S>(pub(super) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for Any<S> {}

impl<S: AsyncRead + Unpin> AsyncRead for Any<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Any<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Whether a socket's readiness says that writing is closed, too.
fn is_write_closed(ready: impl Future<Output = io::Result<Ready>>) -> bool {
    let polled = pin!(ready).poll(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Ready(Ok(ready)) if ready.is_write_closed())
}

impl Transport for TcpStream {
    fn is_hung_up(&self) -> bool {
        is_write_closed(self.ready(Interest::WRITABLE))
    }
}

#[cfg(unix)]
impl Transport for tokio::net::UnixStream {
    fn is_hung_up(&self) -> bool {
        is_write_closed(self.ready(Interest::WRITABLE))
    }
}

/// Serves a client until the connection ends or the server shuts down.
pub(super) async fn run<S: Transport>(stream: S, server: &Inner) -> CloseReason {
    let mut connection = Connection {
        stream,
        session: Session::new(&server.service()),
        negotiation: server.negotiation_timeout.map(|time| Box::pin(sleep(time))),
        input: Vec::new(),
        ended: false,
        half_closed: None,
        output: VecDeque::new(),
        output_len: 0,
        events: Events { fanout: server.events.clone(), reader: None },
    };
    let served = server.until_shutdown(poll_fn(|context| connection.poll_serve(context))).await;
    if let Some(reason) = served {
        reason
    } else {
        let until = (*server.deadline.borrow()).unwrap_or_else(Instant::now);
        let flushed = timeout_at(until, poll_fn(|context| connection.poll_flush(context))).await;
        flushed.unwrap_or(CloseReason::CutOff)
    }
}

struct Connection<S> {
    stream: S,
    session: Session,
    /// Before the negotiation: the time at which the connection ends.
    negotiation: Option<Pin<Box<Sleep>>>,
    /// Input that has to wait.
    input: Vec<u8>,
    /// The client sends no more: it has closed or half-closed the connection.
    ended: bool,
    /// From the end of the input on, while commands are running: the time at which the connection ends.
    half_closed: Option<Pin<Box<Sleep>>>,
    /// Output of the session that the stream has not taken.
    output: VecDeque<Bytes>,
    output_len: usize,
    events: Events,
}

struct Events {
    fanout: Fanout,
    /// `None` before the negotiation.
    reader: Option<Reader>,
}

impl EventSource for Events {
    fn next_lines(&mut self) -> Option<Bytes> {
        self.reader.as_mut()?.next_lines()
    }
}

impl<S: Transport> Connection<S> {
    /// Does everything that is possible now. Ready: the connection has ended.
    fn poll_serve(&mut self, context: &mut Context<'_>) -> Poll<CloseReason> {
        loop {
            let mut progress = self.session.poll_answers(context, &mut self.events).is_ready();
            // Events come before the next command: its reply must include every event that the client has seen.
            let all_taken = match self.take_events(context, !self.ended || self.session.is_busy()) {
                Ok(all) => all,
                Err(reason) => return Poll::Ready(reason),
            };
            progress |= self.run_commands();
            if !self.ended {
                match self.poll_read(context) {
                    Poll::Ready(Ok(0)) => {
                        self.ended = true;
                        progress = true;
                    }
                    Poll::Ready(Ok(_)) => progress = true,
                    Poll::Ready(Err(error)) => return Poll::Ready(CloseReason::Failed(error)),
                    Poll::Pending => {}
                }
            }
            match self.poll_write(context) {
                // After everything has been written there is nothing more to do, unless something waited for the backlog to shrink.
                Poll::Ready(Ok(written)) => {
                    let was_all = all_taken && self.input.is_empty() && self.backlog() == 0 && written < BACKLOG;
                    progress |= written > 0 && !was_all;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(CloseReason::Failed(error)),
                Poll::Pending => {}
            }
            // As in QEMU, a client that has half-closed still gets the replies of its commands.
            if self.ended && self.backlog() == 0 && self.input.is_empty() && !self.session.is_busy() {
                return Poll::Ready(CloseReason::Left);
            }
            if !progress {
                if self.poll_negotiation(context).is_ready() {
                    return Poll::Ready(CloseReason::NotNegotiated);
                }
                if self.ended && self.poll_abandoned(context).is_ready() {
                    return Poll::Ready(CloseReason::Left);
                }
                return Poll::Pending;
            }
        }
    }

    /// Ready: a client that has not negotiated has waited long enough.
    fn poll_negotiation(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.session.is_negotiated() {
            self.negotiation = None;
        }
        self.negotiation.as_mut().map_or(Poll::Pending, |timeout| timeout.as_mut().poll(context))
    }

    /// Ready: a client that sends no more has hung up, or has waited long enough for its replies.
    fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.stream.is_hung_up() {
            return Poll::Ready(());
        }
        self.half_closed.get_or_insert_with(|| Box::pin(sleep(HALF_CLOSED))).as_mut().poll(context)
    }

    /// Writes all published events and closes the write half. Ready: this is done.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<CloseReason> {
        loop {
            let all = match self.take_events(context, !self.ended) {
                Ok(all) => all || self.ended,
                Err(reason) => return Poll::Ready(reason),
            };
            match ready!(self.poll_write(context)) {
                Ok(0) if all => break,
                Ok(_) => {}
                Err(error) => return Poll::Ready(CloseReason::Failed(error)),
            }
        }
        let closed = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        self.discard_input(context);
        Poll::Ready(closed.map_or_else(CloseReason::Failed, |()| CloseReason::Flushed))
    }

    fn backlog(&self) -> usize {
        self.output_len + self.session.output_len()
    }

    /// Moves events to the session while the backlog is small. `true`: there are no more.
    fn take_events(&mut self, context: &mut Context<'_>, wanted: bool) -> Result<bool, CloseReason> {
        let room = if wanted { BACKLOG.saturating_sub(self.backlog()) } else { 0 };
        let Some(reader) = &mut self.events.reader else { return Ok(true) };
        let session = &mut self.session;
        reader.take(room, context.waker(), |lines| session.deliver(lines)).map_err(|_| CloseReason::FellBehind)
    }

    /// Runs commands that had to wait.
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

    /// Passes input to the session, and subscribes to the events after the negotiation.
    fn receive(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while taken < input.len() && !self.session.is_paused() && self.backlog() < BACKLOG {
            taken += self.session.receive_with(&input[taken..], &mut self.events);
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

    /// Ready with 0: there is nothing to write.
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
            // The cheaper system call. An event is usually one piece.
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

    /// Reads and drops input. Closing a TCP socket with unread input resets the connection, and the peer can lose data that it
    /// has not read yet.
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
