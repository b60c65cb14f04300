//! The targets, and whether they are met.

use crate::{
    bench_record::Record,
    figure::{Figure, show},
    table::Table,
};

/// A target for one of our figures.
struct Target {
    work: &'static str,
    row: &'static str,
    who: &'static str,
    what: &'static str,
    at: Option<u64>,
    goal: Goal,
}

enum Goal {
    /// The figure is at most this, in its own unit.
    AtMost(f64),
    /// The figure is at least this.
    AtLeast(f64),
    /// The peer's figure is at least this multiple of ours.
    TimesLess(&'static str, f64),
    /// The peer's figure is at most ours, for figures that should be large.
    NoLess(&'static str),
}

use Goal::{AtLeast, AtMost, NoLess, TimesLess};

const fn target(work: &'static str, row: &'static str, who: &'static str, what: &'static str, goal: Goal) -> Target {
    Target { work, row, who, what, at: None, goal }
}

const MILLION: Option<u64> = Some(1_000_000);

/// All targets, in the order of PERFORMANCE.md.
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
    Target {
        row: "read a large capture, in packets of 1500 bytes",
        ..read("the same in packets of 1500 bytes", "CPU time", TimesLess("tshark", 50.0))
    },
    target("10 000 events to 1 000 QMP clients", FANOUT, "qmp-server", "events lost", AtMost(0.0)),
    target("", FANOUT, "qmp-server", BURST, TimesLess("write(2) for each client", 1.0)),
    target("", FANOUT, "qmp-server", "time for an event, one by one", TimesLess("write(2) for each client", 1.0)),
    stream("relay, plain: messages of 64 KiB", 65_536, "throughput", NoLess("haproxy splice")),
    stream("", 65_536, GIGABYTE, TimesLess("haproxy splice", 1.0)),
    stream("relay, plain: messages of 1 KiB", 1024, "throughput", NoLess("haproxy splice")),
    stream("", 1024, GIGABYTE, TimesLess("haproxy splice", 1.0)),
    stream("relay, plain: messages of 64 B", 64, "throughput", NoLess("haproxy splice")),
    stream("", 64, GIGABYTE, TimesLess("haproxy splice", 1.0)),
    target(
        "relay, plain: a channel's set-up",
        "set up a channel through a relay",
        "spicewatch",
        "CPU time of each",
        TimesLess("haproxy splice", 1.0),
    ),
    Target { at: Some(1000), ..target("relay, plain: idle", IDLE, "spicewatch", "memory of each", AtMost(4096.0)) },
    Target {
        who: "spicewatch TLS",
        ..stream("relay, TLS: messages of 64 KiB", 65_536, "throughput", NoLess("haproxy TLS"))
    },
    Target { at: Some(1000), ..target("relay, TLS: idle", IDLE, "spicewatch TLS", "memory of each", AtMost(17_000.0)) },
];

const IDLE: &str = "idle channels of a relay";
const GIGABYTE: &str = "CPU time of a gigabyte";

/// A target for one stream through the relay.
const fn stream(work: &'static str, size: u64, what: &'static str, goal: Goal) -> Target {
    let row = "a stream through a relay, by bytes a message";
    Target { work, row, who: "spicewatch", what, at: Some(size), goal }
}

const FANOUT: &str = "events to a thousand QMP clients";
const BURST: &str = "time for an event, in a burst of 10 000";

/// A target for the capture of a gigabyte.
const fn read(work: &'static str, what: &'static str, goal: Goal) -> Target {
    Target { work, row: "read a large capture", who: "spicewatch", what, at: Some(1_000_000_000), goal }
}

/// The table of all targets beside the figures of the record.
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
            TimesLess(peer, _) | NoLess(peer) => {
                let peer = record.find(row, peer, what, *at);
                let ratio = peer.and_then(|peer| peer.ratio.or(Some(peer.value / ours?.value)));
                let (target, met) = match goal {
                    TimesLess(_, times) => {
                        (format!("≥ {} times", show(*times, "")), ratio.map(|ratio| ratio >= *times))
                    }
                    _ => ("≤ 1 times".to_owned(), ratio.map(|ratio| ratio <= 1.0)),
                };
                let peer = peer.map_or_else(String::new, |peer| format!("{} {}", peer.who, peer.show()));
                (Some(peer), ratio, target, met)
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
