//! `spicewatch relay`: forwards connections between SPICE clients and SPICE servers, and reports them as QEMU would.
//!
//! The library `spice-relay` forwards and observes. Here is the rest: configuration, where events go, the log, and signals.
//!
//! ```text
//!  config ─ check ─▶ vm ─▶ spice_relay::Relay ── events ──▶ sink ─┬─▶ qmp: query-spice, status
//!                     └─▶ ask_qemu                                 └─▶ stdout
//! ```
//!
//! There are two runtimes. One forwards bytes, with a thread for each core. The other has a single thread for QMP and signals, so that
//! QMP clients can't slow the forwarding. Shutting down the first ends every connection, and each tells its observer.

mod ask_qemu;
mod basics;
mod check;
mod config;
mod details;
mod hints;
mod lifecycle;
mod line_writer;
mod log_rate_limit;
mod logging;
mod qmp;
mod service_manager;
mod sessions;
mod sink;
mod status;
mod stdout;
mod vm;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use tokio::signal::unix::SignalKind;

use crate::print_error;
use config::{Config, LogFormat, VmConfig};

/// How long QMP clients, the reader of stdout and the reader of the log may take for the last lines.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// Forward connections between SPICE clients and a SPICE server, and report who is connected.
///
/// Every byte is forwarded, authentication included: the relay needs no password, and with TLS only a certificate. Clients of
/// --qmp get the same events as from QEMU itself (SPICE_CONNECTED, SPICE_INITIALIZED, SPICE_DISCONNECTED), and can ask
/// query-spice. Without --qmp the events go to stdout, one JSON object per line.
///
///   spicewatch relay --listen :5900 --upstream 127.0.0.1:5930
///
///   spicewatch relay --listen :5900 --upstream unix:/run/vm.spice --qmp unix:/run/vm.qmp
///
///   spicewatch relay --tls-listen :5901 --x509-dir /etc/pki/libvirt-spice --upstream 127.0.0.1:5930
///
///   spicewatch relay --config /etc/spicewatch.toml
///
/// SIGHUP reads certificates and keys again. SIGTERM and SIGINT shut down gracefully: stop accepting, wait up to
/// --drain-seconds for open connections, then flush events.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Read the whole configuration from this file instead of flags
    ///
    /// A TOML file. The flags of "Limits and logging" are keys at its top. Each VM is a [[vm]] with the flags of "The VM".
    #[arg(long, value_name = "FILE", exclusive = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    process: Config,
    #[command(flatten)]
    vm: VmConfig,
}

const AFTER_HELP: &str = "\
Exit codes:
  0    graceful shutdown after SIGTERM or SIGINT
  1    the system refused something else than an address
  2    wrong flags, configuration, certificate, key or path; nothing was bound
  3    could not listen on an address
  130, 143   a second SIGINT or SIGTERM ended open connections";

/// Why the relay ended, other than by a graceful shutdown.
enum Failure {
    /// The configuration, or a file or path that it names, is wrong.
    Configuration(String),
    /// An address could not be bound.
    Listen(String),
    /// The system refused something else.
    System(String),
    /// A second signal ended open connections.
    Interrupted(SignalKind),
}

/// Runs until a signal ends it.
pub(crate) fn run(args: Args) -> ExitCode {
    let (message, code) = match relay(args) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Interrupted(signal)) => {
            return ExitCode::from(128 + u8::try_from(signal.as_raw_value()).unwrap_or(0));
        }
        Err(Failure::System(message)) => (message, 1),
        Err(Failure::Configuration(message)) => (message, 2),
        Err(Failure::Listen(message)) => (message, 3),
    };
    print_error(format_args!("spicewatch relay: {message}"));
    ExitCode::from(code)
}

fn relay(args: Args) -> Result<(), Failure> {
    let config = match args.config {
        Some(file) => Config::from_file(&file).map_err(Failure::Configuration)?,
        None => Config { vm: vec![args.vm], ..args.process },
    };
    let filter = config.log.as_deref().unwrap_or("info");
    let log = logging::start(filter, config.log_format.unwrap_or(LogFormat::Text)).map_err(Failure::Configuration)?;
    let outcome = lifecycle::serve(&config, &log);
    // The log is written before the last line on stderr says what went wrong.
    log.finish(FLUSH_PATIENCE);
    outcome
}
