//! From a captured frame to a TCP segment, borrowed and checked.

use crate::link::LinkType;
use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, TcpHeaderSlice};
use spice_events::Timestamp;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// An address and a port, small and in one piece: the table of connections holds two for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// IPv4 in the first four bytes, the rest zero; `v6` tells.
    address: [u8; 16],
    port: u16,
    v6: bool,
}

impl Endpoint {
    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) const fn words(&self) -> (u128, u64) {
        (u128::from_ne_bytes(self.address), (self.port as u64) << 1 | self.v6 as u64)
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(end: Endpoint) -> Self {
        let [a, b, c, d, ..] = end.address;
        let ip = if end.v6 { IpAddr::V6(Ipv6Addr::from(end.address)) } else { IpAddr::V4(Ipv4Addr::new(a, b, c, d)) };
        Self::new(ip, end.port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address.ip() {
            IpAddr::V4(ip) => Self::v4(ip.octets(), address.port()),
            IpAddr::V6(ip) => Self { address: ip.octets(), port: address.port(), v6: true },
        }
    }
}

impl Endpoint {
    fn v4([a, b, c, d]: [u8; 4], port: u16) -> Self {
        Self { address: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], port, v6: false }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The control bits of a TCP header that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// The sequence number is the initial one.
    pub const SYN: Self = Self(0x02);
    /// The connection is aborted.
    pub const RST: Self = Self(0x04);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x10);

    /// From the low byte of the header's bits (offset 13 of the TCP header).
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x17)
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The longest IP packet that is believed: twice what Linux's BIG TCP makes of a loopback packet (512 KiB).
const MAX_PACKET: usize = 1 << 20;

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// When its packet was captured.
    pub at: Timestamp,
    /// The sender.
    pub from: Endpoint,
    /// The receiver.
    pub to: Endpoint,
    /// Sequence number of the first byte, or of SYN or FIN.
    pub seq: u32,
    /// The next sequence number that the sender expects, with [`Flags::ACK`].
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// As much of the payload as was captured.
    pub payload: &'a [u8],
    /// Bytes of the payload that follow and were not captured (snaplen).
    pub missing: u32,
}

/// Why a packet is not a TCP segment that can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// ARP, IPX, …
    NotIp,
    /// UDP, ICMP, …
    NotTcp,
    /// A piece of an IP packet. Pieces are not put together.
    Fragment,
    /// So little was captured that the TCP header is incomplete.
    Truncated,
    /// The headers contradict each other or the length on the wire: no receiver would take it.
    Malformed,
    /// The link type is not one of those in [`LinkType`].
    UnknownLink,
}

impl<'a> Segment<'a> {
    /// Takes a frame apart. `wire_len` is its length before the capture cut it.
    pub fn parse(at: Timestamp, link: LinkType, frame: &'a [u8], wire_len: u32) -> Result<Self, Skipped> {
        let Some(ip) = link.ip(frame) else {
            return Err(if link.name().is_some() { Skipped::NotIp } else { Skipped::UnknownLink });
        };
        let cut = (wire_len as usize).saturating_sub(frame.len());
        let wire_len = ip.len() + cut;
        match ip.first().map(|b| b >> 4) {
            Some(4) => Self::ipv4(at, ip, wire_len),
            Some(6) => Self::ipv6(at, ip, wire_len),
            _ => Err(Skipped::NotIp),
        }
    }

    fn ipv4(at: Timestamp, ip: &'a [u8], wire_len: usize) -> Result<Self, Skipped> {
        let header = Ipv4HeaderSlice::from_slice(ip).map_err(|_| short(ip.len(), wire_len))?;
        if header.protocol() != IpNumber::TCP {
            return Err(Skipped::NotTcp);
        }
        if header.is_fragmenting_payload() {
            return Err(Skipped::Fragment);
        }
        // A length of 0 is a packet that the network card was to cut: it is as long as the frame says.
        let total = match usize::from(header.total_len()) {
            0 => wire_len,
            total => total,
        };
        let head = header.slice().len();
        let segment = ip.get(head..total.min(ip.len())).ok_or(Skipped::Malformed)?;
        if total > wire_len.min(MAX_PACKET) {
            return Err(Skipped::Malformed);
        }
        let ends =
            |ports: (u16, u16)| (Endpoint::v4(header.source(), ports.0), Endpoint::v4(header.destination(), ports.1));
        Self::tcp(at, segment, total - head, ends)
    }

    fn ipv6(at: Timestamp, ip: &'a [u8], wire_len: usize) -> Result<Self, Skipped> {
        let header = Ipv6HeaderSlice::from_slice(ip).map_err(|_| short(ip.len(), wire_len))?;
        let head = header.slice().len();
        // 0: a jumbogram, or a packet that the network card was to cut.
        let total = match usize::from(header.payload_length()) {
            0 => wire_len,
            length => head + length,
        };
        if total > wire_len.min(MAX_PACKET) {
            return Err(Skipped::Malformed);
        }
        let body = ip.get(head..total.min(ip.len())).ok_or(Skipped::Malformed)?;
        let (segment, next) = if header.next_header() == IpNumber::TCP {
            (body, IpNumber::TCP)
        } else {
            let (extensions, next, rest) =
                Ipv6ExtensionsSlice::from_slice(header.next_header(), body).map_err(|_| short(ip.len(), total))?;
            if extensions.is_fragmenting_payload() {
                return Err(Skipped::Fragment);
            }
            (rest, next)
        };
        if next != IpNumber::TCP {
            return Err(Skipped::NotTcp);
        }
        let ends = |ports: (u16, u16)| {
            let end = |address, port| Endpoint { address, port, v6: true };
            (end(header.source(), ports.0), end(header.destination(), ports.1))
        };
        Self::tcp(at, segment, total - head - (body.len() - segment.len()), ends)
    }

    /// `length` is that of header and payload as IP has it, `segment` as much of it as was captured.
    fn tcp(
        at: Timestamp,
        segment: &'a [u8],
        length: usize,
        ends: impl Fn((u16, u16)) -> (Endpoint, Endpoint),
    ) -> Result<Self, Skipped> {
        let header = TcpHeaderSlice::from_slice(segment).map_err(|_| short(segment.len(), length))?;
        let (from, to) = ends((header.source_port(), header.destination_port()));
        let payload = &segment[header.slice().len()..];
        Ok(Self {
            at,
            from,
            to,
            seq: header.sequence_number(),
            ack: header.acknowledgment_number(),
            flags: Flags::from_bits(header.slice()[13]),
            payload,
            missing: u32::try_from(length - segment.len()).unwrap_or(u32::MAX),
        })
    }
}

/// A header that could not be read was cut by the capture, or was never whole.
fn short(captured: usize, length: usize) -> Skipped {
    if captured < length { Skipped::Truncated } else { Skipped::Malformed }
}
