//! Both directions of a connection, from the first byte of the link stage to the last end of stream.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use spice_events::Side;
use tokio::{
    io::AsyncWrite as _,
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::{
    half_duplex::{Fault, HalfDuplex, State},
    stream::Stream,
    timeouts::Timeouts,
};
use crate::{
    net::{PeerEnd, Transport},
    observe::{Ending, ObservedConnection},
};

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both sides ended their streams.
    Closed,
    /// One side reset the connection or broke its TLS.
    Broken(Side, io::Error),
    /// The holder of the connection's handle ended it.
    Terminated,
    /// The client took the relay for an HTTP proxy.
    HttpProxy,
    /// A limit of [`Timeouts`] was reached while the relay waited for this.
    TimedOut(&'static str, Duration),
}

/// Forwards bytes until the connection is over, and shows them to the observer while it wants them.
#[derive(Debug)]
pub(super) struct Duplex<C, U> {
    client: Stream<C>,
    upstream: Stream<U>,
    to_server: HalfDuplex,
    to_client: HalfDuplex,
    observed: ObservedConnection,
    observing: bool,
    /// The client reset the connection in the link stage. The server is read on, without a client.
    client_reset: Option<io::Error>,
    /// A side was seen to end while its bytes could not be read, because the other side takes none.
    ended_unread: bool,
    timeouts: Timeouts,
    timer: Option<Timer>,
    look: Option<Pin<Box<Sleep>>>,
}

/// The first bytes of a client that has an HTTP proxy configured (`proxy` in a .vv file, `SPICE_PROXY`), and the answer to it
/// (RFC 9110, section 15.5.6). A SPICE server would answer something that is not HTTP, and the client would wait.
const CONNECT: &[u8] = b"CONNECT ";
const NOT_A_PROXY: &[u8] =
    b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How often a side is looked at that can't be read because the other side takes no bytes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A running timer: its phase, and how many bytes had passed when it was set.
#[derive(Debug)]
struct Timer {
    sleep: Pin<Box<Sleep>>,
    phase: Phase,
    moved: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Link,
    Live,
    HalfClosed,
}

impl<C: Transport, U: Transport> Duplex<C, U> {
    /// `deadline` is the end of the time for the link stage.
    pub(super) fn new(
        client: Stream<C>,
        upstream: Stream<U>,
        observed: ObservedConnection,
        deadline: Option<Instant>,
        timeouts: Timeouts,
    ) -> Self {
        if let Some(socket) = upstream.transport().socket() {
            observed.watch_end(socket);
        }
        let timer =
            deadline.map(|deadline| Timer { sleep: Box::pin(sleep_until(deadline)), phase: Phase::Link, moved: 0 });
        let (to_server, to_client) = (HalfDuplex::new(), HalfDuplex::new());
        Self {
            client,
            upstream,
            to_server,
            to_client,
            observed,
            observing: true,
            client_reset: None,
            ended_unread: false,
            timeouts,
            timer,
            look: None,
        }
    }

    /// How many bytes came from the client and from the server so far.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.to_server.moved, self.to_client.moved)
    }

    pub(super) fn observed(&self) -> &ObservedConnection {
        &self.observed
    }

    fn phase(&self) -> Phase {
        if self.ended_unread || self.to_server.state != State::Open || self.to_client.state != State::Open {
            Phase::HalfClosed
        } else if self.observing {
            Phase::Link
        } else {
            Phase::Live
        }
    }

    /// Tells the observer's side how many bytes have passed.
    fn report_moved(&self) {
        self.observed.moved(self.to_server.moved, self.to_client.moved);
    }

    /// The server's side has ended: the moment of `SPICE_DISCONNECTED`.
    fn server_ended(&mut self) {
        self.observed.closed(Some(Side::Server));
    }

    /// Ready when the direction to the server is over, with an [`End`] if the connection is over.
    fn poll_to_server(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let Self { to_server, to_client, client, upstream, observing, observed, .. } = self;
        let (is_first, mut is_connect) = (to_server.moved == 0, false);
        let observe = |bytes: &[u8]| {
            is_connect |= is_first && bytes.starts_with(CONNECT);
            observed.bytes(Side::Client, bytes)
        };
        let polled = to_server.poll(client, upstream, to_client.moved, observing, observe, cx);
        self.report_moved();
        if is_connect {
            return Poll::Ready(Some(self.answer_connect(cx)));
        }
        if self.to_server.state != State::Open {
            self.observed.ended(Side::Client);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(None),
            Poll::Ready(Err(Fault::Read(error))) => self.client_reset(error, cx),
            // The server takes no more bytes. Bytes that it sent before still go to the client.
            Poll::Ready(Err(Fault::Write(_))) => {
                self.to_server.state = State::Over;
                Poll::Ready(None)
            }
        }
    }

    /// Tells an HTTP client that this is no proxy, as far as its socket takes it at once.
    fn answer_connect(&mut self, cx: &mut Context<'_>) -> End {
        if self.to_client.moved == 0 {
            let _ = Pin::new(&mut self.client).poll_write(cx, NOT_A_PROXY);
            let _ = Pin::new(&mut self.client).poll_flush(cx);
            let _ = Pin::new(&mut self.client).poll_shutdown(cx);
        }
        self.observed.ended(Side::Client);
        self.server_ended();
        End::HttpProxy
    }

    /// Ready when the direction to the client is over, with an [`End`] if the connection is over.
    fn poll_to_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let Self { to_server, to_client, client, upstream, observing, observed, .. } = self;
        let observe = |bytes: &[u8]| observed.bytes(Side::Server, bytes);
        let polled = to_client.poll(upstream, client, to_server.moved, observing, observe, cx);
        self.report_moved();
        if let Poll::Ready(Err(Fault::Read(error))) = &polled {
            self.observed.because(Ending::of_error(Side::Server, error));
        }
        if self.to_client.state != State::Open {
            self.server_ended();
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(None),
            // The client gets an orderly end after the kept bytes: a reset would overtake those bytes.
            Poll::Ready(Err(Fault::Read(error))) => {
                tracing::debug!(flow = self.observed.id(), %error, "the server broke the connection");
                self.server_ended();
                self.to_server.state = State::Over;
                self.to_client.state = State::Ending;
                self.poll_to_client(cx)
            }
            Poll::Ready(Err(Fault::Write(error))) => self.client_reset(error, cx),
        }
    }

    /// The client reset the connection. The relay resets the connection to the server, unless it is in the link stage.
    ///
    /// There, the server may be about to accept a client that sent everything that the link needs. QEMU reports such a channel as
    /// initialised, so the relay ends only its own direction, and reads the server to the end of the link stage.
    fn client_reset(&mut self, error: io::Error, cx: &mut Context<'_>) -> Poll<Option<End>> {
        self.observed.because(Ending::of_error(Side::Client, &error));
        self.observed.ended(Side::Client);
        if !self.observing {
            return Poll::Ready(Some(self.reset_server(error)));
        }
        if self.client_reset.replace(error).is_none() {
            self.to_client.discard();
            if self.to_server.state == State::Open {
                self.to_server.state = State::Ending;
            }
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn reset_server(&mut self, error: io::Error) -> End {
        self.upstream.transport().reset_on_close();
        self.server_ended();
        End::Broken(Side::Client, error)
    }

    /// Looks at sides that can't be read because the other side takes no bytes: they may have ended.
    fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let is_blocked = |half: &HalfDuplex| half.state == State::Open && half.is_blocked();
        // In the link stage, bytes of the server are observed before its end. The stage has a deadline.
        let look_at_server = is_blocked(&self.to_client) && !self.observing;
        let look_at_client = is_blocked(&self.to_server);
        if !look_at_server && !look_at_client {
            self.look = None;
            return Poll::Pending;
        }
        loop {
            let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK_EVERY)));
            ready!(look.as_mut().poll(cx));
            look.as_mut().reset(Instant::now() + LOOK_EVERY);
            if look_at_client {
                match self.client.transport().peer_end() {
                    Some(PeerEnd::Reset) => {
                        self.observed.because(Ending::Reset(Side::Client));
                        self.observed.ended(Side::Client);
                        return Poll::Ready(self.reset_server(io::ErrorKind::ConnectionReset.into()));
                    }
                    Some(PeerEnd::Ended) => {
                        self.observed.ended(Side::Client);
                        self.ended_unread = true;
                    }
                    None => {}
                }
            }
            if look_at_server && self.upstream.transport().peer_end().is_some() {
                self.server_ended();
                self.ended_unread = true;
            }
        }
    }

    /// Ready when a limit is reached.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let phase = self.phase();
        let limit = match phase {
            Phase::Link => self.timeouts.link,
            Phase::Live => self.timeouts.idle,
            Phase::HalfClosed => self.timeouts.half_closed,
        };
        let moved = self.to_server.moved + self.to_client.moved;
        loop {
            match (&mut self.timer, limit) {
                (None, None) => return Poll::Pending,
                // Bytes do not extend the deadline of the link stage.
                (Some(timer), Some(limit)) if timer.phase == phase => match timer.sleep.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if phase == Phase::Link => {
                        self.observed.because(Ending::LinkTimeout);
                        return Poll::Ready(End::TimedOut("the link stage", limit));
                    }
                    Poll::Ready(()) if moved == timer.moved => {
                        self.observed.because(Ending::IdleTimeout);
                        let what = if phase == Phase::Live { "an idle channel" } else { "the other side's end" };
                        return Poll::Ready(End::TimedOut(what, limit));
                    }
                    Poll::Ready(()) => {
                        timer.moved = moved;
                        timer.sleep.as_mut().reset(Instant::now() + limit);
                    }
                },
                (_, None) => {
                    self.timer = None;
                    return Poll::Pending;
                }
                (timer, Some(limit)) => {
                    let sleep = Box::pin(sleep_until(Instant::now() + limit));
                    *timer = Some(Timer { sleep, phase, moved });
                }
            }
        }
    }
}

impl<C: Transport, U: Transport> Future for Duplex<C, U> {
    type Output = End;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let this = self.get_mut();
        if this.to_server.state != State::Over
            && let Poll::Ready(Some(end)) = this.poll_to_server(cx)
        {
            return Poll::Ready(end);
        }
        if this.to_client.state != State::Over
            && let Poll::Ready(Some(end)) = this.poll_to_client(cx)
        {
            return Poll::Ready(end);
        }
        if this.client_reset.is_some() && (!this.observing || this.to_client.state == State::Over) {
            let error = this.client_reset.take().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
            return Poll::Ready(this.reset_server(error));
        }
        if this.to_server.state == State::Over && this.to_client.state == State::Over {
            return Poll::Ready(End::Closed);
        }
        if let Poll::Ready(end) = this.poll_look(cx) {
            return Poll::Ready(end);
        }
        this.poll_timer(cx)
    }
}
