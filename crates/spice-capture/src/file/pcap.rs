//! The old format: a header of 24 bytes, then records of a header and data.

use super::{Enough, HEAD, MAX_CAPTURED, Packet, SMALL, Step, needed, u32_at};
use crate::{Error, link::LinkType};
use pcap_parser::PcapHeader;
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

pub(super) fn is_magic(bytes: [u8; 4]) -> bool {
    // `pcap-parser` knows the modified format in little-endian only.
    matches!(u32::from_le_bytes(bytes), MICRO | NANO | MODIFIED) || matches!(u32::from_be_bytes(bytes), MICRO | NANO)
}

impl File {
    /// Reads the header, of which at least [`HEADER`] bytes are there.
    pub(super) fn parse(input: &[u8]) -> Result<Self, Error> {
        let (_, header) = pcap_parser::parse_pcap_header(input).map_err(|_| Error::FileHeader { offset: 0 })?;
        if header.version_major != 2 {
            return Err(Error::Version { major: header.version_major, minor: header.version_minor });
        }
        Ok(Self {
            big_endian: header.is_bigendian(),
            nanoseconds: header.is_nanosecond_precision(),
            record: if header.is_modified_format() { RECORD_MODIFIED } else { RECORD },
            link: link_type(&header),
        })
    }

    pub(super) fn step(
        &self,
        input: &[u8],
        offset: u64,
        packet: &mut impl FnMut(Packet<'_>) -> Enough,
    ) -> Result<Step, Error> {
        if input.len() < self.record {
            return Ok(Step::Need(self.record));
        }
        let field = |at| u32_at(input, at, self.big_endian);
        let captured = field(8);
        if captured > MAX_CAPTURED {
            return Err(Error::Record { offset, captured });
        }
        let total = self.record + captured as usize;
        let partial = captured > SMALL && input.len() >= self.record + HEAD;
        if input.len() < total && !partial {
            return Ok(needed(self.record, captured, input.len()));
        }
        let units = if self.nanoseconds { 1_000_000_000 } else { 1_000_000 };
        let (seconds, fraction) = (i64::from(field(0)), i64::from(field(4)));
        let there = total.min(input.len());
        let enough = packet(Packet {
            at: Timestamp { seconds: seconds + fraction / units, microseconds: fraction % units / (units / 1_000_000) },
            interface: 0,
            link: self.link,
            data: &input[self.record..there],
            captured,
            wire_len: field(12).max(captured),
        });
        if enough == Enough::No && there < total {
            return Ok(Step::Need(total));
        }
        Ok(Step::Used { used: there, skip: (total - there) as u64 })
    }
}

/// The link type is in the low 26 bits; above it, the length of a frame check sequence.
fn link_type(header: &PcapHeader) -> LinkType {
    LinkType(header.network.0.cast_unsigned() & 0x03ff_ffff)
}
