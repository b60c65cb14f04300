// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `display`.

use alloc::vec::Vec;

use crate::{
    Decode, Encode, Error, Event, NetworkAddressFamily, Reader, SpiceBasicInfo, SpiceChannel, SpiceConnected,
    SpiceDisconnected, SpiceInfo, SpiceInitialized, SpiceQueryMouseMode, SpiceServerInfo, VncBasicInfo, VncClientInfo,
    VncConnected, VncDisconnected, VncInitialized, VncServerInfo, open_enum,
    record::{self, Members, Record},
    value::own,
    wire::write_text,
};

impl SpiceConnected<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> SpiceConnected<'static> {
        SpiceConnected { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for SpiceConnected<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for SpiceConnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Encode for SpiceConnected<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"server\": ");
        self.server.write_to(out);
        out.extend_from_slice(b", \"client\": ");
        self.client.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<SpiceConnected<'a>> for Event<'a> {
    fn from(event: SpiceConnected<'a>) -> Self {
        Self::SpiceConnected(event)
    }
}

impl SpiceInitialized<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> SpiceInitialized<'static> {
        SpiceInitialized { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for SpiceInitialized<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for SpiceInitialized<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Encode for SpiceInitialized<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"server\": ");
        self.server.write_to(out);
        out.extend_from_slice(b", \"client\": ");
        self.client.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<SpiceInitialized<'a>> for Event<'a> {
    fn from(event: SpiceInitialized<'a>) -> Self {
        Self::SpiceInitialized(event)
    }
}

impl SpiceDisconnected<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> SpiceDisconnected<'static> {
        SpiceDisconnected { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for SpiceDisconnected<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for SpiceDisconnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Encode for SpiceDisconnected<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"server\": ");
        self.server.write_to(out);
        out.extend_from_slice(b", \"client\": ");
        self.client.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<SpiceDisconnected<'a>> for Event<'a> {
    fn from(event: SpiceDisconnected<'a>) -> Self {
        Self::SpiceDisconnected(event)
    }
}

impl VncConnected<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VncConnected<'static> {
        VncConnected { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for VncConnected<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for VncConnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Encode for VncConnected<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"server\": ");
        self.server.write_to(out);
        out.extend_from_slice(b", \"client\": ");
        self.client.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<VncConnected<'a>> for Event<'a> {
    fn from(event: VncConnected<'a>) -> Self {
        Self::VncConnected(event)
    }
}

impl VncInitialized<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VncInitialized<'static> {
        VncInitialized { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for VncInitialized<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for VncInitialized<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Encode for VncInitialized<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"server\": ");
        self.server.write_to(out);
        out.extend_from_slice(b", \"client\": ");
        self.client.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<VncInitialized<'a>> for Event<'a> {
    fn from(event: VncInitialized<'a>) -> Self {
        Self::VncInitialized(event)
    }
}

impl VncDisconnected<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VncDisconnected<'static> {
        VncDisconnected { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for VncDisconnected<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for VncDisconnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Encode for VncDisconnected<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"server\": ");
        self.server.write_to(out);
        out.extend_from_slice(b", \"client\": ");
        self.client.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<VncDisconnected<'a>> for Event<'a> {
    fn from(event: VncDisconnected<'a>) -> Self {
        Self::VncDisconnected(event)
    }
}

open_enum! { NetworkAddressFamily { Ipv4 = "ipv4",
Ipv6 = "ipv6",
Unix = "unix",
Vsock = "vsock",
Unknown = "unknown",
 } }

impl SpiceBasicInfo<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> SpiceBasicInfo<'static> {
        SpiceBasicInfo { host: own(self.host), port: own(self.port), family: self.family.into_owned() }
    }
}

impl<'a> Decode<'a> for SpiceBasicInfo<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for SpiceBasicInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            port: members.required(r#", "port": "#),
            family: members.required(r#", "family": "#),
            host: members.required(r#", "host": "#),
        }
    }
}

impl Encode for SpiceBasicInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"port\": \"");
        write_text(out, &self.port);
        out.extend_from_slice(b"\", \"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"host\": \"");
        write_text(out, &self.host);
        out.extend_from_slice(b"\"}");
    }
}

impl SpiceChannel<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> SpiceChannel<'static> {
        SpiceChannel {
            host: own(self.host),
            port: own(self.port),
            family: self.family.into_owned(),
            connection_id: self.connection_id,
            channel_type: self.channel_type,
            channel_id: self.channel_id,
            tls: self.tls,
        }
    }
}

impl<'a> Decode<'a> for SpiceChannel<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for SpiceChannel<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            port: members.required(r#", "port": "#),
            family: members.required(r#", "family": "#),
            channel_type: members.required(r#", "channel-type": "#),
            connection_id: members.required(r#", "connection-id": "#),
            host: members.required(r#", "host": "#),
            channel_id: members.required(r#", "channel-id": "#),
            tls: members.required(r#", "tls": "#),
        }
    }
}

impl Encode for SpiceChannel<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"port\": \"");
        write_text(out, &self.port);
        out.extend_from_slice(b"\", \"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"channel-type\": ");
        self.channel_type.write_to(out);
        out.extend_from_slice(b", \"connection-id\": ");
        self.connection_id.write_to(out);
        out.extend_from_slice(b", \"host\": \"");
        write_text(out, &self.host);
        out.extend_from_slice(b"\", \"channel-id\": ");
        self.channel_id.write_to(out);
        out.extend_from_slice(b", \"tls\": ");
        self.tls.write_to(out);
        out.push(b'}');
    }
}

impl SpiceInfo<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> SpiceInfo<'static> {
        SpiceInfo {
            enabled: self.enabled,
            migrated: self.migrated,
            host: self.host.map(own),
            port: self.port,
            tls_port: self.tls_port,
            auth: self.auth.map(own),
            compiled_version: self.compiled_version.map(own),
            mouse_mode: self.mouse_mode.into_owned(),
            channels: self.channels.map(|items| items.into_iter().map(SpiceChannel::into_owned).collect()),
        }
    }
}

impl<'a> Decode<'a> for SpiceInfo<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for SpiceInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            migrated: members.required(r#", "migrated": "#),
            enabled: members.required(r#", "enabled": "#),
            auth: members.optional(r#", "auth": "#),
            port: members.optional(r#", "port": "#),
            compiled_version: members.optional(r#", "compiled-version": "#),
            tls_port: members.optional(r#", "tls-port": "#),
            host: members.optional(r#", "host": "#),
            channels: members.optional(r#", "channels": "#),
            mouse_mode: members.required(r#", "mouse-mode": "#),
        }
    }
}

impl Encode for SpiceInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"migrated\": ");
        self.migrated.write_to(out);
        out.extend_from_slice(b", \"enabled\": ");
        self.enabled.write_to(out);
        if let Some(auth) = &self.auth {
            out.extend_from_slice(b", \"auth\": \"");
            write_text(out, auth);
            out.push(b'"');
        }
        if let Some(port) = &self.port {
            out.extend_from_slice(b", \"port\": ");
            port.write_to(out);
        }
        if let Some(compiled_version) = &self.compiled_version {
            out.extend_from_slice(b", \"compiled-version\": \"");
            write_text(out, compiled_version);
            out.push(b'"');
        }
        if let Some(tls_port) = &self.tls_port {
            out.extend_from_slice(b", \"tls-port\": ");
            tls_port.write_to(out);
        }
        if let Some(host) = &self.host {
            out.extend_from_slice(b", \"host\": \"");
            write_text(out, host);
            out.push(b'"');
        }
        if let Some(channels) = &self.channels {
            out.extend_from_slice(b", \"channels\": ");
            channels.write_to(out);
        }
        out.extend_from_slice(b", \"mouse-mode\": ");
        self.mouse_mode.write_to(out);
        out.push(b'}');
    }
}

open_enum! { SpiceQueryMouseMode { Client = "client",
Server = "server",
Unknown = "unknown",
 } }

impl SpiceServerInfo<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> SpiceServerInfo<'static> {
        SpiceServerInfo {
            host: own(self.host),
            port: own(self.port),
            family: self.family.into_owned(),
            auth: self.auth.map(own),
        }
    }
}

impl<'a> Decode<'a> for SpiceServerInfo<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for SpiceServerInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            auth: members.optional(r#", "auth": "#),
            port: members.required(r#", "port": "#),
            family: members.required(r#", "family": "#),
            host: members.required(r#", "host": "#),
        }
    }
}

impl Encode for SpiceServerInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let mut separator: &[u8] = b"";
        if let Some(auth) = &self.auth {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"auth\": \"");
            write_text(out, auth);
            out.push(b'"');
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"port\": \"");
        write_text(out, &self.port);
        out.extend_from_slice(b"\", \"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"host\": \"");
        write_text(out, &self.host);
        out.extend_from_slice(b"\"}");
    }
}

impl VncBasicInfo<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VncBasicInfo<'static> {
        VncBasicInfo {
            host: own(self.host),
            service: own(self.service),
            family: self.family.into_owned(),
            websocket: self.websocket,
        }
    }
}

impl<'a> Decode<'a> for VncBasicInfo<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for VncBasicInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            family: members.required(r#", "family": "#),
            service: members.required(r#", "service": "#),
            host: members.required(r#", "host": "#),
            websocket: members.required(r#", "websocket": "#),
        }
    }
}

impl Encode for VncBasicInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"service\": \"");
        write_text(out, &self.service);
        out.extend_from_slice(b"\", \"host\": \"");
        write_text(out, &self.host);
        out.extend_from_slice(b"\", \"websocket\": ");
        self.websocket.write_to(out);
        out.push(b'}');
    }
}

impl VncClientInfo<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VncClientInfo<'static> {
        VncClientInfo {
            host: own(self.host),
            service: own(self.service),
            family: self.family.into_owned(),
            websocket: self.websocket,
            x509_dname: self.x509_dname.map(own),
            sasl_username: self.sasl_username.map(own),
        }
    }
}

impl<'a> Decode<'a> for VncClientInfo<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for VncClientInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            family: members.required(r#", "family": "#),
            service: members.required(r#", "service": "#),
            x509_dname: members.optional(r#", "x509_dname": "#),
            host: members.required(r#", "host": "#),
            websocket: members.required(r#", "websocket": "#),
            sasl_username: members.optional(r#", "sasl_username": "#),
        }
    }
}

impl Encode for VncClientInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"service\": \"");
        write_text(out, &self.service);
        out.extend_from_slice(b"\"");
        if let Some(x509_dname) = &self.x509_dname {
            out.extend_from_slice(b", \"x509_dname\": \"");
            write_text(out, x509_dname);
            out.push(b'"');
        }
        out.extend_from_slice(b", \"host\": \"");
        write_text(out, &self.host);
        out.extend_from_slice(b"\", \"websocket\": ");
        self.websocket.write_to(out);
        if let Some(sasl_username) = &self.sasl_username {
            out.extend_from_slice(b", \"sasl_username\": \"");
            write_text(out, sasl_username);
            out.push(b'"');
        }
        out.push(b'}');
    }
}

impl VncServerInfo<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VncServerInfo<'static> {
        VncServerInfo {
            host: own(self.host),
            service: own(self.service),
            family: self.family.into_owned(),
            websocket: self.websocket,
            auth: self.auth.map(own),
        }
    }
}

impl<'a> Decode<'a> for VncServerInfo<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for VncServerInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            auth: members.optional(r#", "auth": "#),
            family: members.required(r#", "family": "#),
            service: members.required(r#", "service": "#),
            host: members.required(r#", "host": "#),
            websocket: members.required(r#", "websocket": "#),
        }
    }
}

impl Encode for VncServerInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let mut separator: &[u8] = b"";
        if let Some(auth) = &self.auth {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"auth\": \"");
            write_text(out, auth);
            out.push(b'"');
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"service\": \"");
        write_text(out, &self.service);
        out.extend_from_slice(b"\", \"host\": \"");
        write_text(out, &self.host);
        out.extend_from_slice(b"\", \"websocket\": ");
        self.websocket.write_to(out);
        out.push(b'}');
    }
}
