//! Measures the allocations of every warm row, and the memory of a channel during and after its link stage.
#![allow(clippy::cast_precision_loss, reason = "what is measured is far below 2⁵²")]

use allocation_counter::measure;
use spicewatch_benches::{Channels, Figure, SIZES, rows};

fn main() {
    for mut row in rows() {
        for contender in &mut row.contenders {
            contender.run(3);
            let info = measure(|| contender.run(1));
            let figure = |what, unit, value| Figure::new(row.name, contender.name, what, unit, value);
            println!("{}", figure("allocations", "", info.count_total as f64));
            println!("{}", figure("peak", "B", info.bytes_max as f64));
        }
    }
    one_channel();
    for size in SIZES {
        full_tracker(size);
    }
}

/// The peak memory of one channel, and its memory after the link stage. The tracker has had a channel before, so that its tables are
/// allocated.
fn one_channel() {
    const ROW: &str = "one channel's memory";
    let mut channels = Channels::new();
    let mut lines = Vec::with_capacity(4096);
    let first = channels.link();
    channels.close(first);
    channels.write_events(&mut lines);
    let mut flow = first;
    let linked = measure(|| {
        flow = channels.link();
        channels.write_events(&mut lines);
    });
    let figure = |what, value: f64| println!("{}", Figure::new(ROW, "spice-events", what, "B", value));
    figure("peak from accept to SPICE_INITIALIZED", linked.bytes_max as f64);
    figure("held while the channel is up", linked.bytes_current as f64);
    let stream = vec![0x55; 1 << 16];
    let streamed = measure(|| {
        for _ in 0..1024 {
            channels.stream(flow, &stream);
        }
    });
    figure("allocated for 64 MiB of the channel's stream", streamed.bytes_total as f64);
    figure("held of them", streamed.bytes_current as f64);
}

fn full_tracker(size: u64) {
    let mut full = None;
    let info = measure(|| full = Some(Channels::full(size)));
    let held = info.bytes_current as f64;
    let addresses = Channels::address_text(size) as f64;
    let row = "a tracker full of channels";
    for (what, bytes) in [("held for a channel", held), ("beyond the text of its addresses", held - addresses)] {
        println!("{}", Figure::new(row, "spice-events", what, "B", bytes / size as f64).at(size));
    }
}
