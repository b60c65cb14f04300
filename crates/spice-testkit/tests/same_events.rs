//! Whatever a network does to a conversation without losing any of it, the events stay the same.

use std::io;

use proptest::prelude::*;
use spice_capture::{Capture, Config, Output};
use spice_events::Auth;
use spice_testkit::{
    captures::{self, Manifest},
    events,
    packets::{Packets, Rng},
};

/// How far one direction may run ahead of the other: what a tracker holds of it is limited, and a link stage is smaller.
const AHEAD: usize = 8 * 1024;

fn config(manifest: &Manifest) -> Config {
    let mut config = Config::new();
    config.ports.clone_from(&manifest.ports);
    config.tls_ports.clone_from(&manifest.tls_ports);
    config.dual_stack = manifest.spice.contains("addr=::");
    config.auth(match &*manifest.auth {
        "none" => Auth::None,
        "sasl" => Auth::Sasl,
        _ => Auth::Spice,
    })
}

fn read(manifest: &Manifest, pcap: &[u8]) -> io::Result<String> {
    let mut lines = Vec::new();
    Capture::new(config(manifest)).read(pcap, |output| {
        if let Output::Event(event) = output {
            event.write_to(&mut lines);
            lines.push(b'\n');
        }
    })?;
    String::from_utf8(lines).map_err(io::Error::other)
}

/// The events of every committed capture, before and after.
fn check(damage: impl Fn(&mut Packets)) -> io::Result<()> {
    for capture in captures::all()? {
        let mut packets = Packets::parse(&capture.bytes()?)?;
        let before = read(&capture.manifest, &packets.to_pcap())?;
        assert!(!before.is_empty(), "{}", capture.name);
        damage(&mut packets);
        let after = read(&capture.manifest, &packets.to_pcap())?;
        let found = events::disagreements(after.lines(), before.lines(), false);
        assert!(found.is_empty(), "{}: ours is after, qemu before\n{}", capture.name, found.join("\n"));
    }
    Ok(())
}

#[test]
fn in_segments_of_one_byte() {
    check(|packets| packets.cut(1)).unwrap();
}

#[test]
fn with_every_segment_sent_twice() {
    check(|packets| packets.duplicate(255, &mut Rng::new(1))).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_doubled_reordered_and_interleaved(
        seed: u64,
        size in 1usize..200,
        chance: u8,
        reach in 0usize..6,
        interleave: bool,
    ) {
        check(|packets| {
            let rng = &mut Rng::new(seed);
            if interleave {
                packets.interleave(AHEAD, rng);
            }
            packets.cut(size);
            packets.reorder(reach, rng);
            packets.duplicate(chance, rng);
        })
        .unwrap();
    }

    #[test]
    fn in_another_interleaving(seed: u64) {
        check(|packets| packets.interleave(AHEAD, &mut Rng::new(seed))).unwrap();
    }
}
