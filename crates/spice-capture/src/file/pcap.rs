//! The old format: a header of 24 bytes, then records of a header and data.

use super::{Enough, HEAD, MAX_CAPTURED, Packet, SMALL, Step, begins_file, needed, u32_at};
use crate::{Error, link::LinkType};
use spice_events::Timestamp;

/// magic 4 + version 2 + 2 + zone 4 + accuracy 4 + snaplen 4 + link type 4
pub(super) const HEADER: usize = 24;
/// seconds 4 + fraction 4 + captured length 4 + length on the wire 4
const RECORD: usize = 16;
/// RECORD + interface 4 + protocol 2 + packet type 1 + padding 1, in the "modified" pcap of Linux distributions of the 1990s
const RECORD_MODIFIED: usize = RECORD + 8;

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

/// What the file's header says.
#[derive(Debug)]
pub(super) struct File {
    big_endian: bool,
    nanoseconds: bool,
    record: usize,
    link: LinkType,
}

/// What a record's header says.
struct Head {
    at: Timestamp,
    captured: u32,
    wire_len: u32,
}

pub(super) fn is_magic(bytes: [u8; 4]) -> bool {
    matches!(u32::from_le_bytes(bytes), MICRO | NANO | MODIFIED) || is_big_endian(bytes)
}

fn is_big_endian(magic: [u8; 4]) -> bool {
    matches!(u32::from_be_bytes(magic), MICRO | NANO | MODIFIED)
}

/// Whether these are a header of version 2.0 to 2.4, with the accuracy 0 that all programs write.
pub(super) fn begins(input: &[u8]) -> bool {
    let Some(&[a, b, c, d, v0, v1, v2, v3, _, _, _, _, accuracy @ ..]) = input.first_chunk::<16>() else {
        return false;
    };
    let [major, minor] = if is_big_endian([a, b, c, d]) {
        [u16::from_be_bytes([v0, v1]), u16::from_be_bytes([v2, v3])]
    } else {
        [u16::from_le_bytes([v0, v1]), u16::from_le_bytes([v2, v3])]
    };
    is_magic([a, b, c, d]) && major == 2 && minor <= 4 && accuracy == [0; 4]
}

impl File {
    /// Reads the header, whose magic is one of those above.
    ///
    /// | offset | bytes | field |
    /// | ---: | ---: | --- |
    /// | 0 | 4 | magic |
    /// | 4 | 2 | major version |
    /// | 6 | 2 | minor version |
    /// | 8 | 12 | time zone, accuracy, snaplen: of no use |
    /// | 20 | 4 | link type in the low 26 bits; above it, the length of a frame check sequence |
    pub(super) fn parse(header: &[u8; HEADER]) -> Result<Self, Error> {
        let [a, b, c, d, ..] = *header;
        let big_endian = is_big_endian([a, b, c, d]);
        let [magic, network] = [0, 20].map(|at| u32_at(header, at, big_endian));
        let [major, minor] = [4, 6].map(|at| {
            let bytes = [header[at], header[at + 1]];
            if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
        });
        if major != 2 {
            return Err(Error::Version { major, minor });
        }
        Ok(Self {
            big_endian,
            nanoseconds: magic == NANO,
            record: if magic == MODIFIED { RECORD_MODIFIED } else { RECORD },
            link: LinkType(network & 0x03ff_ffff),
        })
    }

    /// The small packets at the start of `input`, as far as they are whole: a chunk has many of them. Returns the bytes they took.
    #[inline]
    pub(super) fn small(&self, input: &[u8], packet: &mut impl FnMut(Packet<'_>) -> Enough) -> usize {
        let mut rest = input;
        while let Some(head) = self.head(rest)
            // Packets without bytes, which may be the start of another file, are for `step`.
            && head.captured.wrapping_sub(1) < SMALL
            && let Some((record, behind)) = rest.split_at_checked(self.record + head.captured as usize)
        {
            packet(head.packet(self.link, &record[self.record..]));
            rest = behind;
        }
        input.len() - rest.len()
    }

    pub(super) fn step(
        &self,
        input: &[u8],
        offset: u64,
        packet: &mut impl FnMut(Packet<'_>) -> Enough,
    ) -> Result<Step, Error> {
        let Some(head) = self.head(input) else { return Ok(Step::Need(self.record)) };
        let captured = head.captured;
        // The header of another file reads as a packet without bytes, or as one that is too long.
        if (captured == 0 || captured > MAX_CAPTURED) && begins_file(input) {
            return Ok(Step::File);
        }
        if captured > MAX_CAPTURED {
            return Err(Error::Record { offset, captured });
        }
        let total = self.record + captured as usize;
        let partial = captured > SMALL && input.len() >= self.record + HEAD;
        if input.len() < total && !partial {
            return Ok(needed(self.record, captured, input.len()));
        }
        let there = total.min(input.len());
        let enough = packet(head.packet(self.link, &input[self.record..there]));
        if enough == Enough::No && there < total {
            return Ok(Step::Need(total));
        }
        Ok(Step::Used { used: there, skip: (total - there) as u64 })
    }

    /// The record's header, once it is there.
    #[inline]
    fn head(&self, input: &[u8]) -> Option<Head> {
        let head = input.first_chunk::<RECORD>().filter(|_| input.len() >= self.record)?;
        let [seconds, fraction, captured, wire_len] = [0, 4, 8, 12].map(|at| u32_at(head, at, self.big_endian));
        let per_second = if self.nanoseconds { 1_000_000_000 } else { 1_000_000 };
        let (mut seconds, mut fraction) = (i64::from(seconds), fraction);
        // More than a second: no writer should, and it is carried over.
        if fraction >= per_second {
            seconds += i64::from(fraction / per_second);
            fraction %= per_second;
        }
        let microseconds = if self.nanoseconds { fraction / 1000 } else { fraction };
        Some(Head { at: Timestamp { seconds, microseconds: microseconds.into() }, captured, wire_len })
    }
}

impl Head {
    #[inline]
    fn packet(self, link: LinkType, data: &[u8]) -> Packet<'_> {
        let Self { at, captured, wire_len } = self;
        Packet { at, interface: 0, link, data, captured, wire_len: wire_len.max(captured) }
    }
}
