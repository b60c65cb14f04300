//! Cutting payload out of a recording, so that it can be committed: what a snap length does, but by flow.

use std::{collections::HashMap, io};

/// Payload kept of each direction of each connection: more than any link stage, and the first messages after it.
const KEEP: usize = 6_000;

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// A little-endian pcap file without its datagrams, and with TCP payload cut after each direction's first bytes where
/// the whole is larger than `max`. Says whether it cut anything.
///
/// Cut packets keep their headers and their original length, so a reader sees exactly how much is missing.
pub(super) fn trim(file: &[u8], max: usize) -> io::Result<(Vec<u8>, bool)> {
    let magic = file.first_chunk::<4>().copied().map(u32::from_le_bytes);
    if !matches!(magic, Some(0xa1b2_c3d4 | 0xa1b2_3c4d)) {
        return Err(invalid("expected a little-endian pcap file"));
    }
    let whole = rewrite(file, usize::MAX)?;
    if whole.len() <= max {
        return Ok((whole, false));
    }
    let cut = rewrite(file, KEEP)?;
    if cut.len() > max {
        return Err(invalid(&format!("{} bytes even when trimmed, expected at most {max}", cut.len())));
    }
    Ok((cut, true))
}

fn rewrite(file: &[u8], keep: usize) -> io::Result<Vec<u8>> {
    let (header, mut rest) = file.split_at_checked(FILE_HEADER).ok_or_else(|| invalid("expected a pcap header"))?;
    let link_header = match header[20] {
        1 => 14,   // Ethernet
        113 => 16, // Linux cooked v1
        20 => 20,  // 276, Linux cooked v2, low byte
        other => return Err(invalid(&format!("link type {other} is not one of ours"))),
    };
    let mut out = header.to_vec();
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    while !rest.is_empty() {
        let (record, after) = rest.split_at_checked(RECORD_HEADER).ok_or_else(|| invalid("cut in a record header"))?;
        let length = u32::from_le_bytes([record[8], record[9], record[10], record[11]]) as usize;
        let (packet, after) = after.split_at_checked(length).ok_or_else(|| invalid("cut in a packet"))?;
        rest = after;
        let Some(tcp) = Tcp::find(packet, link_header) else { continue };
        let kept = seen.entry(tcp.flow).or_default();
        let now = tcp.payload.min(keep.saturating_sub(*kept));
        *kept += tcp.payload;
        let length = tcp.headers + now;
        out.extend_from_slice(&record[..8]);
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&record[12..]);
        out.extend_from_slice(&packet[..length]);
    }
    Ok(out)
}

/// A TCP segment's place in its packet.
struct Tcp {
    /// Addresses and ports, in the packet's direction.
    flow: Vec<u8>,
    headers: usize,
    payload: usize,
}

impl Tcp {
    fn find(packet: &[u8], link_header: usize) -> Option<Self> {
        let ip = packet.get(link_header..)?;
        let (header, total, protocol, addresses) = match ip.first()? >> 4 {
            4 => (usize::from(ip[0] & 15) * 4, usize::from(be16(ip, 2)?), *ip.get(9)?, ip.get(12..20)?),
            6 => (40, 40 + usize::from(be16(ip, 4)?), *ip.get(6)?, ip.get(8..40)?),
            _ => return None,
        };
        if protocol != 6 {
            return None;
        }
        let tcp = ip.get(header..total)?;
        let data = usize::from(tcp.get(12)? >> 4) * 4;
        let flow = [addresses, tcp.get(..4)?].concat();
        Some(Self { flow, headers: link_header + header + data, payload: tcp.len().checked_sub(data)? })
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("pcap: {why}"))
}
