use crate::{decapsulate::Unread, file, link::LinkType, preface::ProxyKind, tally::Unrecognised, tcp::VanishedReason};
use spice_events::{Endpoints, FlowId, Timestamp};
use std::{fmt, net::SocketAddr, time::Duration};

/// Something that kept the capture from being read completely.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notice {
    /// A connection to a SPICE port was open before the capture began. Its link stage is not in it, so there are no events for it.
    AlreadyOpen {
        /// When it was first seen.
        at: Timestamp,
        /// Its ends, as far as the client can be told from the server.
        endpoints: Endpoints<SocketAddr>,
    },
    /// A client's first bytes are not in the capture (lost, or cut by the snaplen), so the connection can't be recognised. Only the first such
    /// connection has a notice; [`Counters::unrecognised`](crate::Counters::unrecognised) counts them all. Connections to a port that
    /// [`Config::ports`](crate::Config::ports) names need no recognition.
    Unrecognised {
        /// When the connection was opened.
        at: Timestamp,
        /// Its ends.
        endpoints: Endpoints<SocketAddr>,
    },
    /// Connections could be SPICE and were not recognised. At the end of the capture, for each reason.
    NotRecognised {
        /// Why not.
        why: Unrecognised,
        /// How many connections.
        connections: u64,
        /// Their most frequent server ports.
        ports: Vec<u16>,
    },
    /// No packet ends a connection, and something else shows its end: its client vanished, or packets are missing.
    Vanished {
        /// When the connection ended.
        at: Timestamp,
        /// Its ends.
        endpoints: Endpoints<SocketAddr>,
        /// What shows it.
        reason: VanishedReason,
    },
    /// SPICE connections are open at the end of the capture. This is ordinary, and does not count as an anomaly.
    StillOpen {
        /// How many.
        connections: u64,
        /// Those without a packet for the longest time, [`MAX_SILENT`] at most.
        silent: Vec<Silent>,
    },
    /// A SPICE connection came through a proxy or a load balancer. This is ordinary, and does not count as an anomaly.
    Proxied {
        /// When the connection was opened.
        at: Timestamp,
        /// The connection.
        flow: FlowId,
        /// The two addresses in the packets.
        endpoints: Endpoints<SocketAddr>,
        /// The kind of proxy.
        kind: ProxyKind,
        /// The client that the load balancer names.
        client: Option<SocketAddr>,
        /// The host and port that the proxy was asked for. Without a ticket that may be part of it.
        target: Option<Box<str>>,
    },
    /// Packets of link stages were cut too short (snaplen), as [`Counters::short`](crate::Counters::short) counts them. At the end of the capture.
    Snaplen {
        /// How many.
        packets: u64,
    },
    /// The capture program lost packets, as pcapng's interface statistics count them. At the end of the capture.
    Dropped {
        /// How many.
        packets: u64,
    },
    /// Fragments of IP packets are missing. At the end of the capture.
    Fragments {
        /// How many fragments are there of packets that are not complete.
        fragments: u64,
    },
    /// Packets that could carry SPICE were not read. At the end of the capture, for each kind.
    Unread {
        /// What they are in.
        what: Unread,
        /// How many.
        packets: u64,
    },
    /// A packet was cut so short (snaplen) that its TCP header is incomplete. Only the first has a notice;
    /// [`Counters::truncated`](crate::Counters::truncated) counts them all.
    ShortPackets {
        /// When it was captured.
        at: Timestamp,
    },
    /// A link type that is not read. Only the first packet has a notice; [`Counters::unknown_link`](crate::Counters::unknown_link) counts them all.
    UnknownLink {
        /// When it was captured.
        at: Timestamp,
        /// Number of the interface.
        interface: u32,
        /// Its link type.
        link: LinkType,
    },
    /// A TLS connection can't be decrypted, though there is a key log.
    #[cfg(feature = "tls")]
    Tls {
        /// When that became clear.
        at: Timestamp,
        /// Its ends.
        endpoints: Endpoints<SocketAddr>,
        /// Why.
        why: crate::tls::Unreadable,
    },
    /// TLS connections whose secrets are not in the key log. This notice comes at the end, and once.
    MissingSecrets {
        /// How many.
        connections: u64,
    },
    /// The source of a live capture had no room for packets, and lost them: [`Capture::overrun`](crate::Capture::overrun).
    Overrun {
        /// Before this time.
        at: Timestamp,
        /// How many.
        packets: u64,
    },
    /// More connections at once than are remembered: the oldest idle ones were forgotten, and their further events are missing.
    TooManyConnections,
    /// The file ends in the middle of a packet.
    Cut(file::Cut),
}

/// A connection that is open at the end of the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Silent {
    /// Its ends.
    pub endpoints: Endpoints<SocketAddr>,
    /// The time of its last packet.
    pub since: Timestamp,
    /// From then to the last packet of the capture.
    pub silence: Duration,
}

/// Connections that [`Notice::StillOpen`] names.
pub const MAX_SILENT: usize = 5;

impl Notice {
    /// Whether it sums up the whole capture. There is one at most of each kind, and it says what to do.
    pub fn is_of_the_end(&self) -> bool {
        matches!(
            self,
            Self::NotRecognised { .. }
                | Self::Snaplen { .. }
                | Self::Dropped { .. }
                | Self::Fragments { .. }
                | Self::Unread { .. }
                | Self::MissingSecrets { .. }
                | Self::Cut(_)
        )
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyOpen { endpoints: Endpoints { client, server }, .. } => {
                write!(f, "{client} -> {server}: already open when the capture began; no events for it")
            }
            Self::Unrecognised { endpoints: Endpoints { client, server }, .. } => {
                write!(
                    f,
                    "{client} -> {server}: the client's first bytes are not in the capture; whether it is SPICE can only be known by naming its port"
                )
            }
            Self::NotRecognised { why, connections, ports } => {
                write!(f, "{connections} connections {why}")?;
                for (i, port) in ports.iter().enumerate() {
                    write!(f, "{}{port}", if i == 0 { ", server ports " } else { ", " })?;
                }
                write!(f, ": {}", why.advice())
            }
            Self::Vanished { endpoints: Endpoints { client, server }, reason, .. } => {
                let reason = match reason {
                    VanishedReason::OtherConnections => "it ended with the other channels of its session",
                    VanishedReason::TakenOver => "another session began at its server, and no packet came since",
                    VanishedReason::Unanswered => "the server gave up sending again to a client that does not answer",
                };
                write!(f, "{client} -> {server}: no packet ends this connection; {reason}")
            }
            Self::StillOpen { connections, silent } => {
                write!(f, "{connections} connections are open at the end")?;
                for (i, Silent { endpoints: Endpoints { client, server }, since, silence }) in silent.iter().enumerate()
                {
                    let Timestamp { seconds, microseconds } = since;
                    write!(
                        f,
                        "{}{client} -> {server} is silent since {seconds}.{microseconds:06} ({:.3} s)",
                        if i == 0 { ": " } else { ", " },
                        silence.as_secs_f64()
                    )?;
                }
                let more = connections.saturating_sub(silent.len() as u64);
                if more > 0 { write!(f, ", and {more} more") } else { Ok(()) }
            }
            Self::Proxied { endpoints: Endpoints { client, server }, kind, client: original, target, .. } => {
                write!(f, "{client} -> {server}: {kind}")?;
                if let Some(target) = target {
                    write!(f, " to {}", target.escape_default())?;
                }
                original.map_or(Ok(()), |original| write!(f, " for {original}"))
            }
            Self::Snaplen { packets } => write!(
                f,
                "{packets} packets have less than {} bytes of a link stage (snaplen): capture at least 128 bytes of each packet, more inside a tunnel",
                crate::MIN_PAYLOAD
            ),
            Self::Dropped { packets } => write!(
                f,
                "the capture program lost {packets} packets: events may be missing; capture with a filter for ports, a larger buffer or a smaller snaplen"
            ),
            Self::Fragments { fragments } => write!(
                f,
                "{fragments} IP fragments belong to packets whose other fragments are not in the capture: those bytes count as lost; a capture filter for ports drops fragments, add \"or ip[6:2] & 0x1fff != 0\""
            ),
            Self::Unread { what, packets } => {
                write!(f, "{packets} packets in {what} were not read: {}", what.advice())
            }
            Self::ShortPackets { .. } => {
                f.write_str(
                    "packets are cut within their headers (snaplen): those are not read; capture at least 128 bytes of each packet, more inside a tunnel",
                )
            }
            Self::UnknownLink { interface, link, .. } => {
                write!(f, "interface {interface} has link type {link:?}, which is not read: its packets are skipped")
            }
            #[cfg(feature = "tls")]
            Self::Tls { endpoints: Endpoints { client, server }, why, .. } => write!(f, "{client} -> {server}: {why}"),
            Self::Overrun { packets, .. } => {
                write!(f, "{packets} packets were lost: the kernel's buffer was full; a larger one may help")
            }
            Self::MissingSecrets { connections } => write!(
                f,
                "the secrets of {connections} TLS connections are not in the key log, so what they carry is unknown; \
                 one end has to log its secrets from before its first connection on"
            ),
            Self::TooManyConnections => {
                f.write_str("more connections at once than are remembered: the oldest idle ones were forgotten")
            }
            Self::Cut(cut) => {
                write!(f, "the file ends at offset {} in the middle of the packet at offset {}", cut.end, cut.offset)
            }
        }
    }
}
