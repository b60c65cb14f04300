use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

#[cfg(feature = "tls")]
use crate::tls::{TlsInfo, TlsStream};
use crate::{Error, websocket::WebSocket};

/// A client's connection to a server, over TCP or a unix socket; plain, inside TLS or inside WebSocket. Reads and writes block, up
/// to a time limit.
#[derive(Debug)]
pub struct ClientStream {
    carried: Carried,
}

#[derive(Debug)]
enum Carried {
    Plain(Socket),
    #[cfg(feature = "tls")]
    Tls(TlsStream<Socket>),
    WebSocket(Box<WebSocket<ClientStream>>),
}

/// The socket below everything else.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl ClientStream {
    pub(crate) fn plain(socket: Socket) -> Self {
        Self { carried: Carried::Plain(socket) }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls(stream: TlsStream<Socket>) -> Self {
        Self { carried: Carried::Tls(stream) }
    }

    pub(crate) fn websocket(stream: WebSocket<Self>) -> Self {
        Self { carried: Carried::WebSocket(Box::new(stream)) }
    }

    /// Upgrades to WebSocket: from here on the bytes are carried in its frames. `host` and `masked` are those of
    /// [`WebSocket::upgrade`].
    ///
    /// # Errors
    /// Those of [`WebSocket::upgrade`].
    pub fn upgrade(self, host: &str, masked: bool) -> Result<Self, Error> {
        Ok(Self::websocket(WebSocket::upgrade(self, host, masked)?))
    }

    /// Sends no more bytes: FIN, after TLS's close_notify where there is TLS. The server can still send.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn finish(&mut self) -> io::Result<()> {
        match &mut self.carried {
            Carried::Plain(_) => {}
            #[cfg(feature = "tls")]
            Carried::Tls(stream) => stream.close_notify()?,
            Carried::WebSocket(stream) => return stream.get_mut().finish(),
        }
        self.socket().shutdown(Shutdown::Write)
    }

    /// Sets how long a read may wait.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        self.socket().set_read_timeout(time)
    }

    /// The addresses of both ends, the client's first; `None` for a unix socket.
    pub fn addresses(&self) -> Option<[SocketAddr; 2]> {
        match self.socket() {
            Socket::Tcp(stream) => Some([stream.local_addr().ok()?, stream.peer_addr().ok()?]),
            Socket::Unix(_) => None,
        }
    }

    /// What the TLS handshake has shown of the server; `None` without TLS.
    #[cfg(feature = "tls")]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        match &self.carried {
            Carried::Plain(_) => None,
            Carried::Tls(stream) => Some(stream.info()),
            Carried::WebSocket(stream) => stream.get_ref().tls_info(),
        }
    }

    fn socket(&self) -> &Socket {
        match &self.carried {
            Carried::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Carried::Tls(stream) => stream.get_ref(),
            Carried::WebSocket(stream) => stream.get_ref().socket(),
        }
    }
}

impl Read for ClientStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.carried {
            Carried::Plain(socket) => socket.read(out),
            #[cfg(feature = "tls")]
            Carried::Tls(stream) => stream.read(out),
            Carried::WebSocket(stream) => stream.read(out),
        }
    }
}

impl Write for ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.carried {
            Carried::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "tls")]
            Carried::Tls(stream) => stream.write(bytes),
            Carried::WebSocket(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.carried {
            Carried::Plain(socket) => socket.flush(),
            #[cfg(feature = "tls")]
            Carried::Tls(stream) => stream.flush(),
            Carried::WebSocket(stream) => stream.flush(),
        }
    }
}

impl Socket {
    pub(crate) fn tcp(address: SocketAddr, time_limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, time_limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(time_limit))?;
        stream.set_write_timeout(Some(time_limit))?;
        Ok(Self::Tcp(stream))
    }

    pub(crate) fn unix(path: &Path, time_limit: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(time_limit))?;
        stream.set_write_timeout(Some(time_limit))?;
        Ok(Self::Unix(stream))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }

    fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(time)),
            Self::Unix(stream) => stream.set_read_timeout(Some(time)),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(out),
            Self::Unix(stream) => stream.read(out),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}
