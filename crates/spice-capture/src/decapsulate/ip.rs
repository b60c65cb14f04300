//! IPv4, IPv6, and the IP protocols that carry packets again.

use super::{Bytes, Layer, Next, Stop, Unread, fragments::Fragment};
use crate::packet::{Addresses, MAX_PACKET};

/// Either version, by the first four bits.
pub(super) fn header(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    match bytes.byte(0)? >> 4 {
        4 => ipv4(bytes),
        6 => ipv6(bytes),
        _ => Err(Stop::Other),
    }
}

/// Whether these look like an IP packet, where nothing says so: version, header length, and a length that fits.
pub(super) fn is_plausible(bytes: Bytes<'_>) -> bool {
    let number = |at| bytes.be16(at).map_or(0, usize::from);
    match bytes.byte(0) {
        Ok(first @ 0x45..=0x4f) => {
            let total = number(2);
            total <= bytes.wire() && (total == 0 || total >= usize::from(first & 0x0f) * 4)
        }
        Ok(0x60..=0x6f) => bytes.wire() >= 40 && 40 + number(4) <= bytes.wire(),
        _ => false,
    }
}

/// Whether these are an IP packet and nothing behind it.
pub(super) fn is_exact(bytes: Bytes<'_>) -> bool {
    let number = |at| bytes.be16(at).map_or(0, usize::from);
    is_plausible(bytes)
        && match bytes.byte(0) {
            Ok(0x45..=0x4f) => number(2) == bytes.wire(),
            _ => 40 + number(4) == bytes.wire(),
        }
}

fn ipv4(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<20>()?;
    let head = usize::from(header[0] & 0x0f) * 4;
    // A length of 0 was left to the network card: the packet is as long as its frame.
    let total = match usize::from(u16::from_be_bytes([header[2], header[3]])) {
        0 => bytes.wire(),
        total => total,
    };
    if head < header.len() || total < head || total > bytes.wire().min(MAX_PACKET) {
        return Err(Stop::Malformed);
    }
    let payload = bytes.first(total).after(head)?;
    let address = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    let addresses = Addresses::V4 { from: address(12), to: address(16) };
    // reserved 1 bit + don't fragment 1 + more fragments 1 + offset 13
    let field = u16::from_be_bytes([header[6], header[7]]);
    if field & 0x3fff != 0 {
        let id = u32::from(u16::from_be_bytes([header[4], header[5]]));
        let (offset, more) = (usize::from(field & 0x1fff) * 8, field & 0x2000 != 0);
        return Ok(Next::Fragment(Fragment { addresses, protocol: header[9], id, offset, more, bytes: payload }));
    }
    Ok(Next::Layer(Layer::Protocol(header[9], addresses), payload))
}

fn ipv6(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<40>()?;
    // 0: a jumbogram, or left to the network card.
    let total = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
        0 => bytes.wire(),
        length => 40 + length,
    };
    if total > bytes.wire().min(MAX_PACKET) {
        return Err(Stop::Malformed);
    }
    let half = |at: usize| header[at..].first_chunk().copied().unwrap_or_default();
    let addresses = Addresses::V6 { from: half(8), to: half(24) };
    Ok(Next::Layer(Layer::Protocol(header[6], addresses), bytes.first(total).after(40)?))
}

/// What an IP packet carries.
pub(super) fn payload(protocol: u8, addresses: Addresses, bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let (layer, length) = match protocol {
        6 => return Ok(Next::Tcp(addresses, bytes)),
        // hop-by-hop options, routing, destination options, mobility, HIP, shim6: next header 1, length in 8 bytes less one
        0 | 43 | 60 | 135 | 139 | 140 => {
            let [next, length] = *bytes.header::<2>()?;
            (Layer::Protocol(next, addresses), 8 + 8 * usize::from(length))
        }
        44 => return fragment(addresses, bytes),
        // Authentication: next header 1, length in words less two
        51 => {
            let [next, length] = *bytes.header::<2>()?;
            (Layer::Protocol(next, addresses), 8 + 4 * usize::from(length))
        }
        // IP in IP, its number before RFC 2003, IPv6 in IP
        4 | 94 | 41 => (Layer::Ip, 0),
        47 => (Layer::Gre, 0),
        17 | 136 => (Layer::Udp(addresses), 0),
        // EtherIP (RFC 3378): version 4 bits, reserved 12
        97 => (Layer::Ethernet, 2),
        // Ethernet in SRv6 (RFC 8986)
        143 => (Layer::Ethernet, 0),
        115 => (Layer::L2tpV3, 0),
        137 => (Layer::Mpls, 0),
        145 => (Layer::Nsh, 0),
        50 => return Err(Stop::Unread(Unread::Esp)),
        108 => return Err(Stop::Unread(Unread::IpComp)),
        // Mobile IP's minimal encapsulation, SKIP, swIPe, and RFC 1241's: no one has these today, and they would hide everything
        53 | 55 | 57 | 98 => return Err(Stop::Unread(Unread::Protocol(protocol))),
        _ => return Err(Stop::Other),
    };
    Ok(Next::Layer(layer, bytes.after(length)?))
}

/// The IPv6 fragment header: next header 1, reserved 1, offset 13 bits, reserved 2, more fragments 1, identification 4.
fn fragment(addresses: Addresses, bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<8>()?;
    let field = u16::from_be_bytes([header[2], header[3]]);
    let (offset, more) = (usize::from(field & 0xfff8), field & 1 != 0);
    let (protocol, payload) = (header[0], bytes.after(8)?);
    if offset == 0 && !more {
        return Ok(Next::Layer(Layer::Protocol(protocol, addresses), payload));
    }
    let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Ok(Next::Fragment(Fragment { addresses, protocol, id, offset, more, bytes: payload }))
}
