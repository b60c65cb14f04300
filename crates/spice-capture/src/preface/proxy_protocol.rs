//! The PROXY protocol, versions 1 and 2: what a load balancer sends before the client's first byte.

use super::{Facts, Parsed, ProxyKind, State};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const VERSION_1: &[u8] = b"PROXY ";
/// The longest header of version 1, CR and LF included.
const MAX_VERSION_1: usize = 107;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// signature 12, version and command 1, family and protocol 1, length 2
const VERSION_2: usize = 16;

/// `PROXY TCP4|TCP6 source destination port port`, or `PROXY UNKNOWN` of a load balancer's own health check.
pub(super) fn version_1(client: &[u8], facts: &mut Facts) -> Parsed {
    let n = client.len().min(VERSION_1.len());
    if client[..n] != VERSION_1[..n] {
        return Parsed::Not;
    }
    let Some(end) = client.iter().take(MAX_VERSION_1).position(|&byte| byte == b'\n') else {
        return if client.len() < MAX_VERSION_1 { Parsed::More } else { Parsed::Not };
    };
    let Some(line) = client.get(VERSION_1.len()..end).and_then(|line| std::str::from_utf8(line).ok()) else {
        return Parsed::Not;
    };
    facts.kind = Some(ProxyKind::ProxyV1);
    let words: Vec<_> = line.trim_end_matches('\r').split(' ').collect();
    match words[..] {
        ["UNKNOWN", ..] => {}
        ["TCP4" | "TCP6", source, _, port, _] => {
            let (Ok(ip), Ok(port)) = (source.parse::<IpAddr>(), port.parse()) else { return Parsed::Not };
            facts.client = Some(SocketAddr::new(ip, port));
        }
        _ => return Parsed::Not,
    }
    Parsed::Next { client: end + 1, server: 0, state: State::Start }
}

/// The binary header: addresses by family, then TLVs, which are not read.
pub(super) fn version_2(client: &[u8], facts: &mut Facts) -> Parsed {
    let n = client.len().min(SIGNATURE.len());
    if client[..n] != SIGNATURE[..n] {
        return Parsed::Not;
    }
    let Some(header) = client.first_chunk::<VERSION_2>() else { return Parsed::More };
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if header[12] >> 4 != 2 || VERSION_2 + length > super::MAX_CLIENT {
        return Parsed::Not;
    }
    let Some(body) = client.get(VERSION_2..VERSION_2 + length) else { return Parsed::More };
    facts.kind = Some(ProxyKind::ProxyV2);
    // Command 0 is the load balancer's own connection; family 1 is IPv4, 2 is IPv6, with protocol 1, TCP.
    facts.client = match (header[12] & 0x0f, header[13]) {
        (1, 0x11) => source::<4>(body, 8).map(|(ip, port)| (Ipv4Addr::from(ip), port).into()),
        (1, 0x21) => source::<16>(body, 32).map(|(ip, port)| (Ipv6Addr::from(ip), port).into()),
        _ => None,
    }
    .or(facts.client);
    Parsed::Next { client: VERSION_2 + length, server: 0, state: State::Start }
}

/// The source's address, and its port at an offset.
fn source<const N: usize>(body: &[u8], port: usize) -> Option<([u8; N], u16)> {
    let ip = *body.first_chunk()?;
    Some((ip, u16::from_be_bytes(*body.get(port..)?.first_chunk()?)))
}
