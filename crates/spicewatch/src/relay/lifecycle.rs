//! The life of the process: start, reload, graceful shutdown.

use std::{
    io,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::{
    fs::{Access, access},
    process::{Resource, Rlimit, getrlimit, setrlimit},
    rand::{GetRandomFlags, getrandom},
    system::uname,
};
use spice_relay::{
    connection::{ConnectionLimit, MAX_PIPES},
    net::tls::{ServerIdentity, UpstreamTls},
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use crate::control::{self, ControlSocket};

use super::{
    FLUSH_PATIENCE, Failure, check,
    config::{Config, VmConfig},
    logging::Log,
    service_manager,
    sessions::{self, SessionHub},
    sink::EventOutput,
    status::Status,
    stdout::Stdout,
    vm::{Plan, RunningVm},
};

/// The default limit on concurrent connections of the whole process, if there are enough descriptors.
const MAX_CONNECTIONS: usize = 10_000;

/// Serves all VMs until a signal ends the process.
pub(super) fn serve(config: &Config, log: &Log) -> Result<(), Failure> {
    check::whole(config).map_err(Failure::Configuration)?;
    let plan = |(index, vm): (usize, &VmConfig)| {
        let prefixed = |error: String| Failure::Configuration(check::error_prefix(config, index) + &error);
        Plan::check(vm.clone()).map_err(prefixed)
    };
    let plans = config.vm.iter().enumerate().map(plan).collect::<Result<Vec<_>, _>>()?;
    let workers = config.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let most = max_connections(config, workers);

    let refused = |error: io::Error| Failure::System(error.to_string());
    let control =
        Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build().map_err(refused)?;
    let data = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("relay")
        .enable_all()
        .build()
        .map_err(refused)?;
    let files = Files::of(&plans);
    let wants_stdout = config.sessions || plans.iter().any(Plan::wants_stdout);
    let stdout = wants_stdout.then(Stdout::start).transpose().map_err(refused)?;
    let control_socket = control_socket(config)?;
    let sessions = session_hub(config, stdout.as_ref(), control_socket.is_some())?;
    let limit = ConnectionLimit::new(most, config.per_source());
    let status = Status { limit: Arc::clone(&limit), log: log.clone(), data: data.handle().clone() };
    let bound = {
        let _inside = control.enter();
        let bind = |plan: Plan| plan.bind(config, &status, workers);
        plans.into_iter().map(bind).collect::<Result<Vec<_>, _>>().map_err(Failure::Listen)?
    };

    let mut vms = Vec::new();
    let outcome = control.block_on(async {
        let mut signals = Signals::new().map_err(refused)?;
        let asking: Vec<_> = bound.iter().map(|vm| tokio::spawn(vm.ask())).collect();
        for (vm, asked) in bound.into_iter().zip(asking) {
            let asked = asked.await.ok().flatten();
            let vm = vm.start(config, &status, stdout.as_ref(), sessions.as_ref(), asked);
            vms.push(vm.map_err(|error| Failure::System(error.to_string()))?);
        }
        if let Some((socket, sessions)) = control_socket.as_ref().zip(sessions.clone()) {
            tracing::info!(path = %socket.path().display(), "serving the control socket");
            control::server::start(socket, Arc::new(sessions)).map_err(refused)?;
        }
        if let Some(sessions) = sessions.clone() {
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(sessions::TICK);
                loop {
                    ticks.tick().await;
                    sessions.tick();
                }
            });
        }
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(vms = vms.len(), max_connections = most, version, "ready");
        service_manager::notify("READY=1");
        serve_until_signal(&mut signals, &files).await;
        service_manager::notify("STOPPING=1");
        drain(&mut signals, &limit, &mut vms, config.drain()).await
    });
    // Ends every connection; each tells its observer.
    data.shutdown_timeout(FLUSH_PATIENCE);
    if let Some(sessions) = &sessions {
        sessions.finish(FLUSH_PATIENCE);
    }
    flush(&control, vms, stdout.as_ref());
    control.shutdown_background();
    outcome
}

/// Binds the control socket. The default one is left out where it can't be bound.
fn control_socket(config: &Config) -> Result<Option<ControlSocket>, Failure> {
    let bind = |path: &Path| ControlSocket::bind(path, config.control_mode, config.control_group.as_deref());
    match &config.control {
        Some(path) if path.as_os_str().is_empty() => Ok(None),
        Some(path) => match bind(path) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) => Err(Failure::Listen(format!("can't serve the control socket {}: {error}", path.display()))),
        },
        None => {
            let path = Path::new(control::DEFAULT_PATH);
            let folder = path.parent().unwrap_or(path);
            if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
                return Ok(None);
            }
            let socket = bind(path).inspect_err(
                |error| tracing::warn!(path = control::DEFAULT_PATH, %error, "no control socket; --control sets another path"),
            );
            Ok(socket.ok())
        }
    }
}

/// What follows sessions, if that is configured.
fn session_hub(config: &Config, stdout: Option<&Stdout>, has_control: bool) -> Result<Option<SessionHub>, Failure> {
    if !config.sessions && config.sessions_to.is_none() && !has_control {
        return Ok(None);
    }
    let open = |path: &PathBuf| {
        sessions::open(path).map_err(|error| Failure::Configuration(format!("{}: {error}", path.display())))
    };
    let file = config.sessions_to.as_ref().map(open).transpose()?;
    let mut seed = [0; 16];
    getrandom(&mut seed, GetRandomFlags::empty()).map_err(|error| Failure::System(error.to_string()))?;
    let host = uname().nodename().to_string_lossy().into_owned();
    Ok(Some(SessionHub::new(&host, seed, stdout.filter(|_| config.sessions).cloned(), file)))
}

/// The files that SIGHUP reads again.
struct Files {
    identities: Vec<Arc<ServerIdentity>>,
    upstreams: Vec<Arc<UpstreamTls>>,
}

impl Files {
    fn of(plans: &[Plan]) -> Self {
        Self {
            identities: plans.iter().filter_map(|plan| plan.identity.clone()).collect(),
            upstreams: plans.iter().filter_map(|plan| plan.upstream_tls.clone()).collect(),
        }
    }

    fn reload(&self) {
        if self.identities.is_empty() && self.upstreams.is_empty() {
            tracing::info!("SIGHUP: no certificates are configured; everything else is read at start only");
        }
        for identity in &self.identities {
            match identity.reload() {
                Ok(()) => {
                    tracing::info!(file = %identity.certificate().display(), "read the certificate and its key again");
                }
                Err(error) => tracing::error!(%error, "can't use the new certificate; the old one stays in use"),
            }
        }
        for upstream in &self.upstreams {
            match upstream.reload() {
                Ok(()) => tracing::info!(file = %upstream.ca().display(), "read the upstream's CA again"),
                Err(error) => tracing::error!(%error, "can't use the new CA of the upstream; the old one stays in use"),
            }
        }
    }
}

/// Reads certificates again at each SIGHUP. Returns at the first signal that ends the process.
async fn serve_until_signal(signals: &mut Signals, files: &Files) {
    loop {
        let kind = signals.next().await;
        if kind != SignalKind::hangup() {
            tracing::info!(signal = kind.as_raw_value(), "shutting down");
            return;
        }
        service_manager::reloading();
        files.reload();
        service_manager::notify("READY=1");
    }
}

/// Stops accepting, and waits for open connections.
async fn drain(
    signals: &mut Signals,
    limit: &ConnectionLimit,
    vms: &mut [RunningVm],
    patience: Duration,
) -> Result<(), Failure> {
    for vm in vms {
        vm.relay.stop_accepting().await;
    }
    if limit.open() > 0 {
        tracing::info!(connections = limit.open(), seconds = patience.as_secs(), "waiting for open connections to end");
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
        // Some send the signal twice, timeout(1) for one. If no connection is left, that changes nothing.
        biased;
        emptied = timeout(patience, limit.until_empty()) => {
            if emptied.is_err() {
                tracing::warn!(connections = limit.open(), "drain-seconds are over; ending open connections");
            }
            Ok(())
        }
        kind = again => {
            tracing::warn!(connections = limit.open(), "second signal; ending open connections");
            Err(Failure::Interrupted(kind))
        }
    }
}

/// Waits until the last events are written.
fn flush(control: &Runtime, vms: Vec<RunningVm>, stdout: Option<&Stdout>) {
    control.block_on(async {
        let closing: Vec<_> = vms
            .into_iter()
            .map(|vm| {
                tokio::spawn(async move {
                    if let EventOutput::Qmp(server) = &vm.observer.sink().output {
                        let gone = server.shutdown(FLUSH_PATIENCE).await;
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
        stdout.finish(FLUSH_PATIENCE);
    }
}

/// Raises the limit on descriptors to what the system allows. Returns how many connections there may be.
fn max_connections(config: &Config, workers: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "can't raise the limit on descriptors");
    }
    // Each thread has a descriptor for each listener. A pipe has two. The rest is for QMP clients.
    let listeners = config
        .vm
        .iter()
        .map(|vm| (vm.listen.len() + vm.tls_listen.len()) * (workers + 1) + vm.qmp.len() + vm.qmp_connect.len());
    let own = listeners.sum::<usize>() + 2 * MAX_PIPES + 256;
    let most = limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    // Each connection has two sockets.
    let room = (most.saturating_sub(own) / 2).max(1);
    match config.max_connections {
        None => MAX_CONNECTIONS.min(room),
        Some(most) => {
            let most = most.get();
            if most > room {
                tracing::warn!(
                    most,
                    room,
                    "the limit on open files leaves room for fewer connections; further ones wait in the backlog"
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
