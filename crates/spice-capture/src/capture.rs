//! The whole way: a capture file's bytes in, QEMU's events out.

use crate::{
    Error,
    file::{self, Enough, Packet},
    packet::{Segment, Skipped},
    spice::Spice,
    tcp::{MAX_FLOWS, Reassembler},
};
use spice_events::{Anomaly, Emitted, Timestamp};
use std::{fmt, io, net::SocketAddr};

/// What a capture can't tell by itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// Server ports where everything is SPICE, whatever is sent. If there is none, connections are recognised by their first bytes:
    /// see [`recognise`](crate::recognise).
    pub ports: Vec<u16>,
    /// Server ports where everything is SPICE inside TLS. What is inside can't be read: such connections are opened and closed, no more.
    pub tls_ports: Vec<u16>,
    /// The server listens on IPv6's `::` and serves IPv4 clients there too: QEMU then shows `::ffff:127.0.0.1` for `127.0.0.1`. The packets of such a
    /// connection are plain IPv4, so it has to be said.
    pub dual_stack: bool,
    /// Server ports of which the same is known one by one: see [`dual_stack_ports`](crate::dual_stack_ports).
    pub dual_stack_ports: Vec<u16>,
    /// For the [`Tracker`](spice_events::Tracker): what it can't read off the wire either.
    pub tracker: spice_events::Config,
    /// How many TCP connections are remembered at most; `None`: [`MAX_FLOWS`].
    pub max_flows: Option<u32>,
}

impl Config {
    /// Recognises connections by their first bytes, and takes their addresses as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more port that is SPICE whatever is sent to it.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// With one more port that is SPICE inside TLS.
    #[must_use]
    pub fn tls_port(mut self, port: u16) -> Self {
        self.tls_ports.push(port);
        self
    }

    /// With the server's `auth` setting.
    #[must_use]
    pub fn auth(mut self, auth: spice_events::Auth) -> Self {
        self.tracker = self.tracker.auth(auth);
        self
    }
}

/// What a capture has to say, in the order in which it became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// One of QEMU's events.
    Event(Emitted),
    /// Something odd about a SPICE connection.
    Anomaly(Anomaly),
    /// Something odd about the capture.
    Notice(Notice),
}

/// Something that kept the capture from being read completely.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A connection to a SPICE port was open before the capture began. Its link stage is not in it, so there are no events for it.
    AlreadyOpen {
        /// When it was first seen.
        at: Timestamp,
        /// The client, as far as that can be told.
        client: SocketAddr,
        /// The server.
        server: SocketAddr,
    },
    /// A client's first bytes are not in the capture (lost, or cut by the snaplen), so that nobody can tell whether it spoke SPICE. Said at
    /// the first; see [`Counters::unrecognised`]. What is sent to a port that [`Config::ports`] names is SPICE without them.
    Unrecognised {
        /// When the connection was opened.
        at: Timestamp,
        /// The client.
        client: SocketAddr,
        /// The server.
        server: SocketAddr,
    },
    /// IP fragments are not put together. Said at the first; see [`Counters::fragments`].
    Fragments {
        /// When it was captured.
        at: Timestamp,
    },
    /// Packets were cut so short (snaplen) that their TCP header is incomplete. Said at the first; see [`Counters::truncated`].
    ShortPackets {
        /// When it was captured.
        at: Timestamp,
    },
    /// A link type that is not read. Said at the first packet; see [`Counters::unknown_link`].
    UnknownLink {
        /// When it was captured.
        at: Timestamp,
        /// Number of the interface.
        interface: u32,
        /// Its link type.
        link: crate::link::LinkType,
    },
    /// More connections at once than are remembered: the oldest idle ones were forgotten, and what becomes of them will not be told.
    TooManyConnections,
    /// The file ends in the middle of a packet.
    Cut(file::Cut),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyOpen { client, server, .. } => {
                write!(f, "{client} -> {server}: already open when the capture began; no events for it")
            }
            Self::Unrecognised { client, server, .. } => {
                write!(
                    f,
                    "{client} -> {server}: the client's first bytes are not in the capture; whether it is SPICE can only be said by naming its port"
                )
            }
            Self::Fragments { .. } => f.write_str("IP fragments are dropped: bytes that they carry count as lost"),
            Self::ShortPackets { .. } => {
                f.write_str("packets are cut within their headers (snaplen): those are not read")
            }
            Self::UnknownLink { interface, link, .. } => {
                write!(f, "interface {interface} has link type {link:?}, which is not read: its packets are skipped")
            }
            Self::TooManyConnections => {
                f.write_str("more connections at once than are remembered: the oldest idle ones were forgotten")
            }
            Self::Cut(cut) => {
                write!(f, "the file ends at offset {} in the middle of the packet at offset {}", cut.end, cut.offset)
            }
        }
    }
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Bytes of the file.
    pub bytes: u64,
    /// Packets of any kind.
    pub packets: u64,
    /// SPICE connections that were opened.
    pub connections: u64,
    /// Events.
    pub events: u64,
    /// Anomalies and notices.
    pub anomalies: u64,
    /// Connections whose first bytes are missing, so that they can't be recognised.
    pub unrecognised: u64,
    /// IP fragments, which are dropped.
    pub fragments: u64,
    /// Packets too short for a TCP header (snaplen).
    pub truncated: u64,
    /// Packets whose headers contradict each other.
    pub malformed: u64,
    /// Packets of a link type that is not read.
    pub unknown_link: u64,
}

/// Reads a capture: pcap or pcapng in, events out.
///
/// Sans-IO: [`push`](Self::push) the file's bytes in any chunks, drain [`poll`](Self::poll) after each, call [`finish`](Self::finish) at the end and drain
/// once more. Outputs of one push wait in memory, so push what fits there: a megabyte is a good chunk.
#[derive(Debug)]
pub struct Capture {
    reader: file::Reader,
    packets: Packets,
}

/// All behind the file format.
#[derive(Debug)]
struct Packets {
    tcp: Reassembler<crate::spice::Follow>,
    spice: Spice,
    counters: Counters,
    /// Link types that were complained of.
    unknown_links: Vec<(u32, crate::link::LinkType)>,
}

/// Link types that are complained of; a section may describe thousands of interfaces.
const MAX_UNKNOWN_LINKS: usize = 16;

impl Capture {
    /// Before the file's first byte.
    pub fn new(config: Config) -> Self {
        Self {
            reader: file::Reader::new(),
            packets: Packets {
                tcp: Reassembler::new(config.max_flows.unwrap_or(MAX_FLOWS)),
                spice: Spice::new(config),
                counters: Counters::default(),
                unknown_links: Vec::new(),
            },
        }
    }

    /// Takes the next bytes of the file.
    ///
    /// After an error nothing more can be read, but what came before it stands: drain [`poll`](Self::poll), call [`finish`](Self::finish).
    pub fn push(&mut self, data: &[u8]) -> Result<(), Error> {
        self.packets.counters.bytes += data.len() as u64;
        let Self { reader, packets } = self;
        reader.push_heads(data, |packet| packets.packet(&packet))
    }

    /// How many of the file's next bytes are of no interest: the payload of a connection past its link stage.
    pub fn skippable(&self) -> u64 {
        self.reader.skippable()
    }

    /// Instead of pushing them: the next `n` bytes are there, but were not read. No more than [`skippable`](Self::skippable).
    pub fn skip(&mut self, n: u64) {
        self.packets.counters.bytes += n.min(self.skippable());
        self.reader.skip(n);
    }

    /// One packet from elsewhere than a file: a live interface. It has to be whole.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.packets.packet(packet);
    }

    /// The end of the file. An error if it was not recognised as a capture; a [`Notice::Cut`] if it ends in the middle of a packet.
    ///
    /// Connections that are open stay so: nothing happened to them.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.packets.tcp.finish(&mut self.packets.spice);
        if let Some(cut) = self.reader.finish()? {
            self.packets.spice.notice(Notice::Cut(cut));
        }
        Ok(())
    }

    /// The next event, anomaly or notice, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        self.packets.spice.poll()
    }

    /// How much there was so far.
    pub fn counters(&self) -> Counters {
        Counters { ..self.packets.spice.count(self.packets.counters) }
    }

    /// Reads a whole file, handing on each output as it becomes known.
    ///
    /// # Errors
    /// What `reader` returns, and [`Error`] as [`io::ErrorKind::InvalidData`].
    pub fn read(mut self, mut reader: impl io::Read, mut output: impl FnMut(Output)) -> io::Result<Counters> {
        let mut buffer = vec![0; 1 << 18];
        let result = loop {
            match reader.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    let pushed = self.push(&buffer[..n]);
                    std::iter::from_fn(|| self.poll()).for_each(&mut output);
                    if let Err(error) = pushed {
                        break Err(io::Error::new(io::ErrorKind::InvalidData, error));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let finished = self.finish();
        std::iter::from_fn(|| self.poll()).for_each(&mut output);
        result?;
        finished.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(self.counters())
    }
}

impl Packets {
    fn packet(&mut self, packet: &Packet<'_>) -> Enough {
        let parsed = Segment::parse(packet.at, packet.link, packet.data, packet.wire_len);
        if !packet.is_whole() {
            let enough = match &parsed {
                Ok(segment) => !self.tcp.wants_payload(segment, &self.spice),
                Err(skipped) => *skipped != Skipped::Truncated,
            };
            if !enough {
                return Enough::No;
            }
        }
        self.counters.packets += 1;
        match &parsed {
            Ok(segment) => self.tcp.segment(segment, &mut self.spice),
            Err(Skipped::NotIp | Skipped::NotTcp) => {}
            Err(skipped) => self.skipped(*skipped, packet),
        }
        Enough::Yes
    }

    #[cold]
    fn skipped(&mut self, skipped: Skipped, packet: &Packet<'_>) {
        let at = packet.at;
        let (counter, notice) = match skipped {
            Skipped::NotIp | Skipped::NotTcp => return,
            Skipped::Fragment => (&mut self.counters.fragments, Some(Notice::Fragments { at })),
            Skipped::Truncated => (&mut self.counters.truncated, Some(Notice::ShortPackets { at })),
            Skipped::Malformed => (&mut self.counters.malformed, None),
            Skipped::UnknownLink => {
                self.counters.unknown_link += 1;
                let link = (packet.interface, packet.link);
                if self.unknown_links.len() < MAX_UNKNOWN_LINKS && !self.unknown_links.contains(&link) {
                    self.unknown_links.push(link);
                    let notice = Notice::UnknownLink { at, interface: packet.interface, link: packet.link };
                    self.spice.notice(notice);
                }
                return;
            }
        };
        *counter += 1;
        if *counter == 1
            && let Some(notice) = notice
        {
            self.spice.notice(notice);
        }
    }
}
