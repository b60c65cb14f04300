//! Generic routing encapsulation and ERSPAN.

use super::{Bytes, Layer, Next, Stop, Unread, ethernet::has_ip};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Of version 1 only.
const ACKNOWLEDGEMENT: u16 = 0x0080;

/// RFC 2784 and 2890, and version 1 of RFC 2637 (PPTP).
///
/// | bytes | field |
/// | ---: | --- |
/// | 2 | flags 13 bits, version 3 |
/// | 2 | protocol type |
/// | 4 | checksum and offset, with the flag for a checksum or for routing |
/// | 4 | key, with its flag |
/// | 4 | sequence number, with its flag |
/// | 4 | acknowledgement number, with its flag |
pub(super) fn header(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let (flags, kind) = (bytes.be16(0)?, bytes.be16(2)?);
    let words = [flags & (CHECKSUM | ROUTING) != 0, flags & KEY != 0, flags & SEQUENCE != 0];
    let mut length = 4 + 4 * words.into_iter().filter(|there| *there).count();
    match flags & 7 {
        1 if flags & ACKNOWLEDGEMENT != 0 => length += 4,
        0 | 1 => {}
        _ => return Err(Stop::Malformed),
    }
    if flags & ROUTING != 0 {
        length = skip_routes(bytes, length)?;
    }
    let payload = bytes.after(length)?;
    match kind {
        // ERSPAN without a sequence number is type I: the mirrored frame follows at once. Some senders leave the number out of type II.
        0x88be if flags & SEQUENCE == 0 && (has_ip(payload) || !payload.after(8).is_ok_and(has_ip)) => {
            Ok(Next::Layer(Layer::Ethernet, payload))
        }
        0x88be => erspan_ii(payload),
        0x22eb => erspan_iii(payload),
        // Web cache redirection: version 2 has a header of 4 bytes before IP.
        0x883e if payload.byte(0)? >> 4 == 4 => Ok(Next::Layer(Layer::Ip, payload)),
        0x883e => Ok(Next::Layer(Layer::Ip, payload.after(4)?)),
        // A keepalive is a packet without payload.
        0 => Err(Stop::Other),
        _ if payload.wire() == 0 => Err(Stop::Other),
        kind => match super::ethernet::payload(kind, payload) {
            Err(Stop::Unread(Unread::Ethertype(kind))) => Err(Stop::Unread(Unread::Gre(kind))),
            next => next,
        },
    }
}

/// Source routes of RFC 1701: family 2, offset 1, length 1, data; the last has family and length 0.
fn skip_routes(bytes: Bytes<'_>, mut at: usize) -> Result<usize, Stop> {
    loop {
        let (family, length) = (bytes.be16(at)?, bytes.byte(at + 3)?);
        at += 4 + usize::from(length);
        if family == 0 && length == 0 {
            return Ok(at);
        }
    }
}

/// version 4 bits, VLAN 12, class 3, encapsulation 2, truncated 1, session 10, reserved 12, index 20
fn erspan_ii(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    match bytes.byte(0)? >> 4 {
        1 => Ok(Next::Layer(Layer::Ethernet, bytes.after(8)?)),
        2 => erspan_iii(bytes),
        _ => Err(Stop::Malformed),
    }
}

/// The same 4 bytes, timestamp 4, group 2, frame type 5 bits, hardware 6, direction 1, granularity 2, and 1 bit for a subheader of 8 bytes.
fn erspan_iii(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let header = bytes.header::<12>()?;
    let length = if header[11] & 1 == 0 { 12 } else { 20 };
    // The frame type: 0 Ethernet, 2 IP.
    match header[10] >> 2 & 0x1f {
        2 => Ok(Next::Layer(Layer::Ip, bytes.after(length)?)),
        _ => Ok(Next::Layer(Layer::Ethernet, bytes.after(length)?)),
    }
}
