//! `spicewatch follow`: sessions from QEMU's own QMP sockets, with nothing in the data path.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    sync::Arc,
    time::SystemTime,
};

use qmp_client::{Address, EventStream, Options, Update};
use spice_sessions::{QmpEvents, Source, Timestamp, VmId};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

#[cfg(feature = "history")]
use crate::history::{Location, Retention};
use crate::{
    control::{self, SocketMode, server::Operation},
    hooks::HookArgs,
    outputs::{
        self, FLUSH_PATIENCE, Failure, OutputConfig, SessionHub,
        logging::{self, LogFormat},
        stdout::Stdout,
    },
};
#[cfg(feature = "http")]
use crate::{
    http::{self, HttpAddress, HttpListener},
    outputs::Feed,
};

/// Follow sessions through QEMU's own QMP sockets, with nothing between the clients and QEMU
///
/// Connects to each socket, and again after QEMU has restarted. Session records go to stdout, or to the file of --sessions-to.
///
/// QEMU's events show neither bytes nor who ended a connection: records have no byte counts and no idle time, and a reason only where the events show one
/// ("replaced", "migrated"). Sessions that are live when this command ends have a last record with the reason "unknown".
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    /// A QMP socket of each VM: unix:PATH, a path, or tcp:HOST:PORT. The VM's name is the one before "=", or else the file's without its ending
    ///
    /// QEMU serves one client per QMP socket: give it a socket of its own for this command.
    #[arg(required = true, value_name = "[NAME=]ADDRESS")]
    vms: Vec<Vm>,
    /// Add session records to the end of this file, instead of printing them
    #[arg(long, value_name = "FILE")]
    sessions_to: Option<PathBuf>,
    /// Keep session records in this SQLite database, which "spicewatch last" reads
    #[cfg(feature = "history")]
    #[arg(long, value_name = "sqlite:PATH")]
    history: Option<Location>,
    /// Days after which ended sessions are removed from the history; 0 keeps them
    #[cfg(feature = "history")]
    #[arg(long, value_name = "N", default_value_t = crate::history::DAYS)]
    history_days: u64,
    /// Bytes of the history after which its oldest sessions are removed; 0 is no limit
    #[cfg(feature = "history")]
    #[arg(long, value_name = "N", default_value_t = 0)]
    history_bytes: u64,
    /// Answer "spicewatch who", "status" and "show" on this socket [default: /run/spicewatch/control.sock, if that folder is there]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// The group that may use the control socket: a name or a number [default: only this command's user]
    #[arg(long, value_name = "GROUP")]
    control_group: Option<String>,
    /// The permissions of the control socket, in octal [default: 660 with --control-group, 600 without]
    #[arg(long, value_name = "MODE")]
    control_mode: Option<SocketMode>,
    /// Serve metrics, sessions, the history and a page here over HTTP: unix:PATH or 127.0.0.1:PORT
    /// [default: unix:/run/spicewatch/http.sock, if that folder is there]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "ADDR")]
    http: Option<HttpAddress>,
    /// The group that may use the unix socket of --http: a name or a number [default: only this command's user]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "GROUP")]
    http_group: Option<String>,
    /// The permissions of the unix socket of --http, in octal [default: 660 with --http-group, 600 without]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "MODE")]
    http_mode: Option<SocketMode>,
    #[command(flatten)]
    hooks: HookArgs,
    /// What to log to stderr: off, error, warn, info, debug, trace
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
    /// The format of the log
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

const AFTER: &str = "\
Examples:
  spicewatch follow desk=/run/qemu/desk.watch.qmp
      One VM
  spicewatch follow --history sqlite:/var/lib/spicewatch/history.db /run/qemu/*.watch.qmp
      All VMs of a folder, with a history

Exit codes:
  0  ended by SIGINT or SIGTERM
  1  the system refused something
  2  a wrong flag, name or path
  3  the control socket could not be bound";

/// A VM, and where its QEMU answers.
#[derive(Clone, Debug)]
struct Vm {
    name: String,
    address: Address,
}

impl FromStr for Vm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A path may have an equals sign, too.
        let named = text.split_once('=').filter(|(name, _)| !name.is_empty() && !name.contains(['/', ':']));
        let address: Address =
            named.map_or(text, |(_, address)| address).parse().map_err(|error| format!("{error}"))?;
        let name = match (named, &address) {
            (Some((name, _)), _) => name.to_owned(),
            (None, Address::Unix(path)) => stem(path),
            (None, _) => text.to_owned(),
        };
        Ok(Self { name, address })
    }
}

/// `desk` of `/run/qemu/desk.watch.qmp`.
fn stem(path: &Path) -> String {
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let stem = file.split('.').next().filter(|stem| !stem.is_empty());
    stem.unwrap_or(&file).to_owned()
}

/// Runs until a signal ends it.
pub(crate) fn run(args: &Args) -> ExitCode {
    follow(args).map_or_else(|failure| failure.report("follow"), |()| ExitCode::SUCCESS)
}

fn follow(args: &Args) -> Result<(), Failure> {
    for (index, vm) in args.vms.iter().enumerate() {
        if args.vms[..index].iter().any(|other| other.name == vm.name) {
            let error = format!("expected a name for each VM, found `{}` twice; NAME=ADDRESS gives another", vm.name);
            return Err(Failure::Configuration(error));
        }
    }
    let log = logging::start(&args.log, args.log_format).map_err(Failure::Configuration)?;
    let outcome = serve(args);
    log.finish(FLUSH_PATIENCE);
    outcome
}

fn serve(args: &Args) -> Result<(), Failure> {
    let refused = |error: io::Error| Failure::System(error.to_string());
    let stdout = args.sessions_to.is_none().then(Stdout::start).transpose().map_err(refused)?;
    let control = outputs::control_socket(args.control.as_deref(), args.control_mode, args.control_group.as_deref())?;
    #[cfg(feature = "http")]
    let http = HttpListener::bind(args.http.as_ref(), args.http_mode, args.http_group.as_deref())?
        .map(|listener| (listener, Arc::new(Feed::new())));
    let config = OutputConfig {
        stdout: stdout.as_ref(),
        sessions_to: args.sessions_to.as_deref(),
        hooks: args.hooks.table().map_err(Failure::Configuration)?,
        #[cfg(feature = "history")]
        history: args
            .history
            .as_ref()
            .map(|location| (location, Retention::new(args.history_days, args.history_bytes))),
        #[cfg(feature = "http")]
        feed: http.as_ref().map(|(_, feed)| feed),
        #[cfg(feature = "history")]
        released: None,
    };
    let sessions = outputs::session_hub(Source::Follow, config)?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(refused)?;
    runtime.block_on(async {
        let mut term = signal(SignalKind::terminate()).map_err(refused)?;
        let mut int = signal(SignalKind::interrupt()).map_err(refused)?;
        for vm in &args.vms {
            tokio::spawn(watch(vm.clone(), sessions.vm(&vm.name), sessions.clone()));
        }
        let ticking = sessions.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(outputs::TICK);
            loop {
                ticks.tick().await;
                ticking.tick();
            }
        });
        if let Some(socket) = &control {
            let operate = |operation| match operation {
                Operation::Reload | Operation::Preview => Err("spicewatch follow has no configuration file".to_owned()),
                Operation::Drain(_) => Err("spicewatch follow accepts no connections".to_owned()),
            };
            let actions = control::server::Actions { operate: Arc::new(operate), upgrade: None };
            control::server::start(socket, Arc::new(sessions.clone()), actions).map_err(refused)?;
        }
        #[cfg(feature = "http")]
        if let Some((listener, feed)) = &http {
            let content = http::Content {
                hub: sessions.clone(),
                feed: Arc::clone(feed),
                #[cfg(feature = "history")]
                history: args.history.clone(),
                certificates: http::Certificates::default(),
                limits: None,
            };
            tracing::info!(address = listener.shown(), "serving HTTP");
            http::start(listener, content).map_err(refused)?;
        }
        tracing::info!(vms = args.vms.len(), version = env!("CARGO_PKG_VERSION"), "ready");
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        Ok(())
    })?;
    runtime.shutdown_background();
    sessions.finish(FLUSH_PATIENCE);
    if let Some(stdout) = &stdout {
        stdout.finish(FLUSH_PATIENCE);
    }
    Ok(())
}

/// Follows one QEMU, for as long as the command runs.
async fn watch(vm: Vm, id: VmId, sessions: SessionHub) {
    let mut stream = EventStream::new(vm.address.clone(), Options::default());
    let mut qemu = QmpEvents::new();
    let (mut is_first, mut failures) = (true, 0_u64);
    loop {
        let events = match stream.next().await {
            Update::Connected { version, may_have_missed } => {
                (is_first, failures) = (!may_have_missed, 0);
                tracing::info!(vm = vm.name, %version, may_have_missed, "connected to QEMU");
                continue;
            }
            Update::Spice(spice) => {
                if spice.is_none() {
                    tracing::warn!(vm = vm.name, "this QEMU has no SPICE server");
                }
                qemu.resynchronize(now(), spice.as_ref(), is_first)
            }
            Update::Event(message) => qemu.handle(now(), &message),
            Update::Disconnected { error, .. } => {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(vm = vm.name, %error, "not connected to QEMU; trying again");
                    continue;
                }
                // The first new attempt failed, too: QEMU has ended, and its connections with it.
                qemu.end_all(now())
            }
            _ => continue,
        };
        for event in &events {
            sessions.event(id, event);
        }
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vm_is_named_before_the_address_or_by_its_file() {
        for (text, name, address) in [
            ("desk=/run/a.qmp", "desk", "unix:/run/a.qmp"),
            ("/run/qemu/desk.watch.qmp", "desk", "unix:/run/qemu/desk.watch.qmp"),
            ("unix:/run/a=b/desk", "desk", "unix:/run/a=b/desk"),
            ("lab 7=tcp:h:4444", "lab 7", "tcp:h:4444"),
            ("tcp:h:4444", "tcp:h:4444", "tcp:h:4444"),
            ("/run/.qmp", ".qmp", "unix:/run/.qmp"),
        ] {
            let vm: Vm = text.parse().unwrap();
            assert_eq!((vm.name.as_str(), vm.address), (name, address.parse().unwrap()), "{text}");
        }
        assert!("desk=".parse::<Vm>().is_err());
        assert!("/run/a.qmp,server=on".parse::<Vm>().is_err());
    }
}
