// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Network cards and their back ends.

use alloc::borrow::Cow;

use crate::Object;

/// The data of `NIC_RX_FILTER_CHANGED`: the guest has changed a network card's receive filter. It comes once; the next one is sent only after `query-rx-filter` was asked.
///
/// Since QEMU 1.6.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NicRxFilterChanged<'a> {
    /// The network card's id; absent if it has none.
    pub name: Option<Cow<'a, str>>,
    /// The device's path in QEMU's object tree.
    pub path: Cow<'a, str>,
}

/// The data of `FAILOVER_NEGOTIATED`: the guest's driver supports failover, so the primary network card can now be plugged.
///
/// Since QEMU 4.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FailoverNegotiated<'a> {
    /// The id of the stand-by card.
    pub device_id: Cow<'a, str>,
}

/// The data of `UNPLUG_PRIMARY`: a migration waits for the guest to let go of a failover pair's primary network card.
///
/// Since QEMU 4.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnplugPrimary<'a> {
    /// The primary card's id.
    pub device_id: Cow<'a, str>,
}

/// The data of `NETDEV_STREAM_CONNECTED`: a stream network back end is connected to its peer.
///
/// Since QEMU 7.2.
#[derive(Clone, Debug, PartialEq)]
pub struct NetdevStreamConnected<'a> {
    /// The back end's id.
    pub netdev_id: Cow<'a, str>,
    /// The peer's address.
    pub addr: SocketAddress<'a>,
}

/// The data of `NETDEV_STREAM_DISCONNECTED`: a stream network back end has lost its peer.
///
/// Since QEMU 7.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetdevStreamDisconnected<'a> {
    /// The back end's id.
    pub netdev_id: Cow<'a, str>,
}

/// The data of `NETDEV_VHOST_USER_CONNECTED`: a vhost-user network back end is connected to its peer.
///
/// Since QEMU 10.0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetdevVhostUserConnected<'a> {
    /// The back end's id.
    pub netdev_id: Cow<'a, str>,
    /// The id of the character device between them.
    pub chardev_id: Cow<'a, str>,
}

/// The data of `NETDEV_VHOST_USER_DISCONNECTED`: a vhost-user network back end has lost its peer.
///
/// Since QEMU 10.0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetdevVhostUserDisconnected<'a> {
    /// The back end's id.
    pub netdev_id: Cow<'a, str>,
}

/// The data of `RDMA_GID_STATUS_CHANGED`: the guest's RDMA device has added or removed an address of its table.
///
/// Since QEMU 4.0, removed in 9.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RdmaGidStatusChanged<'a> {
    /// The RDMA device's network device on the host.
    pub netdev: Cow<'a, str>,
    /// Whether the address is there.
    pub gid_status: bool,
    /// The address's upper half.
    pub subnet_prefix: u64,
    /// The address's lower half.
    pub interface_id: u64,
}

/// A socket that is open already.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FdSocketAddress<'a> {
    /// The descriptor's number, or the name given to it by `getfd`.
    pub str: Cow<'a, str>,
}

/// A socket on an IP network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InetSocketAddress<'a> {
    /// The host's name or address.
    pub host: Cow<'a, str>,
    /// The port, as a number or a service's name.
    pub port: Cow<'a, str>,
    /// Whether host and port are numeric, without name resolution.
    ///
    /// Since QEMU 2.9.
    pub numeric: Option<bool>,
    /// The last port of a range to try when listening.
    pub to: Option<u16>,
    /// Whether IPv4 may be used.
    pub ipv4: Option<bool>,
    /// Whether IPv6 may be used.
    pub ipv6: Option<bool>,
    /// Whether the connection is probed when it is idle.
    ///
    /// Since QEMU 4.2.
    pub keep_alive: Option<bool>,
    /// Probes without an answer before the connection is closed; 0 for the system's own number.
    ///
    /// Since QEMU 10.1.
    pub keep_alive_count: Option<u32>,
    /// Seconds without traffic before the first probe; 0 for the system's own number.
    ///
    /// Since QEMU 10.1.
    pub keep_alive_idle: Option<u32>,
    /// Seconds between probes; 0 for the system's own number.
    ///
    /// Since QEMU 10.1.
    pub keep_alive_interval: Option<u32>,
    /// Whether multipath TCP is used.
    ///
    /// Since QEMU 6.1.
    pub mptcp: Option<bool>,
}

/// The address of a socket.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SocketAddress<'a> {
    /// `inet`: on an IP network.
    Inet(InetSocketAddress<'a>),
    /// `unix`: a unix socket.
    Unix(UnixSocketAddress<'a>),
    /// `vsock`: between host and guest.
    Vsock(VsockSocketAddress<'a>),
    /// `fd`: open already.
    Fd(FdSocketAddress<'a>),
    /// An unknown case: all of its members.
    Other(Object<'a>),
}

/// What a socket's address names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketAddressType<'a> {
    /// `inet`: a host and a port.
    Inet,
    /// `unix`: a path.
    Unix,
    /// `vsock`: a context id and a port.
    Vsock,
    /// `fd`: a file descriptor.
    Fd,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// A unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnixSocketAddress<'a> {
    /// Its path, or the name of an abstract socket.
    pub path: Cow<'a, str>,
    /// Whether it is in Linux's abstract name space.
    ///
    /// Since QEMU 5.1.
    pub r#abstract: Option<bool>,
    /// Whether an abstract name ends where its text ends, without padding by zero bytes.
    ///
    /// Since QEMU 5.1.
    pub tight: Option<bool>,
}

/// A socket between host and guest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VsockSocketAddress<'a> {
    /// The context id, in decimal.
    pub cid: Cow<'a, str>,
    /// The port, in decimal.
    pub port: Cow<'a, str>,
}
