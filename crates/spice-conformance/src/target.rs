use std::{
    fmt, io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

#[cfg(feature = "tls")]
use crate::tls::TlsStream;
use crate::{
    Error,
    stream::{ClientStream, Socket},
};

/// What carries the SPICE stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Carrier {
    /// The socket itself.
    #[default]
    Plain,
    /// TLS. It needs the feature `tls`.
    Tls,
    /// WebSocket frames, without TLS.
    WebSocket,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
        })
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl ServerAddress {
    /// Finds the address of `HOST:PORT`, or takes `unix:PATH` as it is.
    ///
    /// A host can have several addresses (`localhost` has 127.0.0.1 and often ::1), and most servers listen on one of them: the first
    /// one that accepts a connection within `time_limit` is taken, and the first of all if none does.
    ///
    /// # Errors
    /// [`Error::NotLoopback`] if the host has no address on this machine's loopback and `allow_remote` is false.
    pub fn resolve(text: &str, allow_remote: bool, time_limit: Duration) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let addresses = addresses(text, allow_remote)?;
        first_that_accepts(&addresses, time_limit)
            .map(Self::Tcp)
            .ok_or_else(|| Error::Address(io::Error::new(io::ErrorKind::NotFound, "no address")))
    }
}

impl From<SocketAddr> for ServerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A server, and how to connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Where it listens.
    pub address: ServerAddress,
    /// What carries the SPICE stream.
    pub carrier: Carrier,
    /// How long to wait for a connection, and for each answer that has to come.
    pub time_limit: Duration,
}

impl Target {
    /// How long a target waits unless it is told otherwise.
    pub const TIME_LIMIT: Duration = Duration::from_secs(5);

    /// A server on a plain port.
    pub fn new(address: impl Into<ServerAddress>) -> Self {
        Self { address: address.into(), carrier: Carrier::Plain, time_limit: Self::TIME_LIMIT }
    }

    /// The same server with another carrier.
    #[must_use]
    pub fn with_carrier(self, carrier: Carrier) -> Self {
        Self { carrier, ..self }
    }

    /// The same server with another time limit.
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Connects, and shakes hands if there is TLS or WebSocket.
    ///
    /// # Errors
    /// Those of the sockets and of the handshakes.
    pub fn connect(&self) -> Result<ClientStream, Error> {
        let (socket, host) = match &self.address {
            ServerAddress::Tcp(address) => (Socket::tcp(*address, self.time_limit)?, Some(*address)),
            ServerAddress::Unix(path) => (Socket::unix(path, self.time_limit)?, None),
        };
        match self.carrier {
            Carrier::Plain => Ok(ClientStream::plain(socket)),
            #[cfg(feature = "tls")]
            Carrier::Tls => Ok(ClientStream::tls(TlsStream::connect(socket, host.map(|address| address.ip()))?)),
            #[cfg(not(feature = "tls"))]
            Carrier::Tls => Err(Error::NoTls),
            Carrier::WebSocket => {
                let host = host.map_or_else(|| "localhost".to_owned(), |address| address.to_string());
                ClientStream::plain(socket).upgrade(&host, true)
            }
        }
    }
}

fn addresses(text: &str, allow_remote: bool) -> Result<Vec<SocketAddr>, Error> {
    let found = text.to_socket_addrs().map_err(Error::Address)?;
    let (mut allowed, others): (Vec<_>, Vec<_>) =
        found.partition(|address| allow_remote || address.ip().to_canonical().is_loopback());
    if let (true, Some(other)) = (allowed.is_empty(), others.first()) {
        return Err(Error::NotLoopback(other.ip()));
    }
    allowed.dedup();
    Ok(allowed)
}

fn first_that_accepts(addresses: &[SocketAddr], time_limit: Duration) -> Option<SocketAddr> {
    let accepts = |address: &&SocketAddr| TcpStream::connect_timeout(address, time_limit).is_ok();
    match addresses {
        [] | [_] => addresses.first(),
        several => several.iter().find(accepts).or(several.first()),
    }
    .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_first_address_that_accepts_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        for (addresses, expected) in [
            (&[][..], None),
            (&[closed], Some(closed)),
            (&[closed, open], Some(open)),
            (&[closed, closed], Some(closed)),
        ] {
            assert_eq!(first_that_accepts(addresses, Duration::from_secs(5)), expected);
        }
    }

    #[test]
    fn other_machines_need_permission() {
        let error = addresses("192.0.2.1:5900", false).unwrap_err();
        assert_eq!(error.to_string(), "expected an address of this machine's loopback, found 192.0.2.1");
        assert_eq!(addresses("192.0.2.1:5900", true).unwrap(), [SocketAddr::from(([192, 0, 2, 1], 5900))]);
        let unix = ServerAddress::resolve("unix:/run/vm1.spice", false, Duration::ZERO).unwrap();
        assert_eq!(unix.to_string(), "unix:/run/vm1.spice");
    }
}
