//! `spicewatch relay`: forwards connections between SPICE clients and SPICE servers, and reports them as QEMU would.
//!
//! The library `spice-relay` forwards and observes. Here is the rest: configuration, where events go, the log, and signals.
//!
//! ```text
//!  config ─ check ─▶ plan ─▶ vm ─▶ spice_relay::Relay ── events ──▶ sink ─┬─▶ qmp: query-spice, status
//!                             └─▶ ask_qemu                                └─▶ stdout
//! ```
//!
//! At start and at each reload, `reload` plans all VMs and binds their new addresses; then `service` changes what is served.
//!
//! There are two runtimes. One forwards bytes, with a thread for each core. The other has a single thread for QMP and signals, so that
//! QMP clients can't slow the forwarding. Shutting down the first ends every connection, and each tells its observer.

mod ask_qemu;
mod basics;
mod check;
mod common;
mod config;
mod details;
mod dry_run;
mod hints;
mod lifecycle;
mod limits;
mod passed;
mod places;
mod plan;
mod qmp;
mod reload;
mod service;
mod service_manager;
mod shared_addresses;
mod shared_listeners;
mod sink;
mod start;
mod status;
mod upgrade;
mod vm;

use std::{path::PathBuf, process::ExitCode};

use crate::outputs::{
    FLUSH_PATIENCE, Failure,
    logging::{self, LogFormat},
};
use config::{Config, Source, VmConfig};
use passed::PassedSockets;

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
/// SIGHUP reads the configuration, certificates and keys again, and ends no connection. SIGTERM and SIGINT shut down gracefully: stop accepting, wait up to
/// --drain-seconds for open connections, then flush events.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Read the whole configuration from this file instead of flags
    ///
    /// A TOML file. The flags of "Limits and logging" are keys at its top. Each VM is a [[vm]] with the flags of "The VM".
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and its files, print its VMs, and exit
    #[arg(long)]
    check: bool,
    /// Take over from the running relay, which --control finds. No session is dropped
    ///
    /// The configuration must have the same VMs and addresses as that of the running relay: reload first. If the upgrade fails, the running relay goes on
    /// as before. SIGUSR2 makes a running relay start its program again with this flag.
    #[arg(long, conflicts_with = "check")]
    upgrade: bool,
    #[command(flatten)]
    process: Config,
    #[command(flatten)]
    vm: VmConfig,
}

const AFTER_HELP: &str = "\
Exit codes:
  0    graceful shutdown after SIGTERM or SIGINT
  1    the system refused something else than an address, or an upgrade failed
  2    wrong flags, configuration, certificate, key or path; nothing was bound
  3    could not listen on an address
  130, 143   a second SIGINT or SIGTERM ended open connections";

/// Runs until a signal ends it.
pub(crate) fn run(args: Args) -> ExitCode {
    relay(args).map_or_else(|failure| failure.report("relay"), |()| ExitCode::SUCCESS)
}

fn relay(args: Args) -> Result<(), Failure> {
    let (is_check, is_upgrade) = (args.check, args.upgrade);
    let source = source(args)?;
    let config = source.read().map_err(Failure::Configuration)?;
    if is_check {
        return dry_run::check_only(&source, &config);
    }
    if is_upgrade {
        // The running relay need not wait for a mistake in a file.
        check_files(&config)?;
    }
    let passed = PassedSockets::from_environment().map_err(Failure::Configuration)?;
    let filter = config.log.as_deref().unwrap_or("info");
    let log = logging::start(filter, config.log_format.unwrap_or(LogFormat::Text)).map_err(Failure::Configuration)?;
    let outcome = lifecycle::serve(&source, config, passed, is_upgrade, &log);
    // The log is written before the last line on stderr says what went wrong.
    log.finish(FLUSH_PATIENCE);
    outcome
}

fn source(args: Args) -> Result<Source, Failure> {
    let has_flags = args.process != Config::default() || args.vm != VmConfig::default();
    match args.config {
        Some(_) if has_flags => Err(Failure::Configuration(
            "the argument '--config <FILE>' cannot be used with one or more of the other specified arguments".into(),
        )),
        Some(file) => Ok(Source::File(file)),
        None => {
            // A folder of VMs needs no VM of the flags.
            let vm =
                if args.process.vm_dir.is_some() && args.vm == VmConfig::default() { vec![] } else { vec![args.vm] };
            Ok(Source::Flags(Box::new(Config { vm, ..args.process })))
        }
    }
}

/// Checks all that can be checked while another process may listen on the addresses.
fn check_files(config: &Config) -> Result<(), Failure> {
    check::whole(config).map_err(Failure::Configuration)?;
    for (index, vm) in config.vm.iter().enumerate() {
        plan::Plan::check(vm.clone(), |_| true).map_err(|error| {
            let (plan::PlanError::Identity(error) | plan::PlanError::UpstreamCa(error) | plan::PlanError::Other(error)) =
                error;
            Failure::Configuration(config.error_prefix(index) + &error)
        })?;
    }
    Ok(())
}
