//! The SPICE server's events and what `query-spice` returns.

use alloc::{borrow::Cow, vec::Vec};

use crate::{
    Decode, Encode, Error,
    reader::{Members, Reader, required},
    wire,
};

/// The kind of a network address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkAddressFamily<'a> {
    /// `ipv4`: IPv4.
    Ipv4,
    /// `ipv6`: IPv6; also an IPv4 client of a dual-stack listener.
    Ipv6,
    /// `unix`: A unix socket.
    Unix,
    /// `vsock`: A socket between host and guest. Since QEMU 2.8.
    Vsock,
    /// `unknown`: Anything else; the address then holds no usable text.
    Unknown,
    /// A value that this version of the crate does not know.
    Other(Cow<'a, str>),
}

impl<'a> NetworkAddressFamily<'a> {
    /// The value as QMP carries it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Unix => "unix",
            Self::Vsock => "vsock",
            Self::Unknown => "unknown",
            Self::Other(other) => other,
        }
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> NetworkAddressFamily<'static> {
        match self {
            Self::Ipv4 => NetworkAddressFamily::Ipv4,
            Self::Ipv6 => NetworkAddressFamily::Ipv6,
            Self::Unix => NetworkAddressFamily::Unix,
            Self::Vsock => NetworkAddressFamily::Vsock,
            Self::Unknown => NetworkAddressFamily::Unknown,
            Self::Other(other) => NetworkAddressFamily::Other(Cow::Owned(other.into_owned())),
        }
    }
}

impl<'a> From<Cow<'a, str>> for NetworkAddressFamily<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match &*text {
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "unix" => Self::Unix,
            "vsock" => Self::Vsock,
            "unknown" => Self::Unknown,
            _ => Self::Other(text),
        }
    }
}

impl<'a> Decode<'a> for NetworkAddressFamily<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Cow::read(reader).map(Self::from)
    }
}

impl Encode for NetworkAddressFamily<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_str(out, self.as_str());
    }
}

/// One end of a SPICE channel's connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceBasicInfo<'a> {
    /// The IP address in text; `localhost` for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub port: Cow<'a, str>,
    /// The kind of address.
    pub family: NetworkAddressFamily<'a>,
}

impl SpiceBasicInfo<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> SpiceBasicInfo<'static> {
        SpiceBasicInfo {
            host: Cow::Owned(self.host.into_owned()),
            port: Cow::Owned(self.port.into_owned()),
            family: self.family.into_owned(),
        }
    }
}

impl<'a> Decode<'a> for SpiceBasicInfo<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &["port", "family", "host"])?;
        let mut port = None;
        let mut family = None;
        let mut host = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => port = Some(members.value(reader)?),
                1 => family = Some(members.value(reader)?),
                _ => host = Some(members.value(reader)?),
            }
        }
        Ok(Self {
            host: required(host, "host", reader)?,
            port: required(port, "port", reader)?,
            family: required(family, "family", reader)?,
        })
    }
}

impl Encode for SpiceBasicInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"port\": ");
        self.port.write_to(out);
        out.extend_from_slice(b", \"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"host\": ");
        self.host.write_to(out);
        out.push(b'}');
    }
}

/// The server's end of a SPICE channel's connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceServerInfo<'a> {
    /// The IP address in text; `localhost` for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub port: Cow<'a, str>,
    /// The kind of address.
    pub family: NetworkAddressFamily<'a>,
    /// How the server is configured to authenticate: `none`, `spice` or `sasl`.
    pub auth: Option<Cow<'a, str>>,
}

impl SpiceServerInfo<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> SpiceServerInfo<'static> {
        SpiceServerInfo {
            host: Cow::Owned(self.host.into_owned()),
            port: Cow::Owned(self.port.into_owned()),
            family: self.family.into_owned(),
            auth: self.auth.map(|text| Cow::Owned(text.into_owned())),
        }
    }
}

impl<'a> Decode<'a> for SpiceServerInfo<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &["auth", "port", "family", "host"])?;
        let mut auth = None;
        let mut port = None;
        let mut family = None;
        let mut host = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => auth = Some(members.value(reader)?),
                1 => port = Some(members.value(reader)?),
                2 => family = Some(members.value(reader)?),
                _ => host = Some(members.value(reader)?),
            }
        }
        Ok(Self {
            host: required(host, "host", reader)?,
            port: required(port, "port", reader)?,
            family: required(family, "family", reader)?,
            auth,
        })
    }
}

impl Encode for SpiceServerInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        let mut separator: &[u8] = b"{";
        if let Some(auth) = &self.auth {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"auth\": ");
            auth.write_to(out);
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"port\": ");
        self.port.write_to(out);
        out.extend_from_slice(b", \"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"host\": ");
        self.host.write_to(out);
        out.push(b'}');
    }
}

/// The client's end of a SPICE channel's connection, and which channel it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceChannel<'a> {
    /// The IP address in text; `localhost` for a unix socket.
    pub host: Cow<'a, str>,
    /// The port in decimal; a unix socket's path.
    pub port: Cow<'a, str>,
    /// The kind of address.
    pub family: NetworkAddressFamily<'a>,
    /// The session, a signed 32-bit number: all channels of a client carry the same.
    pub connection_id: i64,
    /// The kind of channel, 0…255: 1 is main, which opens first.
    pub channel_type: i64,
    /// Tells channels of one kind apart, 0…255.
    pub channel_id: i64,
    /// Whether the channel is encrypted with TLS.
    pub tls: bool,
}

impl SpiceChannel<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> SpiceChannel<'static> {
        SpiceChannel {
            host: Cow::Owned(self.host.into_owned()),
            port: Cow::Owned(self.port.into_owned()),
            family: self.family.into_owned(),
            connection_id: self.connection_id,
            channel_type: self.channel_type,
            channel_id: self.channel_id,
            tls: self.tls,
        }
    }
}

impl<'a> Decode<'a> for SpiceChannel<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members =
            Members::open(reader, &["port", "family", "channel-type", "connection-id", "host", "channel-id", "tls"])?;
        let mut port = None;
        let mut family = None;
        let mut channel_type = None;
        let mut connection_id = None;
        let mut host = None;
        let mut channel_id = None;
        let mut tls = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => port = Some(members.value(reader)?),
                1 => family = Some(members.value(reader)?),
                2 => channel_type = Some(members.value(reader)?),
                3 => connection_id = Some(members.value(reader)?),
                4 => host = Some(members.value(reader)?),
                5 => channel_id = Some(members.value(reader)?),
                _ => tls = Some(members.value(reader)?),
            }
        }
        Ok(Self {
            host: required(host, "host", reader)?,
            port: required(port, "port", reader)?,
            family: required(family, "family", reader)?,
            connection_id: required(connection_id, "connection-id", reader)?,
            channel_type: required(channel_type, "channel-type", reader)?,
            channel_id: required(channel_id, "channel-id", reader)?,
            tls: required(tls, "tls", reader)?,
        })
    }
}

impl Encode for SpiceChannel<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"port\": ");
        self.port.write_to(out);
        out.extend_from_slice(b", \"family\": ");
        self.family.write_to(out);
        out.extend_from_slice(b", \"channel-type\": ");
        self.channel_type.write_to(out);
        out.extend_from_slice(b", \"connection-id\": ");
        self.connection_id.write_to(out);
        out.extend_from_slice(b", \"host\": ");
        self.host.write_to(out);
        out.extend_from_slice(b", \"channel-id\": ");
        self.channel_id.write_to(out);
        out.extend_from_slice(b", \"tls\": ");
        self.tls.write_to(out);
        out.push(b'}');
    }
}

/// Who draws the mouse pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpiceQueryMouseMode<'a> {
    /// `client`: The client; positions are absolute.
    Client,
    /// `server`: The server; positions are relative.
    Server,
    /// `unknown`: Not known.
    Unknown,
    /// A value that this version of the crate does not know.
    Other(Cow<'a, str>),
}

impl<'a> SpiceQueryMouseMode<'a> {
    /// The value as QMP carries it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Unknown => "unknown",
            Self::Other(other) => other,
        }
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> SpiceQueryMouseMode<'static> {
        match self {
            Self::Client => SpiceQueryMouseMode::Client,
            Self::Server => SpiceQueryMouseMode::Server,
            Self::Unknown => SpiceQueryMouseMode::Unknown,
            Self::Other(other) => SpiceQueryMouseMode::Other(Cow::Owned(other.into_owned())),
        }
    }
}

impl<'a> From<Cow<'a, str>> for SpiceQueryMouseMode<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match &*text {
            "client" => Self::Client,
            "server" => Self::Server,
            "unknown" => Self::Unknown,
            _ => Self::Other(text),
        }
    }
}

impl<'a> Decode<'a> for SpiceQueryMouseMode<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Cow::read(reader).map(Self::from)
    }
}

impl Encode for SpiceQueryMouseMode<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_str(out, self.as_str());
    }
}

/// The SPICE server and its channels: what `query-spice` returns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceInfo<'a> {
    /// Whether SPICE is in use.
    pub enabled: bool,
    /// Whether a migration of the server's clients has ended.
    pub migrated: bool,
    /// The address as configured; `*` where none was.
    pub host: Option<Cow<'a, str>>,
    /// The plain port; absent where there is none.
    pub port: Option<i64>,
    /// The TLS port; absent where there is none.
    pub tls_port: Option<i64>,
    /// How the server is configured to authenticate: `none`, `spice` or `sasl`.
    pub auth: Option<Cow<'a, str>>,
    /// The version of the SPICE server library that QEMU was built with.
    pub compiled_version: Option<Cow<'a, str>>,
    /// Who draws the mouse pointer.
    pub mouse_mode: SpiceQueryMouseMode<'a>,
    /// Initialized channels, oldest first.
    pub channels: Option<Vec<SpiceChannel<'a>>>,
}

impl SpiceInfo<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> SpiceInfo<'static> {
        SpiceInfo {
            enabled: self.enabled,
            migrated: self.migrated,
            host: self.host.map(|text| Cow::Owned(text.into_owned())),
            port: self.port,
            tls_port: self.tls_port,
            auth: self.auth.map(|text| Cow::Owned(text.into_owned())),
            compiled_version: self.compiled_version.map(|text| Cow::Owned(text.into_owned())),
            mouse_mode: self.mouse_mode.into_owned(),
            channels: self.channels.map(|items| items.into_iter().map(SpiceChannel::into_owned).collect()),
        }
    }
}

impl<'a> Decode<'a> for SpiceInfo<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &["migrated", "enabled", "auth", "port", "compiled-version", "tls-port", "host", "channels", "mouse-mode"],
        )?;
        let mut migrated = None;
        let mut enabled = None;
        let mut auth = None;
        let mut port = None;
        let mut compiled_version = None;
        let mut tls_port = None;
        let mut host = None;
        let mut channels = None;
        let mut mouse_mode = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => migrated = Some(members.value(reader)?),
                1 => enabled = Some(members.value(reader)?),
                2 => auth = Some(members.value(reader)?),
                3 => port = Some(members.value(reader)?),
                4 => compiled_version = Some(members.value(reader)?),
                5 => tls_port = Some(members.value(reader)?),
                6 => host = Some(members.value(reader)?),
                7 => channels = Some(members.value(reader)?),
                _ => mouse_mode = Some(members.value(reader)?),
            }
        }
        Ok(Self {
            enabled: required(enabled, "enabled", reader)?,
            migrated: required(migrated, "migrated", reader)?,
            host,
            port,
            tls_port,
            auth,
            compiled_version,
            mouse_mode: required(mouse_mode, "mouse-mode", reader)?,
            channels,
        })
    }
}

impl Encode for SpiceInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"migrated\": ");
        self.migrated.write_to(out);
        out.extend_from_slice(b", \"enabled\": ");
        self.enabled.write_to(out);
        if let Some(auth) = &self.auth {
            out.extend_from_slice(b", \"auth\": ");
            auth.write_to(out);
        }
        if let Some(port) = &self.port {
            out.extend_from_slice(b", \"port\": ");
            port.write_to(out);
        }
        if let Some(compiled_version) = &self.compiled_version {
            out.extend_from_slice(b", \"compiled-version\": ");
            compiled_version.write_to(out);
        }
        if let Some(tls_port) = &self.tls_port {
            out.extend_from_slice(b", \"tls-port\": ");
            tls_port.write_to(out);
        }
        if let Some(host) = &self.host {
            out.extend_from_slice(b", \"host\": ");
            host.write_to(out);
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

/// The server accepted a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceConnected<'a> {
    /// The server's end.
    pub server: SpiceBasicInfo<'a>,
    /// The client's end.
    pub client: SpiceBasicInfo<'a>,
}

impl SpiceConnected<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> SpiceConnected<'static> {
        SpiceConnected { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for SpiceConnected<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &["server", "client"])?;
        let mut server = None;
        let mut client = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => server = Some(members.value(reader)?),
                _ => client = Some(members.value(reader)?),
            }
        }
        Ok(Self { server: required(server, "server", reader)?, client: required(client, "client", reader)? })
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

/// A channel is linked and authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceInitialized<'a> {
    /// The server's end.
    pub server: SpiceServerInfo<'a>,
    /// The client's end.
    pub client: SpiceChannel<'a>,
}

impl SpiceInitialized<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> SpiceInitialized<'static> {
        SpiceInitialized { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for SpiceInitialized<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &["server", "client"])?;
        let mut server = None;
        let mut client = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => server = Some(members.value(reader)?),
                _ => client = Some(members.value(reader)?),
            }
        }
        Ok(Self { server: required(server, "server", reader)?, client: required(client, "client", reader)? })
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

/// A connection is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiceDisconnected<'a> {
    /// The server's end.
    pub server: SpiceBasicInfo<'a>,
    /// The client's end.
    pub client: SpiceBasicInfo<'a>,
}

impl SpiceDisconnected<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> SpiceDisconnected<'static> {
        SpiceDisconnected { server: self.server.into_owned(), client: self.client.into_owned() }
    }
}

impl<'a> Decode<'a> for SpiceDisconnected<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &["server", "client"])?;
        let mut server = None;
        let mut client = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => server = Some(members.value(reader)?),
                _ => client = Some(members.value(reader)?),
            }
        }
        Ok(Self { server: required(server, "server", reader)?, client: required(client, "client", reader)? })
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
