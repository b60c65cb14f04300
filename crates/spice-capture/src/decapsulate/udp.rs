//! Tunnels in UDP, recognised by their port, and some of them at any port by their shape.

use super::{Bytes, Layer, Next, Stop, Unread, ethernet, ip};
use crate::{link::LinkType, packet::Addresses};

/// source port 2, destination port 2, length 2, checksum 2
const HEADER: usize = 8;

/// UDP: one of the two ports names the tunnel. The length is not needed.
pub(super) fn datagram(bytes: Bytes<'_>, addresses: Addresses) -> Result<Next<'_>, Stop> {
    let ports = [bytes.be16(2)?, bytes.be16(0)?];
    let payload = bytes.after(HEADER)?;
    for port in ports {
        match port {
            // VXLAN: IANA's port, and Linux's default
            4789 | 8472 if is_vxlan_at_its_port(payload)? => return vxlan(payload),
            4790 => return vxlan(payload),
            6081 => return geneve(payload),
            2152 => return gtp(payload),
            1701 => return l2tp(payload),
            4341 => return Ok(Next::Layer(Layer::Ip, payload.after(8)?)),
            4754 => return Ok(Next::Layer(Layer::Gre, payload)),
            6635 => return Ok(Next::Layer(Layer::Mpls, payload)),
            37008 => return tzsp(payload),
            3544 => return teredo(payload),
            5247 => return capwap(payload),
            // ESP in UDP; four zero bytes are the key exchange, one byte is a keepalive.
            4500 if payload.wire() > 8 && payload.le32(0)? != 0 => return Err(Stop::Unread(Unread::Esp)),
            1194 => return Err(Stop::Unread(Unread::OpenVpn)),
            _ => {}
        }
    }
    if let Some(next) = by_shape(payload, addresses) {
        return Ok(next);
    }
    if is_wireguard(payload) {
        return Err(Stop::Unread(Unread::WireGuard));
    }
    let [to, from] = ports;
    Err(Stop::Udp(to.min(from)))
}

/// What a tunnel at any port carries, if its header is one of those below and the packet inside ends with the datagram: VXLAN, Geneve, Linux's
/// foo-over-UDP (FOU), whose ports are those of its two ends, and generic UDP encapsulation (GUE), port 6080 or another.
fn by_shape(payload: Bytes<'_>, addresses: Addresses) -> Option<Next<'_>> {
    if is_vxlan(payload) && payload.after(8).is_ok_and(ethernet::carries_ip) {
        return vxlan(payload).ok();
    }
    // FOU with IP; GUE's variant 1 is the same.
    if ip::is_exact(payload) {
        return Some(Next::Layer(Layer::Ip, payload));
    }
    let &[first, second, third, fourth] = payload.header::<4>().ok()?;
    let kind = u16::from_be_bytes([third, fourth]);
    // FOU with GRE: flags for checksum, key and sequence only, version 0
    if first & 0x4f == 0 && second == 0 && matches!(kind, 0x0800 | 0x86dd | 0x6558) {
        let words = usize::from(first >> 7) + usize::from(first >> 5 & 1) + usize::from(first >> 4 & 1);
        if payload.after(4 + 4 * words).is_ok_and(|inner| carries(kind, inner)) {
            return Some(Next::Layer(Layer::Gre, payload));
        }
    }
    // Geneve: version 0, reserved bits, and a reserved byte at the end
    if first >> 6 == 0 && second.trailing_zeros() >= 6 && payload.byte(7) == Ok(0) {
        let length = 8 + 4 * usize::from(first & 0x3f);
        if payload.after(length).is_ok_and(|inner| carries(kind, inner)) {
            return geneve(payload).ok();
        }
    }
    // GUE, variant 0: control 1 bit (not set), length of fields in words 5, IP protocol 1, flags 2
    if first >> 5 == 0 {
        let inner = payload.after(4 + 4 * usize::from(first & 0x1f)).ok()?;
        let is_known = match second {
            4 | 41 => ip::is_exact(inner),
            47 => inner.be16(2).is_ok_and(|kind| inner.after(4).is_ok_and(|behind| carries(kind, behind))),
            _ => false,
        };
        return is_known.then_some(Next::Layer(Layer::Protocol(second, addresses), inner));
    }
    None
}

/// Whether this is the payload that an ethertype names: IP, or Ethernet with IP.
fn carries(kind: u16, inner: Bytes<'_>) -> bool {
    match kind {
        0x0800 | 0x86dd => ip::is_exact(inner),
        0x6558 => ethernet::has_ip(inner),
        _ => false,
    }
}

/// As below. At its own ports, reserved bits may be set if an Ethernet frame with IP follows.
fn is_vxlan_at_its_port(bytes: Bytes<'_>) -> Result<bool, Stop> {
    if bytes.wire() < 8 || bytes.byte(0)? & 0x08 == 0 {
        return Ok(false);
    }
    bytes.header::<8>()?;
    Ok(is_vxlan(bytes) || ethernet::has_ip(bytes.after(8)?))
}

/// Only the flag for a network identifier is set, and what is reserved is zero.
fn is_vxlan(bytes: Bytes<'_>) -> bool {
    matches!(bytes.header::<8>(), Ok([flags, _, _, next, _, _, _, 0]) if flags & 0x08 != 0 && (flags & 0x04 != 0 || flags & 0x80 != 0 || *next == 0))
}

/// Message 4, three zero bytes, receiver 4, counter 8 (which stays small), and blocks of 16 bytes.
fn is_wireguard(bytes: Bytes<'_>) -> bool {
    let blocks = bytes.wire() >= 32 && bytes.wire().is_multiple_of(16);
    blocks && matches!(bytes.header::<16>(), Ok([4, 0, 0, 0, _, _, _, _, _, _, _, _, _, 0, 0, 0]))
}

/// RFC 7348: flags 1, reserved 3, network 3, reserved 1. With the flag for a next protocol (GPE) the fourth byte names it.
fn vxlan(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<8>()?;
    let layer = if header[0] & 0x04 == 0 { Layer::Ethernet } else { ethernet::next_protocol(header[3])? };
    Ok(Next::Layer(layer, bytes.after(8)?))
}

/// RFC 8926: version 2 bits, options in words 6, flags 1, ethertype 2, network 3, reserved 1.
fn geneve(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<8>()?;
    if header[0] >> 6 != 0 {
        return Err(Stop::Other);
    }
    let length = 8 + 4 * usize::from(header[0] & 0x3f);
    Ok(Next::Layer(Layer::Ethertype(u16::from_be_bytes([header[2], header[3]])), bytes.after(length)?))
}

/// 3GPP TS 29.281: version 3 bits, type 1, …, flags 3; message 1 (255: a packet), length 2, tunnel 4, and with any flag 4 more bytes, the last of
/// which names an extension header: length in words 1, …, next 1.
fn gtp(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<8>()?;
    if header[0] & 0xf0 != 0x30 || header[1] != 255 {
        return Err(Stop::Other);
    }
    let mut length = 8;
    if header[0] & 0x07 != 0 {
        length = 12;
        let mut next = bytes.byte(11)?;
        while next != 0 {
            let words = usize::from(bytes.byte(length)?);
            if words == 0 {
                return Err(Stop::Malformed);
            }
            length += 4 * words;
            next = bytes.byte(length - 1)?;
        }
    }
    Ok(Next::Layer(Layer::Ip, bytes.after(length)?))
}

/// L2TP in UDP. Version 2 (RFC 2661) carries PPP behind optional fields that its flags name; version 3 has reserved 2 and a session.
fn l2tp(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let flags = bytes.be16(0)?;
    match (flags & 0x8000 != 0, flags & 0x000f) {
        (false, 2) => {
            let mut length = 6;
            for (flag, more) in [(0x4000, 2), (0x0800, 4)] {
                length += if flags & flag == 0 { 0 } else { more };
            }
            if flags & 0x0200 != 0 {
                length += 2 + usize::from(bytes.be16(length)?);
            }
            Ok(Next::Layer(Layer::Ppp, bytes.after(length)?))
        }
        (false, 3) => l2tp_v3(bytes.after(4)?),
        _ => Err(Stop::Other),
    }
}

/// RFC 3931: session 4 (0: control), a cookie of 0, 4 or 8 bytes, and a sublayer of 0 or 4 bytes. Both lengths were agreed on by the two ends, so
/// they are found by what makes sense behind them: Ethernet with IP, or PPP, or IP.
pub(super) fn l2tp_v3(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    if bytes.le32(0)? == 0 {
        return Err(Stop::Other);
    }
    for length in [4, 8, 12, 16] {
        let Ok(payload) = bytes.after(length) else { break };
        if ethernet::has_ip(payload) {
            return Ok(Next::Layer(Layer::Ethernet, payload));
        }
        if matches!(payload.data(), [0xff, 0x03, 0x00, 0x21 | 0x57, ..]) {
            return Ok(Next::Layer(Layer::Ppp, payload));
        }
        if ip::is_exact(payload) {
            return Ok(Next::Layer(Layer::Ip, payload));
        }
    }
    // Other frames than those of IP are there too, at an offset that can't be told.
    let frames = [4, 8, 12, 16].into_iter().filter_map(|length| bytes.after(length).ok());
    let other = frames.into_iter().any(|frame| frame.be16(12).is_ok_and(|kind| matches!(kind, 0x0806 | 0x88cc)));
    Err(if other { Stop::Other } else { Stop::Unread(Unread::L2tp) })
}

/// TaZmen Sniffer Protocol: version 1, type 1, encapsulation 2, tags: 0 padding, 1 end, others with a length.
fn tzsp(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<4>()?;
    // Received, or to be sent; the rest is control.
    if !matches!(header[1], 0 | 1) {
        return Err(Stop::Other);
    }
    let mut at = 4;
    loop {
        match bytes.byte(at)? {
            0 => at += 1,
            1 => break,
            _ => at += 2 + usize::from(bytes.byte(at + 1)?),
        }
    }
    let layer = match u16::from_be_bytes([header[2], header[3]]) {
        1 => Layer::Ethernet,
        18 => Layer::Wifi,
        other => Layer::Link(LinkType(other.into())),
    };
    Ok(Next::Layer(layer, bytes.after(at + 1)?))
}

/// RFC 4380: optional headers for authentication and for the origin, then IPv6.
fn teredo(mut bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    if bytes.be16(0)? == 0x0001 {
        let [client, value] = [bytes.byte(2)?, bytes.byte(3)?].map(usize::from);
        bytes = bytes.after(13 + client + value)?;
    }
    if bytes.be16(0)? == 0x0000 {
        bytes = bytes.after(8)?;
    }
    Ok(Next::Layer(Layer::Ip, bytes))
}

/// RFC 5415: preamble 1 (type in its low half: 1 is DTLS), header length in words 5 bits, radio 5, binding 5, flags: 1 for 802.11, 1 for a fragment.
fn capwap(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<8>()?;
    if header[0] & 0x0f != 0 || header[3] & 0x80 != 0 {
        return Err(Stop::Unread(Unread::Capwap));
    }
    let layer = if header[2] & 0x01 == 0 { Layer::Ethernet } else { Layer::Wifi };
    Ok(Next::Layer(layer, bytes.after(4 * usize::from(header[1] >> 3))?))
}
