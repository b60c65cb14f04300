//! The log on stderr, as text for people or JSON for machines.
//!
//! The reader of stderr may be slow or stuck, and its disk full. So a thread writes the log from a queue. Lines that find the
//! queue full, or can't be written, are lost. A line of its own says how many, as soon as it can be written.

use std::{
    cell::Cell,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde_derive::Deserialize;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::LevelFilter,
    fmt::{
        MakeWriter,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use super::{
    line_writer::{self, LineWriter},
    log_rate_limit::{LeftOut, LogRateLimit, PeerLine, Verdict, WINDOW},
};

/// How many lines wait for a slow reader. Each has some 200 bytes.
const QUEUE: usize = 4096;

/// Formats of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// One JSON object per line
    Json,
}

/// The log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    lines: LineWriter,
    format: LogFormat,
    rate_limit: Arc<LogRateLimit>,
    /// Wakes the thread that reports lines that were left out.
    left_out: SyncSender<()>,
    lost: Arc<Lost>,
}

thread_local! {
    /// A line about the log that follows the line that this thread is about to write.
    static NOTE: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
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
    pub(crate) fn lost(&self) -> u64 {
        self.lost.all.load(Ordering::Relaxed)
    }

    /// Waits until all queued lines are written, but no longer than `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        // At the end of all windows, so that lines left out until now are reported.
        self.report_left_out(Instant::now() + WINDOW);
        self.lines.finish(patience);
    }

    /// Writes a line for each kind whose lines were left out in a window that is over.
    fn report_left_out(&self, now: Instant) {
        for LeftOut { vm, kind, lines } in self.rate_limit.ended(now) {
            let fields = [("left_out", Field::Number(lines)), ("vm", Field::Text(&vm)), ("kind", Field::Text(&kind))];
            self.send(note(self.format, "left out log lines: too many of one kind", &fields));
        }
    }

    /// Reports left out lines when their window is over, also if no other line is written then.
    fn keep_reporting(&self, left_out: &Receiver<()>) {
        while left_out.recv().is_ok() {
            while let Some(end) = self.rate_limit.next_end() {
                thread::sleep(end.saturating_duration_since(Instant::now()));
                self.report_left_out(Instant::now());
            }
        }
    }

    /// Whether to write this line.
    fn check(&self, event: &Event<'_>) -> bool {
        // Debug lines are not limited.
        if *event.metadata().level() > Level::INFO {
            return true;
        }
        let Some(line) = PeerLine::of(event) else { return true };
        match self.rate_limit.check(&line, Instant::now()) {
            Verdict::Written => true,
            Verdict::WrittenLast => {
                let message = "leaving out more lines like the one before";
                NOTE.set(Some(note(self.format, message, &[("seconds", Field::Number(WINDOW.as_secs()))])));
                true
            }
            Verdict::LeftOut => {
                self.lost.all.fetch_add(1, Ordering::Relaxed);
                // Fails if the thread is awake already.
                let _ = self.left_out.try_send(());
                false
            }
        }
    }

    fn send(&self, line: Vec<u8>) {
        if self.lines.send(line).is_err() {
            self.lost.add(1);
        }
    }
}

/// Starts the log. The filter is a level or tracing's directives.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<Log, String> {
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
    let lines = lines.map_err(|error| error.to_string())?;
    let (left_out, waiting) = sync_channel(1);
    let log = Log { lines, format, rate_limit: Arc::default(), left_out, lost };
    let reporter = log.clone();
    let reporting = move || reporter.keep_reporting(&waiting);
    thread::Builder::new().name("log-limit".into()).spawn(reporting).map_err(|error| error.to_string())?;
    let layer = tracing_subscriber::fmt::layer().with_writer(log.clone()).with_target(false);
    let registry = tracing_subscriber::registry().with(filter).with(PeerLimit(log.clone()));
    let started = match format {
        LogFormat::Text => {
            let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
            registry.with(layer.with_ansi(is_terminal)).try_init()
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    started.map(|()| log).map_err(|error| error.to_string())
}

/// Leaves out lines of peers that cause too many.
struct PeerLimit(Log);

/// A filter of the whole subscriber: one of a layer may not look at an event's fields.
impl<S: Subscriber> Layer<S> for PeerLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.check(event)
    }
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
            let fields = [("lost", Field::Number(unreported))];
            text.extend(note(self.format, "lost log lines: stderr did not accept them", &fields));
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

/// A field of a line about the log. An empty text is left out.
enum Field<'a> {
    Number(u64),
    Text(&'a str),
}

/// A line about the log itself.
fn note(format: LogFormat, message: &str, fields: &[(&str, Field<'_>)]) -> Vec<u8> {
    let mut time = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let mut line = match format {
        LogFormat::Text => format!("{time}  WARN {message}"),
        LogFormat::Json => {
            format!("{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"{message}\"")
        }
    };
    for (name, value) in fields {
        let value = match value {
            Field::Number(number) => number.to_string(),
            Field::Text("") => continue,
            Field::Text(text) => serde_json::Value::from(*text).to_string(),
        };
        let (before, between) = if format == LogFormat::Json { (",\"", "\":") } else { (" ", "=") };
        line.extend([before, name, between, &value]);
    }
    line += if format == LogFormat::Json { "}\n" } else { "\n" };
    line.into_bytes()
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// A line that is to be written.
pub(crate) struct Line<'a>(&'a Log);

/// Each call is one line, because tracing formats a line before it writes it.
impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut text = line.to_vec();
        // In one piece, because other threads write lines too.
        text.extend(NOTE.take().unwrap_or_default());
        self.0.send(text);
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
