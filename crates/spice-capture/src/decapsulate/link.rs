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
        LinkType::ETHERNET => (Layer::Ethernet, 0),
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
        // 4 bytes of the analyser before the frame
        LinkType::NETANALYZER => (Layer::Ethernet, 4),
        // frame control 1, two addresses
        LinkType::FDDI => (Layer::Llc, 13),
        _ => return Err(Stop::Unread(Unread::Link(link))),
    };
    Ok(Next::Layer(layer, bytes.after(length)?))
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
