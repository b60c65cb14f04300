//! One side of a connection: a transport, and the TLS that may run on it.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{CipherSuite, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{client, server};

use crate::net::{Socket, Transport};

/// One side of a connection: the SPICE bytes, whatever carries them.
#[derive(Debug)]
pub struct Stream<T>(Kind<T>);

#[derive(Debug)]
enum Kind<T> {
    Plain(T),
    /// TLS from a client; the relay is the TLS server.
    TlsServer(Box<server::TlsStream<T>>),
    /// TLS to the upstream; the relay is the TLS client.
    TlsClient(Box<client::TlsStream<T>>),
}

impl<T: Transport> Stream<T> {
    /// The transport's bytes are the SPICE bytes.
    pub fn plain(transport: T) -> Self {
        Self(Kind::Plain(transport))
    }

    pub(crate) fn tls_server(stream: server::TlsStream<T>) -> Self {
        Self(Kind::TlsServer(Box::new(stream)))
    }

    pub(crate) fn tls_client(stream: client::TlsStream<T>) -> Self {
        Self(Kind::TlsClient(Box::new(stream)))
    }

    /// What a client's TLS handshake has agreed on.
    pub(super) fn negotiated(&self) -> Option<(ProtocolVersion, CipherSuite)> {
        let Kind::TlsServer(stream) = &self.0 else { return None };
        let tls = stream.get_ref().1;
        Some((tls.protocol_version()?, tls.negotiated_cipher_suite()?.suite()))
    }

    /// The transport below.
    pub fn transport(&self) -> &T {
        match &self.0 {
            Kind::Plain(transport) => transport,
            Kind::TlsServer(stream) => stream.get_ref().0,
            Kind::TlsClient(stream) => stream.get_ref().0,
        }
    }

    /// The socket, if its bytes are the SPICE bytes.
    pub(super) fn plain_socket(&self) -> Option<&Socket> {
        match &self.0 {
            Kind::Plain(transport) => transport.socket(),
            Kind::TlsServer(_) | Kind::TlsClient(_) => None,
        }
    }
}

impl<T: Transport> AsyncRead for Stream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match &mut self.get_mut().0 {
            Kind::Plain(transport) => return Pin::new(transport).poll_read(cx, buffer),
            Kind::TlsServer(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::TlsClient(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        // The TCP connection ended without TLS's close_notify. spice-server and its clients always end that way.
        match read {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl<T: Transport> AsyncWrite for Stream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Kind::Plain(transport) => Pin::new(transport).poll_write(cx, bytes),
            Kind::TlsServer(stream) => poll_write_records(stream, cx, bytes),
            Kind::TlsClient(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Kind::Plain(transport) => Pin::new(transport).poll_flush(cx),
            Kind::TlsServer(stream) => Pin::new(stream).poll_flush(cx),
            Kind::TlsClient(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Kind::Plain(transport) => Pin::new(transport).poll_shutdown(cx),
            Kind::TlsServer(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::TlsClient(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Writes to a client, the last byte in a TLS record of its own.
///
/// spice-gtk reads one message, and then asks the socket, not OpenSSL, whether there is more (`spice_channel_iterate_read`).
/// It leaves a message that shares a record with the one before until more bytes arrive. spice-server puts each message into
/// records of its own. The relay does not know where messages end, so it keeps the last byte in a record of its own: that
/// record stays in the socket until spice-gtk has read the message that the byte completes.
fn poll_write_records<T: Transport>(
    stream: &mut server::TlsStream<T>,
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
    // If the socket does not take all of it now, the next write or flush continues.
    match Pin::new(stream).poll_flush(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(written)),
    }
}
