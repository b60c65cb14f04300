//! Connections that were seen and not recognised.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

/// Why a connection could be SPICE and was not recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unrecognised {
    /// It is TLS.
    Tls,
    /// It began before the capture.
    Midstream,
    /// Its first bytes were lost, or cut by the snaplen.
    Lost,
    /// The capture has its handshake only, and not the packet that completes it.
    Handshake,
    /// Its client sent nothing, or too little to be recognised.
    Silent,
}

/// Connections by their servers' ports.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<Unrecognised, Ports>);

#[derive(Debug, Default)]
struct Ports {
    connections: u64,
    ports: BTreeMap<u16, u64>,
}

/// Ports that are counted one by one.
const MAX_PORTS: usize = 256;
/// Ports that are named.
const NAMED: usize = 5;

impl Tally {
    pub(crate) fn add(&mut self, why: Unrecognised, port: u16) {
        self.0.entry(why).or_default().add(&[port]);
    }

    /// A connection of which either end may be the server.
    pub(crate) fn add_either(&mut self, why: Unrecognised, ports: [u16; 2]) {
        self.0.entry(why).or_default().add(&ports);
    }

    pub(crate) fn connections(&self, why: Unrecognised) -> u64 {
        self.0.get(&why).map_or(0, |ports| ports.connections)
    }

    /// Each reason, how many connections it concerns, and their most frequent ports.
    pub(crate) fn all(&self) -> Vec<(Unrecognised, u64, Vec<u16>)> {
        let all = self.0.iter().map(|(why, Ports { connections, ports })| {
            let mut ports: Vec<_> = ports.iter().map(|(port, count)| (Reverse(*count), *port)).collect();
            ports.sort_unstable();
            // Where either end may be the server, the ports that most connections share are those of servers, and explain all of them.
            let mut explained = 0;
            let servers = ports.into_iter().take_while(|(Reverse(count), _)| {
                let is_needed = explained < *connections;
                explained += count;
                is_needed
            });
            (*why, *connections, servers.take(NAMED).map(|(_, port)| port).collect())
        });
        all.collect()
    }
}

impl Ports {
    fn add(&mut self, ports: &[u16]) {
        self.connections += 1;
        for port in ports {
            if self.ports.len() < MAX_PORTS || self.ports.contains_key(port) {
                *self.ports.entry(*port).or_default() += 1;
            }
        }
    }
}

impl Unrecognised {
    /// What the operator can do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Tls => "if one of these ports is SPICE inside TLS, name it as a TLS port",
            Self::Midstream => "begin the capture before the sessions; if one of these ports is SPICE, name it",
            Self::Handshake => "capture all packets of a connection; a filter for SYN and FIN is not enough",
            Self::Lost => "capture more bytes of each packet; if one of these ports is SPICE, name it",
            Self::Silent => "if one of these ports is SPICE, name it",
        }
    }
}

impl fmt::Display for Unrecognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "are TLS",
            Self::Midstream => "began before the capture",
            Self::Handshake => "have a handshake that is never completed",
            Self::Lost => "lost their client's first bytes",
            Self::Silent => "have too few bytes of their client",
        })
    }
}
