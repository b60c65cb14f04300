//! `spicewatch read`: the events of a capture file.

mod follow;
mod input;
mod key_log;
mod live;
mod merge;
mod records;
mod report;
mod unpack;

pub(crate) use key_log::KeyLogFile;
pub(crate) use live::{LIVE_TURN, LiveArgs};
pub(crate) use report::Report;

use crate::{outputs::Failure, print_error, signals};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use input::Input;
use live::Live;
use merge::Merge;
use nix::sys::signal::Signal;
use records::Records;
use spice_capture::{Capture, Config, DualStack, tls::KeyLog};
use spice_events::Auth;
use spice_sessions::Source;
use std::{
    fmt::Display,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
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

    /// Wait for more at the end of the file, or for more files in the folder of a ring buffer
    ///
    /// Takes one file or one folder, and ends only when it is stopped.
    #[arg(long)]
    follow: bool,

    #[command(flatten)]
    live: LiveArgs,

    /// The captures; "-" is standard input
    ///
    /// Several files are read in the order of their packets' times. Files of a ring buffer may overlap. Compressed files (gzip, zstd, xz, lz4, bzip2, and zip
    /// with one member) are unpacked while they are read.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
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
  spicewatch read --port 5930 ring-*.pcapng.zst
      The files of a ring buffer, compressed
  spicewatch read --follow /var/lib/captures
      A ring buffer while it is written
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

/// Bytes at a file's start that are looked through for ports that serve both IPv4 and IPv6.
const HEAD: u64 = 4 << 20;

pub(crate) fn run(args: Args) -> ExitCode {
    let started = Instant::now();
    let Args { options, live, follow, files } = args;
    if live.is_set() && !follow {
        return fail("live outputs", &"the control socket, the history and hooks are for --follow");
    }
    let keys = match options.key_log.as_deref().map_or_else(|| Ok(KeyLog::new()), key_log::read) {
        Ok(keys) => keys,
        Err(error) => return fail(&options.key_log.unwrap_or_default().display().to_string(), &error),
    };
    let config = options.config().keys(keys);
    match &files[..] {
        [path] if follow => run_followed(config, path, &options, &live, started),
        _ if follow => fail("--follow", &"expected one file or one folder"),
        [path] => run_one(config, path, &options, started),
        files => run_several(config, files, &options, started),
    }
}

/// One file, of which large packets are skipped.
fn run_one(mut config: Config, path: &Path, options: &Options, started: Instant) -> ExitCode {
    let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    let mut input = match Input::open(path) {
        Ok(input) => input,
        Err(error) => return fail(&name, &error),
    };
    let mut report = match options.report(&name, input.size()) {
        Ok(report) => report,
        Err(error) => return output_failed(&error),
    };
    if !config.dual_stack {
        let mut search = DualStack::new();
        search_dual_stack(&mut search, &mut input, HEAD);
        config.dual_stack_ports = search.ports();
        if let Err(error) = input.rewind() {
            return fail(&name, &error);
        }
    }
    let mut capture = Capture::new(config);
    let result = read_all(&mut capture, &mut input, &mut report);
    end(&name, capture, result, report, started, None)
}

/// Several files, in the order of their packets' times.
fn run_several(mut config: Config, files: &[PathBuf], options: &Options, started: Instant) -> ExitCode {
    let mut report = Report::new("", None, options.anomalies, None);
    let mut merge = Merge::open(files, &mut report);
    if merge.is_empty() && merge.failed {
        return ExitCode::from(2);
    }
    match options.records() {
        Ok(records) => report.add_records(records),
        Err(error) => return output_failed(&error),
    }
    if !config.dual_stack {
        config.dual_stack_ports = merge.dual_stack_ports(HEAD);
    }
    let mut capture = Capture::new(config);
    let result = merge.read(&mut capture, &mut report);
    let code = end("", capture, result, report, started, Some(merge.bytes));
    if merge.failed && code == ExitCode::SUCCESS { ExitCode::from(2) } else { code }
}

/// A file or a folder that grows.
fn run_followed(mut config: Config, path: &Path, options: &Options, live: &LiveArgs, started: Instant) -> ExitCode {
    let name = path.display().to_string();
    if let Err(error) = fs::metadata(path) {
        return fail(&name, &error);
    }
    let mut report = match options.report_beside(&name, live) {
        Ok(report) => report,
        Err(error) => return output_failed(&error),
    };
    // Without live outputs, a signal ends the process: all that is known is written already.
    let signals = live.is_set().then(|| signals::block(&[Signal::SIGINT, Signal::SIGTERM])).transpose();
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => return fail(&name, &error),
    };
    match options.live(live, Source::Read) {
        Ok(live) => report.add_live(live),
        Err(failure) => return failure.report("read"),
    }
    config.transport |= live.is_set();
    let mut capture = Capture::new(config);
    let result = follow::follow(path, &mut capture, &mut report, signals.as_ref());
    end(&name, capture, result, report, started, None)
}

/// Reports what the end of the input shows.
fn end(
    name: &str,
    mut capture: Capture,
    result: Result<(), Stop>,
    mut report: Report,
    started: Instant,
    bytes: Option<u64>,
) -> ExitCode {
    if let Err(Stop::Output(error)) = result {
        // The reader is gone: it needs no summary.
        report.clear_progress();
        return output_failed(&error);
    }
    // Files of several that have no packets have their own errors.
    let finished = capture.finish().or_else(|error| if bytes.is_some() { Ok(()) } else { Err(error) });
    let written = report.drain(&mut capture).and_then(|()| report.finish());
    report.clear_progress();
    let read = match (result, written) {
        (Err(Stop::Output(error)), _) | (_, Err(error)) => return output_failed(&error),
        (Err(Stop::Input(error)), _) => Err(error),
        (Ok(()), Ok(())) => finished.map_err(|error| error.to_string()),
    };
    if let Err(error) = read {
        return fail(name, &error);
    }
    let counters = capture.counters();
    report.summary(&counters, bytes.unwrap_or(counters.bytes), started.elapsed());
    ExitCode::SUCCESS
}

impl Options {
    /// Everything but the secrets.
    fn config(&self) -> Config {
        let mut config = Config::new();
        config.ports.clone_from(&self.ports);
        config.tls_ports.clone_from(&self.tls_ports);
        config.dual_stack = self.dual_stack;
        config.transport = self.sessions || self.sessions_to.is_some();
        config.trusted_proxies.clone_from(&self.trusted_proxies);
        match self.auth {
            Some(auth) => config.auth(auth),
            None => config,
        }
    }

    /// The configuration for a live capture. Its secrets are still to come: from the file, where there is one.
    pub(crate) fn live_config(&self) -> io::Result<(Config, Option<KeyLogFile>)> {
        let in_file =
            |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let open = |path: &PathBuf| KeyLogFile::open(path).map_err(|error| in_file(path, error));
        let key_log = self.key_log.as_ref().map(open).transpose()?;
        let config = self.config();
        let config = if key_log.is_some() { config.keys(KeyLog::new().growing()) } else { config };
        Ok((config, key_log))
    }

    /// What writes the lines while live outputs make the session records.
    pub(crate) fn report_beside(&self, name: &str, live: &LiveArgs) -> Result<Report, OutputError> {
        let records = if live.is_set() { None } else { self.records()? };
        Ok(Report::new(name, None, self.anomalies, records))
    }

    /// Starts the live outputs, if one is wanted.
    pub(crate) fn live(&self, live: &LiveArgs, source: Source) -> Result<Option<Live>, Failure> {
        live.start(source, self.sessions, self.sessions_to.as_deref())
    }

    /// What writes the lines. `size` is that of the input, if progress in it can be shown.
    pub(crate) fn report(&self, name: &str, size: Option<u64>) -> Result<Report, OutputError> {
        Ok(Report::new(name, size, self.anomalies, self.records()?))
    }

    /// What writes session records, if they are asked for. Creates the file of `--sessions-to`, so it is called after the input was opened: a wrong input
    /// leaves that file unchanged.
    fn records(&self) -> Result<Option<Records>, OutputError> {
        let path = self.sessions_to.as_deref();
        let records = (self.sessions || path.is_some()).then(|| Records::new(path)).transpose();
        records.map_err(|error| OutputError { file: path.map(Path::to_owned), error })
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

/// Looks through a file's first `head` bytes. A stream can't be read twice, so nothing is known of it.
fn search_dual_stack(search: &mut DualStack, input: &mut Input, head: u64) {
    loop {
        search.skip(input.skip(search.skippable()));
        let left = input.position().map_or(0, |position| head.saturating_sub(position));
        // Errors are reported when the file is read for its events.
        let Ok(bytes) = input.read_up_to(left) else { break };
        if bytes.is_empty() || search.push(bytes).is_err() {
            break;
        }
    }
}

/// Reads the whole input, and prints what is known before it waits for more.
fn read_all(capture: &mut Capture, input: &mut Input, report: &mut Report) -> Result<(), Stop> {
    loop {
        capture.skip(input.skip(capture.skippable()));
        if input.position().is_none() {
            report.flush().map_err(Stop::Output)?;
        }
        let bytes = match input.read_up_to(u64::MAX) {
            Ok(bytes) => bytes,
            // A compressed file that was cut: what came before is read.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && capture.counters().bytes > 0 => {
                report.note(format_args!("the compressed file ends early: {error}"));
                return Ok(());
            }
            Err(error) => return Err(Stop::Input(error.to_string())),
        };
        if bytes.is_empty() {
            return Ok(());
        }
        let pushed = capture.push(bytes);
        report.drain(capture).map_err(Stop::Output)?;
        report.progress(capture.counters().bytes);
        pushed.map_err(|error| Stop::Input(error.to_string()))?;
    }
}

pub(crate) fn fail(name: &str, error: &dyn Display) -> ExitCode {
    print_error(format_args!("spicewatch: {name}: {error}"));
    ExitCode::from(2)
}

/// A reader that stops early, like `head`, has not got everything.
pub(crate) fn output_failed(OutputError { file, error }: &OutputError) -> ExitCode {
    let name = file.as_ref().map_or_else(|| "standard output".to_owned(), |file| file.display().to_string());
    print_error(format_args!("spicewatch: {name}: {error}"));
    ExitCode::FAILURE
}
