// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `net`.

use alloc::vec::Vec;

use crate::{
    Decode, Encode, Error, Event, FailoverNegotiated, FdSocketAddress, InetSocketAddress, NetdevStreamConnected,
    NetdevStreamDisconnected, NetdevVhostUserConnected, NetdevVhostUserDisconnected, NicRxFilterChanged, Object,
    RdmaGidStatusChanged, SocketAddress, SocketAddressType, UnixSocketAddress, UnplugPrimary, VsockSocketAddress,
    open_enum,
    reader::{Members, Reader, required},
    value::own,
    wire::write_text,
};

impl NicRxFilterChanged<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> NicRxFilterChanged<'static> {
        NicRxFilterChanged { name: self.name.map(own), path: own(self.path) }
    }
}

impl<'a> Decode<'a> for NicRxFilterChanged<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "name": "#, r#", "path": "#])?;
        let mut name = None;
        let mut path = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => name = Some(reader.value()?),
                _ => path = Some(reader.value()?),
            }
        }
        Ok(Self { name, path: required(path, "path", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> FailoverNegotiated<'static> {
        FailoverNegotiated { device_id: own(self.device_id) }
    }
}

impl<'a> Decode<'a> for FailoverNegotiated<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "device-id": "#])?;
        let mut device_id = None;
        while members.next(reader)?.is_some() {
            device_id = Some(reader.value()?);
        }
        Ok(Self { device_id: required(device_id, "device-id", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> UnplugPrimary<'static> {
        UnplugPrimary { device_id: own(self.device_id) }
    }
}

impl<'a> Decode<'a> for UnplugPrimary<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "device-id": "#])?;
        let mut device_id = None;
        while members.next(reader)?.is_some() {
            device_id = Some(reader.value()?);
        }
        Ok(Self { device_id: required(device_id, "device-id", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> NetdevStreamConnected<'static> {
        NetdevStreamConnected { netdev_id: own(self.netdev_id), addr: self.addr.into_owned() }
    }
}

impl<'a> Decode<'a> for NetdevStreamConnected<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "netdev-id": "#, r#", "addr": "#])?;
        let mut netdev_id = None;
        let mut addr = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => netdev_id = Some(reader.value()?),
                _ => addr = Some(reader.value()?),
            }
        }
        Ok(Self { netdev_id: required(netdev_id, "netdev-id", reader)?, addr: required(addr, "addr", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> NetdevStreamDisconnected<'static> {
        NetdevStreamDisconnected { netdev_id: own(self.netdev_id) }
    }
}

impl<'a> Decode<'a> for NetdevStreamDisconnected<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "netdev-id": "#])?;
        let mut netdev_id = None;
        while members.next(reader)?.is_some() {
            netdev_id = Some(reader.value()?);
        }
        Ok(Self { netdev_id: required(netdev_id, "netdev-id", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> NetdevVhostUserConnected<'static> {
        NetdevVhostUserConnected { netdev_id: own(self.netdev_id), chardev_id: own(self.chardev_id) }
    }
}

impl<'a> Decode<'a> for NetdevVhostUserConnected<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "netdev-id": "#, r#", "chardev-id": "#])?;
        let mut netdev_id = None;
        let mut chardev_id = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => netdev_id = Some(reader.value()?),
                _ => chardev_id = Some(reader.value()?),
            }
        }
        Ok(Self {
            netdev_id: required(netdev_id, "netdev-id", reader)?,
            chardev_id: required(chardev_id, "chardev-id", reader)?,
        })
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
    #[must_use]
    pub fn into_owned(self) -> NetdevVhostUserDisconnected<'static> {
        NetdevVhostUserDisconnected { netdev_id: own(self.netdev_id) }
    }
}

impl<'a> Decode<'a> for NetdevVhostUserDisconnected<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "netdev-id": "#])?;
        let mut netdev_id = None;
        while members.next(reader)?.is_some() {
            netdev_id = Some(reader.value()?);
        }
        Ok(Self { netdev_id: required(netdev_id, "netdev-id", reader)? })
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
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[r#", "netdev": "#, r#", "interface-id": "#, r#", "gid-status": "#, r#", "subnet-prefix": "#],
        )?;
        let mut netdev = None;
        let mut interface_id = None;
        let mut gid_status = None;
        let mut subnet_prefix = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => netdev = Some(reader.value()?),
                1 => interface_id = Some(reader.value()?),
                2 => gid_status = Some(reader.value()?),
                _ => subnet_prefix = Some(reader.value()?),
            }
        }
        Ok(Self {
            netdev: required(netdev, "netdev", reader)?,
            gid_status: required(gid_status, "gid-status", reader)?,
            subnet_prefix: required(subnet_prefix, "subnet-prefix", reader)?,
            interface_id: required(interface_id, "interface-id", reader)?,
        })
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
    #[must_use]
    pub fn into_owned(self) -> FdSocketAddress<'static> {
        FdSocketAddress { str: own(self.str) }
    }
}

impl<'a> Decode<'a> for FdSocketAddress<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "str": "#])?;
        let mut str = None;
        while members.next(reader)?.is_some() {
            str = Some(reader.value()?);
        }
        Ok(Self { str: required(str, "str", reader)? })
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
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[
                r#", "numeric": "#,
                r#", "port": "#,
                r#", "mptcp": "#,
                r#", "keep-alive-interval": "#,
                r#", "ipv6": "#,
                r#", "ipv4": "#,
                r#", "keep-alive-idle": "#,
                r#", "host": "#,
                r#", "keep-alive": "#,
                r#", "to": "#,
                r#", "keep-alive-count": "#,
            ],
        )?;
        let mut numeric = None;
        let mut port = None;
        let mut mptcp = None;
        let mut keep_alive_interval = None;
        let mut ipv6 = None;
        let mut ipv4 = None;
        let mut keep_alive_idle = None;
        let mut host = None;
        let mut keep_alive = None;
        let mut to = None;
        let mut keep_alive_count = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => numeric = Some(reader.value()?),
                1 => port = Some(reader.value()?),
                2 => mptcp = Some(reader.value()?),
                3 => keep_alive_interval = Some(reader.value()?),
                4 => ipv6 = Some(reader.value()?),
                5 => ipv4 = Some(reader.value()?),
                6 => keep_alive_idle = Some(reader.value()?),
                7 => host = Some(reader.value()?),
                8 => keep_alive = Some(reader.value()?),
                9 => to = Some(reader.value()?),
                _ => keep_alive_count = Some(reader.value()?),
            }
        }
        Ok(Self {
            host: required(host, "host", reader)?,
            port: required(port, "port", reader)?,
            numeric,
            to,
            ipv4,
            ipv6,
            keep_alive,
            keep_alive_count,
            keep_alive_idle,
            keep_alive_interval,
            mptcp,
        })
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
        Ok(match &*reader.look_for_tag(r#", "type": "#)? {
            "inet" => Self::Inet(reader.case(r#", "type": "#)?),
            "unix" => Self::Unix(reader.case(r#", "type": "#)?),
            "vsock" => Self::Vsock(reader.case(r#", "type": "#)?),
            "fd" => Self::Fd(reader.case(r#", "type": "#)?),
            _ => Self::Other(Object::read(reader)?),
        })
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
    #[must_use]
    pub fn into_owned(self) -> UnixSocketAddress<'static> {
        UnixSocketAddress { path: own(self.path), r#abstract: self.r#abstract, tight: self.tight }
    }
}

impl<'a> Decode<'a> for UnixSocketAddress<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "abstract": "#, r#", "path": "#, r#", "tight": "#])?;
        let mut r#abstract = None;
        let mut path = None;
        let mut tight = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => r#abstract = Some(reader.value()?),
                1 => path = Some(reader.value()?),
                _ => tight = Some(reader.value()?),
            }
        }
        Ok(Self { path: required(path, "path", reader)?, r#abstract, tight })
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
    #[must_use]
    pub fn into_owned(self) -> VsockSocketAddress<'static> {
        VsockSocketAddress { cid: own(self.cid), port: own(self.port) }
    }
}

impl<'a> Decode<'a> for VsockSocketAddress<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "port": "#, r#", "cid": "#])?;
        let mut port = None;
        let mut cid = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => port = Some(reader.value()?),
                _ => cid = Some(reader.value()?),
            }
        }
        Ok(Self { cid: required(cid, "cid", reader)?, port: required(port, "port", reader)? })
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
