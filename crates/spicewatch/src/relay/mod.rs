//! `spicewatch relay`: between SPICE clients and a SPICE server.
//!
//! Every byte is forwarded before it is looked at, and nothing that a peer sends is judged: the server does that. What is
//! learned on the way goes to QMP clients as QEMU's own events, or to stdout.
//!
//! ```text
//!  listen ─ gate ─ connection ─ pump ─┬─ half (up) ──── leg: socket, TLS
//!                      │              └─ half (down) ── pipe: splice(2); pace
//!                    watch ── tracker (spice-events) ── qmp, stdout
//! ```
//!
//! Two runtimes: one moves bytes, on as many threads as there are cores; one, with a single thread, serves QMP and signals,
//! so that whatever a QMP client does, the other does not feel it. Ending the first ends every connection, and tells the
//! tracker of each.

mod check;
mod config;
mod connection;
mod endpoint;
mod gate;
mod half;
mod leg;
mod lines;
mod listen;
mod logging;
mod pace;
mod pipe;
mod proxy_protocol;
mod pump;
mod qemu;
mod qmp;
mod seldom;
mod service_manager;
mod status;
mod stdout;
mod tls;
mod vm;
mod watch;

use std::{io, num::NonZero, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use crate::complain;
use config::{Config, LogFormat, VmConfig};
use gate::Gate;
use logging::Log;
use status::Status;
use stdout::Stdout;
use tls::{Connector, Identity};
use vm::{Plan, RunningVm};
use watch::Sink;

/// How long QMP clients and stdout's reader may take for the last events.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What the connections of the whole process are limited to unless told otherwise, if there are descriptors for so many.
const MAX_CONNECTIONS: usize = 10_000;

/// Stand between SPICE clients and a SPICE server, and tell who is connected.
///
/// Every byte is forwarded, authentication included: the relay needs no password, and with TLS only a certificate. Who
/// listens on --qmp hears of each channel as from QEMU itself: SPICE_CONNECTED, SPICE_INITIALIZED, SPICE_DISCONNECTED, and
/// query-spice. Without --qmp the events go to stdout, one JSON object a line.
///
///   spicewatch relay --listen :5900 --upstream 127.0.0.1:5930
///
///   spicewatch relay --listen :5900 --upstream unix:/run/vm.spice --qmp unix:/run/vm.qmp
///
///   spicewatch relay --tls-listen :5901 --x509-dir /etc/pki/libvirt-spice --upstream 127.0.0.1:5930
///
///   spicewatch relay --config /etc/spicewatch.toml
///
/// SIGHUP reads certificates and keys again. SIGTERM and SIGINT end in good order: nobody new, then --drain-seconds for
/// those who are there, then the last events.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Read everything from this file instead
    ///
    /// TOML: the flags of "Limits and logging" as keys at the top, and a [[vm]] for each VM with the flags of "The VM".
    #[arg(long, value_name = "FILE", exclusive = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    process: Config,
    #[command(flatten)]
    vm: VmConfig,
}

const AFTER_HELP: &str = "\
Exit codes:
  0    ended by SIGTERM or SIGINT, in good order
  1    could not go on
  2    wrong flags, configuration, certificate, key or path; nothing was bound
  3    could not listen on an address
  130, 143   a second SIGINT or SIGTERM cut the end short";

/// Why it ended, other than in good order.
enum Failure {
    Wrong(String),
    Unbound(String),
    Broken(String),
    Cut(SignalKind),
}

/// Runs until a signal.
pub(crate) fn run(args: Args) -> ExitCode {
    let (said, code) = match relay(args) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Cut(signal)) => return ExitCode::from(128 + u8::try_from(signal.as_raw_value()).unwrap_or(0)),
        Err(Failure::Broken(said)) => (said, 1),
        Err(Failure::Wrong(said)) => (said, 2),
        Err(Failure::Unbound(said)) => (said, 3),
    };
    complain(format_args!("spicewatch relay: {said}"));
    ExitCode::from(code)
}

fn relay(args: Args) -> Result<(), Failure> {
    let config = match args.config {
        Some(file) => Config::from_file(&file).map_err(Failure::Wrong)?,
        None => Config { vm: vec![args.vm], ..args.process },
    };
    let filter = config.log.as_deref().unwrap_or("info");
    let log = logging::start(filter, config.log_format.unwrap_or(LogFormat::Text)).map_err(Failure::Wrong)?;
    let outcome = serve(&config, &log);
    // What went wrong is said after what the log says of it.
    log.finish(LAST_WORDS);
    outcome
}

fn serve(config: &Config, log: &Log) -> Result<(), Failure> {
    check::whole(config).map_err(Failure::Wrong)?;
    let plan = |(index, vm): (usize, &VmConfig)| {
        Plan::check(vm.clone()).map_err(|error| Failure::Wrong(check::called(config, index) + &error))
    };
    let plans = config.vm.iter().enumerate().map(plan).collect::<Result<Vec<_>, _>>()?;
    let workers = config.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let most = max_connections(config, workers);

    let broken = |error: io::Error| Failure::Broken(error.to_string());
    let control =
        Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build().map_err(broken)?;
    let data = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("relay")
        .enable_all()
        .build()
        .map_err(broken)?;
    let files = Files::of(&plans);
    let stdout = plans.iter().any(Plan::wants_stdout).then(Stdout::start).transpose().map_err(broken)?;
    let bound = {
        let _inside = control.enter();
        plans.into_iter().map(Plan::bind).collect::<Result<Vec<_>, _>>().map_err(Failure::Unbound)?
    };

    let gate = Gate::new(most, config.max_per_source.map(NonZero::get));
    let status = Status { gate: Arc::clone(&gate), log: log.clone(), data: data.handle().clone() };
    let mut vms = Vec::new();
    let outcome = control.block_on(async {
        let mut signals = Signals::new().map_err(broken)?;
        let asking: Vec<_> = bound.iter().map(|vm| tokio::spawn(vm.ask())).collect();
        for (vm, asked) in bound.into_iter().zip(asking) {
            let known = asked.await.ok().flatten();
            vms.push(vm.start(config, &status, stdout.as_ref(), workers, known).map_err(Failure::Broken)?);
        }
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(vms = vms.len(), max_connections = most, version, "ready");
        service_manager::notify("READY=1");
        serve_until_signal(&mut signals, &files).await;
        service_manager::notify("STOPPING=1");
        drain(&mut signals, &gate, &mut vms, config.drain()).await
    });
    // Ends every connection; each tells the tracker.
    data.shutdown_timeout(LAST_WORDS);
    last_words(&control, vms, stdout.as_ref());
    control.shutdown_background();
    outcome
}

/// What SIGHUP reads again.
struct Files {
    identities: Vec<Arc<Identity>>,
    connectors: Vec<Arc<Connector>>,
}

impl Files {
    fn of(plans: &[Plan]) -> Self {
        Self {
            identities: plans.iter().filter_map(|plan| plan.identity.clone()).collect(),
            connectors: plans.iter().filter_map(|plan| plan.connector.clone()).collect(),
        }
    }

    fn reload(&self) {
        if self.identities.is_empty() && self.connectors.is_empty() {
            tracing::info!("SIGHUP: there are no certificates to read again; all else is read at start only");
        }
        for identity in &self.identities {
            match identity.reload() {
                Ok(()) => {
                    tracing::info!(file = %identity.cert().display(), "read the certificate and its key again");
                }
                Err(error) => tracing::error!(error, "the old certificate stays in use"),
            }
        }
        for connector in &self.connectors {
            match connector.reload() {
                Ok(()) => tracing::info!(file = %connector.ca().display(), "read the upstream's CA again"),
                Err(error) => tracing::error!(error, "the old CA of the upstream stays in use"),
            }
        }
    }
}

/// Reads certificates again at each SIGHUP; returns at the first signal that asks to end.
async fn serve_until_signal(signals: &mut Signals, files: &Files) {
    loop {
        let kind = signals.next().await;
        if kind != SignalKind::hangup() {
            tracing::info!(signal = kind.as_raw_value(), "ending");
            return;
        }
        service_manager::reloading();
        files.reload();
        service_manager::notify("READY=1");
    }
}

/// No new connections; waits for those that live, for as long as they have.
async fn drain(signals: &mut Signals, gate: &Gate, vms: &mut [RunningVm], patience: Duration) -> Result<(), Failure> {
    for vm in vms {
        vm.stop_accepting().await;
    }
    if gate.open() > 0 {
        tracing::info!(connections = gate.open(), seconds = patience.as_secs(), "waiting for live connections to end");
    }
    let again = async {
        loop {
            let kind = signals.next().await;
            if kind != SignalKind::hangup() {
                return kind;
            }
        }
    };
    tokio::select! {
        // Where nobody is left, nothing is cut short: some send the signal twice, timeout(1) for one.
        biased;
        emptied = timeout(patience, gate.empty()) => {
            if emptied.is_err() {
                tracing::warn!(connections = gate.open(), "time is up; live connections are ended");
            }
            Ok(())
        }
        kind = again => {
            tracing::warn!(connections = gate.open(), "a second signal; live connections are ended");
            Err(Failure::Cut(kind))
        }
    }
}

/// Lets the last events out.
fn last_words(control: &Runtime, vms: Vec<RunningVm>, stdout: Option<&Stdout>) {
    control.block_on(async {
        let closing: Vec<_> = vms
            .into_iter()
            .map(|vm| {
                tokio::spawn(async move {
                    if let Sink::Qmp(server) = vm.watch.sink() {
                        let gone = server.shutdown(LAST_WORDS).await;
                        if gone.cut_off > 0 {
                            tracing::warn!(clients = gone.cut_off, "QMP clients did not read the last events in time");
                        }
                    }
                })
            })
            .collect();
        for closing in closing {
            let _ = closing.await;
        }
    });
    if let Some(stdout) = stdout {
        stdout.finish(LAST_WORDS);
    }
}

/// Takes as many descriptors as the system allows; how many connections there may be then.
fn max_connections(config: &Config, workers: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "can't raise the limit on descriptors");
    }
    // Each thread has a descriptor of its own for each listener; some room for QMP clients and pipes.
    let listeners = config.vm.iter().map(|vm| (vm.listen.len() + vm.tls_listen.len()) * (workers + 1) + vm.qmp.len());
    let own = listeners.sum::<usize>() + 256;
    let most = limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    // Two sockets each.
    let room = (most.saturating_sub(own) / 2).max(1);
    match config.max_connections {
        None => MAX_CONNECTIONS.min(room),
        Some(most) => {
            let most = most.get();
            if most > room {
                tracing::warn!(
                    most,
                    room,
                    "the limit on open files leaves room for fewer connections; others wait unaccepted"
                );
            }
            most
        }
    }
}

struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.term.recv() => SignalKind::terminate(),
            _ = self.int.recv() => SignalKind::interrupt(),
            _ = self.hup.recv() => SignalKind::hangup(),
        }
    }
}
