// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `net`.

use alloc::vec::Vec;

use crate::{
    Decode, Encode, Error, Event, FailoverNegotiated, FdSocketAddress, InetSocketAddress, NetdevStreamConnected,
    NetdevStreamDisconnected, NetdevVhostUserConnected, NetdevVhostUserDisconnected, NicRxFilterChanged, Object,
    RdmaGidStatusChanged, Reader, SocketAddress, SocketAddressType, UnixSocketAddress, UnplugPrimary,
    VsockSocketAddress, open_enum,
    record::{self, Members, Record, Take},
    value::own,
    wire::write_text,
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for NicRxFilterChanged<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { name: members.optional(r#", "name": "#), path: members.required(r#", "path": "#) }
    }
}

impl Encode for NicRxFilterChanged<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let mut separator: &[u8] = b"";
        if let Some(name) = &self.name {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"name\": \"");
            write_text(out, name);
            out.push(b'"');
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"path\": \"");
        write_text(out, &self.path);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for FailoverNegotiated<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device_id: members.required(r#", "device-id": "#) }
    }
}

impl Encode for FailoverNegotiated<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device-id\": \"");
        write_text(out, &self.device_id);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for UnplugPrimary<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device_id: members.required(r#", "device-id": "#) }
    }
}

impl Encode for UnplugPrimary<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device-id\": \"");
        write_text(out, &self.device_id);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for NetdevStreamConnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { netdev_id: members.required(r#", "netdev-id": "#), addr: members.required(r#", "addr": "#) }
    }
}

impl Encode for NetdevStreamConnected<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"netdev-id\": \"");
        write_text(out, &self.netdev_id);
        out.extend_from_slice(b"\", \"addr\": ");
        self.addr.write_to(out);
        out.push(b'}');
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for NetdevStreamDisconnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { netdev_id: members.required(r#", "netdev-id": "#) }
    }
}

impl Encode for NetdevStreamDisconnected<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"netdev-id\": \"");
        write_text(out, &self.netdev_id);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for NetdevVhostUserConnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { netdev_id: members.required(r#", "netdev-id": "#), chardev_id: members.required(r#", "chardev-id": "#) }
    }
}

impl Encode for NetdevVhostUserConnected<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"netdev-id\": \"");
        write_text(out, &self.netdev_id);
        out.extend_from_slice(b"\", \"chardev-id\": \"");
        write_text(out, &self.chardev_id);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for NetdevVhostUserDisconnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { netdev_id: members.required(r#", "netdev-id": "#) }
    }
}

impl Encode for NetdevVhostUserDisconnected<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"netdev-id\": \"");
        write_text(out, &self.netdev_id);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for RdmaGidStatusChanged<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            netdev: members.required(r#", "netdev": "#),
            interface_id: members.required(r#", "interface-id": "#),
            gid_status: members.required(r#", "gid-status": "#),
            subnet_prefix: members.required(r#", "subnet-prefix": "#),
        }
    }
}

impl Encode for RdmaGidStatusChanged<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"netdev\": \"");
        write_text(out, &self.netdev);
        out.extend_from_slice(b"\", \"interface-id\": ");
        self.interface_id.write_to(out);
        out.extend_from_slice(b", \"gid-status\": ");
        self.gid_status.write_to(out);
        out.extend_from_slice(b", \"subnet-prefix\": ");
        self.subnet_prefix.write_to(out);
        out.push(b'}');
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for FdSocketAddress<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { str: members.required(r#", "str": "#) }
    }
}

impl Encode for FdSocketAddress<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"str\": \"");
        write_text(out, &self.str);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for InetSocketAddress<'a> {
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

impl Encode for InetSocketAddress<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let mut separator: &[u8] = b"";
        if let Some(numeric) = &self.numeric {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"numeric\": ");
            numeric.write_to(out);
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"port\": \"");
        write_text(out, &self.port);
        out.extend_from_slice(b"\"");
        if let Some(mptcp) = &self.mptcp {
            out.extend_from_slice(b", \"mptcp\": ");
            mptcp.write_to(out);
        }
        if let Some(keep_alive_interval) = &self.keep_alive_interval {
            out.extend_from_slice(b", \"keep-alive-interval\": ");
            keep_alive_interval.write_to(out);
        }
        if let Some(ipv6) = &self.ipv6 {
            out.extend_from_slice(b", \"ipv6\": ");
            ipv6.write_to(out);
        }
        if let Some(ipv4) = &self.ipv4 {
            out.extend_from_slice(b", \"ipv4\": ");
            ipv4.write_to(out);
        }
        if let Some(keep_alive_idle) = &self.keep_alive_idle {
            out.extend_from_slice(b", \"keep-alive-idle\": ");
            keep_alive_idle.write_to(out);
        }
        out.extend_from_slice(b", \"host\": \"");
        write_text(out, &self.host);
        out.extend_from_slice(b"\"");
        if let Some(keep_alive) = &self.keep_alive {
            out.extend_from_slice(b", \"keep-alive\": ");
            keep_alive.write_to(out);
        }
        if let Some(to) = &self.to {
            out.extend_from_slice(b", \"to\": ");
            to.write_to(out);
        }
        if let Some(keep_alive_count) = &self.keep_alive_count {
            out.extend_from_slice(b", \"keep-alive-count\": ");
            keep_alive_count.write_to(out);
        }
        out.push(b'}');
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

impl Encode for SocketAddress<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Inet(case) => {
                out.extend_from_slice(b"{");
                let mut separator: &[u8] = b"";
                if let Some(numeric) = &case.numeric {
                    out.extend_from_slice(separator);
                    out.extend_from_slice(b"\"numeric\": ");
                    numeric.write_to(out);
                    separator = b", ";
                }
                out.extend_from_slice(separator);
                out.extend_from_slice(b"\"port\": \"");
                write_text(out, &case.port);
                out.extend_from_slice(b"\"");
                if let Some(mptcp) = &case.mptcp {
                    out.extend_from_slice(b", \"mptcp\": ");
                    mptcp.write_to(out);
                }
                if let Some(keep_alive_interval) = &case.keep_alive_interval {
                    out.extend_from_slice(b", \"keep-alive-interval\": ");
                    keep_alive_interval.write_to(out);
                }
                if let Some(ipv6) = &case.ipv6 {
                    out.extend_from_slice(b", \"ipv6\": ");
                    ipv6.write_to(out);
                }
                if let Some(ipv4) = &case.ipv4 {
                    out.extend_from_slice(b", \"ipv4\": ");
                    ipv4.write_to(out);
                }
                if let Some(keep_alive_idle) = &case.keep_alive_idle {
                    out.extend_from_slice(b", \"keep-alive-idle\": ");
                    keep_alive_idle.write_to(out);
                }
                out.extend_from_slice(b", \"host\": \"");
                write_text(out, &case.host);
                out.extend_from_slice(b"\"");
                if let Some(keep_alive) = &case.keep_alive {
                    out.extend_from_slice(b", \"keep-alive\": ");
                    keep_alive.write_to(out);
                }
                if let Some(to) = &case.to {
                    out.extend_from_slice(b", \"to\": ");
                    to.write_to(out);
                }
                out.extend_from_slice(b", \"type\": \"inet\"");
                if let Some(keep_alive_count) = &case.keep_alive_count {
                    out.extend_from_slice(b", \"keep-alive-count\": ");
                    keep_alive_count.write_to(out);
                }
                out.push(b'}');
            }
            Self::Unix(case) => {
                out.extend_from_slice(b"{");
                let mut separator: &[u8] = b"";
                if let Some(r#abstract) = &case.r#abstract {
                    out.extend_from_slice(separator);
                    out.extend_from_slice(b"\"abstract\": ");
                    r#abstract.write_to(out);
                    separator = b", ";
                }
                out.extend_from_slice(separator);
                out.extend_from_slice(b"\"path\": \"");
                write_text(out, &case.path);
                out.extend_from_slice(b"\", \"type\": \"unix\"");
                if let Some(tight) = &case.tight {
                    out.extend_from_slice(b", \"tight\": ");
                    tight.write_to(out);
                }
                out.push(b'}');
            }
            Self::Vsock(case) => {
                out.extend_from_slice(b"{\"port\": \"");
                write_text(out, &case.port);
                out.extend_from_slice(b"\", \"cid\": \"");
                write_text(out, &case.cid);
                out.extend_from_slice(b"\", \"type\": \"vsock\"}");
            }
            Self::Fd(case) => {
                out.extend_from_slice(b"{\"str\": \"");
                write_text(out, &case.str);
                out.extend_from_slice(b"\", \"type\": \"fd\"}");
            }
            Self::Other(members) => members.write_to(out),
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for UnixSocketAddress<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            r#abstract: members.optional(r#", "abstract": "#),
            path: members.required(r#", "path": "#),
            tight: members.optional(r#", "tight": "#),
        }
    }
}

impl Encode for UnixSocketAddress<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let mut separator: &[u8] = b"";
        if let Some(r#abstract) = &self.r#abstract {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"abstract\": ");
            r#abstract.write_to(out);
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"path\": \"");
        write_text(out, &self.path);
        out.extend_from_slice(b"\"");
        if let Some(tight) = &self.tight {
            out.extend_from_slice(b", \"tight\": ");
            tight.write_to(out);
        }
        out.push(b'}');
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for VsockSocketAddress<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { port: members.required(r#", "port": "#), cid: members.required(r#", "cid": "#) }
    }
}

impl Encode for VsockSocketAddress<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"port\": \"");
        write_text(out, &self.port);
        out.extend_from_slice(b"\", \"cid\": \"");
        write_text(out, &self.cid);
        out.extend_from_slice(b"\"}");
    }
}
