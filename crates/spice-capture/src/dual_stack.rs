//! Which servers listen on IPv6's `::` and serve IPv4 clients there too.
//!
//! QEMU shows such an IPv4 client as `::ffff:127.0.0.1`, although its packets are plain IPv4. What a capture can show is a port
//! that answers over both families: spice-server binds one socket a port, so that this socket must be the dual one.

use crate::{
    Error,
    decapsulate::peek,
    file::{Enough, Reader},
    packet::{Endpoint, Flags, Segment, Skipped},
};
use std::{collections::HashMap, net::SocketAddr};

/// Looks for them in a capture's bytes, which it takes as [`Capture`](crate::Capture) does: in any chunks, and without the payload of
/// large packets.
#[derive(Debug, Default)]
pub struct DualStack {
    reader: Reader,
    /// Whether a port has answered over IPv4, and over IPv6.
    families: HashMap<u16, [bool; 2]>,
}

impl DualStack {
    /// Before the capture's first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file. After an error nothing more can be read, and what came before it counts.
    pub fn push(&mut self, data: &[u8]) -> Result<(), Error> {
        let Self { reader, families } = self;
        reader.push_heads(data, |packet| {
            let parsed = Segment::parse(packet.at, packet.link, packet.data, packet.wire_len);
            let segment = match parsed {
                Ok(segment) => Some(segment),
                Err(Skipped::Truncated) if !packet.is_whole() => return Enough::No,
                Err(Skipped::Truncated | Skipped::Malformed) => None,
                Err(_) => peek(&packet).ok().flatten(),
            };
            if let Some(server) = segment.and_then(answering) {
                let address = SocketAddr::from(server);
                families.entry(address.port()).or_default()[usize::from(address.is_ipv6())] = true;
            }
            Enough::Yes
        })
    }

    /// Another file begins. What was found counts.
    pub fn next_file(&mut self) {
        self.reader = Reader::new();
    }

    /// How many of the file's next bytes are of no interest.
    pub fn skippable(&self) -> u64 {
        self.reader.skippable()
    }

    /// Instead of pushing them: the next `n` bytes are there, but were not read. No more than [`skippable`](Self::skippable).
    pub fn skip(&mut self, n: u64) {
        self.reader.skip(n);
    }

    /// The server ports that answered connections over both IPv4 and IPv6, in ascending order.
    pub fn ports(&self) -> Vec<u16> {
        let both = self.families.iter().filter(|(_, both)| **both == [true; 2]);
        let mut ports: Vec<u16> = both.map(|(port, _)| *port).collect();
        ports.sort_unstable();
        ports
    }
}

/// The server ports that answer connections over both IPv4 and IPv6 in these first bytes of a capture, in ascending order.
/// Bytes that are no capture have none.
pub fn dual_stack_ports(head: &[u8]) -> Vec<u16> {
    let mut search = DualStack::new();
    // A damaged capture is judged when it is read; what came before the damage counts.
    let _ = search.push(head);
    search.ports()
}

/// The sender of a SYN with an ACK.
fn answering(segment: Segment<'_>) -> Option<Endpoint> {
    segment.flags.has(Flags::SYN.and(Flags::ACK)).then_some(segment.from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_capture_has_no_ports() {
        assert_eq!(dual_stack_ports(b"neither pcap nor pcapng"), [0; 0]);
    }
}
