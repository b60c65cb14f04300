//! The first header of a packet, by its link type.

use super::{Bytes, Layer, Next, Stop, Unread, ethernet, ppp, wifi};
use crate::link::LinkType;

/// The netfilter attribute that holds the packet.
const NFULA_PAYLOAD: u16 = 9;
const AF_INET: u32 = 2;
/// `AF_INET6` is 10 on Linux, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS.
const AF_INET6: [u32; 4] = [10, 24, 28, 30];
/// ARPHRD_ values in a cooked header that have their own framing.
const ARPHRD_IEEE80211: u16 = 801;
const ARPHRD_IEEE80211_RADIOTAP: u16 = 803;
const ARPHRD_IPGRE: u16 = 778;
const ARPHRD_NETLINK: u16 = 824;

/// What follows in a packet of this link type.
pub(super) fn header(link: LinkType, bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let (layer, length) = match link {
        LinkType::ETHERNET | LinkType::DSA_TAG_EDSA => (Layer::Ethernet, 0),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => (Layer::Ip, 0),
        LinkType::NULL | LinkType::LOOP => {
            let family = *bytes.header::<4>()?;
            let numbers = [u32::from_le_bytes(family), u32::from_be_bytes(family)];
            if !numbers.iter().any(|&n| n == AF_INET || AF_INET6.contains(&n)) {
                return Err(Stop::Other);
            }
            (Layer::Ip, 4)
        }
        // packet type 2, ARPHRD_ type 2, address length 2, address 8, protocol 2
        LinkType::LINUX_SLL => (cooked(bytes.be16(2)?, bytes.be16(14)?)?, 16),
        // protocol 2, reserved 2, interface 4, ARPHRD_ type 2, packet type 1, address length 1, address 8
        LinkType::LINUX_SLL2 => (cooked(bytes.be16(8)?, bytes.be16(0)?)?, 20),
        LinkType::PPP => (Layer::Ppp, 0),
        LinkType::PPP_HDLC => return ppp::serial(bytes),
        LinkType::PPP_ETHER => (Layer::Pppoe, 0),
        // direction 1, in place of the address or before PPP
        LinkType::PPP_PPPD if bytes.byte(1)? == 0x03 => (Layer::Ppp, 2),
        LinkType::PPP_PPPD | LinkType::PPP_WITH_DIR => (Layer::Ppp, 1),
        LinkType::C_HDLC => return ppp::cisco_hdlc(bytes),
        LinkType::IEEE802_11 => return wifi::frame(bytes, false),
        LinkType::IEEE802_11_RADIOTAP => return wifi::radiotap(bytes),
        LinkType::IEEE802_11_PRISM | LinkType::IEEE802_11_AVS => return wifi::prism(bytes),
        LinkType::PPI => return wifi::ppi(bytes),
        LinkType::ATM_RFC1483 => return ethernet::llc(bytes),
        LinkType::NFLOG => return nflog(bytes),
        LinkType::PKTAP => return pktap(bytes),
        // length 1, family 1, action, reason, interface, rule …, padded to 4 bytes
        LinkType::PFLOG => (Layer::Ip, usize::from(bytes.byte(0)?).next_multiple_of(4)),
        // OpenBSD's enc(4): family 4, security parameter index 4, flags 4
        LinkType::ENC => (Layer::Ip, 12),
        // version 1, header length 1, …: Solaris IPNET has 24 bytes
        LinkType::IPNET => (Layer::Ip, 24),
        // 4 bytes of the analyser, or a switch's tag, before the frame
        LinkType::NETANALYZER | LinkType::DSA_TAG_BRCM_PREPEND => (Layer::Ethernet, 4),
        LinkType::IEEE802_5 => return token_ring(bytes),
        LinkType::FRELAY => return frame_relay(bytes),
        // two network addresses of 8 bytes
        LinkType::IP_OVER_FC => (Layer::Llc, 16),
        // direction and type 1, path 1, circuit 2
        LinkType::SUNATM if bytes.byte(0)? & 0x0f == 2 => (Layer::Llc, 4),
        LinkType::DOCSIS => return docsis(bytes),
        LinkType::ERF => return erf(bytes),
        LinkType::JUNIPER_ETHER => return juniper(bytes),
        // Ethernet's addresses, a tag of 4 bytes, ethertype; EDSA's tag has an ethertype of its own
        LinkType::DSA_TAG_BRCM | LinkType::DSA_TAG_DSA => (Layer::Ethertype(bytes.be16(16)?), 18),
        // frame control 1, two addresses
        LinkType::FDDI => (Layer::Llc, 13),
        _ => return Err(Stop::Unread(Unread::Link(link))),
    };
    Ok(Next::Layer(layer, bytes.after(length)?))
}

/// Access control 1, frame control 1, two addresses of 6, and a route where the source's first bit says so: length 5 bits of its first byte.
fn token_ring(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let has_route = bytes.byte(8)? & 0x80 != 0;
    let route = if has_route { usize::from(bytes.byte(14)? & 0x1f) } else { 0 };
    Ok(Next::Layer(Layer::Llc, bytes.after(14 + route)?))
}

/// RFC 2427: address 2 to 4, of which each byte but the last has a low bit of 0; control 1, a protocol identifier 1. Cisco has an ethertype in their place.
fn frame_relay(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let mut address = 1;
    while bytes.byte(address - 1)? & 1 == 0 {
        address += 1;
        if address > 4 {
            return Err(Stop::Malformed);
        }
    }
    let rest = bytes.after(address)?;
    match (rest.byte(0)?, rest.byte(1)?) {
        (0x03, 0xcc | 0x8e) => Ok(Next::Layer(Layer::Ip, rest.after(2)?)),
        // SNAP behind a byte of padding or none; its control byte belongs to LLC.
        (0x03, 0x80) => snap(rest.after(2)?),
        (0x03, 0x00) if rest.byte(2)? == 0x80 => snap(rest.after(3)?),
        (0x03, _) => Err(Stop::Other),
        (high, low) => Ok(Next::Layer(Layer::Ethertype(u16::from_be_bytes([high, low])), rest.after(2)?)),
    }
}

/// Organisation 3, type 2.
fn snap(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    match *bytes.header::<5>()? {
        [0, 0, 0, high, low] => Ok(Next::Layer(Layer::Ethertype(u16::from_be_bytes([high, low])), bytes.after(5)?)),
        // Bridged Ethernet, with and without check sequence
        [0, 0x80, 0xc2, 0, 1 | 7] => Ok(Next::Layer(Layer::Ethernet, bytes.after(5)?)),
        _ => Err(Stop::Other),
    }
}

/// Frame control 1 (type 2 bits, of which 0 is data; …; an extended header 1 bit), its length 1, length 2, the extended header, check sequence 2.
fn docsis(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let &[control, extended, ..] = bytes.header::<6>()?;
    if control >> 6 != 0 {
        return Err(Stop::Other);
    }
    let extended = if control & 1 == 0 { 0 } else { usize::from(extended) };
    Ok(Next::Layer(Layer::Ethernet, bytes.after(6 + extended)?))
}

/// Time 8, type 7 bits behind one for an extension, flags 1, lengths 2, losses 2, length on the wire 2; extensions of 8 bytes that say themselves whether
/// another follows; before Ethernet 2 bytes of padding.
fn erf(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let mut more = bytes.byte(8)?;
    let kind = more & 0x7f;
    let mut length = 16;
    while more & 0x80 != 0 {
        more = bytes.byte(length)?;
        length += 8;
    }
    match kind {
        // Ethernet, and with the colour or the hash of a flow
        2 | 11 | 16 | 20 => Ok(Next::Layer(Layer::Ethernet, bytes.after(length + 2)?)),
        // HDLC, IPv4 and IPv6
        1 => ppp::serial(bytes.after(length)?),
        22 | 23 => Ok(Next::Layer(Layer::Ip, bytes.after(length)?)),
        _ => Err(Stop::Unread(Unread::Link(LinkType::ERF))),
    }
}

/// "MGC" 3, flags 1 (0x80: an extension of length 2 and as many bytes; 0x02: no Ethernet header, but 4 bytes before IP).
fn juniper(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<4>()?;
    if !header.starts_with(b"MGC") {
        return Err(Stop::Malformed);
    }
    let length = if header[3] & 0x80 == 0 { 4 } else { 6 + usize::from(bytes.be16(4)?) };
    match header[3] & 0x02 {
        0 => Ok(Next::Layer(Layer::Ethernet, bytes.after(length)?)),
        _ => Ok(Next::Layer(Layer::Ip, bytes.after(length + 4)?)),
    }
}

/// What a cooked header has behind it, by the device's type and the protocol.
fn cooked(device: u16, protocol: u16) -> Result<Layer, Stop> {
    match (device, protocol) {
        (ARPHRD_IEEE80211, _) => Ok(Layer::Wifi),
        (ARPHRD_IEEE80211_RADIOTAP, _) => Ok(Layer::Radiotap),
        (ARPHRD_IPGRE, 0x6558) => Ok(Layer::Ethernet),
        // Netlink messages, Novell's frames, and frames with LLC
        (ARPHRD_NETLINK, _) | (_, 1) => Err(Stop::Other),
        (_, 4) => Ok(Layer::Llc),
        (_, kind) => Ok(Layer::Ethertype(kind)),
    }
}

/// Family 1, version 1, resource 2; then attributes of length 2, type 2 and a value, padded to 4 bytes, in the byte order of the machine.
fn nflog(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let attributes = bytes.after(4)?;
    [false, true].into_iter().find_map(|big_endian| payload(attributes, big_endian)).unwrap_or(Err(Stop::Malformed))
}

/// The attribute with the packet; `None` where the attributes can't have this byte order.
fn payload(mut rest: Bytes<'_>, big_endian: bool) -> Option<Result<Next<'_>, Stop>> {
    while rest.wire() >= 4 {
        let number = |at| if big_endian { rest.be16(at) } else { rest.le16(at) };
        let (length, kind) = match (number(0), number(2)) {
            (Ok(length), Ok(kind)) => (usize::from(length), kind & 0x7fff),
            (Err(stop), _) | (_, Err(stop)) => return Some(Err(stop)),
        };
        if length < 4 || length > rest.wire() {
            return None;
        }
        if kind == NFULA_PAYLOAD {
            return Some(rest.first(length).after(4).map(|packet| Next::Layer(Layer::Ip, packet)));
        }
        match rest.after(length.next_multiple_of(4).min(rest.wire())) {
            Ok(after) => rest = after,
            Err(stop) => return Some(Err(stop)),
        }
    }
    Some(Err(Stop::Other))
}

/// Apple's header: length 4, record type 4, link type 4, and more; the packet follows.
fn pktap(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let (length, link) = (bytes.le32(0)?, bytes.le32(8)?);
    // Another machine's byte order makes the length enormous.
    let swapped = length > 0xffff;
    let [length, link] = [length, link].map(|n| if swapped { n.swap_bytes() } else { n });
    if length < 12 {
        return Err(Stop::Malformed);
    }
    Ok(Next::Layer(Layer::Link(LinkType(link)), bytes.after(length as usize)?))
}
