//! Reading a capture file from memory.

use std::hint::black_box;

use spice_capture::{Capture, Config, Output};

use crate::Row;

/// A session of eleven channels over plain TCP, recorded from QEMU and spicy.
const TICKET: &[u8] = include_bytes!("../../crates/spice-testkit/captures/ticket.pcap");

/// Reads the whole file and writes its event lines.
pub(crate) fn read() -> Row {
    let mut lines = Vec::with_capacity(1 << 16);
    Row::new("read a capture").by("spice-capture", move || {
        let mut capture = Capture::new(Config::new());
        capture.push(black_box(TICKET)).expect("a capture that tcpdump wrote");
        capture.finish().expect("and that is whole");
        lines.clear();
        let mut events = 0;
        while let Some(output) = capture.poll() {
            if let Output::Event(event) = output {
                event.write_to(&mut lines);
                lines.push(b'\n');
                events += 1;
            }
        }
        assert!(events >= 3, "at least one channel");
        black_box(lines.as_slice()).len()
    })
}
