//! The new format: blocks of type, length, body, length. A section header sets the byte order, interfaces are numbered within their section.

use super::{
    Enough, HEAD as PACKET_HEAD, MAX_BLOCK, MAX_CAPTURED, MAX_SECRETS, Packet, SMALL, START, SecretsType, Statistics,
    Step, begins_file, u32_at,
};
use crate::{Error, link::LinkType};
use pcap_parser::{InterfaceDescriptionBlock, OptionCode};
use spice_events::Timestamp;
use std::ops::Range;

/// Reads the same in either byte order.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const STATISTICS: u32 = 5;
const SECRETS: u32 = 10;

/// HEAD + interface 4 + time 8, before the options of a statistics block
const STATISTICS_OPTIONS: usize = HEAD + 12;
/// Options of a statistics block: packets received, dropped by the interface, dropped by the operating system.
const IF_RECEIVED: u16 = 4;
const IF_DROPPED: u16 = 5;
const OS_DROPPED: u16 = 7;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// type 4 + length 4
const HEAD: usize = 8;
/// the length again
const TAIL: usize = 4;
/// HEAD + interface 4 + time 8 + captured length 4 + length on the wire 4
const ENHANCED: usize = HEAD + 20;
/// HEAD + length on the wire 4
const SIMPLE: usize = HEAD + 4;

/// Interfaces that one section may describe. Wireshark writes one for each it captured on.
const MAX_INTERFACES: usize = 65_536;

/// Whether these are a section header, in either byte order.
pub(super) fn begins(input: &[u8]) -> bool {
    u32_at(input, 0, false) == SECTION_HEADER && byte_order(input, 0).is_ok()
}

/// The state of the current section.
#[derive(Debug, Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// The last packet's time, which a simple packet block, having none, is given.
    at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    /// Units of time in a second: 10^n or 2^n.
    units: u64,
    /// Seconds to add.
    offset: i64,
}

impl Section {
    pub(super) fn step(
        &mut self,
        input: &[u8],
        offset: u64,
        packet: &mut impl FnMut(Packet<'_>) -> Enough,
    ) -> Result<Step, Error> {
        // A section header is 28 bytes at least, every other block 12.
        if input.len() < HEAD + TAIL {
            return Ok(Step::Need(HEAD + TAIL));
        }
        let kind = u32_at(input, 0, self.big_endian);
        if kind == SECTION_HEADER {
            self.big_endian = byte_order(input, offset)?;
        }
        if super::pcap::is_magic(super::start_of(input)) {
            if input.len() < START {
                return Ok(Step::Need(START));
            }
            if begins_file(input) {
                return Ok(Step::File);
            }
        }
        let length = u32_at(input, 4, self.big_endian);
        let known = matches!(kind, SECTION_HEADER | INTERFACE | PACKET | SIMPLE_PACKET | ENHANCED_PACKET);
        if !length.is_multiple_of(4) || (length as usize) < HEAD + TAIL || (known && length > MAX_BLOCK) {
            return Err(Error::Block { offset, kind, length });
        }
        if length > if kind == SECRETS { MAX_SECRETS } else { MAX_BLOCK } {
            return Ok(Step::Used { used: HEAD + TAIL, skip: u64::from(length) - (HEAD + TAIL) as u64 });
        }
        let total = length as usize;
        if kind == ENHANCED_PACKET && length > SMALL {
            // The first bytes of a large packet may do. Then its last ones are not looked at even where they are there: what is
            // said must not depend on the pieces in which a file comes.
            let (there, head) = (&input[..input.len().min(total)], ENHANCED + PACKET_HEAD);
            if there.len() < head {
                return Ok(Step::Need(head));
            }
            let shown = self.enhanced(there, total, false, packet);
            if shown.is_some_and(|enough| matches!(enough, Enough::Yes) || there.len() == total) {
                return Ok(Step::Used { used: there.len(), skip: (total - there.len()) as u64 });
            }
        }
        if input.len() < total {
            return Ok(Step::Need(total));
        }
        let block = &input[..total];
        if u32_at(block, total - TAIL, self.big_endian) != length {
            return Err(Error::Block { offset, kind, length });
        }
        let read = match kind {
            ENHANCED_PACKET => self.enhanced(block, total, false, packet).map(|_| ()),
            SIMPLE_PACKET => self.simple(block, packet),
            PACKET => self.enhanced(block, total, true, packet).map(|_| ()),
            INTERFACE => self.interface(block),
            SECTION_HEADER => self.section(block),
            STATISTICS => return Ok(Step::Statistics { used: total, statistics: self.statistics(block) }),
            // Secrets that do not fit in their block are left out: the packets can be read without them.
            SECRETS => match self.secrets(block) {
                Some((kind, data)) => return Ok(Step::Secrets { used: total, kind, data }),
                None => Some(()),
            },
            _ => Some(()),
        };
        read.ok_or(Error::Block { offset, kind, length })?;
        Ok(Step::Used { used: total, skip: 0 })
    }

    /// Options of code 2, length 2 and value, padded to four bytes. What does not fit is left out.
    fn statistics(&self, block: &[u8]) -> Statistics {
        let mut found = Statistics { interface: u32_at(block, HEAD, self.big_endian), ..Statistics::default() };
        let mut options = block.get(STATISTICS_OPTIONS..block.len() - TAIL).unwrap_or_default();
        while let Some((head, rest)) = options.split_first_chunk::<4>() {
            let [code, length] = [[head[0], head[1]], [head[2], head[3]]]
                .map(|bytes| if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) });
            let value = rest.first_chunk::<8>().filter(|_| length == 8);
            let value = value
                .map(|bytes| if self.big_endian { u64::from_be_bytes(*bytes) } else { u64::from_le_bytes(*bytes) });
            match (code, value) {
                (0, _) => break,
                (IF_RECEIVED, Some(received)) => found.received = Some(received),
                (IF_DROPPED | OS_DROPPED, Some(dropped)) => found.dropped = found.dropped.saturating_add(dropped),
                _ => {}
            }
            options = rest.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
        }
        found
    }

    /// Secrets type 4 + length 4 + data, padded to four bytes.
    fn secrets(&self, block: &[u8]) -> Option<(SecretsType, Range<usize>)> {
        const DATA: usize = HEAD + 8;
        let len = u32_at(block, HEAD + 4, self.big_endian) as usize;
        let room = block.len().checked_sub(DATA + TAIL)?;
        (len <= room).then(|| (SecretsType(u32_at(block, HEAD, self.big_endian)), DATA..DATA + len))
    }

    fn section(&mut self, block: &[u8]) -> Option<()> {
        let (_, header) = pcap_parser::parse_sectionheaderblock(block).ok()?;
        self.interfaces.clear();
        (header.major_version == 1).then_some(())
    }

    fn interface(&mut self, block: &[u8]) -> Option<()> {
        let parse = if self.big_endian {
            pcap_parser::parse_interfacedescriptionblock_be
        } else {
            pcap_parser::parse_interfacedescriptionblock_le
        };
        let (_, block) = parse(block).ok()?;
        if self.interfaces.len() == MAX_INTERFACES {
            return None;
        }
        self.interfaces.push(Interface::of(&block, self.big_endian));
        Some(())
    }

    /// An enhanced packet, or its predecessor: there the interface is 16 bits, followed by a count of drops. `input` may be the first bytes of its
    /// `total` only.
    fn enhanced(
        &mut self,
        input: &[u8],
        total: usize,
        old: bool,
        packet: &mut impl FnMut(Packet<'_>) -> Enough,
    ) -> Option<Enough> {
        let room = total.checked_sub(ENHANCED + TAIL)?;
        let field = |at| u32_at(input, at, self.big_endian);
        let mut number = field(8);
        if old {
            number = if self.big_endian { number >> 16 } else { number & 0xffff };
        }
        let interface = self.interfaces.get(number as usize)?;
        let at = interface.time(u64::from(field(12)) << 32 | u64::from(field(16)));
        let captured = field(20);
        if captured > MAX_CAPTURED || captured as usize > room {
            return None;
        }
        let data = input.get(ENHANCED..)?;
        let data = &data[..data.len().min(captured as usize)];
        self.at = Some(at);
        let wire_len = field(24).max(captured);
        Some(packet(Packet { at, interface: number, link: interface.link, data, captured, wire_len }))
    }

    /// A packet of the first interface without a time; as long as the wire's length and the interface's snaplen say.
    fn simple(&mut self, block: &[u8], packet: &mut impl FnMut(Packet<'_>) -> Enough) -> Option<()> {
        let body = block.get(SIMPLE..block.len() - TAIL)?;
        let interface = self.interfaces.first()?;
        let wire_len = u32_at(block, 8, self.big_endian);
        let captured = if interface.snaplen == 0 { wire_len } else { wire_len.min(interface.snaplen) };
        let data = body.get(..captured as usize).unwrap_or(body);
        let at = self.at.unwrap_or(Timestamp { seconds: 0, microseconds: 0 });
        let captured = u32::try_from(data.len()).ok()?;
        packet(Packet { at, interface: 0, link: interface.link, data, captured, wire_len });
        Some(())
    }
}

impl Interface {
    fn of(block: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        let option = |code: OptionCode| block.options.iter().find(|o| o.code == code).map(|o| &*o.value);
        let resolution = option(OptionCode::IfTsresol).and_then(|v| v.first()).copied().unwrap_or(6);
        let offset = option(OptionCode::IfTsoffset).and_then(|v| v.first_chunk::<8>()).copied().unwrap_or_default();
        Self {
            link: LinkType(block.linktype.0.cast_unsigned() & 0xffff),
            snaplen: block.snaplen,
            units: units(resolution),
            offset: if big_endian { i64::from_be_bytes(offset) } else { i64::from_le_bytes(offset) },
        }
    }

    fn time(&self, units: u64) -> Timestamp {
        let (seconds, rest) = (units / self.units, units % self.units);
        // The rest is below 2^64 and a million below 2^20, so 128 bits hold the product; the quotient is below a million.
        let microseconds = match self.units {
            1_000_000 => rest,
            1_000_000_000 => rest / 1000,
            per_second => u64::try_from(u128::from(rest) * 1_000_000 / u128::from(per_second)).unwrap_or_default(),
        };
        Timestamp {
            seconds: self.offset.saturating_add_unsigned(seconds),
            microseconds: i64::try_from(microseconds).unwrap_or_default(),
        }
    }
}

/// `if_tsresol`: the top bit says that the rest is a power of two, else of ten. What does not fit in 64 bits is taken as the largest that does.
fn units(resolution: u8) -> u64 {
    let power = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 { 10_u64.checked_pow(power).unwrap_or(10_u64.pow(19)) } else { 1 << power.min(63) }
}

fn byte_order(input: &[u8], offset: u64) -> Result<bool, Error> {
    match u32_at(input, 8, false) {
        BYTE_ORDER_MAGIC => Ok(false),
        swapped if swapped.swap_bytes() == BYTE_ORDER_MAGIC => Ok(true),
        seen => Err(Error::ByteOrder { offset, seen }),
    }
}
