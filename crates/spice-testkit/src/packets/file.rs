//! The two file formats, read only as far as the committed captures need it.

use std::io;

use super::invalid;

type Record = ([u8; 8], Vec<u8>);

/// A pcap header for what follows, and each record's time and bytes.
pub(super) fn records(file: &[u8]) -> io::Result<([u8; 24], Vec<Record>)> {
    match le32(file, 0)? {
        0xa1b2_c3d4 | 0xa1b2_3c4d => pcap(file),
        0x0a0d_0d0a => pcapng(file),
        magic => Err(invalid(&format!("expected little-endian pcap or pcapng, magic is {magic:#x}"))),
    }
}

fn pcap(file: &[u8]) -> io::Result<([u8; 24], Vec<Record>)> {
    let header = *file.first_chunk().ok_or_else(|| invalid("cut in the file header"))?;
    let (mut at, mut records) = (24, Vec::new());
    while at < file.len() {
        let length = le32(file, at + 8)? as usize;
        let time = *slice(file, at, 8)?.first_chunk().ok_or_else(|| invalid("cut in a record"))?;
        records.push((time, slice(file, at + 16, length)?.to_vec()));
        at += 16 + length;
    }
    Ok((header, records))
}

/// One section, one interface, microseconds or nanoseconds; enhanced packet blocks.
fn pcapng(file: &[u8]) -> io::Result<([u8; 24], Vec<Record>)> {
    let mut header = [0; 24];
    header[4..8].copy_from_slice(&[2, 0, 4, 0]);
    header[16..20].copy_from_slice(&0x0004_0000u32.to_le_bytes());
    let (mut at, mut records, mut per_second) = (0, Vec::new(), 1_000_000);
    while at < file.len() {
        let (kind, length) = (le32(file, at)?, le32(file, at + 4)? as usize);
        let block = slice(file, at, length)?;
        match kind {
            1 => {
                header[20..22].copy_from_slice(slice(block, 8, 2)?);
                if resolution(block)? == 9 {
                    per_second = 1_000_000_000;
                }
            }
            6 => {
                let ticks = u64::from(le32(block, 12)?) << 32 | u64::from(le32(block, 16)?);
                let part = |ticks: u64| u32::try_from(ticks).map(u32::to_le_bytes).map_err(|_| invalid("a far time"));
                let (seconds, fraction) = (part(ticks / per_second)?, part(ticks % per_second)?);
                let mut time = [0; 8];
                time[..4].copy_from_slice(&seconds);
                time[4..].copy_from_slice(&fraction);
                records.push((time, slice(block, 28, le32(block, 20)? as usize)?.to_vec()));
            }
            _ => {}
        }
        at += length.max(12);
    }
    let magic: u32 = if per_second == 1_000_000 { 0xa1b2_c3d4 } else { 0xa1b2_3c4d };
    header[..4].copy_from_slice(&magic.to_le_bytes());
    Ok((header, records))
}

/// The interface's `if_tsresol` option as a power of ten; 6 by default.
fn resolution(block: &[u8]) -> io::Result<u8> {
    let mut at = 16;
    while at + 8 <= block.len() {
        let option = le32(block, at)?;
        let (code, length) = (option & 0xffff, (option >> 16) as usize);
        if code == 9 {
            return Ok(slice(block, at + 4, 1)?[0]);
        }
        at += 4 + length.next_multiple_of(4);
    }
    Ok(6)
}

fn le32(bytes: &[u8], at: usize) -> io::Result<u32> {
    let bytes = slice(bytes, at, 4)?.first_chunk().copied();
    bytes.map(u32::from_le_bytes).ok_or_else(|| invalid("cut in a number"))
}

fn slice(bytes: &[u8], at: usize, length: usize) -> io::Result<&[u8]> {
    let cut = || invalid(&format!("expected {length} bytes at {at}, the file has {}", bytes.len()));
    bytes.get(at..).and_then(|rest| rest.get(..length)).ok_or_else(cut)
}
