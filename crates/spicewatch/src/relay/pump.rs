//! Both directions of a connection, from the first byte of the link to the last end.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use spice_events::Side;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    config::Timing,
    half::{Fault, Half, Stage},
    leg::Leg,
    watch::Flow,
};

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both sides ended in good order.
    Closed,
    /// One side went away: it reset the connection, or broke its TLS.
    Broken(Side, io::Error),
    /// Time was up.
    TimedOut(&'static str, Duration),
}

/// Moves bytes until the connection is over; shows them to the tracker while it wants them.
#[derive(Debug)]
pub(super) struct Pump {
    client: Leg,
    upstream: Leg,
    up: Half,
    down: Half,
    flow: Flow,
    observing: bool,
    first_end: Option<Side>,
    timing: Timing,
    /// Where a clock runs at all: what for, and the bytes that had passed when it was set.
    clock: Option<Clock>,
}

#[derive(Debug)]
struct Clock {
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

impl Pump {
    /// The link stage has to be over at `deadline`.
    pub(super) fn new(client: Leg, upstream: Leg, flow: Flow, deadline: Option<Instant>, timing: Timing) -> Self {
        let clock =
            deadline.map(|deadline| Clock { sleep: Box::pin(sleep_until(deadline)), phase: Phase::Link, moved: 0 });
        let (up, down) = (Half::new(), Half::new());
        Self { client, upstream, up, down, flow, observing: true, first_end: None, timing, clock }
    }

    /// Bytes from the client and from the server so far.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.up.moved, self.down.moved)
    }

    pub(super) fn flow(&self) -> &Flow {
        &self.flow
    }

    fn phase(&self) -> Phase {
        if self.up.stage != Stage::Open || self.down.stage != Stage::Open {
            Phase::HalfClosed
        } else if self.observing {
            Phase::Link
        } else {
            Phase::Live
        }
    }

    /// The server's side is gone: the moment of `SPICE_DISCONNECTED`.
    fn server_ended(&mut self) {
        self.flow.closed(Some(*self.first_end.get_or_insert(Side::Server)));
    }

    /// Ready when the client's direction is over, or the connection.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let Self { up, down, client, upstream, observing, flow, .. } = self;
        let polled = up.poll(client, upstream, down.moved, observing, |bytes| flow.bytes(Side::Client, bytes), cx);
        if self.up.stage != Stage::Open {
            self.first_end.get_or_insert(Side::Client);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(None),
            // The client is gone, and said so: so says the relay to the server.
            Poll::Ready(Err(Fault::Read(error))) => {
                self.first_end.get_or_insert(Side::Client);
                self.upstream.raw().reset();
                self.server_ended();
                Poll::Ready(Some(End::Broken(Side::Client, error)))
            }
            // The server takes nothing any more; what it said before still goes to the client.
            Poll::Ready(Err(Fault::Write(_))) => {
                self.up.stage = Stage::Over;
                Poll::Ready(None)
            }
        }
    }

    /// Ready when the server's direction is over, or the connection.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let Self { up, down, client, upstream, observing, flow, .. } = self;
        let polled = down.poll(upstream, client, up.moved, observing, |bytes| flow.bytes(Side::Server, bytes), cx);
        if self.down.stage != Stage::Open {
            self.server_ended();
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(None),
            // As an end: the client still gets what is kept. That ends in order, lest a reset overtakes those bytes.
            Poll::Ready(Err(Fault::Read(error))) => {
                tracing::debug!(flow = self.flow.id(), %error, "the server broke the connection");
                self.server_ended();
                self.up.stage = Stage::Over;
                self.down.stage = Stage::Ending;
                self.poll_down(cx)
            }
            Poll::Ready(Err(Fault::Write(error))) => {
                self.first_end.get_or_insert(Side::Client);
                self.upstream.raw().reset();
                self.server_ended();
                Poll::Ready(Some(End::Broken(Side::Client, error)))
            }
        }
    }

    /// Ready when time is up.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let phase = self.phase();
        let limit = match phase {
            Phase::Link => self.timing.link,
            Phase::Live => self.timing.idle,
            Phase::HalfClosed => self.timing.half_closed,
        };
        let moved = self.up.moved + self.down.moved;
        loop {
            match (&mut self.clock, limit) {
                (None, None) => return Poll::Pending,
                // The link stage has one deadline, however many bytes come.
                (Some(clock), Some(limit)) if clock.phase == phase => match clock.sleep.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if phase == Phase::Link => {
                        return Poll::Ready(End::TimedOut("the link stage", limit));
                    }
                    Poll::Ready(()) if moved == clock.moved => {
                        let what = if phase == Phase::Live { "an idle channel" } else { "the other side's end" };
                        return Poll::Ready(End::TimedOut(what, limit));
                    }
                    Poll::Ready(()) => {
                        clock.moved = moved;
                        clock.sleep.as_mut().reset(Instant::now() + limit);
                    }
                },
                (_, None) => {
                    self.clock = None;
                    return Poll::Pending;
                }
                (clock, Some(limit)) => {
                    let sleep = Box::pin(sleep_until(Instant::now() + limit));
                    *clock = Some(Clock { sleep, phase, moved });
                }
            }
        }
    }
}

impl Future for Pump {
    type Output = End;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let this = self.get_mut();
        if this.up.stage != Stage::Over
            && let Poll::Ready(Some(end)) = this.poll_up(cx)
        {
            return Poll::Ready(end);
        }
        if this.down.stage != Stage::Over
            && let Poll::Ready(Some(end)) = this.poll_down(cx)
        {
            return Poll::Ready(end);
        }
        if this.up.stage == Stage::Over && this.down.stage == Stage::Over {
            return Poll::Ready(End::Closed);
        }
        this.poll_clock(cx)
    }
}
