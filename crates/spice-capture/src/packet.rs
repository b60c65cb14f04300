//! Turns a captured frame into a TCP segment, borrowed and checked.

use crate::link::LinkType;
use etherparse::{IpNumber, Ipv6ExtensionsSlice, Ipv6HeaderSlice};
use spice_events::Timestamp;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// An address and a port, small and quickly compared: the table of connections holds two for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The port, and in the lowest bit whether the address is IPv6. It comes first because it tells the two ends of a connection apart at once.
    port: u32,
    /// The address as a number, of IPv4 its low 32 bits.
    high: u64,
    low: u64,
}

impl Endpoint {
    #[inline]
    fn v4(address: [u8; 4], port: u16) -> Self {
        Self { high: 0, low: u32::from_be_bytes(address).into(), port: u32::from(port) << 1 }
    }

    #[inline]
    fn v6(address: [u8; 16], port: u16) -> Self {
        let half = |at: usize| address[at..].first_chunk().copied().map_or(0, u64::from_be_bytes);
        Self { high: half(0), low: half(8), port: u32::from(port) << 1 | 1 }
    }

    /// The port.
    #[inline]
    pub const fn port(&self) -> u16 {
        // A port above one bit.
        (self.port >> 1 & 0xffff) as u16
    }

    const fn is_v6(&self) -> bool {
        self.port & 1 == 1
    }

    /// What it is, for a hash.
    pub(crate) const fn words(&self) -> [u64; 3] {
        [self.high, self.low, self.port as u64]
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(end: Endpoint) -> Self {
        let ip = if end.is_v6() {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(end.high) << 64 | u128::from(end.low)))
        } else {
            let [.., a, b, c, d] = end.low.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        };
        Self::new(ip, end.port())
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address.ip() {
            IpAddr::V4(ip) => Self::v4(ip.octets(), address.port()),
            IpAddr::V6(ip) => Self::v6(ip.octets(), address.port()),
        }
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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

    /// Whether any of `other` is set.
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The addresses of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Addresses {
    V4 { from: [u8; 4], to: [u8; 4] },
    V6 { from: [u8; 16], to: [u8; 16] },
}

impl Addresses {
    fn ends(self, from_port: u16, to_port: u16) -> (Endpoint, Endpoint) {
        match self {
            Self::V4 { from, to } => (Endpoint::v4(from, from_port), Endpoint::v4(to, to_port)),
            Self::V6 { from, to } => (Endpoint::v6(from, from_port), Endpoint::v6(to, to_port)),
        }
    }
}

/// The longest IP packet that is believed: twice what Linux's BIG TCP makes of a loopback packet (512 KiB).
pub(crate) const MAX_PACKET: usize = 1 << 20;

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Skipped {
    /// ARP, IPX, …
    NotIp,
    /// UDP, ICMP, …
    NotTcp,
    /// A fragment of an IP packet. [`Decapsulator`](crate::decapsulate::Decapsulator) puts fragments together.
    Fragment,
    /// So little was captured that the TCP header is incomplete, its options aside.
    Truncated,
    /// The headers contradict each other or the length on the wire: no receiver would take it.
    Malformed,
    /// The link type is not one of those in [`LinkType`].
    UnknownLink,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotIp => "not an IP packet",
            Self::NotTcp => "not a TCP segment",
            Self::Fragment => "a fragment of an IP packet",
            Self::Truncated => "cut within its headers",
            Self::Malformed => "headers that contradict each other",
            Self::UnknownLink => "a link type that is not read",
        })
    }
}

impl<'a> Segment<'a> {
    /// Takes a frame apart that has one link header and one IP header. `wire_len` is its length before the capture cut it.
    ///
    /// [`Decapsulator`](crate::decapsulate::Decapsulator) reads what this calls [`Skipped::NotIp`], [`Skipped::NotTcp`], [`Skipped::Fragment`] and
    /// [`Skipped::UnknownLink`].
    #[expect(clippy::inline_always, reason = "what it returns is long, and would be copied at each step")]
    #[inline(always)]
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

    /// Takes the payload of an IP packet apart, of `length` bytes on the wire.
    pub(crate) fn in_ip(
        at: Timestamp,
        addresses: Addresses,
        payload: &'a [u8],
        length: usize,
    ) -> Result<Self, Skipped> {
        Self::tcp(at, payload, length, |from, to| addresses.ends(from, to))
    }

    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn ipv4(at: Timestamp, ip: &'a [u8], wire_len: usize) -> Result<Self, Skipped> {
        let header = ip.first_chunk::<20>().ok_or_else(|| short(ip.len(), wire_len))?;
        // version 4 bits + length 4 bits, in words of four bytes
        let head = usize::from(header[0] & 0x0f) * 4;
        if head < header.len() || head > ip.len() {
            return Err(short(ip.len(), wire_len));
        }
        if header[9] != IpNumber::TCP.0 {
            return Err(Skipped::NotTcp);
        }
        // reserved 1 bit + don't fragment 1 + more fragments 1 + offset 13
        if be16(header, 6) & 0x3fff != 0 {
            return Err(Skipped::Fragment);
        }
        // A length of 0 is a packet that the network card was to cut: it is as long as the frame says.
        let total = match usize::from(be16(header, 2)) {
            0 => wire_len,
            total => total,
        };
        let segment = ip.get(head..total.min(ip.len())).ok_or(Skipped::Malformed)?;
        if total > wire_len.min(MAX_PACKET) {
            return Err(Skipped::Malformed);
        }
        let end = |at: usize, port| Endpoint::v4([header[at], header[at + 1], header[at + 2], header[at + 3]], port);
        Self::tcp(at, segment, total - head, |from, to| (end(12, from), end(16, to)))
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
            // Headers in another order, or that are cut: the decapsulator reads or counts them.
            let (extensions, next, rest) =
                Ipv6ExtensionsSlice::from_slice(header.next_header(), body).map_err(|_| Skipped::NotTcp)?;
            if extensions.is_fragmenting_payload() {
                return Err(Skipped::Fragment);
            }
            (rest, next)
        };
        if next != IpNumber::TCP {
            return Err(Skipped::NotTcp);
        }
        let ends = |from, to| (Endpoint::v6(header.source(), from), Endpoint::v6(header.destination(), to));
        Self::tcp(at, segment, total - head - (body.len() - segment.len()), ends)
    }

    /// `length` is that of header and payload as IP has it, `segment` as much of it as was captured.
    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn tcp(
        at: Timestamp,
        segment: &'a [u8],
        length: usize,
        ends: impl Fn(u16, u16) -> (Endpoint, Endpoint),
    ) -> Result<Self, Skipped> {
        let header = segment.first_chunk::<20>().ok_or_else(|| short(segment.len(), length))?;
        // length 4 bits, in words of four bytes + reserved 4 bits
        let head = usize::from(header[12] >> 4) * 4;
        if head < header.len() || head > length {
            return Err(Skipped::Malformed);
        }
        // Options tell nothing that is needed here. A snaplen that was made for headers without them cuts them off each SYN.
        let payload = segment.get(head..).unwrap_or_default();
        let (from, to) = ends(be16(header, 0), be16(header, 2));
        Ok(Self {
            at,
            from,
            to,
            seq: be32(header, 4),
            ack: be32(header, 8),
            flags: Flags::from_bits(header[13]),
            payload,
            missing: u32::try_from(length - head - payload.len()).unwrap_or(u32::MAX),
        })
    }
}

/// Fields of a header, at offsets that are constants within it.
fn be16(header: &[u8; 20], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

fn be32(header: &[u8; 20], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// A header that could not be read was cut by the capture, or was never whole.
fn short(captured: usize, length: usize) -> Skipped {
    if captured < length { Skipped::Truncated } else { Skipped::Malformed }
}
