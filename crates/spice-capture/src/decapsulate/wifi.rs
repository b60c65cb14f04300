//! 802.11 and the headers that capture programs put before it.

use super::{Bytes, Layer, Next, Stop, Unread, ethernet};

const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const MORE_FRAGMENTS: u8 = 0x04;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

/// The start of an LLC header with SNAP, which every IP packet in 802.11 has.
const SNAP: [u8; 3] = [0xaa, 0xaa, 0x03];
/// Initialisation vector and key number of CCMP and TKIP.
const VECTOR: usize = 8;
/// The radiotap flag for padding behind the 802.11 header.
const DATA_PAD: u8 = 0x20;

/// Radiotap: version 1, padding 1, length 2, bit masks of 4 each, fields. The second field is a byte of flags.
pub(super) fn radiotap(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let length = bytes.le16(2)?.into();
    let mut at = 8;
    let present = bytes.le32(4)?;
    let mut more = present;
    while more & 1 << 31 != 0 && at < usize::from(u16::MAX) {
        more = bytes.le32(at)?;
        at += 4;
    }
    if present & 1 != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let padded = present & 2 != 0 && bytes.byte(at)? & DATA_PAD != 0;
    Ok(Next::Layer(if padded { Layer::WifiPadded } else { Layer::Wifi }, bytes.after(length)?))
}

/// Per-packet information: version 1, flags 1, length 2, link type 4, fields.
pub(super) fn ppi(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let (length, link) = (bytes.le16(2)?, bytes.le32(4)?);
    Ok(Next::Layer(Layer::Link(crate::link::LinkType(link)), bytes.after(length.into())?))
}

/// Prism and AVS headers: Prism's is 144 bytes; AVS begins with 0x80211001 or 0x80211002 and its length, big-endian.
pub(super) fn prism(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let length = match bytes.header::<8>()? {
        [0x80, 0x21, 0x10, _, length @ ..] => u32::from_be_bytes(*length) as usize,
        _ => bytes.le32(4)? as usize,
    };
    Ok(Next::Layer(Layer::Wifi, bytes.after(length)?))
}

/// | offset | bytes | field |
/// | ---: | ---: | --- |
/// | 0 | 2 | version 2 bits, type 2 (2: data), subtype 4, flags 8 |
/// | 2 | 2 | duration |
/// | 4 | 18 | three addresses |
/// | 22 | 2 | fragment number 4 bits, sequence number 12 |
/// | 24 | 6 | fourth address, between access points |
/// | | 2 | quality of service, where the subtype says so |
/// | | 4 | HT control, with quality of service and the order flag |
pub(super) fn frame(bytes: Bytes<'_>, padded: bool) -> Result<Next<'_>, Stop> {
    let &[control, flags, ..] = bytes.header::<24>()?;
    let subtype = control >> 4;
    // Of data frames, those with bit 2 of the subtype carry no data.
    if control & 0x0f != 0x08 || subtype & 0x04 != 0 {
        return Err(Stop::Other);
    }
    let qos = subtype & 0x08 != 0;
    let mut length = 24;
    if flags & (TO_DS | FROM_DS) == TO_DS | FROM_DS {
        length += 6;
    }
    let aggregate = qos && bytes.byte(length)? & 0x80 != 0;
    if qos {
        length += if flags & ORDER == 0 { 2 } else { 6 };
    }
    if padded {
        length = length.next_multiple_of(4);
    }
    let is_fragment = flags & MORE_FRAGMENTS != 0 || bytes.byte(22)? & 0x0f != 0;
    let mut body = bytes.after(length)?;
    if flags & PROTECTED != 0 {
        // Some drivers decrypt and leave the flag, with the initialisation vector or without.
        let clear = [0, VECTOR].into_iter().find(|&n| body.data().get(n..).is_some_and(|rest| rest.starts_with(&SNAP)));
        body = body.after(clear.ok_or(Stop::Unread(Unread::Wifi))?)?;
    }
    match (is_fragment, aggregate) {
        (true, _) => Err(Stop::Unread(Unread::WifiFragment)),
        (false, true) => Ok(Next::Aggregate(body)),
        (false, false) => Ok(Next::Layer(Layer::WifiBody, body)),
    }
}

/// LLC, or Ethernet as some drivers write it. Frames of a mesh have a header before it: flags 1 (extra addresses 2 bits, reserved 6), time to live 1,
/// sequence 4, addresses of 6.
pub(super) fn body(bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    let flags = bytes.byte(0)?;
    let mesh = 6 + 6 * usize::from(flags & 0x03);
    let layer = match bytes.after(mesh) {
        Ok(behind) if flags & 0xfc == 0 && behind.data().starts_with(&SNAP) => {
            return Ok(Next::Layer(Layer::Llc, behind));
        }
        _ if !bytes.data().starts_with(&SNAP) && ethernet::has_ip(bytes) => Layer::Ethernet,
        _ => Layer::Llc,
    };
    Ok(Next::Layer(layer, bytes))
}

/// The first frame of an aggregate (A-MSDU), and the rest: destination 6, source 6, length 2, LLC; padded to 4 bytes.
pub(super) fn split_aggregate(bytes: Bytes<'_>) -> Result<(Bytes<'_>, Bytes<'_>), Stop> {
    let length = usize::from(bytes.be16(12)?);
    let frame = bytes.after(14)?.first(length);
    // The last frame has no padding.
    let next = (14 + length).next_multiple_of(4).min(bytes.wire());
    Ok((frame, bytes.after(next).unwrap_or(bytes.first(0))))
}
