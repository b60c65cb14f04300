// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `net`.

use crate::{
    Decode, Error, Event, FailoverNegotiated, FdSocketAddress, InetSocketAddress, NetdevStreamConnected,
    NetdevStreamDisconnected, NetdevVhostUserConnected, NetdevVhostUserDisconnected, NicRxFilterChanged, Object,
    RdmaGidStatusChanged, Reader, SocketAddress, SocketAddressType, UnixSocketAddress, UnplugPrimary,
    VsockSocketAddress,
    fields::{self, Fields, Members, Take},
    open_enum,
    slice_writer::{Put, SliceWriter},
    value::own,
};

impl NicRxFilterChanged<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> NicRxFilterChanged<'static> {
        NicRxFilterChanged { name: self.name.map(own), path: own(self.path) }
    }
}

impl<'a> Decode<'a> for NicRxFilterChanged<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for NicRxFilterChanged<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { name: members.optional(r#", "name": "#), path: members.required(r#", "path": "#) }
    }
}

impl Put for NicRxFilterChanged<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(b"{");
        if let Some(name) = &self.name {
            out = out.fixed(br#""name": ""#).text(name).fixed(br#"", "#);
        }
        out.fixed(br#""path": ""#).text(&self.path).fixed(br#""}"#)
    }
}

impl<'a> From<NicRxFilterChanged<'a>> for Event<'a> {
    fn from(event: NicRxFilterChanged<'a>) -> Self {
        Self::NicRxFilterChanged(event)
    }
}

impl FailoverNegotiated<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> FailoverNegotiated<'static> {
        FailoverNegotiated { device_id: own(self.device_id) }
    }
}

impl<'a> Decode<'a> for FailoverNegotiated<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for FailoverNegotiated<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device_id: members.required(r#", "device-id": "#) }
    }
}

impl Put for FailoverNegotiated<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"device-id": ""#).text(&self.device_id).fixed(br#""}"#)
    }
}

impl<'a> From<FailoverNegotiated<'a>> for Event<'a> {
    fn from(event: FailoverNegotiated<'a>) -> Self {
        Self::FailoverNegotiated(event)
    }
}

impl UnplugPrimary<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> UnplugPrimary<'static> {
        UnplugPrimary { device_id: own(self.device_id) }
    }
}

impl<'a> Decode<'a> for UnplugPrimary<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for UnplugPrimary<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device_id: members.required(r#", "device-id": "#) }
    }
}

impl Put for UnplugPrimary<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"device-id": ""#).text(&self.device_id).fixed(br#""}"#)
    }
}

impl<'a> From<UnplugPrimary<'a>> for Event<'a> {
    fn from(event: UnplugPrimary<'a>) -> Self {
        Self::UnplugPrimary(event)
    }
}

impl NetdevStreamConnected<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> NetdevStreamConnected<'static> {
        NetdevStreamConnected { netdev_id: own(self.netdev_id), addr: self.addr.into_owned() }
    }
}

impl<'a> Decode<'a> for NetdevStreamConnected<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for NetdevStreamConnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { netdev_id: members.required(r#", "netdev-id": "#), addr: members.required(r#", "addr": "#) }
    }
}

impl Put for NetdevStreamConnected<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"netdev-id": ""#).text(&self.netdev_id).fixed(br#"", "addr": "#).value(&self.addr).fixed(b"}")
    }
}

impl<'a> From<NetdevStreamConnected<'a>> for Event<'a> {
    fn from(event: NetdevStreamConnected<'a>) -> Self {
        Self::NetdevStreamConnected(event)
    }
}

impl NetdevStreamDisconnected<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> NetdevStreamDisconnected<'static> {
        NetdevStreamDisconnected { netdev_id: own(self.netdev_id) }
    }
}

impl<'a> Decode<'a> for NetdevStreamDisconnected<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for NetdevStreamDisconnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { netdev_id: members.required(r#", "netdev-id": "#) }
    }
}

impl Put for NetdevStreamDisconnected<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"netdev-id": ""#).text(&self.netdev_id).fixed(br#""}"#)
    }
}

impl<'a> From<NetdevStreamDisconnected<'a>> for Event<'a> {
    fn from(event: NetdevStreamDisconnected<'a>) -> Self {
        Self::NetdevStreamDisconnected(event)
    }
}

impl NetdevVhostUserConnected<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> NetdevVhostUserConnected<'static> {
        NetdevVhostUserConnected { netdev_id: own(self.netdev_id), chardev_id: own(self.chardev_id) }
    }
}

impl<'a> Decode<'a> for NetdevVhostUserConnected<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for NetdevVhostUserConnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { netdev_id: members.required(r#", "netdev-id": "#), chardev_id: members.required(r#", "chardev-id": "#) }
    }
}

impl Put for NetdevVhostUserConnected<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"netdev-id": ""#)
            .text(&self.netdev_id)
            .fixed(br#"", "chardev-id": ""#)
            .text(&self.chardev_id)
            .fixed(br#""}"#)
    }
}

impl<'a> From<NetdevVhostUserConnected<'a>> for Event<'a> {
    fn from(event: NetdevVhostUserConnected<'a>) -> Self {
        Self::NetdevVhostUserConnected(event)
    }
}

impl NetdevVhostUserDisconnected<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> NetdevVhostUserDisconnected<'static> {
        NetdevVhostUserDisconnected { netdev_id: own(self.netdev_id) }
    }
}

impl<'a> Decode<'a> for NetdevVhostUserDisconnected<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for NetdevVhostUserDisconnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { netdev_id: members.required(r#", "netdev-id": "#) }
    }
}

impl Put for NetdevVhostUserDisconnected<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"netdev-id": ""#).text(&self.netdev_id).fixed(br#""}"#)
    }
}

impl<'a> From<NetdevVhostUserDisconnected<'a>> for Event<'a> {
    fn from(event: NetdevVhostUserDisconnected<'a>) -> Self {
        Self::NetdevVhostUserDisconnected(event)
    }
}

impl RdmaGidStatusChanged<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> RdmaGidStatusChanged<'static> {
        RdmaGidStatusChanged {
            netdev: own(self.netdev),
            gid_status: self.gid_status,
            subnet_prefix: self.subnet_prefix,
            interface_id: self.interface_id,
        }
    }
}

impl<'a> Decode<'a> for RdmaGidStatusChanged<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for RdmaGidStatusChanged<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            netdev: members.required(r#", "netdev": "#),
            interface_id: members.required(r#", "interface-id": "#),
            gid_status: members.required(r#", "gid-status": "#),
            subnet_prefix: members.required(r#", "subnet-prefix": "#),
        }
    }
}

impl Put for RdmaGidStatusChanged<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"netdev": ""#)
            .text(&self.netdev)
            .fixed(br#"", "interface-id": "#)
            .value(&self.interface_id)
            .fixed(br#", "gid-status": "#)
            .value(&self.gid_status)
            .fixed(br#", "subnet-prefix": "#)
            .value(&self.subnet_prefix)
            .fixed(b"}")
    }
}

impl<'a> From<RdmaGidStatusChanged<'a>> for Event<'a> {
    fn from(event: RdmaGidStatusChanged<'a>) -> Self {
        Self::RdmaGidStatusChanged(event)
    }
}

impl FdSocketAddress<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> FdSocketAddress<'static> {
        FdSocketAddress { str: own(self.str) }
    }
}

impl<'a> Decode<'a> for FdSocketAddress<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for FdSocketAddress<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { str: members.required(r#", "str": "#) }
    }
}

impl Put for FdSocketAddress<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"str": ""#).text(&self.str).fixed(br#""}"#)
    }
}

impl InetSocketAddress<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> InetSocketAddress<'static> {
        InetSocketAddress {
            host: own(self.host),
            port: own(self.port),
            numeric: self.numeric,
            to: self.to,
            ipv4: self.ipv4,
            ipv6: self.ipv6,
            keep_alive: self.keep_alive,
            keep_alive_count: self.keep_alive_count,
            keep_alive_idle: self.keep_alive_idle,
            keep_alive_interval: self.keep_alive_interval,
            mptcp: self.mptcp,
        }
    }
}

impl<'a> Decode<'a> for InetSocketAddress<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for InetSocketAddress<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            numeric: members.optional(r#", "numeric": "#),
            port: members.required(r#", "port": "#),
            mptcp: members.optional(r#", "mptcp": "#),
            keep_alive_interval: members.optional(r#", "keep-alive-interval": "#),
            ipv6: members.optional(r#", "ipv6": "#),
            ipv4: members.optional(r#", "ipv4": "#),
            keep_alive_idle: members.optional(r#", "keep-alive-idle": "#),
            host: members.required(r#", "host": "#),
            keep_alive: members.optional(r#", "keep-alive": "#),
            to: members.optional(r#", "to": "#),
            keep_alive_count: members.optional(r#", "keep-alive-count": "#),
        }
    }
}

impl Put for InetSocketAddress<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(b"{");
        if let Some(numeric) = &self.numeric {
            out = out.fixed(br#""numeric": "#).value(numeric).fixed(b", ");
        }
        out = out.fixed(br#""port": ""#).text(&self.port).fixed(b"\"");
        if let Some(mptcp) = &self.mptcp {
            out = out.fixed(br#", "mptcp": "#).value(mptcp);
        }
        if let Some(keep_alive_interval) = &self.keep_alive_interval {
            out = out.fixed(br#", "keep-alive-interval": "#).value(keep_alive_interval);
        }
        if let Some(ipv6) = &self.ipv6 {
            out = out.fixed(br#", "ipv6": "#).value(ipv6);
        }
        if let Some(ipv4) = &self.ipv4 {
            out = out.fixed(br#", "ipv4": "#).value(ipv4);
        }
        if let Some(keep_alive_idle) = &self.keep_alive_idle {
            out = out.fixed(br#", "keep-alive-idle": "#).value(keep_alive_idle);
        }
        out = out.fixed(br#", "host": ""#).text(&self.host).fixed(b"\"");
        if let Some(keep_alive) = &self.keep_alive {
            out = out.fixed(br#", "keep-alive": "#).value(keep_alive);
        }
        if let Some(to) = &self.to {
            out = out.fixed(br#", "to": "#).value(to);
        }
        if let Some(keep_alive_count) = &self.keep_alive_count {
            out = out.fixed(br#", "keep-alive-count": "#).value(keep_alive_count);
        }
        out.fixed(b"}")
    }
}

impl SocketAddress<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> SocketAddress<'static> {
        match self {
            Self::Inet(case) => SocketAddress::Inet(case.into_owned()),
            Self::Unix(case) => SocketAddress::Unix(case.into_owned()),
            Self::Vsock(case) => SocketAddress::Vsock(case.into_owned()),
            Self::Fd(case) => SocketAddress::Fd(case.into_owned()),
            Self::Other(members) => SocketAddress::Other(members.into_owned()),
        }
    }
}

impl<'a> Decode<'a> for SocketAddress<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let value = Self::take(reader);
        reader.take_failure().map_or(Ok(value), Err)
    }
}

impl<'a> Take<'a> for SocketAddress<'a> {
    fn take(reader: &mut Reader<'a>) -> Self {
        match &*reader.take_tag(r#", "type": "#) {
            "inet" => Self::Inet(reader.case(r#", "type": "#)),
            "unix" => Self::Unix(reader.case(r#", "type": "#)),
            "vsock" => Self::Vsock(reader.case(r#", "type": "#)),
            "fd" => Self::Fd(reader.case(r#", "type": "#)),
            _ => Self::Other(Object::take(reader)),
        }
    }
}

impl Put for SocketAddress<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        match self {
            Self::Inet(case) => {
                let mut out = out.fixed(b"{");
                if let Some(numeric) = &case.numeric {
                    out = out.fixed(br#""numeric": "#).value(numeric).fixed(b", ");
                }
                out = out.fixed(br#""port": ""#).text(&case.port).fixed(b"\"");
                if let Some(mptcp) = &case.mptcp {
                    out = out.fixed(br#", "mptcp": "#).value(mptcp);
                }
                if let Some(keep_alive_interval) = &case.keep_alive_interval {
                    out = out.fixed(br#", "keep-alive-interval": "#).value(keep_alive_interval);
                }
                if let Some(ipv6) = &case.ipv6 {
                    out = out.fixed(br#", "ipv6": "#).value(ipv6);
                }
                if let Some(ipv4) = &case.ipv4 {
                    out = out.fixed(br#", "ipv4": "#).value(ipv4);
                }
                if let Some(keep_alive_idle) = &case.keep_alive_idle {
                    out = out.fixed(br#", "keep-alive-idle": "#).value(keep_alive_idle);
                }
                out = out.fixed(br#", "host": ""#).text(&case.host).fixed(b"\"");
                if let Some(keep_alive) = &case.keep_alive {
                    out = out.fixed(br#", "keep-alive": "#).value(keep_alive);
                }
                if let Some(to) = &case.to {
                    out = out.fixed(br#", "to": "#).value(to);
                }
                out = out.fixed(br#", "type": "inet""#);
                if let Some(keep_alive_count) = &case.keep_alive_count {
                    out = out.fixed(br#", "keep-alive-count": "#).value(keep_alive_count);
                }
                out.fixed(b"}")
            }
            Self::Unix(case) => {
                let mut out = out.fixed(b"{");
                if let Some(r#abstract) = &case.r#abstract {
                    out = out.fixed(br#""abstract": "#).value(r#abstract).fixed(b", ");
                }
                out = out.fixed(br#""path": ""#).text(&case.path).fixed(br#"", "type": "unix""#);
                if let Some(tight) = &case.tight {
                    out = out.fixed(br#", "tight": "#).value(tight);
                }
                out.fixed(b"}")
            }
            Self::Vsock(case) => out
                .fixed(br#"{"port": ""#)
                .text(&case.port)
                .fixed(br#"", "cid": ""#)
                .text(&case.cid)
                .fixed(br#"", "type": "vsock"}"#),
            Self::Fd(case) => out.fixed(br#"{"str": ""#).text(&case.str).fixed(br#"", "type": "fd"}"#),
            Self::Other(members) => out.value(members),
        }
    }
}
open_enum! { SocketAddressType { Inet = "inet",
Unix = "unix",
Vsock = "vsock",
Fd = "fd",
 } }

impl UnixSocketAddress<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> UnixSocketAddress<'static> {
        UnixSocketAddress { path: own(self.path), r#abstract: self.r#abstract, tight: self.tight }
    }
}

impl<'a> Decode<'a> for UnixSocketAddress<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for UnixSocketAddress<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            r#abstract: members.optional(r#", "abstract": "#),
            path: members.required(r#", "path": "#),
            tight: members.optional(r#", "tight": "#),
        }
    }
}

impl Put for UnixSocketAddress<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(b"{");
        if let Some(r#abstract) = &self.r#abstract {
            out = out.fixed(br#""abstract": "#).value(r#abstract).fixed(b", ");
        }
        out = out.fixed(br#""path": ""#).text(&self.path).fixed(b"\"");
        if let Some(tight) = &self.tight {
            out = out.fixed(br#", "tight": "#).value(tight);
        }
        out.fixed(b"}")
    }
}

impl VsockSocketAddress<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VsockSocketAddress<'static> {
        VsockSocketAddress { cid: own(self.cid), port: own(self.port) }
    }
}

impl<'a> Decode<'a> for VsockSocketAddress<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VsockSocketAddress<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { port: members.required(r#", "port": "#), cid: members.required(r#", "cid": "#) }
    }
}

impl Put for VsockSocketAddress<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"port": ""#).text(&self.port).fixed(br#"", "cid": ""#).text(&self.cid).fixed(br#""}"#)
    }
}
