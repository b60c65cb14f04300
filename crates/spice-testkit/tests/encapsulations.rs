//! A session inside every tunnel and tag gives the same events as the plain session; tshark sees it too.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    collections::BTreeSet,
    fs, io,
    process::{Command, Stdio},
};

use spice_capture::{Capture, Config, Counters, Output};
use spice_testkit::{
    captures,
    packets::{ENCAPSULATIONS, Packets, UNKNOWN},
};

/// Outer headers and a 16-bit length leave room for this.
const SEGMENT: usize = 1200;

/// tshark 4.0 does not read these by itself: the standard lets the two ends agree on their layout, or on a port.
const NOT_IN_TSHARK: [&str; 19] = [
    "broadcom-switch-tag",
    "docsis",
    "erspan-ii-without-sequence",
    "fou-gre",
    "fou-gre-key-ethernet",
    "fou-ip",
    "geneve-16081",
    "gue",
    "gue-fields",
    "gue-gre",
    "gue-version-1",
    "l2tp-v3-ip",
    "l2tp-v3-udp-cookie-sublayer",
    "marvell-switch-tag",
    "mpls-pseudowire",
    "mpls-pseudowire-address-4x-or-6x",
    "mpls-pseudowire-control-word",
    "qinq-9100-9200",
    "vxlan-8472",
];

fn packets(name: &str) -> Packets {
    let mut packets = Packets::parse(&captures::load(name).unwrap().bytes().unwrap()).unwrap();
    packets.cut(SEGMENT);
    packets
}

fn read(pcap: &[u8]) -> (Vec<String>, Vec<String>, Counters) {
    let (mut events, mut other) = (Vec::new(), Vec::new());
    let counters = Capture::new(Config::new())
        .read(pcap, |output| match output {
            Output::Event(event) => events.push(event.to_string()),
            output => other.push(output.to_string()),
        })
        .unwrap();
    (events, other, counters)
}

#[test]
fn a_session_in_every_encapsulation_gives_its_events() {
    let mut wrong = Vec::new();
    for name in ["ticket", "dual-stack"] {
        let packets = packets(name);
        let plain = read(&packets.to_pcap());
        assert!(plain.0.len() >= 33, "{name}: {plain:?}");
        for encapsulation in ENCAPSULATIONS {
            let (events, other, counters) = read(&packets.encapsulate(encapsulation));
            if (&events, &other) != (&plain.0, &plain.1) || (counters.malformed, counters.unread) != (0, 0) {
                wrong.push(format!(
                    "{name} in {}: {} events, {other:?}, {counters:?}",
                    encapsulation.name,
                    events.len()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_session_in_fragments_gives_its_events() {
    for name in ["ticket", "dual-stack"] {
        let packets = packets(name);
        let plain = read(&packets.to_pcap());
        for size in [64, 200, 1000] {
            let (events, other, counters) = read(&packets.fragment(size));
            assert_eq!((&events, &other, counters.fragments), (&plain.0, &plain.1, 0), "{name}, {size}");
        }
    }
}

#[test]
fn link_message_in_an_unknown_tunnel_is_reported() {
    for (name, expected) in [
        ("unknown-udp", "an unknown tunnel with a SPICE link message, UDP port 5072, were not read: "),
        ("unknown-ip-protocol", "an unknown header with a SPICE link message were not read: "),
    ] {
        let encapsulation = UNKNOWN.iter().find(|encapsulation| encapsulation.name == name).unwrap();
        let (events, other, _) = read(&packets("ticket").encapsulate(encapsulation));
        assert_eq!(events, [""; 0], "{name}");
        assert!(other[0].starts_with("22 packets in ") && other[0].contains(expected), "{name}: {other:?}");
    }
}

/// The number of TCP connections that tshark finds in a file.
fn tshark(pcap: &[u8]) -> io::Result<usize> {
    let mut file = tempfile()?;
    io::Write::write_all(&mut file.0, pcap)?;
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-e", "tcp.stream", "-Y", "tcp", "-r", &file.1]).stderr(Stdio::null());
    let output = command.output()?;
    fs::remove_file(&file.1)?;
    let text = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    Ok(text.lines().collect::<BTreeSet<_>>().len())
}

fn tempfile() -> io::Result<(fs::File, String)> {
    let path = std::env::temp_dir().join(format!("encapsulation-{}.pcap", std::process::id()));
    Ok((fs::File::create(&path)?, path.display().to_string()))
}

#[test]
fn tshark_finds_the_connections_of_every_encapsulation() {
    if Command::new("tshark").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return;
    }
    let (packets, mut wrong) = (packets("ticket"), Vec::new());
    for encapsulation in ENCAPSULATIONS {
        let expected = if NOT_IN_TSHARK.contains(&encapsulation.name) { 0 } else { 11 };
        let found = tshark(&packets.encapsulate(encapsulation)).unwrap();
        if found != expected {
            wrong.push(format!("{}: {found}, not {expected}", encapsulation.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tshark(&packets.fragment(200)).unwrap(), 11);
}
