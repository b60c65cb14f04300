//! What was set out to be reached, and whether it is.

use super::{
    figure::{Figure, show},
    record::Record,
    table::Table,
};

/// One target: a figure of ours, and what it should be.
struct Target {
    work: &'static str,
    row: &'static str,
    who: &'static str,
    what: &'static str,
    at: Option<u64>,
    goal: Goal,
}

enum Goal {
    /// So much at most, in the figure's own unit.
    AtMost(f64),
    /// So much at least.
    AtLeast(f64),
    /// The peer's figure is at least so many times ours.
    TimesLess(&'static str, f64),
}

use Goal::{AtLeast, AtMost, TimesLess};

const fn target(work: &'static str, row: &'static str, who: &'static str, what: &'static str, goal: Goal) -> Target {
    Target { work, row, who, what, at: None, goal }
}

const MILLION: Option<u64> = Some(1_000_000);

/// In the order of PERFORMANCE.md.
const TARGETS: &[Target] = &[
    target("parse header + mess, 42 bytes", "parse header + mess", "spice-link", "time", AtMost(5.0)),
    target("", "parse header + mess", "spice-link", "time", TimesLess("shakenfist-spice-protocol", 15.0)),
    target("", "parse header + mess", "spice-link", "allocations", AtMost(0.0)),
    target("write SPICE_INITIALIZED, QEMU's bytes", "write SPICE_INITIALIZED", "qmp-schema", "time", AtMost(90.0)),
    target("", "write SPICE_INITIALIZED", "qmp-schema", "time", TimesLess("qapi-qmp", 4.0)),
    target("", "write SPICE_INITIALIZED", "qmp-schema", "allocations", AtMost(0.0)),
    target("read SPICE_INITIALIZED, typed", "read SPICE_INITIALIZED", "qmp-schema", "time", TimesLess("qapi-qmp", 4.0)),
    target(
        "a channel's whole life, its lines written",
        "a channel through the tracker",
        "spice-events",
        "time",
        AtMost(1000.0),
    ),
    target("", "one channel's memory", "spice-events", "peak from accept to SPICE_INITIALIZED", AtMost(1024.0)),
    target("", "one channel's memory", "spice-events", "held of them", AtMost(0.0)),
    Target {
        work: "1 000 000 live channels, each",
        row: "a tracker full of channels",
        who: "spice-events",
        what: "beyond the text of its addresses",
        at: MILLION,
        goal: AtMost(300.0),
    },
    read("read a capture of 1 GB", "CPU time", TimesLess("tshark", 50.0)),
    read("", "throughput", AtLeast(1.5e9)),
    target("10 000 events to 1 000 QMP clients", FANOUT, "qmp-server", "events lost", AtMost(0.0)),
    target("", FANOUT, "qmp-server", BURST, TimesLess("write(2) for each client", 1.0)),
    target("", FANOUT, "qmp-server", "time for an event, one by one", TimesLess("write(2) for each client", 1.0)),
];

const FANOUT: &str = "events to a thousand QMP clients";
const BURST: &str = "time for an event, in a burst of 10 000";

/// A target for the capture of a gigabyte.
const fn read(work: &'static str, what: &'static str, goal: Goal) -> Target {
    Target { work, row: "read a large capture", who: "spicewatch", what, at: Some(1_000_000_000), goal }
}

/// Each target beside what the record says.
pub(crate) fn table(record: &Record) -> String {
    let mut table = Table::new(
        &["work", "measured", "ours", "peer", "ratio", "target", "met"],
        &[false, false, true, false, true, true, false],
    );
    for Target { work, row, who, what, at, goal } in TARGETS {
        let ours = record.find(row, who, what, *at);
        let unit = ours.map(|figure| figure.unit.as_str()).unwrap_or_default();
        let (peer, ratio, target, met) = match goal {
            AtMost(most) => (None, None, format!("≤ {}", show(*most, unit)), ours.map(|ours| ours.value <= *most)),
            AtLeast(least) => (None, None, format!("≥ {}", show(*least, unit)), ours.map(|ours| ours.value >= *least)),
            TimesLess(peer, times) => {
                let peer = record.find(row, peer, what, *at);
                let ratio = peer.and_then(|peer| peer.ratio.or(Some(peer.value / ours?.value)));
                (
                    Some(peer.map_or_else(String::new, |peer| format!("{} {}", peer.who, peer.show()))),
                    ratio,
                    format!("≥ {} times", show(*times, "")),
                    ratio.map(|ratio| ratio >= *times),
                )
            }
        };
        table.row([
            (*work).to_owned(),
            (*what).to_owned(),
            ours.map(Figure::show).unwrap_or_default(),
            peer.unwrap_or_default(),
            ratio.map(|ratio| show(ratio, "")).unwrap_or_default(),
            target,
            met.map_or("not measured", |met| if met { "yes" } else { "no" }).to_owned(),
        ]);
    }
    table.to_string()
}
