//! What `read` writes: events to standard output, everything else to standard error.

use super::{OutputError, live::Live, records::Records};
use crate::print_error;
use spice_capture::{Capture, Counters, Notice, Output};
use std::{
    fmt::{self, Display},
    io::{self, IsTerminal, Write},
    path::Path,
    time::{Duration, Instant},
};

/// Bytes of events that are written at once.
const BATCH: usize = 1 << 16;
/// Files from this size on show their progress.
const LARGE: u64 = 64 << 20;

/// Writes to standard output and to standard error.
pub(crate) struct Report {
    events: Vec<u8>,
    records: Option<Records>,
    live: Option<Live>,
    name: String,
    anomalies: u64,
    /// Facts that are not anomalies, such as a connection behind a proxy.
    facts: u64,
    max_anomalies: u64,
    /// Set if progress is to be shown.
    size: Option<u64>,
    shown: Option<Instant>,
}

impl Report {
    pub(super) fn new(name: &str, size: Option<u64>, max_anomalies: u64, records: Option<Records>) -> Self {
        let size = size.filter(|&size| size >= LARGE && io::stderr().is_terminal());
        Self {
            events: Vec::with_capacity(BATCH),
            records,
            live: None,
            name: name.to_owned(),
            anomalies: 0,
            facts: 0,
            max_anomalies,
            size,
            shown: None,
        }
    }

    /// Makes session records too.
    pub(super) fn add_records(&mut self, records: Option<Records>) {
        self.records = records;
    }

    /// Has live outputs too, which make the session records.
    pub(crate) fn add_live(&mut self, live: Option<Live>) {
        self.live = live;
    }

    /// To be called often while a capture goes on.
    pub(crate) fn turn(&mut self, capture: &mut Capture) {
        if let Some(live) = &mut self.live {
            live.turn(capture);
        }
    }

    pub(crate) fn drain(&mut self, capture: &mut Capture) -> Result<(), OutputError> {
        while let Some(output) = capture.poll() {
            let mut prints_events = true;
            if let Some(records) = &mut self.records {
                prints_events = !records.replace_events();
                records.take(&output, &mut self.events)?;
            }
            if let Some(live) = &mut self.live {
                prints_events = !live.replace_events();
                live.take(&output);
            }
            match output {
                Output::Event(event) if prints_events => {
                    event.write_to(&mut self.events);
                    self.events.push(b'\n');
                }
                Output::Notice(Notice::Proxied { .. } | Notice::StillOpen { .. }) => self.fact(&output),
                Output::Notice(notice) if notice.is_of_the_end() => self.note(format_args!("{notice}")),
                Output::Anomaly(_) | Output::Notice(_) => self.anomaly(&output),
                _ => {}
            }
            if self.events.len() >= BATCH {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The end of the capture.
    pub(crate) fn finish(&mut self) -> Result<(), OutputError> {
        if let Some(records) = &mut self.records {
            records.finish(&mut self.events)?;
        }
        if let Some(live) = &self.live {
            live.finish();
        }
        self.flush()
    }

    fn anomaly(&mut self, anomaly: &dyn Display) {
        self.anomalies += 1;
        if self.anomalies <= self.max_anomalies {
            self.clear_progress();
            print_error(format_args!("spicewatch: {anomaly}"));
        }
    }

    /// Prints what is nothing unusual, as often as anomalies.
    fn fact(&mut self, fact: &dyn Display) {
        self.facts += 1;
        if self.facts <= self.max_anomalies {
            self.clear_progress();
            print_error(format_args!("spicewatch: {fact}"));
        }
    }

    /// Prints a line about the input.
    pub(super) fn note(&mut self, line: fmt::Arguments<'_>) {
        self.clear_progress();
        print_error(format_args!("spicewatch: {line}"));
    }

    /// Prints why a file, one of several, can't be read, or not to its end.
    pub(super) fn error(&mut self, path: &Path, error: &str) {
        self.note(format_args!("{}: {error}", path.display()));
    }

    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        if let Some(records) = &mut self.records {
            records.flush()?;
        }
        if self.events.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&self.events)?;
        self.events.clear();
        Ok(out.flush()?)
    }

    pub(super) fn progress(&mut self, bytes: u64) {
        let Some(size) = self.size else { return };
        if self.shown.is_none_or(|shown| shown.elapsed() >= Duration::from_millis(250)) {
            self.shown = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{}: {} %", self.name, bytes * 100 / size.max(1));
        }
    }

    pub(super) fn clear_progress(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    pub(crate) fn summary(&self, counters: &Counters, bytes: u64, elapsed: Duration) {
        if self.anomalies > self.max_anomalies {
            print_error(format_args!(
                "spicewatch: {} more anomalies; --anomalies N prints more",
                self.anomalies - self.max_anomalies
            ));
        }
        let unread = [
            (counters.malformed, "packets with headers that contradict each other"),
            (counters.truncated, "packets cut within their headers"),
            (counters.unknown_link, "packets of other link types"),
            (counters.unread, "packets in other tunnels or in encryption"),
            (counters.other, "connections of other protocols"),
        ];
        let mut unread = unread.to_vec();
        if counters.connections == 0 {
            // Other traffic is of interest only where there is nothing else.
            unread.push((counters.without_tcp, "packets without TCP"));
            unread.push((counters.other_ports, "packets of other ports"));
        }
        let unread: Vec<_> = unread.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !unread.is_empty() {
            print_error(format_args!("spicewatch: not read: {}", unread.join(", ")));
        }
        if counters.connections == 0 && counters.packets > 0 {
            let advice = if counters.other_ports > 0 {
                "no SPICE connection was found at these ports; without --port, SPICE is recognised at any port"
            } else {
                "no SPICE connection was found; if one should be there, name its server's port"
            };
            print_error(format_args!("spicewatch: {advice}"));
        }
        let Counters { packets, connections, events, anomalies, .. } = counters;
        print_error(format_args!(
            "spicewatch: {packets} packets, {connections} connections, {events} events, {anomalies} anomalies, {bytes} bytes in {:.3} s",
            elapsed.as_secs_f64()
        ));
    }
}
