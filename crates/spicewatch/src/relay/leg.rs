//! One side of a connection: a socket, with or without TLS on it.

use std::{
    future::poll_fn,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::{RecvFlags, recv};
use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{client, server};

/// The idle time before the first keepalive probe, as spice-server sets it (`reds_init_client_connection`).
const KEEPALIVE: Duration = Duration::from_secs(600);

/// A connected socket.
#[derive(Debug)]
pub(super) enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// `TCP_NODELAY` and keepalive, as spice-server sets them. A socket that is gone already refuses: its end is seen soon.
pub(super) fn tune(socket: &Socket) {
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

impl Raw {
    /// For a connection of our own: what a listener's have from it.
    pub(super) fn tune(&self) {
        if let Self::Tcp(stream) = self {
            tune(&SockRef::from(stream));
        }
    }

    /// Makes closing it a reset, so that the other end knows that this is no orderly end.
    pub(super) fn reset(&self) {
        if let Self::Tcp(stream) = self {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Waits for a byte, and leaves it there; `false` if the end comes first.
    pub(super) async fn has_byte(&self) -> io::Result<bool> {
        poll_fn(|cx| {
            loop {
                ready!(self.poll_read_ready(cx))?;
                let mut byte = [0];
                let peek = || Ok(recv(self, &mut byte, RecvFlags::PEEK)?.0);
                match self.try_io(Interest::READABLE, peek) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    peeked => return Poll::Ready(peeked.map(|len| len > 0)),
                }
            }
        })
        .await
    }

    /// Runs a system call on the socket; where it would block, the socket counts as not ready from then on.
    pub(super) fn try_io<T>(&self, interest: Interest, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, call),
            Self::Unix(stream) => stream.try_io(interest, call),
        }
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Raw {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Raw {
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

/// What the bytes of a connection are read from and written to.
#[derive(Debug)]
pub(super) enum Leg {
    Plain(Raw),
    /// TLS that a client speaks to us.
    Accepted(Box<server::TlsStream<Raw>>),
    /// TLS that we speak to the upstream.
    Connected(Box<client::TlsStream<Raw>>),
}

impl Leg {
    /// The socket below.
    pub(super) fn raw(&self) -> &Raw {
        match self {
            Self::Plain(raw) => raw,
            Self::Accepted(stream) => stream.get_ref().0,
            Self::Connected(stream) => stream.get_ref().0,
        }
    }

    /// The socket, where nothing is between it and the bytes.
    pub(super) fn plain(&self) -> Option<&Raw> {
        match self {
            Self::Plain(raw) => Some(raw),
            Self::Accepted(_) | Self::Connected(_) => None,
        }
    }
}

impl AsyncRead for Leg {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match self.get_mut() {
            Self::Plain(raw) => return Pin::new(raw).poll_read(cx, buffer),
            Self::Accepted(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Connected(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        // TCP's end without TLS's own: spice-server and its clients all end like that.
        match read {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl AsyncWrite for Leg {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_write(cx, bytes),
            Self::Accepted(stream) => poll_write_records(stream, cx, bytes),
            Self::Connected(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_flush(cx),
            Self::Accepted(stream) => Pin::new(stream).poll_flush(cx),
            Self::Connected(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_shutdown(cx),
            Self::Accepted(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Connected(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Writes to a client, the last byte in a TLS record of its own.
///
/// spice-gtk reads one message, and then asks the socket, not OpenSSL, whether there is more
/// (`spice_channel_iterate_read`). Messages that share a record with it are left lying until something else comes. spice-server
/// never does that to it: each message is a record, or several. A relay that has no idea of messages does the same by a
/// last byte that stays in the socket until the message that it ends is read.
fn poll_write_records(
    stream: &mut server::TlsStream<Raw>,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    if stream.get_ref().1.wants_write() {
        ready!(Pin::new(&mut *stream).poll_flush(cx))?;
    }
    let tls = stream.get_mut().1;
    let mut written = 0;
    if let Some((last, others)) = bytes.split_last() {
        written = tls.writer().write(others)?;
        if written == others.len() {
            written += tls.writer().write(std::slice::from_ref(last))?;
        }
    }
    // Where the socket does not take it all now, the next write or flush goes on.
    match Pin::new(stream).poll_flush(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(written)),
    }
}
