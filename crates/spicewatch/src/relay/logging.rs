//! The log on stderr, as text for people or JSON for machines.
//!
//! The reader of stderr may be slow or stuck, and its disk full. So a thread writes the log from a queue. Lines that find the
//! queue full, or can't be written, are lost. A line of its own says how many, as soon as it can be written.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::LevelFilter,
    fmt::{
        MakeWriter,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    util::SubscriberInitExt,
};

use super::{
    config::LogFormat,
    line_writer::{self, LineWriter},
    log_rate_limit::{LogRateLimit, PEER_LOG_TARGET, Verdict, WINDOW},
};

/// How many lines wait for a slow reader. Each has some 200 bytes.
const QUEUE: usize = 4096;

/// The log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    lines: LineWriter,
    format: LogFormat,
    rate_limit: Arc<LogRateLimit>,
    lost: Arc<Lost>,
}

/// How many lines were not written.
#[derive(Debug, Default)]
struct Lost {
    /// Those that no line has reported yet.
    unreported: AtomicU64,
    all: AtomicU64,
}

impl Lost {
    fn add(&self, lines: u64) {
        self.unreported.fetch_add(lines, Ordering::Relaxed);
        self.all.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Log {
    /// How many lines were lost or left out so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.all.load(Ordering::Relaxed)
    }

    /// Waits until all queued lines are written, but no longer than `patience`.
    pub(super) fn finish(&self, patience: Duration) {
        // At the end of all windows, so that lines left out until now are reported.
        self.report_left_out(self.rate_limit.check(None, Instant::now() + WINDOW).left_out);
        self.lines.finish(patience);
    }

    fn report_left_out(&self, lines: u64) {
        if lines > 0 {
            self.send(note(self.format, "left out log lines: too many of one kind", "left_out", lines));
        }
    }

    fn send(&self, line: Vec<u8>) {
        if self.lines.send(line).is_err() {
            self.lost.add(1);
        }
    }
}

/// Starts the log. The filter is a level or tracing's directives.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<Log, String> {
    // For tracing, a word that is not a level is a target. A misspelt level would silence everything.
    let is_word = filter.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char));
    if is_word && (filter.is_empty() || filter.parse::<LevelFilter>().is_err()) {
        return Err(format!("--log: expected off, error, warn, info, debug, trace or directives, found `{filter}`"));
    }
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("--log {filter}: {error}"))?;
    let lost = Arc::<Lost>::default();
    let mut out = Out { stream: io::stderr(), torn: false, format, lost: Arc::clone(&lost) };
    let lines = LineWriter::start("log", QUEUE, move |lines| {
        out.write(lines);
        Ok(())
    });
    let log = Log { lines: lines.map_err(|error| error.to_string())?, format, rate_limit: Arc::default(), lost };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_target(false);
    let started = match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.map(|()| log).map_err(|error| error.to_string())
}

/// Writes lines. Lines that fail are counted; the next lines are tried again, because a disk may have room by then.
struct Out<W> {
    stream: W,
    /// The last line was written without its end.
    torn: bool,
    format: LogFormat,
    lost: Arc<Lost>,
}

impl<W: Write> Out<W> {
    fn write(&mut self, lines: &[u8]) {
        let unreported = self.lost.unreported.swap(0, Ordering::Relaxed);
        let mut text = if self.torn { b"\n".to_vec() } else { Vec::new() };
        let start = text.len();
        text.extend_from_slice(lines);
        let end = text.len();
        if unreported > 0 {
            text.extend(note(self.format, "lost log lines: stderr did not accept them", "lost", unreported));
        }
        let (written, error) = line_writer::write_all(&mut self.stream, &text);
        if let Some(last) = written.checked_sub(1) {
            self.torn = text[last] != b'\n';
        }
        if error.is_some() {
            self.lost.unreported.fetch_add(unreported, Ordering::Relaxed);
            let unwritten = &text[written.clamp(start, end)..end];
            self.lost.add(unwritten.split_inclusive(|byte| *byte == b'\n').count() as u64);
        }
    }
}

/// A line about the log itself.
fn note(format: LogFormat, message: &str, name: &str, number: u64) -> Vec<u8> {
    let mut time = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match format {
        LogFormat::Text => format!("{time}  WARN {message} {name}={number}\n"),
        LogFormat::Json => {
            format!("{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"{message}\",\"{name}\":{number}}}\n")
        }
    }
    .into_bytes()
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { log: self, verdict: Verdict { left_out: 0, written: true, last: false } }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        if *metadata.level() > Level::INFO {
            // Debug lines are not limited.
            return self.make_writer();
        }
        let is_limited = [PEER_LOG_TARGET, spice_relay::PEER_LOG_TARGET].contains(&metadata.target());
        let kind = is_limited.then(|| metadata.callsite());
        Line { log: self, verdict: self.rate_limit.check(kind, Instant::now()) }
    }
}

/// A line, and whether it is to be written.
pub(super) struct Line<'a> {
    log: &'a Log,
    verdict: Verdict,
}

/// Each call is one line, because tracing formats a line before it writes it.
impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (log, Verdict { left_out, written, last }) = (self.log, self.verdict);
        log.report_left_out(left_out);
        if written {
            let mut text = line.to_vec();
            if last {
                // In one piece, because other threads write lines too.
                let message = "leaving out more lines like the one before";
                text.extend(note(log.format, message, "seconds", WINDOW.as_secs()));
            }
            log.send(text);
        } else {
            log.lost.all.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for some bytes.
    struct Disk {
        text: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(self.room - self.text.len());
            if len == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn full_disk_loses_lines_until_it_has_room() {
        let lost = Arc::<Lost>::default();
        let stream = Disk { text: Vec::new(), room: 8 };
        let mut out = Out { stream, torn: false, format: LogFormat::Text, lost: Arc::clone(&lost) };
        for line in ["one\n", "twothree\nfour\n", "five\n"] {
            out.write(line.as_bytes());
        }
        assert_eq!(lost.all.load(Ordering::Relaxed), 3);
        out.stream.room = 1000;
        out.write(b"six\n");
        out.write(b"seven\n");
        let text = String::from_utf8(out.stream.text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines[0], lines[1], lines.len()), ("one", "twot", 5));
        assert!(lines[3].ends_with("WARN lost log lines: stderr did not accept them lost=3"), "{text}");
        assert_eq!((lines[2], lines[4]), ("six", "seven"));
    }
}
