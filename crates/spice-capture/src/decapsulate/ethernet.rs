//! Ethernet, everything that stands between its addresses and IP, and what carries Ethernet again.

use super::{Bytes, Layer, Next, Stop, Unread};

/// 802.1Q, 802.1ad, and the numbers that stacked tags had before it.
const VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// The longest payload length that an 802.3 frame can carry in its ethertype field.
const MAX_LENGTH: u16 = 1500;
/// Destination of Cisco's ISL frames; the fifth byte may be anything.
const ISL: [[u8; 5]; 2] = [[0x01, 0, 0x0c, 0, 0], [0x03, 0, 0x0c, 0, 0]];
/// destination 5 + type 4 bits + user 4 bits + source 6 + length 2 + SNAP 3 + source's OUI 3 + VLAN 2 + index 2 + reserved 2
const ISL_HEADER: usize = 26;

/// Ethertypes whose payload is not IP in any packet: no reader needs them.
const NOT_IP: &[u16] = &[
    0x0806, // ARP
    0x0842, // Wake-on-LAN
    0x6002, 0x6003, 0x6004, // DEC
    0x8035, // RARP
    0x809b, 0x80f3, // AppleTalk
    0x8137, 0x8138, // IPX
    0x8808, // flow control
    0x8809, // slow protocols (LACP)
    0x8863, // PPPoE discovery
    0x886d, // network card heartbeats
    0x887b, 0x88e1, // HomePlug
    0x888e, // 802.1X
    0x8892, // PROFINET
    0x8899, // Realtek loop detection
    0x889a, // HyperSCSI
    0x88a2, // ATA over Ethernet
    0x88a4, // EtherCAT
    0x88b5, 0x88b6, 0x88b7, // experiments of one vendor
    0x88b8, 0x88b9, 0x88ba, // GOOSE
    0x88c7, // 802.11 pre-authentication
    0x88ca, // TIPC
    0x88cc, // LLDP
    0x88cd, // SERCOS III
    0x88d9, // LLTD
    0x88dc, // WAVE
    0x88e3, // MRP
    0x88f5, 0x88f6, // MVRP, MMRP
    0x88f7, // PTP
    0x88fb, // PRP
    0x8902, // CFM
    0x8906, 0x8914, // FCoE
    0x8915, // RoCE
    0x891d, // TTEthernet
    0x893a, // 1905.1
    0x9000, // loopback test
];

/// | offset | bytes | field |
/// | ---: | ---: | --- |
/// | 0 | 6 | destination |
/// | 6 | 6 | source |
/// | 12 | 2 | ethertype, or the length of what follows |
pub(super) fn frame(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<14>()?;
    if header.first_chunk().is_some_and(|start| ISL.contains(start)) {
        return Ok(Next::Layer(Layer::Ethernet, bytes.after(ISL_HEADER)?));
    }
    Ok(Next::Layer(Layer::Ethertype(u16::from_be_bytes([header[12], header[13]])), bytes.after(14)?))
}

/// What follows an ethertype.
pub(super) fn payload(kind: u16, bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let (layer, header) = match kind {
        0x0800 | 0x86dd => (Layer::Ip, 0),
        length if length <= MAX_LENGTH => (Layer::Llc, 0),
        // jumbo frames with LLC
        0x8870 => (Layer::Llc, 0),
        // priority 3 bits + drop 1 + VLAN 12, ethertype
        tag if VLAN.contains(&tag) => (Layer::Ethertype(bytes.be16(2)?), 4),
        // VN-Tag (802.1Qbh): direction, pointer, destination, looped, version, source; ethertype
        // HSR: path 4 bits + size 12, sequence 2, ethertype
        0x8926 | 0x892f => (Layer::Ethertype(bytes.be16(4)?), 6),
        // E-Tag (802.1BR): priority, ingress, group, E-CID and their extensions; ethertype
        // Marvell's switch tag with an ethertype: reserved 2, tag 4, ethertype
        0x893f | 0xdada => (Layer::Ethertype(bytes.be16(6)?), 8),
        // Cisco metadata: version 1, length in words 1, options of 4 bytes each (the security group tag), ethertype
        0x8909 => {
            let header = 2 + 4 * usize::from(bytes.byte(1)?.max(1));
            (Layer::Ethertype(bytes.be16(header)?), header + 2)
        }
        // Provider backbone bridges (802.1ah): flags and service 4, then the customer's Ethernet
        0x88e7 => (Layer::Ethernet, 4),
        // TRILL: version 2 bits + reserved 2 + multicast 1 + options in words 5 + hops 6, two nicknames
        0x22f3 => (Layer::Ethernet, 6 + 4 * usize::from(bytes.be16(0)? >> 6 & 0x1f)),
        // FabricPath: tree 10 bits, time to live 6
        0x8903 => (Layer::Ethernet, 2),
        0x4305 => return batman(bytes),
        0x8847 | 0x8848 => (Layer::Mpls, 0),
        0x8864 => (Layer::Pppoe, 0),
        0x894f => (Layer::Nsh, 0),
        0x6558 => (Layer::Ethernet, 0),
        // PPP in Ethernet frames, and in GRE
        0x880b => (Layer::Ppp, 0),
        0x88e5 => return macsec(bytes),
        other if NOT_IP.contains(&other) => return Err(Stop::Other),
        other => return Err(Stop::Unread(Unread::Ethertype(other))),
    };
    Ok(Next::Layer(layer, bytes.after(header)?))
}

/// 802.1AE: control 1, short length 1, packet number 4, and a channel identifier of 8 where control says so.
fn macsec(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let control = bytes.byte(0)?;
    // The encrypted and the changed-text bit.
    if control & 0x0c != 0 {
        return Err(Stop::Unread(Unread::Macsec));
    }
    let header = if control & 0x20 == 0 { 6 } else { 14 };
    Ok(Next::Layer(Layer::Ethertype(bytes.be16(header)?), bytes.after(header + 2)?))
}

/// batman-adv, a mesh of Linux machines: type 1, version 1, and more; only version 15 is read.
fn batman(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = match bytes.header::<2>()? {
        // broadcast: time to live 1, reserved 1, sequence 4, originator 6
        [0x01, 15] => 14,
        // unicast: time to live 1, translation table 1, destination 6; with a source: 6, subtype 1, reserved 1
        [0x40, 15] => 10,
        [0x42, 15] => 18,
        // fragments of unicast packets, and other versions
        [0x40..=0x42, _] => return Err(Stop::Unread(Unread::Ethertype(0x4305))),
        _ => return Err(Stop::Other),
    };
    Ok(Next::Layer(Layer::Ethernet, bytes.after(header)?))
}

/// 802.2: destination 1, source 1, control 1; SNAP adds an organisation 3 and its type 2.
pub(super) fn llc(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    match *bytes.header::<3>()? {
        [0xaa, 0xaa, 0x03] => {
            let header = bytes.header::<8>()?;
            let kind = u16::from_be_bytes([header[6], header[7]]);
            match [header[3], header[4], header[5]] {
                // Ethernet's own types; those of 802.1H bridges
                [0, 0, 0 | 0xf8] => Ok(Next::Layer(Layer::Ethertype(kind), bytes.after(8)?)),
                // 802.1 bridged frames (RFC 2684), Ethernet with and without check sequence; two bytes of padding
                [0, 0x80, 0xc2] if matches!(kind, 1 | 7) => Ok(Next::Layer(Layer::Ethernet, bytes.after(10)?)),
                _ => Err(Stop::Other),
            }
        }
        [0x06, 0x06, 0x03] => Ok(Next::Layer(Layer::Ip, bytes.after(3)?)),
        // An OSI network layer identifier: 0xcc is IPv4, 0x8e IPv6
        [0xfe, 0xfe, 0x03] if matches!(bytes.byte(3)?, 0xcc | 0x8e) => Ok(Next::Layer(Layer::Ip, bytes.after(4)?)),
        _ => Err(Stop::Other),
    }
}

/// A stack of labels of 4 bytes: label 20 bits, traffic class 3, bottom of the stack 1, time to live 8.
///
/// What follows is not named: IP begins with its version, a pseudowire's control word with 0, and anything else is Ethernet without a control word.
pub(super) fn mpls(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let mut header = 0;
    loop {
        let bottom = bytes.byte(header + 2)? & 1 == 1;
        header += 4;
        if bottom {
            break;
        }
    }
    let payload = bytes.after(header)?;
    match payload.byte(0)? >> 4 {
        // A destination can begin with 4 or 6 too.
        4 | 6 if super::ip::is_plausible(payload) && !has_ip(payload) => Ok(Next::Layer(Layer::Ip, payload)),
        // The control word: 0 4 bits, flags 4, fragments 2, length 6, sequence 16. A destination can begin with 0 too.
        0 if !carries_ip(payload) || carries_ip(payload.after(4)?) => {
            Ok(Next::Layer(Layer::Ethernet, payload.after(4)?))
        }
        // The associated channel: operation and maintenance
        1 if !carries_ip(payload) => Err(Stop::Other),
        _ => Ok(Next::Layer(Layer::Ethernet, payload)),
    }
}

/// Whether these are an Ethernet frame with an ethertype that leads to IP. For the ethertypes of IP itself, the packet must be plausible too.
pub(super) fn has_ip(bytes: Bytes<'_>) -> bool {
    carries_ip(bytes)
        && (!matches!(bytes.be16(12), Ok(0x0800 | 0x86dd)) || bytes.after(14).is_ok_and(super::ip::is_plausible))
}

/// Whether these are an Ethernet frame with an ethertype that leads to IP.
pub(super) fn carries_ip(bytes: Bytes<'_>) -> bool {
    bytes.be16(12).is_ok_and(|kind| matches!(kind, 0x0800 | 0x86dd | 0x8847 | 0x8864) || VLAN.contains(&kind))
}

/// RFC 8300: version 2 bits + flags 2 + time to live 6 + length in words 6, metadata type 1, next protocol 1, path 4, context.
pub(super) fn nsh(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<8>()?;
    let length = 4 * usize::from(header[1] & 0x3f);
    if length < header.len() {
        return Err(Stop::Malformed);
    }
    Ok(Next::Layer(next_protocol(header[3])?, bytes.after(length)?))
}

/// The numbers that NSH and VXLAN-GPE share.
pub(super) fn next_protocol(number: u8) -> Result<Layer, Stop> {
    match number {
        1 | 2 => Ok(Layer::Ip),
        3 => Ok(Layer::Ethernet),
        4 => Ok(Layer::Nsh),
        5 => Ok(Layer::Mpls),
        _ => Err(Stop::Other),
    }
}
