// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Remote desktops: SPICE and VNC.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The data of `SPICE_CONNECTED`: the SPICE server has accepted a connection. Nothing was read from it yet.
///
/// Since QEMU 0.14.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceConnected<'a> {
    /// The server's end.
    pub server: SpiceBasicInfo<'a>,
    /// The client's end.
    pub client: SpiceBasicInfo<'a>,
}

/// The data of `SPICE_INITIALIZED`: a SPICE channel is linked and its client is authenticated.
///
/// Since QEMU 0.14.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceInitialized<'a> {
    /// The server's end.
    pub server: SpiceServerInfo<'a>,
    /// The client's end, and which channel it is.
    pub client: SpiceChannel<'a>,
}

/// The data of `SPICE_DISCONNECTED`: a connection of the SPICE server is gone, whether or not a channel came of it.
///
/// Since QEMU 0.14.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceDisconnected<'a> {
    /// The server's end.
    pub server: SpiceBasicInfo<'a>,
    /// The client's end.
    pub client: SpiceBasicInfo<'a>,
}

/// The data of `VNC_CONNECTED`: the VNC server has accepted a connection.
///
/// Since QEMU 0.13.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VncConnected<'a> {
    /// The listening end.
    pub server: VncServerInfo<'a>,
    /// The client's end.
    pub client: VncBasicInfo<'a>,
}

/// The data of `VNC_INITIALIZED`: a VNC client is authenticated and its session begins.
///
/// Since QEMU 0.13.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VncInitialized<'a> {
    /// The listening end.
    pub server: VncServerInfo<'a>,
    /// The client's end, and its identity.
    pub client: VncClientInfo<'a>,
}

/// The data of `VNC_DISCONNECTED`: a VNC connection is gone.
///
/// Since QEMU 0.13.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VncDisconnected<'a> {
    /// The listening end.
    pub server: VncServerInfo<'a>,
    /// The client's end, and its identity.
    pub client: VncClientInfo<'a>,
}

/// The kind of a network address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkAddressFamily<'a> {
    /// `ipv4`: IPv4.
    Ipv4,
    /// `ipv6`: IPv6; also an IPv4 client of a dual-stack listener, as `::ffff:127.0.0.1`.
    Ipv6,
    /// `unix`: a unix socket.
    Unix,
    /// `vsock`: a socket between host and guest.
    ///
    /// Since QEMU 2.8.
    Vsock,
    /// `unknown`: anything else: what stands beside it as an address is of no use, and may be garbage.
    Unknown,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// One end of a SPICE channel's connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceBasicInfo<'a> {
    /// The IP address as text; `localhost` for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub port: Cow<'a, str>,
    /// The kind of address.
    ///
    /// Since QEMU 2.1.
    pub family: NetworkAddressFamily<'a>,
}

/// The client's end of a SPICE channel's connection, and which channel it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceChannel<'a> {
    /// The IP address as text; `localhost` for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub port: Cow<'a, str>,
    /// The kind of address.
    ///
    /// Since QEMU 2.1.
    pub family: NetworkAddressFamily<'a>,
    /// The session: all channels of one client carry the same. A signed 32-bit number on the wire, so half of all ids are negative.
    pub connection_id: i64,
    /// The kind of channel, 0…255: 1 is main, the first to open.
    pub channel_type: i64,
    /// Tells channels of one kind apart, 0…255.
    pub channel_id: i64,
    /// Whether the channel is encrypted with TLS.
    pub tls: bool,
}

/// The SPICE server and its channels: what `query-spice` returns.
///
/// Returned by the command `query-spice`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceInfo<'a> {
    /// Whether SPICE is in use. If not, the other members mean nothing.
    pub enabled: bool,
    /// Whether the end of a migration was seen; never taken back.
    pub migrated: bool,
    /// The address as it was given; `*` if none was given.
    pub host: Option<Cow<'a, str>>,
    /// The plain port; absent if there is none.
    pub port: Option<i64>,
    /// The TLS port; absent if there is none.
    pub tls_port: Option<i64>,
    /// How the server is set up to authenticate: `none`, `spice` or `sasl`.
    pub auth: Option<Cow<'a, str>>,
    /// The version of the SPICE server library that QEMU was built with: `0.15.1`.
    pub compiled_version: Option<Cow<'a, str>>,
    /// Who moves the mouse pointer.
    ///
    /// Since QEMU 1.1.
    pub mouse_mode: SpiceQueryMouseMode<'a>,
    /// The channels that are initialized, oldest first.
    pub channels: Option<Vec<SpiceChannel<'a>>>,
}

/// Who moves the mouse pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpiceQueryMouseMode<'a> {
    /// `client`: the client: it sends positions.
    Client,
    /// `server`: the server: the client sends movements.
    Server,
    /// `unknown`: not known.
    Unknown,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// The server's end of a SPICE channel's connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceServerInfo<'a> {
    /// The IP address as text; `localhost` for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub port: Cow<'a, str>,
    /// The kind of address.
    ///
    /// Since QEMU 2.1.
    pub family: NetworkAddressFamily<'a>,
    /// How the server is set up to authenticate: `none`, `spice` or `sasl`.
    pub auth: Option<Cow<'a, str>>,
}

/// One end of a VNC connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VncBasicInfo<'a> {
    /// The IP address as text; empty for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub service: Cow<'a, str>,
    /// The kind of address.
    ///
    /// Since QEMU 2.1.
    pub family: NetworkAddressFamily<'a>,
    /// Whether it is the listener for WebSocket.
    ///
    /// Since QEMU 2.3.
    pub websocket: bool,
}

/// The client's end of a VNC connection, and its identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VncClientInfo<'a> {
    /// The IP address as text; empty for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub service: Cow<'a, str>,
    /// The kind of address.
    ///
    /// Since QEMU 2.1.
    pub family: NetworkAddressFamily<'a>,
    /// Whether it is the listener for WebSocket.
    ///
    /// Since QEMU 2.3.
    pub websocket: bool,
    /// The name in its TLS certificate; absent if it has none.
    pub x509_dname: Option<Cow<'a, str>>,
    /// Its SASL user; absent where SASL is not in use.
    pub sasl_username: Option<Cow<'a, str>>,
}

/// The VNC server's listening end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VncServerInfo<'a> {
    /// The IP address as text; empty for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub service: Cow<'a, str>,
    /// The kind of address.
    ///
    /// Since QEMU 2.1.
    pub family: NetworkAddressFamily<'a>,
    /// Whether it is the listener for WebSocket.
    ///
    /// Since QEMU 2.3.
    pub websocket: bool,
    /// How the server is set up to authenticate: `none`, `vnc`, `sasl`, `vencrypt+tls+vnc` and so on.
    pub auth: Option<Cow<'a, str>>,
}
