//! `cargo xtask fuzz seeds`: small seeds, named after what they show.
//!
//! Oracles that read bytes from the wire get the link stages of the committed captures. Oracles that read choices of a generator get
//! choices that reach each outcome.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

use crate::tls_sessions;
use anyhow::Result;
use spice_capture::{
    packet::Segment,
    tcp::{Connection, Handler, Interest, Reassembler},
};
use spice_events::{Side, Timestamp};
use spice_link::{LinkMess, LinkObserver, Outcome, Parsed, websocket::head_end};
use spice_testkit::{
    captures::{self, Capture},
    generate::{Arbitrary, Choices, Segments, Unstructured},
    oracles::{capture, endpoints, observer, tracker},
    packets::{ENCAPSULATIONS, Packets},
};

/// Maximum length of one direction of a seed, in bytes: the longest message, a ticket, and a little of what follows.
const MAX_STREAM: usize = LinkMess::MAX_LEN + 200;
/// Maximum size of a capture file, in bytes: a few packets.
const MAX_FILE: usize = 6000;

/// Input of a QMP client, one of each kind.
const QMP: &[(&str, &[u8])] = &[
    ("negotiate", b"{\"execute\": \"qmp_capabilities\"}"),
    ("negotiate-oob", b"{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}"),
    ("query-with-id", b"{\"execute\": \"query-spice\", \"id\": {\"a\": [1, null, true]}}\r\n"),
    ("two-in-one-write", b"{\"execute\": \"query-version\"}{\"execute\": \"query-commands\"}"),
    ("single-quotes", b"{'execute': 'query-spice', 'arguments': {}}"),
    ("out-of-band", b"{\"exec-oob\": \"query-spice\", \"id\": 7}"),
    ("unknown-command", b"{\"execute\": \"no-such-thing\"}"),
    ("unknown-member", b"{\"execute\": \"query-spice\", \"extra\": 0}"),
    ("not-an-object", b"[1, 2, 3]"),
    ("a-stray-brace", b"}{\"execute\": \"query-spice\"}"),
    ("escapes", b"{\"execute\": \"\\u0041\\ud83d\\ude00\\n\"}"),
    ("recovery-by-ff", b"{\"execute\": \xff{\"execute\": \"query-spice\"}"),
    ("numbers", b"{\"execute\": \"x\", \"id\": [-0, 18446744073709551615, 1e400, 01]}"),
    ("deep", b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
];

/// Segments for `tcp_reassembly`, after a handshake. Each has side and flags, place (2 bytes), acknowledgement (2 bytes), length.
const SEGMENTS: &[(&str, &[[u8; 6]])] = &[
    ("in-order", &[[0x10, 0, 0, 0, 0, 16], [0x90, 0, 0, 16, 0, 8], [0x11, 16, 0, 8, 0, 0], [0x91, 8, 0, 17, 0, 0]]),
    ("overtaken", &[[0x10, 16, 0, 0, 0, 16], [0x10, 0, 0, 0, 0, 16], [0x90, 0, 0, 32, 0, 8]]),
    ("doubled", &[[0x10, 0, 0, 0, 0, 16], [0x10, 0, 0, 0, 0, 16], [0x90, 0, 0, 16, 0, 8]]),
    ("overlapping", &[[0x10, 8, 0, 0, 0, 16], [0x10, 0, 0, 0, 0, 12], [0x90, 0, 0, 24, 0, 8]]),
    ("lost", &[[0x10, 32, 0, 0, 0, 16], [0x90, 0, 0, 48, 0, 8], [0x10, 48, 0, 8, 0, 4]]),
    ("half-captured", &[[0x10, 0, 0, 0, 0, 0x80 | 32], [0x90, 0, 0, 32, 0, 8]]),
    ("reset", &[[0x10, 0, 0, 0, 0, 16], [0x94, 0, 0, 16, 0, 0], [0x10, 16, 0, 0, 0, 16]]),
];

pub(super) fn write() -> Result<()> {
    let mut seeds: BTreeMap<&str, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    let mut put = |target: &'static str, name: String, bytes: Vec<u8>| {
        seeds.entry(target).or_default().insert(name, bytes);
    };
    for capture in captures::all()? {
        for (name, [client, server]) in links(&capture)? {
            if !client.is_empty() {
                put("link_mess", name.clone(), client.clone());
            }
            if !server.is_empty() {
                put("link_reply", name.clone(), server.clone());
            }
            for (side, stream) in [("client", &client), ("server", &server)] {
                let Some(end) = head_end(stream, 0).filter(|_| client.starts_with(b"GET ")) else { continue };
                put("websocket", format!("{name}-{side}-head"), stream[..end].to_vec());
                if end < stream.len() {
                    put("websocket", format!("{name}-{side}-frames"), stream[end..].to_vec());
                }
            }
            if let Ok(Parsed::Complete(mess, _)) = LinkMess::parse(&client) {
                put("caps", format!("{name}-common"), mess.common_caps.as_le_bytes().to_vec());
                put("caps", format!("{name}-channel"), mess.channel_caps.as_le_bytes().to_vec());
            }
            let len = u16::try_from(client.len()).unwrap_or(u16::MAX);
            put("link_observer", name, [&len.to_le_bytes(), &client[..], &server].concat());
        }
    }
    for (target, name, choices) in by_outcome() {
        put(target, name, choices);
    }
    for (name, file) in files()? {
        put("capture_file", name, file);
    }
    for (name, packets) in encapsulated()? {
        put("decapsulate", name, packets);
    }
    for (name, conversation) in prefaces() {
        put("prefaces", name, conversation);
    }
    for (name, session) in tls_sessions::all()? {
        put("tls_records", name, session);
    }
    for (name, segments) in SEGMENTS {
        let handshake = [[0x02, 0, 0, 0, 0, 0], [0x82, 0, 0, 0, 0, 0]];
        put("tcp_reassembly", (*name).to_owned(), [&handshake[..], segments].concat().concat());
    }
    for (name, bytes) in QMP {
        put("qmp_server_session", (*name).to_owned(), bytes.to_vec());
    }
    let root = shell::root().join("fuzz/seeds");
    for (target, files) in seeds {
        let folder = root.join(target);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let (mut count, mut seen) = (0, Vec::<Vec<u8>>::new());
        for (name, bytes) in files {
            // Skip a file with the bytes of an earlier one.
            if !seen.contains(&bytes) {
                fs::write(folder.join(name), &bytes)?;
                count += 1;
                seen.push(bytes);
            }
        }
        println!("{target}: {count} seeds");
    }
    Ok(())
}

/// For each oracle that reads choices: the shortest generated choices that reach each outcome.
fn by_outcome() -> Vec<(&'static str, String, Vec<u8>)> {
    type Name = fn(&[u8]) -> Option<String>;
    let kinds: [(&str, usize, Name); 7] = [
        ("acceptor_vs_connector", 120, endpoints::outcome),
        ("observer_vs_endpoints", 120, endpoints::outcome),
        ("conversation", 160, observer::outcome),
        ("acceptor", 120, endpoints::answer),
        ("tracker_ops", 500, tracker::outcome),
        ("tcp_reassembly", 120, capture::outcome),
        ("sasl", 80, spice_testkit::oracles::sasl::outcome),
    ];
    let mut found = Vec::new();
    for (target, most, name_of) in kinds {
        let (mut choices, mut bytes, mut best) = (Choices::new(1), Vec::new(), HashMap::<String, Vec<u8>>::new());
        for round in 0..20_000 {
            let len = 1 + round % most;
            choices.fill(&mut bytes, len);
            let Some(name) = name_of(&bytes) else { continue };
            match best.get(&name) {
                Some(known) if known.len() <= bytes.len() => {}
                _ if best.len() > 40 && !best.contains_key(&name) => {}
                _ => {
                    best.insert(name, bytes.clone());
                }
            }
        }
        found.extend(best.into_iter().map(|(name, bytes)| (target, name, bytes)));
    }
    found
}

/// Small capture files of both formats: the first packets of real captures, cut before any ticket, and generated ones with
/// segments in order and out of order.
fn files() -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for name in ["wrong-password", "sasl-wrong-password", "migration-target", "refused", "mixed", "websocket"] {
        let mut packets = Packets::parse(&captures::load(name)?.bytes()?)?;
        // 34 bytes: a link message without capabilities, and the start of the server's reply.
        packets.trim(34);
        let pcap = first_records(&packets.to_pcap());
        found.push((format!("{name}-as-pcapng"), pcapng(&pcap)));
        found.push((name.to_owned(), pcap));
    }
    let (mut choices, mut bytes) = (Choices::new(5), Vec::new());
    for round in 0..6 {
        choices.fill(&mut bytes, 20 + 30 * round);
        let Ok(segments) = Segments::arbitrary(&mut Unstructured::new(&bytes)) else { continue };
        found.push((format!("made-{round}"), first_records(&segments.pcap())));
    }
    Ok(found)
}

/// Packets of a seed for `decapsulate`: a handshake, and the first bytes of both sides.
const ENCAPSULATED: usize = 6;

/// The first packets of a session inside each encapsulation, and in fragments.
fn encapsulated() -> Result<Vec<(String, Vec<u8>)>> {
    let mut packets = Packets::parse(&captures::load("mixed")?.bytes()?)?;
    packets.trim(34);
    let seed = |pcap: &[u8]| {
        let records = records(pcap);
        let mut seed = records[0][20..22].iter().rev().copied().collect::<Vec<_>>();
        for record in &records[1..records.len().min(1 + ENCAPSULATED)] {
            let bytes = &record[16..];
            seed.extend(u16::try_from(bytes.len()).unwrap_or_default().to_be_bytes());
            seed.extend(bytes);
        }
        seed
    };
    let mut found: Vec<_> = ENCAPSULATIONS
        .iter()
        .map(|encapsulation| (encapsulation.name.to_owned(), seed(&packets.encapsulate(encapsulation))))
        .collect();
    found.push(("fragments".to_owned(), seed(&packets.fragment(16))));
    Ok(found)
}

/// A link message without capabilities, and the start of a server's reply.
const MESS: &[u8] = b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\x12\0\0\0";
const REPLY: &[u8] = b"REDQ\x02\0\0\0\x02\0\0\0\xba\0\0\0\0\0\0\0";

/// A conversation in front of SPICE for each kind of preface: the pieces of client (`C`) and server (`S`).
fn prefaces() -> Vec<(String, Vec<u8>)> {
    type Piece = (char, &'static [u8]);
    let kinds: &[(&str, &[Piece])] = &[
        ("none", &[]),
        ("connect", &[('C', b"CONNECT 10.0.0.2:5900 HTTP/1.1\r\nHost: a\r\n\r\n"), ('S', b"HTTP/1.1 200 OK\r\n\r\n")]),
        (
            "connect-407",
            &[
                ('C', b"CONNECT vm:5900 HTTP/1.1\r\n\r\n"),
                ('S', b"HTTP/1.1 407 Who\r\nContent-Length: 5\r\n\r\nwho?\n"),
                ('C', b"CONNECT vm:5900 HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\n\r\n"),
                ('S', b"HTTP/1.1 200 OK\r\n\r\n"),
            ],
        ),
        ("connect-refused", &[('C', b"CONNECT vm:5900 HTTP/1.0\r\n\r\n"), ('S', b"HTTP/1.1 403 No\r\n\r\n")]),
        (
            "proxmox",
            &[
                ('C', b"CONNECT pvespiceproxy:6A1B:100:node1::5e:61000 HTTP/1.0\r\n\r\n"),
                ('S', b"HTTP/1.0 200 OK\r\n\r\n"),
            ],
        ),
        ("socks-4", &[('C', b"\x04\x01\x17\x0c\x0a\0\0\x02user\0"), ('S', b"\0\x5a\0\0\0\0\0\0")]),
        ("socks-4a", &[('C', b"\x04\x01\x17\x0c\0\0\0\x01\0vm\0"), ('S', b"\0\x5a\0\0\0\0\0\0")]),
        (
            "socks-5",
            &[
                ('C', b"\x05\x01\0"),
                ('S', b"\x05\0"),
                ('C', b"\x05\x01\0\x03\x02vm\x17\x0c"),
                ('S', b"\x05\0\0\x01\x0a\0\0\x02\x17\x0c"),
            ],
        ),
        (
            "socks-5-password",
            &[
                ('C', b"\x05\x02\0\x02"),
                ('S', b"\x05\x02"),
                ('C', b"\x01\x01u\x01p"),
                ('S', b"\x01\0"),
                ('C', b"\x05\x01\0\x01\x0a\0\0\x02\x17\x0c"),
                ('S', b"\x05\0\0\x01\0\0\0\0\0\0"),
            ],
        ),
        ("proxy-1", &[('C', b"PROXY TCP4 192.0.2.1 10.0.0.2 4321 5900\r\n")]),
        ("proxy-1-unknown", &[('C', b"PROXY UNKNOWN\r\n")]),
        ("proxy-2", &[('C', b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x01\x0a\0\0\x02\x10\xe1\x17\x0c\x04\0\0")]),
        ("proxy-2-local", &[('C', b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]),
        (
            "proxy-1-connect",
            &[
                ('C', b"PROXY TCP4 192.0.2.1 10.0.0.2 4321 3128\r\n"),
                ('C', b"CONNECT vm:5900 HTTP/1.1\r\n\r\n"),
                ('S', b"HTTP/1.1 200 OK\r\n\r\n"),
            ],
        ),
    ];
    let seed = |pieces: &[Piece]| {
        let mut seed = Vec::new();
        for (side, bytes) in pieces.iter().chain(&[('C', MESS), ('S', REPLY)]) {
            let side = if *side == 'S' { 0x8000 } else { 0 };
            seed.extend((side | u16::try_from(bytes.len()).unwrap_or_default()).to_be_bytes());
            seed.extend(*bytes);
        }
        seed
    };
    kinds.iter().map(|(name, pieces)| ((*name).to_owned(), seed(pieces))).collect()
}

/// The header of a pcap file and its records, each with the header of the record.
fn records(pcap: &[u8]) -> Vec<&[u8]> {
    let (header, mut rest) = pcap.split_at(24);
    let mut found = vec![header];
    while let Some(len) = rest.get(8..12) {
        let len = 16 + len.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        let Some((record, behind)) = rest.split_at_checked(len) else { break };
        found.push(record);
        rest = behind;
    }
    found
}

/// The first records of a pcap file, up to [`MAX_FILE`] bytes.
fn first_records(pcap: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records(pcap) {
        if out.len() + record.len() > MAX_FILE {
            break;
        }
        out.extend(record);
    }
    out
}

/// Converts a pcap file to pcapng: a section, an interface, and a block for each packet with its time in microseconds.
fn pcapng(pcap: &[u8]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let len = u32::try_from(12 + body.len() + padding.len()).unwrap_or(u32::MAX).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, body, &padding, &len].concat()
    };
    let records = records(pcap);
    let mut out = block(0x0a0d_0d0a, b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    for (index, record) in records.iter().enumerate() {
        let word = |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
        out.extend(if index == 0 {
            block(1, &[&record[20..24], &[0; 4][..]].concat())
        } else {
            let micros = u64::from(word(0)) * 1_000_000 + u64::from(word(4));
            let (high, low) = ((micros >> 32).to_le_bytes(), (micros & 0xffff_ffff).to_le_bytes());
            block(6, &[&[0; 4][..], &high[..4], &low[..4], &record[8..]].concat())
        });
    }
    out
}

/// The link stages of a capture with their names: the bytes of client and server, without secrets.
fn links(capture: &Capture) -> Result<Vec<(String, [Vec<u8>; 2])>> {
    Ok(streams(capture)?.into_iter().map(|(name, streams)| (name, without_secrets(&streams))).collect())
}

/// The readable connections of a capture with their names: all bytes of client and server.
fn streams(capture: &Capture) -> Result<Vec<(String, [Vec<u8>; 2])>> {
    let mut streams = Streams::default();
    let mut reader = spice_capture::file::Reader::new();
    let mut reassembler = Reassembler::new(1000);
    let bytes = capture.bytes()?;
    reader.push(&bytes, |packet| {
        if let Ok(segment) = Segment::parse(packet.at, packet.link, packet.data, packet.wire_len) {
            reassembler.segment(&segment, &mut streams);
        }
    })?;
    reassembler.finish(&mut streams);
    let name = |stream: &Stream| {
        let by_hand = capture.manifest.links.iter().find(|link| link.client_port == stream.client_port);
        let what = by_hand.map_or_else(|| channel(&stream.bytes[0]), |link| link.case.clone());
        let what: String =
            what.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        format!("{}-{what}", capture.name)
    };
    let found = streams.found.iter().filter(|stream| !capture.manifest.tls_ports.contains(&stream.server_port));
    Ok(found.map(|stream| (name(stream), stream.bytes.clone())).collect())
}

/// The name of the channel that a client asks for.
fn channel(client: &[u8]) -> String {
    match LinkMess::parse(client) {
        Ok(Parsed::Complete(mess, _)) => format!("{}-{}", mess.channel_type, mess.channel_id),
        _ => "other".to_owned(),
    }
}

#[derive(Default)]
struct Streams {
    found: Vec<Stream>,
}

struct Stream {
    client_port: u16,
    server_port: u16,
    bytes: [Vec<u8>; 2],
}

impl Handler for Streams {
    type State = Option<usize>;

    fn opened(&mut self, state: &mut Self::State, connection: &Connection) -> Interest {
        *state = Some(self.found.len());
        let (client_port, server_port) = (connection.endpoints.client.port(), connection.endpoints.server.port());
        self.found.push(Stream { client_port, server_port, bytes: [Vec::new(), Vec::new()] });
        Interest::Bytes
    }

    fn bytes(&mut self, state: &mut Self::State, _: Timestamp, from: Side, data: &[u8]) -> Interest {
        if let Some(stream) = state.and_then(|index| self.found.get_mut(index)) {
            stream.bytes[usize::from(from == Side::Server)].extend(data);
        }
        Interest::Bytes
    }

    fn gap(&mut self, _: &mut Self::State, _: Timestamp, _: Side, _: u64) -> Interest {
        Interest::End
    }

    fn closed(&mut self, _: &mut Self::State, _: Timestamp, _: Option<Side>) {}
}

/// Truncates both streams, and zeroes the bytes that the observer skips: tickets and SASL data.
fn without_secrets(streams: &[Vec<u8>; 2]) -> [Vec<u8>; 2] {
    let mut clean = streams.clone();
    // The observer does not read WebSocket frames. There, everything after the link message is cut off, the ticket too.
    if streams[0].starts_with(b"GET ") {
        clean[0].truncate(head_end(&streams[0], 0).unwrap_or(0) + 60);
        clean[1].truncate(500);
        return clean;
    }
    let (mut link, mut at, mut want) = (LinkObserver::new(), [0; 2], [0; 2]);
    // Like on the wire, the client goes first, and the server's bytes are read only when the client waits. If the server's bytes were
    // read alone, up to the link result, the observer would ignore the client's earlier bytes.
    while [Side::Client, Side::Server]
        .into_iter()
        .enumerate()
        .any(|(index, side)| one_step(&mut link, side, &mut clean[index], &mut at[index], &mut want[index]))
    {}
    for (bytes, at) in clean.iter_mut().zip(at) {
        bytes.truncate((at + 40).min(MAX_STREAM));
    }
    clean
}

/// Reads one step of one direction, and zeroes the bytes that the observer skips. Returns whether there was progress.
fn one_step(link: &mut LinkObserver, side: Side, bytes: &mut [u8], at: &mut usize, want: &mut usize) -> bool {
    let rest = bytes.len() - *at;
    let skip = usize::try_from(link.skippable(side)).unwrap_or(usize::MAX).min(rest);
    bytes[*at..*at + skip].fill(0);
    let step = link.read(side, &bytes[*at..*at + skip.max(*want).min(rest)]);
    *at += step.consumed;
    let more = match step.outcome {
        Outcome::Event(_) => Some(0),
        Outcome::Need(n) => Some(n).filter(|n| *n <= bytes.len() - *at),
        _ => None,
    };
    *want = more.unwrap_or(0);
    step.consumed > 0 || more.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use spice_testkit::spice_conformance::judge;

    /// This many consecutive bytes of a ticket or of SASL data can't match by accident.
    const TELLING: usize = 12;

    /// The tickets and SASL data of a connection, found without the observer, from the layout of the protocol alone.
    fn secrets(streams: &[Vec<u8>; 2]) -> Vec<Vec<u8>> {
        let [client, server] = streams;
        let word = |bytes: &[u8]| bytes.first_chunk().map(|word| u32::from_le_bytes(*word) as usize);
        let behind = |bytes: &[u8]| word(bytes.get(12..)?).and_then(|size| bytes.get(16 + size..)).map(<[u8]>::to_vec);
        let fields = |mut bytes: &[u8], between: usize| {
            let mut found = Vec::new();
            while let Some((field, rest)) = word(bytes).and_then(|len| bytes[4..].split_at_checked(len)) {
                found.push(field.to_vec());
                bytes = rest.get(between..).unwrap_or_default();
            }
            found
        };
        let Some(said) = behind(client).filter(|_| client.starts_with(b"REDQ")) else { return Vec::new() };
        if word(&said) != Some(2) {
            let at = if word(&said) == Some(1) { 4 } else { 0 };
            return vec![said.iter().skip(at).take(128).copied().collect()];
        }
        // The mechanism's name and the server's list of mechanisms are not secret.
        let told = fields(&said[4..], 0).into_iter().skip(1);
        let list = behind(server).unwrap_or_default();
        let answers = word(&list).and_then(|len| list.get(4 + len..)).unwrap_or_default().to_vec();
        told.chain(fields(&answers, 1)).collect()
    }

    #[test]
    fn the_oracle_judges_a_seed_like_the_link_that_it_is_made_from() {
        for capture in captures::all().unwrap() {
            for (name, streams) in streams(&capture).unwrap() {
                let seed = without_secrets(&streams);
                assert_eq!(judge(&seed[0]), judge(&streams[0]), "{name}");
            }
        }
    }

    #[test]
    fn no_seed_or_regression_holds_a_ticket_or_sasl_data() {
        let mut telling = HashMap::new();
        for capture in captures::all().unwrap() {
            for (name, streams) in streams(&capture).unwrap() {
                let secrets = secrets(&streams);
                for window in secrets.iter().flat_map(|secret| secret.windows(TELLING)) {
                    if window.iter().any(|byte| *byte != window[0]) {
                        telling.insert(window.to_vec(), name.clone());
                    }
                }
            }
        }
        assert!(telling.len() > 10_000, "only {} windows of secrets found in the captures", telling.len());
        for kind in ["seeds", "regressions"] {
            for target in ["caps", "capture_file", "link_mess", "link_observer", "link_reply", "websocket"] {
                let Ok(folder) = fs::read_dir(shell::root().join("fuzz").join(kind).join(target)) else { continue };
                for file in folder {
                    let path = file.unwrap().path();
                    let bytes = fs::read(&path).unwrap();
                    let found = bytes.windows(TELLING).find_map(|window| telling.get(window));
                    assert_eq!(found, None, "{} contains a secret of the link with that name", path.display());
                }
            }
        }
    }
}
