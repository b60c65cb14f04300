//! A relay's connection without a socket: both peers are in-memory streams, and time is virtual.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this")]

use std::{
    collections::VecDeque,
    fmt,
    io::{self, ErrorKind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use spice_relay::{
    connection::{Connect, ConnectionLimit, Incoming, Route, Timeouts, serve},
    net::{PeerEnd, Transport, tls::ServerTls},
    observe::{Observe, Opened},
    spice_events::{Address, Endpoints, FlowId, Side},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    task::JoinHandle,
};

/// How many bytes a fake transport buffers in each direction, like the buffers of a socket.
pub const BUFFER: usize = 4096;

/// The relay's end of an in-memory connection.
#[derive(Debug)]
pub struct Fake {
    stream: DuplexStream,
    control: Control,
}

/// What the test makes the relay's end do, and what the relay did to it.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    read_error: Option<ErrorKind>,
    write_error: Option<ErrorKind>,
    reader: Option<Waker>,
    written: u64,
    resets: bool,
    /// The test's end has ended its direction.
    ended: bool,
}

impl Control {
    /// The relay's reads fail from now on.
    pub fn fail_reads(&self, error: ErrorKind) {
        let mut state = self.0.lock().unwrap();
        state.read_error = Some(error);
        if let Some(waker) = state.reader.take() {
            waker.wake();
        }
    }

    /// The relay's writes fail from now on.
    pub fn fail_writes(&self, error: ErrorKind) {
        self.0.lock().unwrap().write_error = Some(error);
    }

    /// How many bytes the relay has written.
    pub fn written(&self) -> u64 {
        self.0.lock().unwrap().written
    }

    /// Whether the relay closes its end with a reset.
    pub fn resets(&self) -> bool {
        self.0.lock().unwrap().resets
    }
}

/// A fake transport, and the test's end of it.
pub fn fake() -> (Fake, Peer) {
    let (stream, peer) = duplex(BUFFER);
    let control = Control::default();
    (Fake { stream, control: control.clone() }, Peer { stream: peer, control })
}

/// The test's end: a client or a server.
#[derive(Debug)]
pub struct Peer {
    pub stream: DuplexStream,
    pub control: Control,
}

impl Peer {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn receive(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Ends its own direction.
    pub async fn end(&mut self) {
        self.control.0.lock().unwrap().ended = true;
        self.stream.shutdown().await.unwrap();
    }

    /// The bytes until the end of the stream.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    /// Resets the connection.
    pub fn reset(&self) {
        self.control.fail_reads(ErrorKind::ConnectionReset);
        self.control.fail_writes(ErrorKind::ConnectionReset);
    }
}

impl Transport for Fake {
    fn peer_end(&self) -> Option<PeerEnd> {
        let state = self.control.0.lock().unwrap();
        let reset = state.read_error.map(|_| PeerEnd::Reset);
        reset.or(state.ended.then_some(PeerEnd::Ended))
    }

    fn reset_on_close(&self) {
        self.control.0.lock().unwrap().resets = true;
    }
}

impl AsyncRead for Fake {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut state = this.control.0.lock().unwrap();
        state.reader = Some(cx.waker().clone());
        let error = state.read_error;
        drop(state);
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            // Bytes that arrived before the failure are read first.
            Poll::Pending if error.is_some() => Poll::Ready(Err(error.unwrap().into())),
            read => read,
        }
    }
}

impl AsyncWrite for Fake {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(error) = this.control.0.lock().unwrap().write_error {
            return Poll::Ready(Err(error.into()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(len)) = written {
            this.control.0.lock().unwrap().written += len as u64;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// What an attempt to connect to the upstream does.
#[derive(Debug)]
pub enum Attempt {
    Succeeds(Fake),
    Fails(ErrorKind),
    Hangs,
}

/// An upstream that does what the test has queued.
#[derive(Debug, Default)]
pub struct FakeUpstream(Mutex<VecDeque<Attempt>>);

impl FakeUpstream {
    pub fn new(attempts: impl IntoIterator<Item = Attempt>) -> Self {
        Self(Mutex::new(attempts.into_iter().collect()))
    }
}

impl fmt::Display for FakeUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fake")
    }
}

impl Connect for FakeUpstream {
    type Transport = Fake;

    async fn connect(&self, _: Option<Duration>) -> io::Result<Fake> {
        let attempt = self.0.lock().unwrap().pop_front();
        match attempt.expect("an attempt that the test expects") {
            Attempt::Succeeds(fake) => Ok(fake),
            Attempt::Fails(error) => Err(error.into()),
            Attempt::Hangs => std::future::pending().await,
        }
    }
}

/// What an observer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Opened {
        client: String,
        tls: bool,
    },
    /// Consecutive bytes of one side are one call.
    Bytes(Side, Vec<u8>),
    Closed(Option<Side>),
    Recovered,
}

/// An observer that records its calls. It wants this many bytes of a connection.
#[derive(Debug)]
pub struct Recorder {
    wants: usize,
    calls: Mutex<Vec<Call>>,
}

impl Recorder {
    pub fn new(wants: usize) -> Arc<Self> {
        Arc::new(Self { wants, calls: Mutex::default() })
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub fn closed(&self) -> Vec<Option<Side>> {
        let closed = |call| match call {
            Call::Closed(by) => Some(by),
            _ => None,
        };
        self.calls().into_iter().filter_map(closed).collect()
    }

    /// The observed bytes of one side.
    pub fn bytes_of(&self, side: Side) -> Vec<u8> {
        let of_side = |call| match call {
            Call::Bytes(from, bytes) if from == side => bytes,
            _ => Vec::new(),
        };
        self.calls().into_iter().flat_map(of_side).collect()
    }
}

impl Observe for Recorder {
    fn opened(&self, _: FlowId, opened: Opened) {
        let client = opened.endpoints.client.to_string();
        self.calls.lock().unwrap().push(Call::Opened { client, tls: opened.tls });
    }

    fn bytes(&self, _: FlowId, from: Side, data: &[u8]) -> bool {
        let mut calls = self.calls.lock().unwrap();
        match calls.last_mut() {
            Some(Call::Bytes(side, bytes)) if *side == from => bytes.extend_from_slice(data),
            _ => calls.push(Call::Bytes(from, data.to_vec())),
        }
        let seen: usize = calls.iter().map(|call| if let Call::Bytes(_, bytes) = call { bytes.len() } else { 0 }).sum();
        seen < self.wants
    }

    fn closed(&self, _: FlowId, by: Option<Side>) {
        self.calls.lock().unwrap().push(Call::Closed(by));
    }

    fn upstream_recovered(&self) {
        self.calls.lock().unwrap().push(Call::Recovered);
    }
}

/// A client's address in the form of a unix socket without a path.
pub fn endpoints() -> Endpoints {
    Endpoints { server: Address::unix("/run/relay"), client: Address::unix("") }
}

/// A served connection whose upstream is connected.
#[derive(Debug)]
pub struct Session {
    pub client: Peer,
    pub server: Peer,
    pub recorder: Arc<Recorder>,
    pub limit: Arc<ConnectionLimit>,
    pub task: JoinHandle<()>,
}

impl Session {
    /// Starts one. The observer wants `wants` bytes: the link stage is over when it has seen them.
    pub fn start(timeouts: Timeouts, wants: usize) -> Self {
        let ((upstream, server), recorder) = (fake(), Recorder::new(wants));
        let upstream = FakeUpstream::new([Attempt::Succeeds(upstream)]);
        let route = Route::new(upstream, Arc::clone(&recorder) as _).timeouts(timeouts);
        let limit = ConnectionLimit::new(1, None);
        let (client, task) = connect(&Arc::new(route), &limit, None);
        Self { client, server, recorder, limit, task }
    }
}

/// Connects a client to a route.
pub fn connect<A: Connect>(
    route: &Arc<Route<A>>,
    limit: &Arc<ConnectionLimit>,
    tls: Option<ServerTls>,
) -> (Peer, JoinHandle<()>) {
    let (transport, client) = fake();
    let permit = limit.acquire(None).expect("the limit is not reached");
    let task = tokio::spawn(serve(Arc::clone(route), Incoming::new(transport, endpoints()), tls, permit));
    (client, task)
}

/// Bytes that differ from their neighbours.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

pub const NO_TIMEOUTS: Timeouts = Timeouts::new().link(None).idle(None).half_closed(None).connect(None);
