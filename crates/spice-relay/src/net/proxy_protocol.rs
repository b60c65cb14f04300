//! HAProxy's PROXY protocol: a header before the first byte of a connection, in which a proxy names the original client.
//!
//! The specification is HAProxy's `doc/proxy-protocol.txt`. Both versions are read and written.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use spice_events::Endpoints;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::address::decimal;
use crate::Error;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
}

impl FromStr for ProxyVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(Error::parse("v1 or v2", text)),
        }
    }
}

impl fmt::Display for ProxyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// The first 12 bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its CR LF included.
const MAX_V1: usize = 107;
/// The longest body of version 2 that is read, in bytes. Two unix addresses take 216; the rest is for extensions.
const MAX_V2: usize = 4096;

/// Reads a header and nothing after it. Returns the addresses of the original connection: its destination is the server, its source the
/// client. `None`: the header has no addresses, or the proxy connected on its own account.
///
/// Fails with the kind [`ConnectionAborted`](io::ErrorKind) if the connection ends before its first byte, which is what a health
/// check does, and with [`InvalidData`](io::ErrorKind) if the bytes are not a header.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Endpoints<SocketAddr>>> {
    let mut start = [0; 12];
    let Ok(1..) = stream.read(&mut start[..1]).await else {
        return Err(io::ErrorKind::ConnectionAborted.into());
    };
    stream.read_exact(&mut start[1..]).await?;
    if start == *SIGNATURE {
        return read_v2(stream).await;
    }
    if !start.starts_with(b"PROXY ") {
        return Err(wrong("expected a PROXY protocol header, found something else"));
    }
    // Byte by byte: the bytes after the line belong to the connection.
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= MAX_V1 {
            return Err(wrong("expected CR LF within 107 bytes of a PROXY line"));
        }
        line.push(stream.read_u8().await?);
    }
    std::str::from_utf8(&line)
        .ok()
        .and_then(parse_v1)
        .ok_or_else(|| wrong("expected `PROXY TCP4|TCP6 source destination port port` or `PROXY UNKNOWN`"))
}

#[expect(clippy::option_option, reason = "a wrong header, and one without addresses")]
fn parse_v1(line: &str) -> Option<Option<Endpoints<SocketAddr>>> {
    let mut words = line.trim_end_matches("\r\n").split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    let port = decimal(words.next()?)?;
    let destination_port = decimal(words.next()?)?;
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    let client = SocketAddr::new(source, port);
    let server = SocketAddr::new(destination, destination_port);
    (fits && words.next().is_none()).then_some(Some(Endpoints { server, client }))
}

async fn read_v2<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Endpoints<SocketAddr>>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [version_command, family, len @ ..] = head;
    let len = usize::from(u16::from_be_bytes(len));
    if len > MAX_V2 {
        return Err(wrong("expected a PROXY header of at most 4096 bytes"));
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    match (version_command, family >> 4) {
        (0x21, 1) if len >= 12 => {
            let ip = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
            Ok(Some(Endpoints { client: (ip(0), port(8)).into(), server: (ip(4), port(10)).into() }))
        }
        (0x21, 2) if len >= 36 => {
            let ip = |at: usize| {
                let mut ip = [0; 16];
                ip.copy_from_slice(&body[at..at + 16]);
                Ipv6Addr::from(ip)
            };
            Ok(Some(Endpoints { client: (ip(0), port(32)).into(), server: (ip(16), port(34)).into() }))
        }
        (0x21, 1 | 2) => Err(wrong("expected the addresses of a PROXY header, found too few bytes")),
        // The command LOCAL, or a family without ports.
        (0x20 | 0x21, _) => Ok(None),
        _ => Err(wrong("expected version 2 and a known command in a PROXY header")),
    }
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The header for a connection with these addresses, or one without addresses.
#[must_use]
pub fn write(version: ProxyVersion, original: Option<Endpoints<SocketAddr>>) -> Vec<u8> {
    // Both addresses must be of one family. A dual-stack listener shows an IPv4 client as an IPv6 address.
    let ends =
        original.map(|Endpoints { server, client }| match (client.ip().to_canonical(), server.ip().to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                (SocketAddr::from((source, client.port())), SocketAddr::from((destination, server.port())))
            }
            (source, destination) => ((v6(source), client.port()).into(), (v6(destination), server.port()).into()),
        });
    match version {
        ProxyVersion::V1 => match ends {
            Some((s, d)) => {
                let family = if s.is_ipv4() { "TCP4" } else { "TCP6" };
                format!("PROXY {family} {} {} {} {}\r\n", s.ip(), d.ip(), s.port(), d.port()).into_bytes()
            }
            None => b"PROXY UNKNOWN\r\n".to_vec(),
        },
        ProxyVersion::V2 => {
            let mut addresses = Vec::new();
            let family = match ends {
                Some((SocketAddr::V4(s), SocketAddr::V4(d))) => {
                    addresses.extend(s.ip().octets());
                    addresses.extend(d.ip().octets());
                    0x11
                }
                Some((SocketAddr::V6(s), SocketAddr::V6(d))) => {
                    addresses.extend(s.ip().octets());
                    addresses.extend(d.ip().octets());
                    0x21
                }
                _ => 0,
            };
            if let Some((s, d)) = ends.filter(|_| family != 0) {
                addresses.extend(s.port().to_be_bytes());
                addresses.extend(d.port().to_be_bytes());
            }
            let len = u8::try_from(addresses.len()).unwrap_or(0);
            [&SIGNATURE[..], &[0x21, family, 0, len], &addresses].concat()
        }
    }
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> io::Result<(Option<Endpoints<SocketAddr>>, Vec<u8>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(read(&mut bytes)).map(|ends| (ends, bytes.to_vec()))
    }

    #[test]
    fn written_header_is_read_and_the_bytes_after_it_are_left() {
        let ends = |client: &str, server: &str| {
            Endpoints { client, server }.map(|address| address.parse::<SocketAddr>().unwrap())
        };
        let v4 = ends("192.0.2.1:1000", "198.51.100.2:5900");
        let v6 = ends("[2001:db8::1]:1000", "[2001:db8::2]:5900");
        let mapped = ends("[::ffff:192.0.2.1]:1000", "[::ffff:198.51.100.2]:5900");
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            for (ends, expected) in [(Some(v4), Some(v4)), (Some(v6), Some(v6)), (Some(mapped), Some(v4)), (None, None)]
            {
                let mut bytes = write(version, ends);
                bytes.extend(b"REDQ");
                assert_eq!(read_all(&bytes).unwrap(), (expected, b"REDQ".to_vec()));
            }
        }
    }

    #[test]
    fn wrong_headers_are_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for bytes in [
            &b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0"[..],
            b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n",
            b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x01\x02\x03\x04",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"PROXY",
            long.as_bytes(),
        ] {
            let error = read_all(bytes).unwrap_err();
            assert_ne!(error.kind(), io::ErrorKind::ConnectionAborted, "{}", bytes.escape_ascii());
        }
        assert_eq!(read_all(b"").unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        // A LOCAL header, for a health check of the proxy's own, with an extension.
        assert_eq!(read_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x03abc!").unwrap(), (None, b"!".to_vec()));
    }
}
