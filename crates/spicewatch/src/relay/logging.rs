//! The log: to stderr, as text for people or JSON for machines.
//!
//! Whoever reads stderr may be slow, or a full pipe. So a thread of its own writes it, from a queue; lines that find the
//! queue full are lost, and counted in a line of their own as soon as there is room.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt::MakeWriter, util::SubscriberInitExt};

use super::{config::LogFormat, lines::Lines};

/// Lines that wait for a slow reader; some 200 bytes each.
const QUEUE: usize = 4096;

/// What became of the log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    lines: Lines,
    /// Lines lost since it was last said how many, and in all.
    unsaid: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Lines that were lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was queued is written, but not longer than this.
    pub(super) fn finish(&self, patience: Duration) {
        self.lines.finish(patience);
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
    let unsaid = Arc::new(AtomicU64::new(0));
    let missing = Arc::clone(&unsaid);
    let lines = Lines::start("log", QUEUE, move |lines| {
        let mut stderr = io::stderr().lock();
        stderr.write_all(lines)?;
        match missing.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            lost => stderr.write_all(gap(lost, format).as_bytes()),
        }
    });
    let log = Log { lines: lines.map_err(|error| error.to_string())?, unsaid, lost: Arc::default() };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_target(false);
    let started = match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.map(|()| log).map_err(|error| error.to_string())
}

fn gap(lost: u64, format: LogFormat) -> String {
    match format {
        LogFormat::Text => format!(" WARN lines of the log were lost, as stderr was not read lost={lost}\n"),
        LogFormat::Json => {
            format!(
                "{{\"level\":\"WARN\",\"message\":\"lines of the log were lost, as stderr was not read\",\"lost\":{lost}}}\n"
            )
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Log;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// One call is one line: tracing formats each before it writes it.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.send(line.to_vec()).is_err() {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
