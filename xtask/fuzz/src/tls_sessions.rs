//! Seeds of `tls_records`: the start of real TLS connections, with the lines of the key log that are theirs.

use std::fs;

use anyhow::{Result, ensure};
use spice_capture::{
    file::{Enough, Packet, Reader, SecretsType, Sink},
    packet::Segment,
    tcp::{Connection, Handler, Interest, Reassembler},
};
use spice_events::{Side, Timestamp};
use spice_testkit::captures::{self, Capture};

/// Maximum length of a connection in a seed, in bytes: a handshake and the link stage.
const MAX_CONNECTION: usize = 5000;
/// Connections of each capture: the main channel's, and one before or after it.
const CONNECTIONS: usize = 2;

/// Each seed with its name.
pub(super) fn all() -> Result<Vec<(String, Vec<u8>)>> {
    let mut seeds = Vec::new();
    for capture in captures::all()?.into_iter().filter(|capture| capture.manifest.decrypts) {
        let (secrets, connections) = read(&capture)?;
        ensure!(connections.len() >= CONNECTIONS, "{} has too few connections", capture.name);
        for (n, pieces) in connections.into_iter().take(CONNECTIONS).enumerate() {
            seeds.push((format!("{}-{n}", capture.name), seed(&secrets, &pieces)));
        }
    }
    Ok(seeds)
}

/// In the form that the oracle takes.
fn seed(secrets: &str, pieces: &[(Side, Vec<u8>)]) -> Vec<u8> {
    // record header 5 + message header 4 + version 2: the random of the client's hello.
    let random = pieces.first().and_then(|(_, hello)| hello.get(11..43)).unwrap_or_default();
    let random = random.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let mut seed: Vec<u8> = secrets
        .lines()
        .filter(|line| line.contains(&random) && !line.starts_with("EXPORTER"))
        .flat_map(|line| format!("{line}\n").into_bytes())
        .collect();
    seed.push(0);
    for (from, data) in pieces {
        for data in data.chunks(0x7fff) {
            let len = u16::try_from(data.len()).unwrap_or_default();
            let side = if *from == Side::Server { 0x8000 } else { 0 };
            seed.extend((side | len).to_be_bytes());
            seed.extend(data);
        }
    }
    seed
}

type Pieces = Vec<(Side, Vec<u8>)>;

/// The key log of a capture, and each connection's bytes in order.
fn read(capture: &Capture) -> Result<(String, Vec<Pieces>)> {
    let mut streams = Streams { tcp: Reassembler::default(), found: Found::default(), secrets: Vec::new() };
    Reader::new().push_to(&capture.bytes()?, &mut streams)?;
    streams.tcp.finish(&mut streams.found);
    let secrets = match capture.key_log() {
        Some(path) => fs::read(path)?,
        None => streams.secrets,
    };
    Ok((String::from_utf8(secrets)?, streams.found.0))
}

struct Streams {
    tcp: Reassembler<usize>,
    found: Found,
    secrets: Vec<u8>,
}

impl Sink for Streams {
    fn packet(&mut self, packet: Packet<'_>) -> Enough {
        if let Ok(segment) = Segment::parse(packet.at, packet.link, packet.data, packet.wire_len) {
            self.tcp.segment(&segment, &mut self.found);
        }
        Enough::Yes
    }

    fn secrets(&mut self, kind: SecretsType, data: &[u8]) {
        if kind == SecretsType::TLS_KEY_LOG {
            self.secrets.extend_from_slice(data);
        }
    }
}

#[derive(Default)]
struct Found(Vec<Pieces>);

impl Handler for Found {
    type State = usize;

    fn opened(&mut self, state: &mut usize, _: &Connection) -> Interest {
        *state = self.0.len();
        self.0.push(Vec::new());
        Interest::Bytes
    }

    fn bytes(&mut self, state: &mut usize, _: Timestamp, from: Side, data: &[u8]) -> Interest {
        let pieces = &mut self.0[*state];
        let so_far: usize = pieces.iter().map(|(_, data)| data.len()).sum();
        pieces.push((from, data[..data.len().min(MAX_CONNECTION - so_far)].to_vec()));
        if so_far + data.len() >= MAX_CONNECTION { Interest::End } else { Interest::Bytes }
    }

    fn gap(&mut self, _: &mut usize, _: Timestamp, _: Side, _: u64) -> Interest {
        Interest::End
    }

    fn closed(&mut self, _: &mut usize, _: Timestamp, _: Option<Side>) {}
}
