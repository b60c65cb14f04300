//! The whole way: a capture file's bytes in, QEMU's events out.

use crate::{
    Config, Counters, Error, Notice, Output,
    decapsulate::{Decapsulator, Unread, Verdict, peek},
    file::{self, Enough, Packet},
    link::LinkType,
    packet::{Segment, Skipped},
    spice::{Follow, Spice},
    tcp::{MAX_FLOWS, Reassembler, Volume},
};
use spice_events::{FlowId, Timestamp};
use std::{collections::BTreeMap, io};

/// Reads a capture: pcap or pcapng in, events out.
///
/// Sans-IO, in steps:
///
/// 1. [`push`](Self::push) the next bytes of the file, in chunks of any size. Outputs of one push wait in memory; a megabyte is a good chunk.
/// 2. Call [`poll`](Self::poll) until it returns `None`.
/// 3. Optionally seek over [`skippable`](Self::skippable) bytes and call [`skip`](Self::skip).
/// 4. Repeat until the end of the file, or until `push` returns an error.
/// 5. Call [`finish`](Self::finish), then `poll` until it returns `None`.
#[derive(Debug)]
pub struct Capture {
    reader: file::Reader,
    packets: Packets,
}

/// Everything after the file format.
#[derive(Debug)]
struct Packets {
    tcp: Reassembler<Follow>,
    spice: Spice,
    counters: Counters,
    decapsulator: Decapsulator,
    /// Packets that could carry SPICE and can't be read.
    unread: BTreeMap<Unread, u64>,
    /// Packets that the capture program lost, by interface.
    dropped: BTreeMap<u32, u64>,
    /// The last packet's time.
    at: Timestamp,
    /// Link types that have a notice.
    unknown_links: Vec<(u32, LinkType)>,
}

/// Bytes of a link message up to the channel's type and id: header 16, connection-id 4, type 1, id 1. What QEMU reports of a connection is in them.
pub const MIN_PAYLOAD: usize = 22;

/// Link types that get a notice; a section may describe thousands of interfaces.
const MAX_UNKNOWN_LINKS: usize = 16;
/// Kinds of unread packets that are counted one by one; a capture may have a packet with each ethertype.
const MAX_UNREAD: usize = 64;
/// Kinds that are named at the end, the most frequent ones.
const MAX_UNREAD_NOTICES: usize = 8;

impl Capture {
    /// Before the file's first byte.
    pub fn new(config: Config) -> Self {
        Self {
            reader: file::Reader::new(),
            packets: Packets {
                tcp: Reassembler::new(config.max_flows.unwrap_or(MAX_FLOWS)),
                spice: Spice::new(config),
                counters: Counters::default(),
                decapsulator: Decapsulator::new(),
                unread: BTreeMap::new(),
                dropped: BTreeMap::new(),
                at: Timestamp { seconds: 0, microseconds: 0 },
                unknown_links: Vec::new(),
            },
        }
    }

    /// Takes the next bytes of the file.
    ///
    /// After an error nothing more can be read. The outputs before it are valid: drain [`poll`](Self::poll), call [`finish`](Self::finish).
    pub fn push(&mut self, data: &[u8]) -> Result<(), Error> {
        self.packets.counters.bytes += data.len() as u64;
        self.reader.push_to(data, &mut self.packets)
    }

    /// Takes more of the key log that [`Config::keys`] began: its next bytes.
    #[cfg(feature = "tls")]
    pub fn push_keys(&mut self, data: &[u8]) {
        self.packets.spice.push_keys(data);
    }

    /// How many of the file's next bytes are not needed: the payload of a connection after its link stage.
    pub fn skippable(&self) -> u64 {
        self.reader.skippable()
    }

    /// Takes note that the next `n` bytes exist and were not read. At most [`skippable`](Self::skippable).
    pub fn skip(&mut self, n: u64) {
        self.packets.counters.bytes += n.min(self.skippable());
        self.reader.skip(n);
    }

    /// Takes one packet from a live interface instead of a file. It has to be whole.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.packets.counters.bytes += u64::from(packet.captured);
        self.packets.packet(packet);
    }

    /// Takes note that the source had no room for this number of packets, which were lost before `at`. Their bytes count as lost where
    /// they are missing.
    pub fn overrun(&mut self, at: Timestamp, packets: u64) {
        self.packets.spice.notice(Notice::Overrun { at, packets });
    }

    /// Takes the end of the file, or of the packets that came from elsewhere. An error if it was not recognised as a capture; a [`Notice::Cut`] if it ends in the middle of a packet.
    ///
    /// Connections that are open at the end have no further event.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.packets.finish();
        #[cfg(feature = "tls")]
        self.packets.spice.finish_secured();
        if self.reader.is_unused() && self.packets.counters.packets > 0 {
            return Ok(());
        }
        if let Some(cut) = self.reader.finish()? {
            self.packets.spice.notice(Notice::Cut(cut));
        }
        Ok(())
    }

    /// The next event, anomaly or notice, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        self.packets.spice.poll()
    }

    /// Calls `each` with each open connection that is SPICE, and how much it has carried so far. For a live capture: [`Output::Ended`] has the
    /// last counts of a connection.
    pub fn volumes(&mut self, mut each: impl FnMut(FlowId, Volume)) {
        self.packets.tcp.volumes(|state, volume| {
            if let Some(flow) = state.flow() {
                each(flow, volume);
            }
        });
    }

    /// The counters so far.
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

/// Packets, secrets and statistics from the caller's own [`file::Reader`]: for several files, or for a file that grows.
impl file::Sink for Capture {
    fn packet(&mut self, packet: Packet<'_>) -> Enough {
        self.packets.packet(&packet)
    }

    fn secrets(&mut self, kind: file::SecretsType, data: &[u8]) {
        file::Sink::secrets(&mut self.packets, kind, data);
    }

    fn statistics(&mut self, statistics: file::Statistics) {
        file::Sink::statistics(&mut self.packets, statistics);
    }
}

impl file::Sink for Packets {
    fn packet(&mut self, packet: Packet<'_>) -> Enough {
        Packets::packet(self, &packet)
    }

    #[cfg(feature = "tls")]
    fn secrets(&mut self, kind: file::SecretsType, data: &[u8]) {
        if kind == file::SecretsType::TLS_KEY_LOG {
            self.spice.push_keys(data);
            self.spice.push_keys(b"\n");
        }
    }

    fn statistics(&mut self, statistics: file::Statistics) {
        // Each block counts from the beginning, and the files of a ring buffer go on counting.
        let dropped = self.dropped.entry(statistics.interface).or_default();
        *dropped = statistics.dropped.max(*dropped);
    }
}

impl Packets {
    fn packet(&mut self, packet: &Packet<'_>) -> Enough {
        let parsed = Segment::parse(packet.at, packet.link, packet.data, packet.wire_len);
        match &parsed {
            Ok(segment) => {
                if !packet.is_whole() && self.tcp.wants_payload(segment, &self.spice) {
                    return Enough::No;
                }
                if self.decapsulator.is_waiting() {
                    self.expire(packet.at);
                }
                self.counters.packets += 1;
                if segment.missing > 0 && segment.payload.len() < MIN_PAYLOAD {
                    self.count_short(segment);
                }
                self.tcp.segment(segment, &mut self.spice);
                Enough::Yes
            }
            Err(skipped) => self.unusual(*skipped, packet),
        }
    }

    #[cold]
    fn count_short(&mut self, segment: &Segment<'_>) {
        self.counters.short += u64::from(self.tcp.wants_payload(segment, &self.spice));
    }

    /// A packet that is not one TCP segment behind one link header and one IP header.
    #[inline(never)]
    fn unusual(&mut self, skipped: Skipped, packet: &Packet<'_>) -> Enough {
        let deeper = !matches!(skipped, Skipped::Truncated | Skipped::Malformed);
        if !packet.is_whole() {
            let enough = match peek(packet) {
                Ok(segment) if deeper => segment.is_none_or(|segment| !self.tcp.wants_payload(&segment, &self.spice)),
                _ => skipped == Skipped::Malformed,
            };
            if !enough {
                return Enough::No;
            }
        }
        self.counters.packets += 1;
        self.at = packet.at;
        let mut found = false;
        let verdict = match skipped {
            Skipped::Truncated => Verdict::Truncated,
            Skipped::Malformed => Verdict::Malformed,
            _ => {
                let Self { tcp, spice, decapsulator, .. } = self;
                decapsulator.segments(packet, &mut |segment| {
                    found = true;
                    tcp.segment(segment, spice);
                })
            }
        };
        match verdict {
            Verdict::Read => self.counters.without_tcp += u64::from(!found),
            Verdict::Waits => {}
            Verdict::Truncated => {
                self.counters.truncated += 1;
                if self.counters.truncated == 1 {
                    self.spice.notice(Notice::ShortPackets { at: packet.at });
                }
            }
            Verdict::Malformed => self.counters.malformed += 1,
            Verdict::Unread(Unread::Link(link)) => self.unknown_link(link, packet),
            Verdict::Unread(what) => {
                self.counters.unread += 1;
                if self.unread.len() < MAX_UNREAD || self.unread.contains_key(&what) {
                    *self.unread.entry(what).or_default() += 1;
                }
            }
        }
        Enough::Yes
    }

    fn unknown_link(&mut self, link: LinkType, packet: &Packet<'_>) {
        self.counters.unknown_link += 1;
        let interface = packet.interface;
        if self.unknown_links.len() < MAX_UNKNOWN_LINKS && !self.unknown_links.contains(&(interface, link)) {
            self.unknown_links.push((interface, link));
            self.spice.notice(Notice::UnknownLink { at: packet.at, interface, link });
        }
    }

    #[cold]
    fn expire(&mut self, at: Timestamp) {
        let Self { tcp, spice, decapsulator, .. } = self;
        decapsulator.expire(at, &mut |segment| tcp.segment(segment, spice));
    }

    fn finish(&mut self) {
        let Self { tcp, spice, decapsulator, .. } = self;
        decapsulator.finish(self.at, &mut |segment| tcp.segment(segment, spice));
        tcp.finish(spice);
        spice.finish();
        if self.counters.short > 0 {
            spice.notice(Notice::Snaplen { packets: self.counters.short });
        }
        self.counters.dropped = self.dropped.values().sum();
        if self.counters.dropped > 0 {
            spice.notice(Notice::Dropped { packets: self.counters.dropped });
        }
        self.counters.fragments = decapsulator.incomplete();
        if self.counters.fragments > 0 {
            spice.notice(Notice::Fragments { fragments: self.counters.fragments });
        }
        let mut unread: Vec<_> = self.unread.iter().map(|(what, packets)| (*packets, *what)).collect();
        unread.sort_unstable_by_key(|(packets, what)| (std::cmp::Reverse(*packets), *what));
        for (packets, what) in unread.into_iter().take(MAX_UNREAD_NOTICES) {
            spice.notice(Notice::Unread { what, packets });
        }
    }
}
