use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    str::FromStr,
};

use qmp_schema::NetworkAddressFamily;
use spice_link::UnknownName;

/// The two ends of a connection. The names keep a server from being passed where a client belongs.
///
/// `A` is how an end is known: as [`Address`], or for example as [`SocketAddr`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Endpoints<A = Address> {
    /// The local end of the accepted socket.
    pub server: A,
    /// The peer of the accepted socket.
    pub client: A,
}

impl<A> Endpoints<A> {
    /// Converts both ends with `f`.
    pub fn map<B>(self, mut f: impl FnMut(A) -> B) -> Endpoints<B> {
        Endpoints { server: f(self.server), client: f(self.client) }
    }

    /// Both ends by reference.
    pub const fn as_ref(&self) -> Endpoints<&A> {
        Endpoints { server: &self.server, client: &self.client }
    }
}

impl From<Endpoints<SocketAddr>> for Endpoints {
    fn from(endpoints: Endpoints<SocketAddr>) -> Self {
        endpoints.map(Address::from)
    }
}

/// One end of a connection, as QEMU shows it: the strings that glibc's `getnameinfo` makes with numeric host and service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Address {
    /// `127.0.0.1`, `::ffff:127.0.0.1` for an IPv4 peer of a dual-stack listener, `localhost` for a unix socket.
    pub host: Box<str>,
    /// The port in decimal, or a unix socket's path.
    pub port: Box<str>,
    /// The address family of the socket.
    pub family: Family,
}

/// The values of QAPI's `NetworkAddressFamily` that a socket can have. Written and read as `ipv4`, `ipv6`, `unix`, `vsock` or
/// `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Family {
    /// `AF_INET`
    Ipv4,
    /// `AF_INET6`
    Ipv6,
    /// `AF_UNIX`
    Unix,
    /// `AF_VSOCK`
    Vsock,
    /// Any other family, or a peer that was gone before its address could be read.
    Unknown,
}

impl Address {
    /// One end of a unix socket: its path, which is empty if the socket is unbound or abstract.
    pub fn unix(path: &str) -> Self {
        Self { host: "localhost".into(), port: path.into(), family: Family::Unix }
    }

    /// A peer that was gone before its address could be read. QEMU shows uninitialised memory here; this crate shows empty strings.
    pub fn unknown() -> Self {
        Self { host: "".into(), port: "".into(), family: Family::Unknown }
    }
}

impl Address {
    /// The address as a socket address, if it is one: the inverse of the conversion from [`SocketAddr`].
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use spice_events::Address;
    /// let address: SocketAddr = "[::ffff:192.0.2.1]:5900".parse().unwrap();
    /// assert_eq!(Address::from(address).socket_addr(), Some(address));
    /// assert_eq!(Address::unix("/run/spice.sock").socket_addr(), None);
    /// ```
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let port = self.port.parse().ok()?;
        match self.family {
            Family::Ipv4 => Some(SocketAddr::new(IpAddr::V4(self.host.parse().ok()?), port)),
            Family::Ipv6 => {
                let (host, scope) = self.host.split_once('%').unwrap_or((&self.host, "0"));
                Some(SocketAddrV6::new(host.parse().ok()?, port, 0, scope.parse().ok()?).into())
            }
            Family::Unix | Family::Vsock | Family::Unknown => None,
        }
    }
}

impl fmt::Display for Address {
    /// `host:port`, with brackets if the host has colons. Control characters are escaped, because a peer chooses a unix socket's path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.host.escape_debug(), self.port.escape_debug());
        if self.host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl From<SocketAddr> for Address {
    /// A scope id is shown as a number. `getnameinfo` shows the interface's name, which only the caller can know.
    fn from(address: SocketAddr) -> Self {
        let (host, family) = match address {
            SocketAddr::V4(v4) => (Decimals::dotted(v4.ip().octets()).text(), Family::Ipv4),
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                (format!("{}%{}", ipv6(*v6.ip()), v6.scope_id()).into(), Family::Ipv6)
            }
            SocketAddr::V6(v6) => (ipv6(*v6.ip()).into(), Family::Ipv6),
        };
        Self { host, port: Decimals::default().number(address.port()).text(), family }
    }
}

impl From<(IpAddr, u16)> for Address {
    fn from(address: (IpAddr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

/// Formats like glibc's `inet_ntop`, which differs from Rust in one place: it also writes ::a.b.c.d with dots, if a.b is not 0.0.
fn ipv6(ip: Ipv6Addr) -> String {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => ip.to_string(),
    }
}

/// Decimal numbers, written without `fmt`, which took a tenth of the cost of a connection. The text grows from its end, in the
/// order in which division gives the digits. It is kept in a register, because bytes that were stored one by one are slow to load
/// together.
#[derive(Default)]
struct Decimals {
    /// The first character in the lowest byte; `255.255.255.255` leaves one byte of the sixteen free.
    text: u128,
    len: usize,
}

impl Decimals {
    fn dotted([a, b, c, d]: [u8; 4]) -> Self {
        let before = |text: Self, octet: u8| text.push(b'.').number(octet.into());
        [c, b, a].into_iter().fold(Self::default().number(d.into()), before)
    }

    fn push(self, byte: u8) -> Self {
        Self { text: self.text << 8 | u128::from(byte), len: self.len + 1 }
    }

    fn number(mut self, mut number: u16) -> Self {
        loop {
            // A digit.
            self = self.push(b'0' + (number % 10) as u8);
            number /= 10;
            if number == 0 {
                return self;
            }
        }
    }

    fn text(&self) -> Box<str> {
        // Digits and dots.
        self.text.to_le_bytes().get(..self.len).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default().into()
    }
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 5] = [Self::Ipv4, Self::Ipv6, Self::Unix, Self::Vsock, Self::Unknown];

    /// `"ipv4"`, `"ipv6"`, `"unix"`, `"vsock"` or `"unknown"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Unix => "unix",
            Self::Vsock => "vsock",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Family {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|family| family.name() == name);
        found.ok_or(UnknownName { expected: "ipv4, ipv6, unix, vsock or unknown" })
    }
}

impl From<Family> for NetworkAddressFamily<'static> {
    fn from(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::Ipv4,
            Family::Ipv6 => Self::Ipv6,
            Family::Unix => Self::Unix,
            Family::Vsock => Self::Vsock,
            Family::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `getnameinfo` of glibc 2.36 prints.
    #[test]
    fn addresses_equal_getnameinfos() {
        for (address, host, port) in [
            ("127.0.0.1:5900", "127.0.0.1", "5900"),
            ("255.255.255.255:65535", "255.255.255.255", "65535"),
            ("0.0.0.0:0", "0.0.0.0", "0"),
            ("10.9.100.99:10000", "10.9.100.99", "10000"),
            ("[::1]:65535", "::1", "65535"),
            ("[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", "1"),
            ("[::102:304]:1", "::1.2.3.4", "1"),
            ("[::2]:1", "::2", "1"),
            ("[::]:0", "::", "0"),
            ("[2001:db8:0:0:1:0:0:1]:5", "2001:db8::1:0:0:1", "5"),
            ("[2001:db8:0:1:1:1:1:1]:5", "2001:db8:0:1:1:1:1:1", "5"),
            ("[64:ff9b::102:304]:5", "64:ff9b::102:304", "5"),
            ("[fe80::1%3]:5", "fe80::1%3", "5"),
        ] {
            let socket = address.parse::<SocketAddr>().unwrap();
            let address = Address::from(socket);
            assert_eq!((&*address.host, &*address.port), (host, port));
            assert_eq!(address.socket_addr(), Some(socket));
        }
    }
}
