//! Synthesizes a large capture: repeats the sessions of a small one, each time with another client address, client port and time.

use std::io::{self, Write};

use anyhow::{Result, ensure};
use spice_capture::{
    file::{Packet, Reader},
    link::LinkType,
};

/// Seconds between one repetition and the next.
const STEP: i64 = 2;
/// Client ports are mapped to 1024…65535.
const FIRST_PORT: u32 = 1024;
const PORTS: u32 = 65_536 - FIRST_PORT;

/// A packet of Ethernet, IPv4 and TCP, and the offsets of the fields to rewrite.
#[derive(Clone)]
struct Template {
    seconds: i64,
    microseconds: u32,
    wire_len: u32,
    data: Vec<u8>,
    /// Offset of the TCP header.
    tcp: usize,
    /// Offset of the client's address.
    address: usize,
    /// Offset of the client's port.
    port: usize,
}

/// Writes the packets of `capture` to `out` again and again, as long as the file stays within `size` bytes. Returns the bytes and
/// the number of repetitions, which is at least one.
///
/// With `mss`, segments with more payload bytes are split: those of loopback have up to 64 KiB, those of a network card do not.
/// `server_port` is kept, so that other programs can be told of it. IP and TCP checksums are not corrected.
pub(crate) fn synthesize(
    capture: &[u8],
    server_port: u16,
    mss: Option<usize>,
    size: u64,
    out: &mut impl Write,
) -> Result<(u64, u32)> {
    let mut templates = templates(capture, server_port)?;
    if let Some(mss) = mss {
        templates = templates.iter().flat_map(|template| template.cut(mss)).collect();
    }
    let bytes: u64 = templates.iter().map(|t| 16 + t.data.len() as u64).sum();
    ensure!(bytes > 0, "the capture has no packets of port {server_port}");
    write_header(out)?;
    let mut written = 24;
    let mut times = 0;
    let mut packet = Vec::new();
    while written + bytes <= size || times == 0 {
        for template in &templates {
            packet.clear();
            template.write(times, server_port, &mut packet);
            out.write_all(&packet)?;
        }
        written += bytes;
        times += 1;
    }
    out.flush()?;
    Ok((written, times))
}

fn write_header(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    out.write_all(&262_144_u32.to_le_bytes())?;
    out.write_all(&LinkType::ETHERNET.0.to_le_bytes())
}

fn templates(capture: &[u8], server_port: u16) -> Result<Vec<Template>> {
    let mut templates = Vec::new();
    let mut reader = Reader::new();
    reader.push(capture, |packet| templates.extend(Template::of(&packet, server_port)))?;
    Ok(templates)
}

impl Template {
    /// `None` for packets of other protocols and ports.
    fn of(packet: &Packet<'_>, server_port: u16) -> Option<Self> {
        let data = packet.data;
        let ip = 14;
        if packet.link != LinkType::ETHERNET || data.get(12..14)? != [8, 0] || *data.get(ip + 9)? != 6 {
            return None;
        }
        let tcp = ip + usize::from(data[ip] & 15) * 4;
        let port = |at: usize| Some(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
        let (address, port) = if port(tcp + 2)? == server_port {
            (ip + 12, tcp)
        } else if port(tcp)? == server_port {
            (ip + 16, tcp + 2)
        } else {
            return None;
        };
        Some(Self {
            seconds: packet.at.seconds,
            microseconds: u32::try_from(packet.at.microseconds).ok()?,
            wire_len: packet.wire_len,
            data: data.to_vec(),
            tcp,
            address,
            port,
        })
    }

    /// Splits the packet into segments of at most `mss` payload bytes.
    fn cut(&self, mss: usize) -> Vec<Self> {
        let (ip, tcp) = (14, self.tcp);
        let payload = tcp + usize::from(self.data[tcp + 12] >> 4) * 4;
        let mut head = self.data[..payload].to_vec();
        let sequence = u32::from_be_bytes([head[tcp + 4], head[tcp + 5], head[tcp + 6], head[tcp + 7]]);
        let bytes = &self.data[payload..];
        if bytes.len() <= mss {
            return vec![self.clone()];
        }
        let segment = |(number, piece): (usize, &[u8])| {
            let sent = u32::try_from(number * mss).unwrap_or(u32::MAX);
            head[tcp + 4..tcp + 8].copy_from_slice(&sequence.wrapping_add(sent).to_be_bytes());
            let length = u16::try_from(payload - ip + piece.len()).unwrap_or(0);
            head[ip + 2..ip + 4].copy_from_slice(&length.to_be_bytes());
            let data = [&head, piece].concat();
            Self { wire_len: u32::try_from(data.len()).unwrap_or(u32::MAX), data, ..self.clone() }
        };
        bytes.chunks(mss).enumerate().map(segment).collect()
    }

    fn write(&self, times: u32, server_port: u16, out: &mut Vec<u8>) {
        let seconds = self.seconds + STEP * i64::from(times);
        let len = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        for field in [u32::try_from(seconds).unwrap_or(u32::MAX), self.microseconds, len, self.wire_len] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        let start = out.len();
        out.extend_from_slice(&self.data);
        let data = &mut out[start..];
        // 10.a.b.c: sixteen million clients.
        let [_, a, b, c] = times.to_be_bytes();
        data[self.address..self.address + 4].copy_from_slice(&[10, a, b, c]);
        let port = u32::from(u16::from_be_bytes([data[self.port], data[self.port + 1]]));
        let mut moved = FIRST_PORT + (port + times * 13) % PORTS;
        if moved == u32::from(server_port) {
            // No other connection of this client is mapped to this port.
            moved = 1023;
        }
        data[self.port..self.port + 2].copy_from_slice(&u16::try_from(moved).unwrap_or(u16::MAX).to_be_bytes());
    }
}
