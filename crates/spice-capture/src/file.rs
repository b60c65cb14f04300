//! pcap and pcapng: bytes of a file in, packets out.
//!
//! Sans-IO: [`Reader::push`] takes the file in whatever chunks it comes and hands over each packet as soon as its last byte is there.
//! A packet that lies whole in a chunk is borrowed from it; one that straddles two is put together in a buffer of the reader, the only thing it keeps
//! ([`MAX_CAPTURED`] and a header at most).
//!
//! | format | magic | record | time |
//! | --- | --- | --- | --- |
//! | pcap, µs | `A1B2C3D4` | 16 bytes + data | u32 seconds, u32 µs |
//! | pcap, ns | `A1B23C4D` | 16 bytes + data | u32 seconds, u32 ns |
//! | pcap, "modified" | `A1B2CD34` | 24 bytes + data | u32 seconds, u32 µs |
//! | pcapng | `0A0D0D0A` | blocks | u64 in units of `if_tsresol`, plus `if_tsoffset` seconds |
//!
//! Files that were written one after another into one are read like one, also if their formats differ.
//!
//! Either byte order is read. The section and interface headers are parsed by `pcap-parser`; pcap's header and the packet records, whose fixed fields are
//! all that is needed, in place: `pcap-parser` collects each packet's options in a `Vec`, and knows "modified" in little-endian only. Two fields are read
//! here rather than there, because 0.17.0 takes no power-of-two `if_tsresol` and reads a big-endian `if_tsoffset` as little-endian.

mod pcap;
mod pcapng;

use crate::{Error, link::LinkType};
use spice_events::Timestamp;
use std::{fmt, ops::Range};

/// The most bytes of one packet that a capture can hold: libpcap's `MAXIMUM_SNAPLEN`. A record that claims more is damage.
pub const MAX_CAPTURED: u32 = 262_144;

/// The most bytes of a pcapng block that are kept; a longer one of a type that we do not read is skipped, any other is damage.
pub const MAX_BLOCK: u32 = MAX_CAPTURED + 65_536;

/// The most bytes of a decryption secrets block that are kept: a key log of about 5,000 connections. A longer one is skipped.
pub const MAX_SECRETS: u32 = 4 << 20;

/// One packet of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it was captured.
    pub at: Timestamp,
    /// The interface of the pcapng section, in the order of description; 0 in pcap.
    pub interface: u32,
    /// How its first header is to be read.
    pub link: LinkType,
    /// Its bytes, as many as the file has of it (`captured`), or its first only: see [`Reader::push_heads`].
    pub data: &'a [u8],
    /// As many bytes as the capture kept (`caplen`).
    pub captured: u32,
    /// As many bytes as there were on the wire; at least `captured`.
    pub wire_len: u32,
}

impl Packet<'_> {
    /// `data` is all that the file has of it.
    pub fn is_whole(&self) -> bool {
        self.data.len() == self.captured as usize
    }
}

/// Takes what a capture file has.
pub trait Sink {
    /// Takes a packet, or its first bytes: see [`Reader::push_heads`].
    fn packet(&mut self, packet: Packet<'_>) -> Enough;

    /// Takes the data of a decryption secrets block (pcapng). It comes before the packets that need it.
    fn secrets(&mut self, _kind: SecretsType, _data: &[u8]) {}

    /// Takes an interface statistics block (pcapng).
    fn statistics(&mut self, _statistics: Statistics) {}
}

/// How many packets a capture program received on an interface, and how many it lost. Counted since the program began, in each block anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statistics {
    /// The interface of the section, in the order of description.
    pub interface: u32,
    /// Packets that the interface received, if the program counted them.
    pub received: Option<u64>,
    /// Packets that the interface or the operating system dropped, because the program was too slow.
    pub dropped: u64,
}

/// What a decryption secrets block has: a number of the pcapng specification, §4.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretsType(pub u32);

impl SecretsType {
    /// An NSS key log: "TLSK".
    pub const TLS_KEY_LOG: Self = Self(0x544c_534b);
}

/// Packets only.
struct Heads<F>(F);

impl<F: FnMut(Packet<'_>) -> Enough> Sink for Heads<F> {
    fn packet(&mut self, packet: Packet<'_>) -> Enough {
        self.0(packet)
    }
}

/// Whether the first bytes of a packet are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Enough {
    /// They are: the rest of the packet may be skipped.
    Yes,
    /// The packet is needed whole.
    No,
}

/// First bytes of a packet that are looked at before the rest is asked for: any stack of headers.
const HEAD: usize = 512;
/// Packets up to this size are not worth an extra look.
const SMALL: u32 = 4096;

/// Where a file ended in the middle of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// The record's first byte, counted from the start of the file.
    pub offset: u64,
    /// The file's length.
    pub end: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the file ends at byte {}, inside the record that starts at byte {}", self.end, self.offset)
    }
}

/// Takes a capture file apart.
#[derive(Debug, Default)]
pub struct Reader {
    format: Format,
    /// The bytes of a record that is not complete, up to what the next [`Step`] needs.
    carry: Vec<u8>,
    /// Bytes still to come of a record that is of no interest.
    skip: u64,
    /// Offset in the file of the current record.
    record: u64,
    /// Bytes of it that were taken or skipped.
    taken: u64,
    /// Offset in the file of the next byte that is pushed.
    end: u64,
}

#[derive(Debug, Default)]
enum Format {
    #[default]
    Unknown,
    Pcap(pcap::File),
    PcapNg(pcapng::Section),
}

/// Result of a look at the start of a record.
enum Step {
    /// This number of bytes of the record is needed, more than there were.
    Need(usize),
    /// The record, or as much of it as matters, took `used` bytes; `skip` more are of no interest.
    Used { used: usize, skip: u64 },
    /// An interface statistics block of `used` bytes.
    Statistics { used: usize, statistics: Statistics },
    /// Another file begins here.
    File,
    /// A decryption secrets block of `used` bytes, and where its data is.
    Secrets { used: usize, kind: SecretsType, data: Range<usize> },
}

impl Reader {
    /// A reader at offset 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file and hands each complete packet to `packet`.
    ///
    /// After an error the position of the next record is unknown: nothing more can be read.
    pub fn push(&mut self, data: &[u8], mut packet: impl FnMut(Packet<'_>)) -> Result<(), Error> {
        self.push_heads(data, |p| {
            if !p.is_whole() {
                return Enough::No;
            }
            packet(p);
            Enough::Yes
        })
    }

    /// Like [`push`](Self::push), but a large packet of which only the first bytes are there is shown as it is, and if those are [`Enough`] its rest is
    /// skipped: neither copied nor, with [`skip`](Self::skip), read at all. If they are not, it is shown again when it is whole.
    pub fn push_heads(&mut self, data: &[u8], packet: impl FnMut(Packet<'_>) -> Enough) -> Result<(), Error> {
        self.push_to(data, &mut Heads(packet))
    }

    /// Like [`push_heads`](Self::push_heads), for a caller that wants more than packets.
    pub fn push_to(&mut self, data: &[u8], sink: &mut impl Sink) -> Result<(), Error> {
        self.end += data.len() as u64;
        self.take(data, sink).inspect_err(|_| self.carry.clear())
    }

    fn take(&mut self, mut data: &[u8], sink: &mut impl Sink) -> Result<(), Error> {
        loop {
            if self.skip > 0 {
                let n = usize::try_from(self.skip).map_or(data.len(), |skip| skip.min(data.len()));
                self.pass(n as u64);
                data = &data[n..];
                if self.skip > 0 {
                    return Ok(());
                }
            }
            let direct = self.carry.is_empty();
            // Most packets are small and whole, and need none of what follows.
            if direct && let Format::Pcap(file) = &self.format {
                let used = file.small(data, &mut |packet| sink.packet(packet));
                self.record += used as u64;
                data = &data[used..];
            }
            let input = if direct { data } else { &self.carry[..] };
            if input.is_empty() {
                return Ok(());
            }
            let (used, skip) = match self.format.step(input, self.record, &mut |packet| sink.packet(packet))? {
                Step::Used { used, skip } => (used, skip),
                Step::Secrets { used, kind, data } => {
                    sink.secrets(kind, input.get(data).unwrap_or_default());
                    (used, 0)
                }
                Step::Statistics { used, statistics } => {
                    sink.statistics(statistics);
                    (used, 0)
                }
                Step::File => {
                    self.format = Format::Unknown;
                    (0, 0)
                }
                Step::Need(needed) => {
                    let more = needed - if direct { 0 } else { self.carry.len() };
                    let n = more.min(data.len());
                    self.carry.extend_from_slice(&data[..n]);
                    data = &data[n..];
                    if n < more {
                        return Ok(());
                    }
                    continue;
                }
            };
            self.taken = used as u64;
            self.skip = skip;
            self.pass(0);
            if direct {
                data = &data[used..];
            } else {
                // All of it, as no more is carried than is needed; or nothing, where the format was just recognised.
                self.carry.drain(..used);
            }
        }
    }

    /// Whether nothing was pushed yet.
    pub fn is_unused(&self) -> bool {
        self.end == 0
    }

    /// How many of the file's next bytes are of no interest.
    pub fn skippable(&self) -> u64 {
        self.skip
    }

    /// Instead of pushing them: the next `n` bytes are there, but were not read. No more than [`skippable`](Self::skippable).
    pub fn skip(&mut self, n: u64) {
        let n = n.min(self.skip);
        self.pass(n);
        self.end += n;
    }

    /// Goes past bytes of the current record that are of no interest, and past the record with the last of them.
    fn pass(&mut self, n: u64) {
        self.skip -= n;
        self.taken += n;
        if self.skip == 0 {
            self.record += std::mem::take(&mut self.taken);
        }
    }

    /// The end of the file: an error where nothing was recognised, and where the last record is incomplete, its place.
    pub fn finish(&self) -> Result<Option<Cut>, Error> {
        if matches!(self.format, Format::Unknown) && self.record == 0 {
            let start = start_of(&self.carry);
            return Err(match self.end {
                0 => Error::Empty,
                length if pcap::is_magic(start) => Error::FileHeader { length },
                _ => Error::NotACapture { start },
            });
        }
        let cut = !self.carry.is_empty() || self.skip > 0;
        Ok(cut.then_some(Cut { offset: self.record, end: self.end }))
    }
}

impl Format {
    fn step(
        &mut self,
        input: &[u8],
        offset: u64,
        packet: &mut impl FnMut(Packet<'_>) -> Enough,
    ) -> Result<Step, Error> {
        match self {
            Self::Pcap(file) => file.step(input, offset, packet),
            Self::PcapNg(section) => section.step(input, offset, packet),
            Self::Unknown => self.recognise(input),
        }
    }

    /// Reads the file's magic number. A pcapng section header is left where it is: it is a block like any other.
    fn recognise(&mut self, input: &[u8]) -> Result<Step, Error> {
        let Some(magic) = input.first_chunk::<4>() else { return Ok(Step::Need(4)) };
        if *magic == pcapng::SECTION_HEADER.to_le_bytes() {
            *self = Self::PcapNg(pcapng::Section::default());
            return Ok(Step::Used { used: 0, skip: 0 });
        }
        if !pcap::is_magic(*magic) {
            return Err(Error::NotACapture { start: start_of(input) });
        }
        let Some(header) = input.first_chunk() else { return Ok(Step::Need(pcap::HEADER)) };
        *self = Self::Pcap(pcap::File::parse(header)?);
        Ok(Step::Used { used: pcap::HEADER, skip: 0 })
    }
}

/// First bytes of a file that tell it from a record: those of pcap's header up to its accuracy, or of a section header up to its byte order.
const START: usize = 16;

/// Whether a file begins where a record is expected, judging by its first [`START`] bytes.
fn begins_file(input: &[u8]) -> bool {
    input.len() >= START && (pcap::begins(input) || pcapng::begins(input))
}

/// What is needed of a record, of which `there` bytes are there: its head first, if it is large.
fn needed(header: usize, captured: u32, there: usize) -> Step {
    let head = header + HEAD;
    Step::Need(if captured > SMALL && there < head { head } else { header + captured as usize })
}

/// The first bytes, for the error that says what was there.
fn start_of(input: &[u8]) -> [u8; 4] {
    let mut start = [0; 4];
    for (to, from) in start.iter_mut().zip(input) {
        *to = *from;
    }
    start
}

/// A field at an offset that was checked to be inside.
#[inline]
fn u32_at(data: &[u8], at: usize, big_endian: bool) -> u32 {
    let bytes = data.get(at..).and_then(|d| d.first_chunk::<4>()).copied().unwrap_or_default();
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}
