//! Making a recording small enough to be committed.

use std::io;

use crate::packets::Packets;

/// Payload kept of each direction of each connection where a recording is too large: more than any link stage, and the
/// first messages after it.
const KEEP: usize = 6_000;

/// A recording without the packets that are no TCP, and with payload trimmed where it is larger than `max`. Says whether
/// it trimmed.
pub(super) fn trim(file: &[u8], max: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut packets = Packets::parse(file)?;
    let whole = packets.to_pcap();
    if whole.len() <= max {
        return Ok((whole, false));
    }
    packets.trim(KEEP);
    let trimmed = packets.to_pcap();
    if trimmed.len() > max {
        return Err(io::Error::other(format!("{} bytes even when trimmed, expected at most {max}", trimmed.len())));
    }
    Ok((trimmed, true))
}
