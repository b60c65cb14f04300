use std::{
    fmt::Debug,
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{RecvFlags, recv, sockopt::set_tcp_user_timeout},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// The idle time before the first keepalive probe, from spice-server (`reds_init_client_connection`).
const KEEPALIVE: Duration = Duration::from_secs(600);

/// What a connection's bytes, plain or TLS, are read from and written to.
///
/// [`Socket`] is the usual one. Any other stream works: implement the trait and leave all methods as they are.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + Debug {
    /// The socket below, for splice(2). `None`: bytes are copied.
    fn socket(&self) -> Option<&Socket> {
        None
    }

    /// Makes closing the transport a reset, so that the peer can tell it from an orderly end.
    fn reset_on_close(&self) {}

    /// Whether the peer has ended its stream or reset the connection, even if bytes before that are still to be read.
    ///
    /// Called while the relay can't read on because the other side takes no bytes. A transport that can't tell says `None`.
    fn peer_end(&self) -> Option<PeerEnd> {
        None
    }

    /// Ready with `true` as soon as there is a byte to read, and with `false` at the end of the stream. Leaves the byte where it is.
    ///
    /// A transport that can't look ahead says `true` at once.
    fn poll_peek(&self, _cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        Poll::Ready(Ok(true))
    }
}

/// How a peer has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEnd {
    /// It ended its stream.
    Ended,
    /// It reset the connection.
    Reset,
}

impl Transport for tokio::io::DuplexStream {}

/// A connected TCP or unix socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection over a unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Sets `TCP_NODELAY` and keepalive, as spice-server does.
    ///
    /// Accepted sockets inherit both from their [`Listener`](crate::net::Listener).
    pub fn tune(&self) {
        if let Self::Tcp(stream) = self {
            tune(&SockRef::from(stream));
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Runs a system call on the socket. If the call would block, the socket counts as not ready from then on.
    pub(crate) fn try_io<T>(&self, interest: Interest, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, call),
            Self::Unix(stream) => stream.try_io(interest, call),
        }
    }
}

/// How dead peers of TCP connections are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// The idle time before the first keepalive probe (tcp(7), `TCP_KEEPIDLE`). `None` sends no probes. Default: 600 seconds, as in
    /// spice-server. The system decides how many probes follow, and how often.
    pub keepalive: Option<Duration>,
    /// How long sent bytes may be unacknowledged before the connection ends (tcp(7), `TCP_USER_TIMEOUT`). Default: `None`, which is the
    /// system's time, some 15 minutes. With keepalive, it is also the time for the probes.
    pub user_timeout: Option<Duration>,
}

impl TcpOptions {
    /// spice-server's options.
    pub const fn new() -> Self {
        Self { keepalive: Some(KEEPALIVE), user_timeout: None }
    }

    /// Sets [`keepalive`](Self::keepalive).
    #[must_use]
    pub const fn keepalive(mut self, idle: Option<Duration>) -> Self {
        self.keepalive = idle;
        self
    }

    /// Sets [`user_timeout`](Self::user_timeout).
    #[must_use]
    pub const fn user_timeout(mut self, limit: Option<Duration>) -> Self {
        self.user_timeout = limit;
        self
    }

    /// Sets the options that differ from those that every socket of the relay has.
    pub(crate) fn apply(&self, socket: &Socket) {
        let (Socket::Tcp(stream), false) = (socket, *self == Self::new()) else { return };
        let socket = SockRef::from(stream);
        let kept = match self.keepalive {
            Some(idle) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle)),
            None => socket.set_keepalive(false),
        };
        let limit = self.user_timeout.map_or(0, |limit| u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
        let timed = set_tcp_user_timeout(stream, limit);
        if let Err(error) = kept.and(timed.map_err(Into::into)) {
            // The peer is gone already, or the system refuses the value.
            tracing::debug!(%error, "can't set the TCP options of a connection");
        }
    }
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets the options of [`Socket::tune`]. They fail for a connection that is already gone; reading it shows its end.
pub(super) fn tune(socket: &socket2::Socket) {
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

impl Transport for Socket {
    fn socket(&self) -> Option<&Socket> {
        Some(self)
    }

    fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn peer_end(&self) -> Option<PeerEnd> {
        let mut socket = [PollFd::new(self, PollFlags::RDHUP)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut socket, Some(&at_once)).ok()?;
        let [socket] = socket;
        let seen = socket.revents();
        if seen.contains(PollFlags::ERR) {
            Some(PeerEnd::Reset)
        } else {
            seen.intersects(PollFlags::RDHUP | PollFlags::HUP).then_some(PeerEnd::Ended)
        }
    }

    fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            let mut byte = [0];
            let peek = || Ok(recv(self, &mut byte, RecvFlags::PEEK)?.0);
            match self.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked.map(|len| len > 0)),
            }
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{socket_keepalive, tcp_keepidle, tcp_user_timeout};

    #[tokio::test]
    async fn tcp_options_are_set() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = Socket::Tcp(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        socket.tune();
        let seen =
            || (socket_keepalive(&socket).unwrap(), tcp_keepidle(&socket).unwrap(), tcp_user_timeout(&socket).unwrap());
        assert_eq!(seen(), (true, KEEPALIVE, 0));
        let seconds = Duration::from_secs;
        TcpOptions::new().keepalive(Some(seconds(30))).user_timeout(Some(seconds(45))).apply(&socket);
        assert_eq!(seen(), (true, seconds(30), 45_000));
        TcpOptions::new().keepalive(None).apply(&socket);
        assert_eq!(seen(), (false, seconds(30), 0));
    }
}
