//! Writing and reading QMP events.

use std::{hint::black_box, sync::OnceLock};

use qmp_schema::{EventMessage, stream::StreamDecoder};

use crate::{Row, bytes::INITIALIZED};

/// Writes `SPICE_INITIALIZED` into an existing buffer.
pub(crate) fn write() -> Row {
    let message = message();
    let mut out = Vec::with_capacity(512);
    let mut copy = Vec::with_capacity(512);
    let row = Row::new("write SPICE_INITIALIZED")
        .by("qmp-schema", move || {
            out.clear();
            black_box(&message).write_to(&mut out);
            black_box(out.as_slice()).len()
        })
        .by("memcpy of the line", move || {
            copy.clear();
            copy.extend_from_slice(black_box(INITIALIZED));
            black_box(copy.as_slice()).len()
        });
    #[cfg(feature = "peers")]
    let row = row
        .by("qapi-qmp", {
            let event: qapi_qmp::Event = serde_json::from_slice(INITIALIZED).expect("QEMU's line");
            into_buffer(event)
        })
        .by("qmp", {
            let event: qmp::types::EventMessage = serde_json::from_slice(INITIALIZED).expect("QEMU's line");
            into_buffer(event)
        });
    row
}

/// Reads the same line into a type with named fields.
pub(crate) fn read() -> Row {
    let row = Row::new("read SPICE_INITIALIZED")
        .by("qmp-schema", || qmp_schema::from_slice::<EventMessage<'_>>(black_box(INITIALIZED)))
        // A lower limit: one pass over the bytes, which every parser of text needs.
        .by("check of UTF-8", || std::str::from_utf8(black_box(INITIALIZED)));
    #[cfg(feature = "peers")]
    assert!(
        serde_json::from_slice::<qapi_qmp::Event>(INITIALIZED).is_ok(),
        "it is the work that is timed, not a refusal"
    );
    #[cfg(feature = "peers")]
    let row = row
        .by("qapi-qmp", || serde_json::from_slice::<qapi_qmp::Event>(black_box(INITIALIZED)))
        .by("qmp", || serde_json::from_slice::<qmp::types::EventMessage>(black_box(INITIALIZED)))
        .by("serde_json::Value", || serde_json::from_slice::<serde_json::Value>(black_box(INITIALIZED)));
    row
}

/// Reads a tenth of a megabyte of events of all kinds.
pub(crate) fn stream() -> Row {
    static MIXED: OnceLock<Vec<u8>> = OnceLock::new();
    read_all("read 100 kB of mixed QMP lines", || MIXED.get_or_init(|| mixed(100_000)))
}

/// Reads a stream a thousand times as long, which fits into no cache.
pub(crate) fn long_stream() -> Row {
    static MIXED: OnceLock<Vec<u8>> = OnceLock::new();
    read_all(LONG_STREAM, || MIXED.get_or_init(|| mixed(100_000_000)))
}

pub(crate) const LONG_STREAM: &str = "read 100 MB of mixed QMP lines";

/// Reads a stream in chunks. Our second way reads owned values line by line, like the peers do.
fn read_all(name: &'static str, lines: fn() -> &'static [u8]) -> Row {
    let row = Row::new(name)
        .by("qmp-schema", move || {
            let mut decoder = StreamDecoder::new();
            let mut count = 0;
            for chunk in black_box(lines()).chunks(64 << 10) {
                decoder.push(chunk);
                while let Some(message) = decoder.next_message() {
                    count += usize::from(black_box(message).is_ok());
                }
            }
            count
        })
        .by("qmp-schema, owned", move || {
            by_line(lines(), |line| {
                qmp_schema::from_slice::<EventMessage<'_>>(line).map(EventMessage::into_owned).is_ok()
            })
        });
    #[cfg(feature = "peers")]
    let row = row
        .by("qapi-qmp", move || by_line(lines(), |line| serde_json::from_slice::<qapi_qmp::Event>(line).is_ok()))
        .by("qmp", move || by_line(lines(), |line| serde_json::from_slice::<qmp::types::EventMessage>(line).is_ok()));
    row
}

/// Lines that a real QEMU sent, repeated up to this size, each time a second later. Only kinds that all contenders of the row can
/// read.
fn mixed(size: usize) -> Vec<u8> {
    const RECORDED: &str = include_str!("../../crates/qmp-schema/tests/data/qemu-7.2.events");
    const SPICE: &str = include_str!("../../crates/qmp-schema/tests/data/spice.events");
    let mut recorded: Vec<EventMessage<'_>> = RECORDED
        .lines()
        .chain(SPICE.lines())
        .map(|line| qmp_schema::from_slice(line.as_bytes()).expect("QEMU's line"))
        .collect();
    let mut out = Vec::with_capacity(size);
    loop {
        for message in &mut recorded {
            let end = out.len();
            message.write_to(&mut out);
            out.extend_from_slice(b"\r\n");
            if out.len() > size {
                out.truncate(end);
                return out;
            }
            if let Some(timestamp) = &mut message.timestamp {
                timestamp.seconds += 1;
            }
        }
    }
}

fn by_line(lines: &[u8], read: impl Fn(&[u8]) -> bool) -> usize {
    let lines = black_box(lines).split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = lines.map(read).inspect(|read| assert!(read, "it is the work that is timed, not a refusal"));
    read.count()
}

fn message() -> EventMessage<'static> {
    let message: EventMessage<'static> = qmp_schema::from_slice(INITIALIZED).expect("QEMU's line");
    let mut out = Vec::new();
    message.write_to(&mut out);
    assert_eq!(out, INITIALIZED, "QEMU's bytes come back");
    message
}

/// Writes into an existing buffer, the fastest way of serde_json.
#[cfg(feature = "peers")]
fn into_buffer<T: serde::Serialize>(value: T) -> impl FnMut() -> usize {
    let mut out = Vec::with_capacity(512);
    move || {
        out.clear();
        serde_json::to_writer(&mut out, black_box(&value)).expect("a buffer takes everything");
        black_box(out.as_slice()).len()
    }
}
