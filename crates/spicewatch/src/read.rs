//! `spicewatch read`: the events of a capture file.

mod input;
mod key_log;
mod records;

use crate::print_error;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use input::Input;
pub(crate) use key_log::KeyLogFile;
use records::Records;
use spice_capture::{Capture, Config, Counters, DualStack, Notice, Output, tls::KeyLog};
use spice_events::Auth;
use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// Print the events that QEMU sent for the SPICE connections in a packet capture
///
/// Reads a capture of network traffic (pcap or pcapng, as tcpdump, dumpcap and Wireshark write them) and prints, one a line, the events that QEMU sent for
/// the SPICE connections in it: SPICE_CONNECTED when a connection was accepted, SPICE_INITIALIZED when its channel was up, SPICE_DISCONNECTED when it was
/// gone. The lines are QEMU's own, byte for byte, with the packets' times. Tunnels, VLAN tags, fragments, and proxies in front of SPICE are read through.
///
/// A session is a set of connections, one for each channel, that share a connection-id; the one with channel-type 1 is its main channel.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,

    /// The capture; "-" is standard input
    file: PathBuf,
}

// The options of "read" and of "tap". A doc comment would replace the command's own help.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A server port where every connection is SPICE; may be given more than once
    ///
    /// Without it, connections are recognised by their first bytes, and connections that sent no byte or garbage are only counted.
    #[arg(long = "port", value_name = "PORT")]
    ports: Vec<u16>,

    /// A server port where every connection is SPICE inside TLS; may be given more than once
    ///
    /// Without the connections' secrets what is inside can't be read: such connections have a SPICE_CONNECTED and a SPICE_DISCONNECTED, but no
    /// SPICE_INITIALIZED. See --keylog.
    #[arg(long = "tls-port", value_name = "PORT")]
    tls_ports: Vec<u16>,

    /// A file with the secrets of TLS connections, which are then decrypted
    ///
    /// The file is a key log as SSLKEYLOGFILE, "openssl s_client -keylogfile" and Wireshark have it. Secrets that are in the capture itself (pcapng decryption
    /// secrets blocks) are used without this option. Without --port, SPICE is recognised inside TLS on any port. TLS 1.2 and TLS 1.3 are read, with cipher
    /// suites that have AES-GCM or ChaCha20-Poly1305.
    #[arg(long = "keylog", value_name = "FILE")]
    key_log: Option<PathBuf>,

    /// How the server authenticates its clients, which QEMU states in SPICE_INITIALIZED
    ///
    /// By default "sasl" if the server offers SASL, else "spice" (tickets). A server without ticketing looks just like one with it, so "none" has to be given.
    #[arg(long, value_parser = auth_parser())]
    auth: Option<Auth>,

    /// The server listens on "::" and serves IPv4 clients there too
    ///
    /// QEMU then shows 127.0.0.1 as ::ffff:127.0.0.1. A port that answers over both IPv4 and IPv6 in the first 4 MiB of a file is recognised as such;
    /// a port that was only reached over IPv4 is not.
    #[arg(long)]
    dual_stack: bool,

    /// Print session records in place of events: who was connected, from when to when, and why it ended
    ///
    /// One JSON object a line when a session starts, when it ends, and for each refused link. spice-sessions' documentation describes the members. A session that
    /// is still connected at the end of the capture has no second record.
    #[arg(long)]
    sessions: bool,

    /// Write session records to this file, and events to standard output
    #[arg(long, value_name = "FILE", conflicts_with = "sessions")]
    sessions_to: Option<PathBuf>,

    /// A proxy or load balancer whose word counts; may be given more than once
    ///
    /// Connections from it are shown with the client that its PROXY header names. Connections to it are shown with the server that CONNECT or SOCKS asks
    /// for, if that is an address. Without it, the addresses are those of the packets.
    #[arg(long = "trust-proxy", value_name = "ADDR")]
    trusted_proxies: Vec<IpAddr>,

    /// How many anomalies to print before only counting them
    #[arg(long, value_name = "N", default_value_t = 20)]
    anomalies: u64,
}

const AFTER: &str = "\
Events go to standard output; anomalies and a summary go to standard error.

Examples:
  spicewatch read session.pcap
      Every SPICE connection in the file, whatever its port
  spicewatch read --port 5930 --tls-port 5931 --auth none session.pcapng
      The two ports of one virtual machine that asks for no password
  tcpdump -i any -s 0 -U -w - tcp port 5930 | spicewatch read -
      As it happens
  spicewatch read --trust-proxy 192.0.2.10 session.pcap
      Sessions behind a load balancer, with their original clients
  spicewatch read session.pcap | grep '\"channel-type\": 1,'
      One line for each session
  spicewatch read --sessions session.pcap | jq -r 'select(.event.action == \"session-ended\") | [.client.ip, .event.reason] | @tsv'
      Who was connected, and why it ended

Exit status:
  0  the capture was read, if only up to where it was cut off
  1  standard output, or the file of --sessions-to, could not be written
  2  the file could not be opened, or is no capture, or is damaged";

/// Bytes of events that are written at once.
const BATCH: usize = 1 << 16;
/// Bytes at a file's start that are looked through for ports that serve both IPv4 and IPv6.
const HEAD: u64 = 4 << 20;
/// Files from this size on show their progress.
const LARGE: u64 = 64 << 20;

pub(crate) fn run(args: Args) -> ExitCode {
    let started = Instant::now();
    let name = if args.file.as_os_str() == "-" { "standard input".to_owned() } else { args.file.display().to_string() };
    let mut input = match Input::open(&args.file) {
        Ok(input) => input,
        Err(error) => return fail(&name, &error),
    };
    let options = args.options;
    let mut report = match options.report(&name, input.size()) {
        Ok(report) => report,
        Err(error) => return output_failed(&error),
    };
    let keys = match options.key_log.as_deref().map_or_else(|| Ok(KeyLog::new()), key_log::read) {
        Ok(keys) => keys,
        Err(error) => return fail(&options.key_log.unwrap_or_default().display().to_string(), &error),
    };
    let mut config = options.config().keys(keys);
    if !config.dual_stack {
        config.dual_stack_ports = dual_stack_ports(&mut input);
    }
    let mut capture = Capture::new(config);
    let result = follow(&mut capture, &mut input, &mut report);
    if let Err(Stop::Output(error)) = result {
        // The reader is gone: it needs no summary.
        report.clear_progress();
        return output_failed(&error);
    }
    let finished = capture.finish();
    let written = report.drain(&mut capture).and_then(|()| report.finish());
    report.clear_progress();
    let read = match (result, written) {
        (Err(Stop::Output(error)), _) | (_, Err(error)) => return output_failed(&error),
        (Err(Stop::Input(error)), _) => Err(error),
        (Ok(()), Ok(())) => finished.map_err(|error| error.to_string()),
    };
    if let Err(error) = read {
        return fail(&name, &error);
    }
    report.summary(&capture.counters(), started.elapsed());
    ExitCode::SUCCESS
}

impl Options {
    /// Everything but the secrets.
    fn config(self) -> Config {
        let mut config = Config::new();
        config.ports = self.ports;
        config.tls_ports = self.tls_ports;
        config.dual_stack = self.dual_stack;
        config.transport = self.sessions || self.sessions_to.is_some();
        config.trusted_proxies = self.trusted_proxies;
        match self.auth {
            Some(auth) => config.auth(auth),
            None => config,
        }
    }

    /// The configuration for a live capture. Its secrets are still to come: from the file, where there is one.
    pub(crate) fn live_config(self) -> io::Result<(Config, Option<KeyLogFile>)> {
        let in_file =
            |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let open = |path: &PathBuf| KeyLogFile::open(path).map_err(|error| in_file(path, error));
        let key_log = self.key_log.as_ref().map(open).transpose()?;
        let config = self.config();
        let config = if key_log.is_some() { config.keys(KeyLog::new().growing()) } else { config };
        Ok((config, key_log))
    }

    /// What writes the lines. `size` is that of the input, if progress in it can be shown.
    pub(crate) fn report(&self, name: &str, size: Option<u64>) -> Result<Report, OutputError> {
        let path = self.sessions_to.as_deref();
        let records = (self.sessions || path.is_some()).then(|| Records::new(path)).transpose();
        let records = records.map_err(|error| OutputError { file: path.map(Path::to_owned), error })?;
        Ok(Report::new(name, size, self.anomalies, records))
    }
}

fn auth_parser() -> impl clap::builder::TypedValueParser<Value = Auth> {
    PossibleValuesParser::new([
        PossibleValue::new("spice").help("Tickets: a password, or none set yet"),
        PossibleValue::new("none").help("No authentication (disable-ticketing=on)"),
        PossibleValue::new("sasl").help("SASL"),
    ])
    .try_map(|name| name.parse::<Auth>())
}

/// Why reading ended early.
enum Stop {
    Input(String),
    Output(OutputError),
}

/// What could not be written.
pub(crate) struct OutputError {
    /// Standard output otherwise.
    file: Option<PathBuf>,
    error: io::Error,
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        Self { file: None, error }
    }
}

/// Looks through a file's start, and goes back there. A stream can't be read twice, so nothing is known of it.
fn dual_stack_ports(input: &mut Input) -> Vec<u16> {
    let mut search = DualStack::new();
    loop {
        search.skip(input.skip(search.skippable()));
        let left = input.position().map_or(0, |position| HEAD.saturating_sub(position));
        // Errors are reported when the file is read for its events.
        let Ok(bytes) = input.read_up_to(left) else { break };
        if bytes.is_empty() || search.push(bytes).is_err() {
            break;
        }
    }
    input.rewind();
    search.ports()
}

/// Reads the whole input, and prints what is known before it waits for more.
fn follow(capture: &mut Capture, input: &mut Input, report: &mut Report) -> Result<(), Stop> {
    loop {
        capture.skip(input.skip(capture.skippable()));
        if input.position().is_none() {
            report.flush().map_err(Stop::Output)?;
        }
        let bytes = input.read_up_to(u64::MAX).map_err(|error| Stop::Input(error.to_string()))?;
        if bytes.is_empty() {
            return Ok(());
        }
        let pushed = capture.push(bytes);
        report.drain(capture).map_err(Stop::Output)?;
        report.progress(capture.counters().bytes);
        pushed.map_err(|error| Stop::Input(error.to_string()))?;
    }
}

/// Writes to standard output and to standard error.
pub(crate) struct Report {
    events: Vec<u8>,
    records: Option<Records>,
    name: String,
    anomalies: u64,
    /// Connections behind a proxy.
    facts: u64,
    max_anomalies: u64,
    /// Set if progress is to be shown.
    size: Option<u64>,
    shown: Option<Instant>,
}

impl Report {
    fn new(name: &str, size: Option<u64>, max_anomalies: u64, records: Option<Records>) -> Self {
        let size = size.filter(|&size| size >= LARGE && io::stderr().is_terminal());
        Self {
            events: Vec::with_capacity(BATCH),
            records,
            name: name.to_owned(),
            anomalies: 0,
            facts: 0,
            max_anomalies,
            size,
            shown: None,
        }
    }

    pub(crate) fn drain(&mut self, capture: &mut Capture) -> Result<(), OutputError> {
        while let Some(output) = capture.poll() {
            let mut prints_events = true;
            if let Some(records) = &mut self.records {
                prints_events = !records.replace_events();
                records.take(&output, &mut self.events)?;
            }
            match output {
                Output::Event(event) if prints_events => {
                    event.write_to(&mut self.events);
                    self.events.push(b'\n');
                }
                Output::Notice(Notice::Proxied { .. }) => self.fact(&output),
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

    fn progress(&mut self, bytes: u64) {
        let Some(size) = self.size else { return };
        if self.shown.is_none_or(|shown| shown.elapsed() >= Duration::from_millis(250)) {
            self.shown = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{}: {} %", self.name, bytes * 100 / size.max(1));
        }
    }

    fn clear_progress(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    pub(crate) fn summary(&self, counters: &Counters, elapsed: Duration) {
        if self.anomalies > self.max_anomalies {
            print_error(format_args!(
                "spicewatch: {} more anomalies; --anomalies N prints more",
                self.anomalies - self.max_anomalies
            ));
        }
        let Counters { packets, connections, events, anomalies, bytes, .. } = counters;
        print_error(format_args!(
            "spicewatch: {packets} packets, {connections} connections, {events} events, {anomalies} anomalies, {bytes} bytes in {:.3} s",
            elapsed.as_secs_f64()
        ));
    }
}

pub(crate) fn fail(name: &str, error: &dyn Display) -> ExitCode {
    print_error(format_args!("spicewatch: {name}: {error}"));
    ExitCode::from(2)
}

/// A reader that stops early, like `head`, is no failure.
pub(crate) fn output_failed(OutputError { file, error }: &OutputError) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    let name = file.as_ref().map_or_else(|| "standard output".to_owned(), |file| file.display().to_string());
    print_error(format_args!("spicewatch: {name}: {error}"));
    ExitCode::FAILURE
}
