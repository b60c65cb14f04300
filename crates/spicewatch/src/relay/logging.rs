//! The log: to stderr, as text for people or JSON for machines.
//!
//! Whoever reads stderr may be slow, a full pipe, or a full disk. So a thread of its own writes it, from a queue; lines that
//! find the queue full, or can't be written, are lost, and counted in a line of their own as soon as there is room.

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
    lines::{self, Lines},
    seldom::{PEER, Seldom, Verdict, WITHIN},
};

/// Lines that wait for a slow reader; some 200 bytes each.
const QUEUE: usize = 4096;

/// What became of the log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    lines: Lines,
    format: LogFormat,
    seldom: Arc<Seldom>,
    lost: Arc<Lost>,
}

/// Lines that nobody can read.
#[derive(Debug, Default)]
struct Lost {
    /// Since it was last said how many.
    unsaid: AtomicU64,
    all: AtomicU64,
}

impl Lost {
    fn add(&self, lines: u64) {
        self.unsaid.fetch_add(lines, Ordering::Relaxed);
        self.all.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Log {
    /// Lines that were lost or left out so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.all.load(Ordering::Relaxed)
    }

    /// Waits until what was queued is written, but not longer than this.
    pub(super) fn finish(&self, patience: Duration) {
        // As if all time were over: what is left out by now is said.
        self.say_left_out(self.seldom.ask(None, Instant::now() + WITHIN).left_out);
        self.lines.finish(patience);
    }

    fn say_left_out(&self, lines: u64) {
        if lines > 0 {
            self.send(note(self.format, "lines were left out, as there were too many of a kind", "left_out", lines));
        }
    }

    fn send(&self, line: Vec<u8>) {
        if self.lines.send(line).is_err() {
            self.lost.add(1);
        }
    }
}

/// Starts the log with this filter: a level, or tracing's directives.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<Log, String> {
    // A word that is no level names a target to tracing, so that a slip of the pen would silence everything.
    let is_word = filter.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char));
    if is_word && (filter.is_empty() || filter.parse::<LevelFilter>().is_err()) {
        return Err(format!("--log: expected off, error, warn, info, debug, trace or directives, found `{filter}`"));
    }
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("--log {filter}: {error}"))?;
    let lost = Arc::<Lost>::default();
    let mut out = Out { stream: io::stderr(), torn: false, format, lost: Arc::clone(&lost) };
    let lines = Lines::start("log", QUEUE, move |lines| {
        out.write(lines);
        Ok(())
    });
    let log = Log { lines: lines.map_err(|error| error.to_string())?, format, seldom: Arc::default(), lost };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_target(false);
    let started = match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.map(|()| log).map_err(|error| error.to_string())
}

/// Where lines are written. What fails is counted, and the next lines are tried again: a disk may have room by then.
struct Out<W> {
    stream: W,
    /// The last line that was written has no end.
    torn: bool,
    format: LogFormat,
    lost: Arc<Lost>,
}

impl<W: Write> Out<W> {
    fn write(&mut self, lines: &[u8]) {
        let unsaid = self.lost.unsaid.swap(0, Ordering::Relaxed);
        let mut text = if self.torn { b"\n".to_vec() } else { Vec::new() };
        let start = text.len();
        text.extend_from_slice(lines);
        let end = text.len();
        if unsaid > 0 {
            text.extend(note(self.format, "lines of the log were lost, as stderr did not take them", "lost", unsaid));
        }
        let (written, error) = lines::write_all(&mut self.stream, &text);
        if let Some(last) = written.checked_sub(1) {
            self.torn = text[last] != b'\n';
        }
        if error.is_some() {
            self.lost.unsaid.fetch_add(unsaid, Ordering::Relaxed);
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
            // Who asks for all shall have all.
            return self.make_writer();
        }
        let kind = (metadata.target() == PEER).then(|| metadata.callsite());
        Line { log: self, verdict: self.seldom.ask(kind, Instant::now()) }
    }
}

/// A line that is to be written, or not.
pub(super) struct Line<'a> {
    log: &'a Log,
    verdict: Verdict,
}

/// One call is one line: tracing formats each before it writes it.
impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (log, Verdict { left_out, written, last }) = (self.log, self.verdict);
        log.say_left_out(left_out);
        if written {
            let mut text = line.to_vec();
            if last {
                // In one piece, as other threads have lines too.
                let message = "more lines like the one before are left out for now";
                text.extend(note(log.format, message, "seconds", WITHIN.as_secs()));
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

    /// A disk with so much room.
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
    fn a_full_disk_loses_lines_until_it_has_room() {
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
        assert!(lines[3].ends_with("WARN lines of the log were lost, as stderr did not take them lost=3"), "{text}");
        assert_eq!((lines[2], lines[4]), ("six", "seven"));
    }
}
