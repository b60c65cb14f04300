#![doc = include_str!("../README.md")]

use std::{net::SocketAddr, sync::Arc};

pub use qmp_schema::Timestamp;
pub use spice_link::Side;

/// A connection, named by the caller: any number that no other live connection of the same tracker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// One end of a connection, as QEMU's `getnameinfo` renders it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// `"127.0.0.1"`, `"::ffff:127.0.0.1"`, `"localhost"` for a unix socket.
    pub host: Box<str>,
    /// The port number in decimal, or a unix socket's path.
    pub port: Box<str>,
    /// `"ipv4"`, `"ipv6"`, `"unix"`, `"vsock"`, `"unknown"`.
    pub family: Family,
}

/// QAPI's `NetworkAddressFamily`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `AF_INET`
    Ipv4,
    /// `AF_INET6`
    Ipv6,
    /// `AF_UNIX`
    Unix,
    /// `AF_VSOCK`
    Vsock,
    /// anything else
    Unknown,
}

impl Address {
    /// A unix socket's end: host `localhost`, port the path (empty where unbound or abstract).
    pub fn unix(path: &str) -> Self {
        Self { host: "localhost".into(), port: path.into(), family: Family::Unix }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        Self { host: address.ip().to_string().into(), port: address.port().to_string().into(), family }
    }
}

/// What happened to a connection.
#[derive(Debug)]
pub enum Input<'a> {
    /// The server's side accepted it. Needs no byte; must come first.
    Opened {
        /// The local end of the accepted socket.
        server: Address,
        /// Its peer.
        client: Address,
        /// The SPICE channel itself runs inside TLS: `tls` of the event.
        tls: bool,
        /// The bytes that follow are readable SPICE (decrypted, or plain). `false`: opaque TLS.
        readable: bool,
    },
    /// Bytes of one direction, in order, in any cut.
    Bytes {
        /// Who sent them.
        from: Side,
        /// As many as there are.
        data: &'a [u8],
    },
    /// Bytes that were sent but not seen (lost by a capture).
    Gap {
        /// Who sent them.
        from: Side,
        /// How many.
        len: u64,
    },
    /// The server's side of the connection is gone; the id may be used again.
    Closed {
        /// Who ended it first, where that is known.
        by: Option<Side>,
    },
}

/// What the tracker has to say.
#[derive(Debug)]
pub enum Output {
    /// One of QEMU's events.
    Event(Emitted),
    /// Something odd, with connection, direction and offset.
    Anomaly(Anomaly),
}

/// An event and the connection that it speaks of; shares the connection's strings.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// When it happened.
    pub at: Timestamp,
    /// The connection.
    pub flow: FlowId,
    _connection: Arc<()>,
}

impl Emitted {
    /// Appends the event as QEMU writes it, without a line end: `{"timestamp": …}`.
    pub fn write_to(&self, _out: &mut Vec<u8>) {}
}

/// Something that a peer did which SPICE does not foresee, or which could not be read.
#[derive(Clone, Debug)]
pub struct Anomaly {
    /// When it was seen.
    pub at: Timestamp,
    /// The connection.
    pub flow: FlowId,
}

/// What the tracker can't read off the wire, and its limits.
#[derive(Clone, Debug, Default)]
pub struct Config {}

/// Follows every connection of one VM's SPICE server: inputs in, events out.
#[derive(Debug, Default)]
pub struct Tracker {}

impl Tracker {
    /// A tracker without connections.
    pub fn new(_config: Config) -> Self {
        Self {}
    }

    /// Takes one input. Drain [`poll`](Self::poll) after each.
    pub fn handle(&mut self, _at: Timestamp, _flow: FlowId, _input: Input<'_>) {}

    /// The next event or anomaly, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        None
    }

    /// Whether this flow's bytes are still read. Once `false`, `Bytes` and `Gap` need not be handed in any more.
    pub fn wants(&self, _flow: FlowId) -> bool {
        false
    }
}
