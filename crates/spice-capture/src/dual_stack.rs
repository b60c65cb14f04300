//! Which servers listen on IPv6's `::` and serve IPv4 clients there too.
//!
//! QEMU shows such an IPv4 client as `::ffff:127.0.0.1`, although its packets are plain IPv4. What a capture can show is a port
//! that answers over both families: spice-server binds one socket a port, so that this socket must be the dual one.

use crate::{
    file::{Packet, Reader},
    packet::{Endpoint, Flags, Segment},
};
use std::{collections::HashMap, net::SocketAddr};

/// The server ports that answer connections over both IPv4 and IPv6 in these first bytes of a capture, in ascending order.
/// Bytes that are no capture have none.
pub fn dual_stack_ports(head: &[u8]) -> Vec<u16> {
    let mut families: HashMap<u16, [bool; 2]> = HashMap::new();
    // A damaged capture is judged when it is read; what came before the damage counts.
    let _ = Reader::new().push(head, |packet| {
        if let Some(server) = answering(&packet) {
            let address = SocketAddr::from(server);
            families.entry(address.port()).or_default()[usize::from(address.is_ipv6())] = true;
        }
    });
    let mut ports: Vec<u16> = families.iter().filter(|(_, both)| **both == [true; 2]).map(|(port, _)| *port).collect();
    ports.sort_unstable();
    ports
}

/// The sender of a SYN with an ACK.
fn answering(packet: &Packet<'_>) -> Option<Endpoint> {
    let segment = Segment::parse(packet.at, packet.link, packet.data, packet.wire_len).ok()?;
    segment.flags.has(Flags::SYN.and(Flags::ACK)).then_some(segment.from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_capture_has_no_ports() {
        assert_eq!(dual_stack_ports(b"neither pcap nor pcapng"), [0; 0]);
    }
}
