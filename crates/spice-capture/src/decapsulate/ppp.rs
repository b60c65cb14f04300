//! PPP and what carries it.

use super::{Bytes, Layer, Next, Stop, Unread};

/// RFC 2516: version 4 bits + type 4, code 1, session 2, length 2; then PPP without address and control.
pub(super) fn pppoe(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<6>()?;
    // Another code is not session data.
    if header[1] != 0 {
        return Err(Stop::Other);
    }
    Ok(Next::Layer(Layer::Ppp, bytes.after(6)?))
}

/// RFC 1661 and 1662: address ff and control 03, both optional; protocol 2, or 1 where its first byte would be 0.
pub(super) fn frame(mut bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    if matches!(bytes.byte(0)?, 0xff) && matches!(bytes.byte(1)?, 0x03) {
        bytes = bytes.after(2)?;
    }
    let first = bytes.byte(0)?;
    let (protocol, header) = if first & 1 == 1 { (first.into(), 1) } else { (bytes.be16(0)?, 2) };
    let payload = bytes.after(header)?;
    match protocol {
        0x0021 | 0x0057 => Ok(Next::Layer(Layer::Ip, payload)),
        0x0281 | 0x0283 => Ok(Next::Layer(Layer::Mpls, payload)),
        // Bridging (RFC 3518): flags 1, MAC type 1 (1: Ethernet)
        0x0031 if payload.byte(1)? == 1 => Ok(Next::Layer(Layer::Ethernet, payload.after(2)?)),
        // Multilink (RFC 1990): beginning 1 bit, ending 1 bit, sequence; only a frame in one piece is read.
        0x003d if payload.byte(0)? & 0xc0 == 0xc0 => Ok(Next::Layer(Layer::Ppp, payload.after(4)?)),
        0x003d => Err(Stop::Unread(Unread::PppMultilink)),
        // Van Jacobson's headers, encryption, compression of one link and of all
        0x002d | 0x002f | 0x0053 | 0x00fb | 0x00fd => Err(Stop::Unread(Unread::Ppp)),
        _ => Err(Stop::Other),
    }
}

/// Cisco HDLC: address 1 (0f unicast, 8f multicast), control 1, ethertype 2.
pub(super) fn cisco_hdlc(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    match bytes.be16(2)? {
        // Cisco's keepalives
        0x8035 | 0x2000 => Err(Stop::Other),
        kind => Ok(Next::Layer(Layer::Ethertype(kind), bytes.after(4)?)),
    }
}

/// PPP or Cisco HDLC on a serial line (`LINKTYPE_PPP_HDLC`): the first byte tells.
pub(super) fn serial(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    match bytes.byte(0)? {
        0x0f | 0x8f => cisco_hdlc(bytes),
        _ => frame(bytes),
    }
}
