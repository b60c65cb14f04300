// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `display`.

use crate::{
    Decode, Error, Event, NetworkAddressFamily, Reader, SpiceBasicInfo, SpiceChannel, SpiceConnected,
    SpiceDisconnected, SpiceInfo, SpiceInitialized, SpiceQueryMouseMode, SpiceServerInfo, VncBasicInfo, VncClientInfo,
    VncConnected, VncDisconnected, VncInitialized, VncServerInfo,
    fields::{self, Fields, Members},
    open_enum,
    slice_writer::{Put, SliceWriter},
    value::own,
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for SpiceConnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Put for SpiceConnected<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"server": "#).value(&self.server).fixed(br#", "client": "#).value(&self.client).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for SpiceInitialized<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Put for SpiceInitialized<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"server": "#).value(&self.server).fixed(br#", "client": "#).value(&self.client).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for SpiceDisconnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Put for SpiceDisconnected<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"server": "#).value(&self.server).fixed(br#", "client": "#).value(&self.client).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VncConnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Put for VncConnected<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"server": "#).value(&self.server).fixed(br#", "client": "#).value(&self.client).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VncInitialized<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Put for VncInitialized<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"server": "#).value(&self.server).fixed(br#", "client": "#).value(&self.client).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VncDisconnected<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { server: members.required(r#", "server": "#), client: members.required(r#", "client": "#) }
    }
}

impl Put for VncDisconnected<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"server": "#).value(&self.server).fixed(br#", "client": "#).value(&self.client).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for SpiceBasicInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            port: members.required(r#", "port": "#),
            family: members.required(r#", "family": "#),
            host: members.required(r#", "host": "#),
        }
    }
}

impl Put for SpiceBasicInfo<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"port": ""#)
            .text(&self.port)
            .fixed(br#"", "family": "#)
            .value(&self.family)
            .fixed(br#", "host": ""#)
            .text(&self.host)
            .fixed(br#""}"#)
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for SpiceChannel<'a> {
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

impl Put for SpiceChannel<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"port": ""#)
            .text(&self.port)
            .fixed(br#"", "family": "#)
            .value(&self.family)
            .fixed(br#", "channel-type": "#)
            .value(&self.channel_type)
            .fixed(br#", "connection-id": "#)
            .value(&self.connection_id)
            .fixed(br#", "host": ""#)
            .text(&self.host)
            .fixed(br#"", "channel-id": "#)
            .value(&self.channel_id)
            .fixed(br#", "tls": "#)
            .value(&self.tls)
            .fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for SpiceInfo<'a> {
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

impl Put for SpiceInfo<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out =
            out.fixed(br#"{"migrated": "#).value(&self.migrated).fixed(br#", "enabled": "#).value(&self.enabled);
        if let Some(auth) = &self.auth {
            out = out.fixed(br#", "auth": ""#).text(auth).fixed(b"\"");
        }
        if let Some(port) = &self.port {
            out = out.fixed(br#", "port": "#).value(port);
        }
        if let Some(compiled_version) = &self.compiled_version {
            out = out.fixed(br#", "compiled-version": ""#).text(compiled_version).fixed(b"\"");
        }
        if let Some(tls_port) = &self.tls_port {
            out = out.fixed(br#", "tls-port": "#).value(tls_port);
        }
        if let Some(host) = &self.host {
            out = out.fixed(br#", "host": ""#).text(host).fixed(b"\"");
        }
        if let Some(channels) = &self.channels {
            out = out.fixed(br#", "channels": "#).value(channels);
        }
        out.fixed(br#", "mouse-mode": "#).value(&self.mouse_mode).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for SpiceServerInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            auth: members.optional(r#", "auth": "#),
            port: members.required(r#", "port": "#),
            family: members.required(r#", "family": "#),
            host: members.required(r#", "host": "#),
        }
    }
}

impl Put for SpiceServerInfo<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(b"{");
        if let Some(auth) = &self.auth {
            out = out.fixed(br#""auth": ""#).text(auth).fixed(br#"", "#);
        }
        out.fixed(br#""port": ""#)
            .text(&self.port)
            .fixed(br#"", "family": "#)
            .value(&self.family)
            .fixed(br#", "host": ""#)
            .text(&self.host)
            .fixed(br#""}"#)
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VncBasicInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            family: members.required(r#", "family": "#),
            service: members.required(r#", "service": "#),
            host: members.required(r#", "host": "#),
            websocket: members.required(r#", "websocket": "#),
        }
    }
}

impl Put for VncBasicInfo<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"family": "#)
            .value(&self.family)
            .fixed(br#", "service": ""#)
            .text(&self.service)
            .fixed(br#"", "host": ""#)
            .text(&self.host)
            .fixed(br#"", "websocket": "#)
            .value(&self.websocket)
            .fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VncClientInfo<'a> {
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

impl Put for VncClientInfo<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out
            .fixed(br#"{"family": "#)
            .value(&self.family)
            .fixed(br#", "service": ""#)
            .text(&self.service)
            .fixed(b"\"");
        if let Some(x509_dname) = &self.x509_dname {
            out = out.fixed(br#", "x509_dname": ""#).text(x509_dname).fixed(b"\"");
        }
        out = out.fixed(br#", "host": ""#).text(&self.host).fixed(br#"", "websocket": "#).value(&self.websocket);
        if let Some(sasl_username) = &self.sasl_username {
            out = out.fixed(br#", "sasl_username": ""#).text(sasl_username).fixed(b"\"");
        }
        out.fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VncServerInfo<'a> {
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

impl Put for VncServerInfo<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(b"{");
        if let Some(auth) = &self.auth {
            out = out.fixed(br#""auth": ""#).text(auth).fixed(br#"", "#);
        }
        out.fixed(br#""family": "#)
            .value(&self.family)
            .fixed(br#", "service": ""#)
            .text(&self.service)
            .fixed(br#"", "host": ""#)
            .text(&self.host)
            .fixed(br#"", "websocket": "#)
            .value(&self.websocket)
            .fixed(b"}")
    }
}
