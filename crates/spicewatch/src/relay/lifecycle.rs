//! The life of the process: start, reload, graceful shutdown.

use std::{
    io,
    num::NonZero,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use spice_relay::{connection::ConnectionLimit, net::NetAddress};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    control::{self, Answer, ControlSocket, server::Operation},
    outputs::{self, FLUSH_PATIENCE, Failure, SessionHub, logging::Log, stdout::Stdout},
};
#[cfg(feature = "http")]
use crate::{
    http::{self, Certificates, HttpListener},
    outputs::Feed,
};

#[cfg(feature = "http")]
use super::status::Status;
use super::{
    check,
    config::{Config, Source, VmConfig},
    limits::max_connections,
    passed::PassedSockets,
    reload::{self, Changes, Outcome, Prepared, ReloadHandle, Request},
    service::Service,
    service_manager,
    start::{self, Started},
    upgrade::{self, HandedOver, TakeOver},
    vm::RunningVm,
};

/// How often a removed VM is looked at whose connections are to end.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Serves all VMs until a signal ends the process.
///
/// With `is_upgrade`, takes over from the relay that runs.
pub(super) fn serve(
    source: &Source,
    config: Config,
    passed: PassedSockets,
    is_upgrade: bool,
    log: &Log,
) -> Result<(), Failure> {
    check::whole(&config).map_err(Failure::Configuration)?;
    let workers = config.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let refused = |error: io::Error| Failure::System(error.to_string());
    let control =
        Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build().map_err(refused)?;
    let (take_over, mut passed) = if is_upgrade {
        let (take_over, passed) = TakeOver::begin(&config)?;
        (Some(take_over), passed)
    } else {
        (None, passed)
    };
    let (started, predecessor) = {
        let _inside = control.enter();
        start::start(config, &passed, take_over, workers, log)?
    };
    let Started {
        bound,
        data,
        mut service,
        mut control_socket,
        #[cfg(feature = "http")]
        mut http,
    } = started;
    passed.forget_taken_over();
    let limit = Arc::clone(&service.common.status.limit);
    let (sessions, stdout) = (service.common.sessions.clone(), service.common.stdout.clone());
    let most = max_connections(&service.common.process, workers);
    #[cfg(feature = "http")]
    let content = content(&service.common.process, &service.common.status);

    let mut handed_over = None;
    let outcome = control.block_on(async {
        passed.warn_of_unused(&service.common.process);
        let mut signals = Signals::new().map_err(refused)?;
        let asking: Vec<_> = bound.vms.iter().map(|(vm, _)| tokio::spawn(vm.ask())).collect();
        for ((vm, _), asked) in bound.vms.into_iter().zip(asking) {
            service.add(vm, asked.await.ok().flatten()).map_err(Failure::System)?;
        }
        service.share(bound.shared).map_err(Failure::System)?;
        if let Some(predecessor) = predecessor {
            let observer = |name: &str| {
                service.vms().iter().find(|vm| vm.config.shown_name() == name).map(|vm| Arc::clone(&vm.observer))
            };
            predecessor.start(observer, &limit, control.handle()).map_err(refused)?;
        }
        let (reload, requests) = ReloadHandle::new();
        let (upgrades, upgrading) = mpsc::channel(1);
        if let Some((socket, sessions)) = control_socket.as_ref().zip(sessions.clone()) {
            serve_control(socket, sessions, reload, source.file(), upgrades).map_err(refused)?;
        }
        #[cfg(feature = "http")]
        let mut http_server = None;
        #[cfg(feature = "http")]
        if let Some(((listener, feed), hub)) = http.as_ref().zip(sessions.clone()) {
            tracing::info!(address = listener.shown(), "serving HTTP");
            let content = content(hub, Arc::clone(feed), service.common.certificates.clone());
            http_server = Some(http::start(listener, content).map_err(refused)?);
        }
        if let Some(sessions) = sessions.clone() {
            tokio::spawn(keep_ticking(sessions));
        }
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(vms = service.len(), max_connections = most, version, "ready");
        service_manager::notify("READY=1");
        let requests = Requests { reload: requests, upgrade: upgrading };
        let sockets = Sockets {
            passed: Arc::new(passed),
            control: control_socket.as_ref(),
            #[cfg(feature = "http")]
            http: http.as_ref().map(|(listener, _)| listener),
        };
        let end = serve_until_signal(&mut signals, &mut service, source, &sockets, requests).await;
        if let End::HandedOver(to) = end {
            if let Some(control) = control_socket.take() {
                control.leave();
            }
            #[cfg(feature = "http")]
            if let (Some(server), Some((listener, _))) = (http_server, http.take()) {
                server.stop();
                listener.leave();
            }
            let to = handed_over.insert(to);
            return forward(&mut signals, &limit, &mut service, to).await;
        }
        service_manager::notify("STOPPING=1");
        drain(&mut signals, &limit, &mut service).await
    });
    // Ends every connection; each tells its observer.
    data.shutdown_timeout(FLUSH_PATIENCE);
    if let Some(handed_over) = handed_over {
        handed_over.finish();
        control.shutdown_background();
        return outcome;
    }
    if let Some(sessions) = &sessions {
        sessions.finish(FLUSH_PATIENCE);
    }
    let (_, vms) = service.into_vms();
    flush(&control, vms, &stdout);
    control.shutdown_background();
    outcome
}

/// Does what a client of the control socket asks for.
fn operate(reload: &ReloadHandle, file: Option<&Path>, operation: Operation) -> Result<Answer, String> {
    let changes = |changes: Changes| Answer { changes: Some(changes.to_string()), ..Answer::default() };
    match operation {
        Operation::Reload => reload.reload().map(changes),
        Operation::Preview => {
            let file = file.map(|file| file.display().to_string());
            reload.preview().map(|preview| Answer { file, ..changes(preview) })
        }
        Operation::Drain(vm) => {
            reload.drain(&vm).map(|open| Answer { open_connections: Some(open), ..Answer::default() })
        }
    }
}

/// What is served over HTTP, once the rest is known.
#[cfg(feature = "http")]
fn content(
    #[cfg_attr(not(feature = "history"), expect(unused_variables, reason = "it names the history"))] config: &Config,
    status: &Status,
) -> impl FnOnce(SessionHub, Arc<Feed>, Certificates) -> http::Content + use<> {
    let (limit, log) = (Arc::clone(&status.limit), status.log.clone());
    let limits = move || http::LimitCounts {
        connections: limit.open(),
        max_connections: limit.max(),
        refused: limit.refused(),
        log_lines_lost: log.lost(),
    };
    #[cfg(feature = "history")]
    let history = config.history.clone();
    move |hub, feed, certificates| http::Content {
        hub,
        feed,
        #[cfg(feature = "history")]
        history,
        certificates,
        limits: Some(Box::new(limits)),
    }
}

/// Serves the control socket.
fn serve_control(
    socket: &ControlSocket,
    sessions: SessionHub,
    reload: ReloadHandle,
    file: Option<PathBuf>,
    upgrades: mpsc::Sender<UnixStream>,
) -> io::Result<()> {
    tracing::info!(path = %socket.path().display(), "serving the control socket");
    let operate = Arc::new(move |operation| operate(&reload, file.as_deref(), operation));
    let upgrade = Arc::new(move |stream| {
        // Fails if the process ends.
        let _ = upgrades.blocking_send(stream);
    });
    let actions = control::server::Actions { operate, upgrade: Some(upgrade) };
    control::server::start(socket, Arc::new(sessions), actions)
}

/// Tells the sessions that time passes.
async fn keep_ticking(sessions: SessionHub) {
    let mut ticks = tokio::time::interval(outputs::TICK);
    loop {
        ticks.tick().await;
        sessions.tick();
    }
}

/// What clients of the control socket ask for.
struct Requests {
    reload: mpsc::Receiver<Request>,
    upgrade: mpsc::Receiver<UnixStream>,
}

/// Sockets that are no VM's.
struct Sockets<'a> {
    passed: Arc<PassedSockets>,
    control: Option<&'a ControlSocket>,
    #[cfg(feature = "http")]
    http: Option<&'a HttpListener>,
}

/// Their configured addresses, whether a file goes at their end, and the sockets.
fn own_sockets<'a>(sockets: &Sockets<'a>) -> Vec<(String, bool, BorrowedFd<'a>)> {
    let mut own = Vec::new();
    if let Some(control) = sockets.control {
        let address = NetAddress::Unix(control.path().to_owned());
        own.push((address.to_string(), control.owns_file(), control.as_fd()));
    }
    #[cfg(feature = "http")]
    if let Some(listener) = sockets.http {
        let (descriptor, owns_file) = listener.descriptor();
        own.push((listener.shown(), owns_file, descriptor));
    }
    own
}

/// Why the process serves no more.
enum End {
    Signal,
    HandedOver(HandedOver),
}

/// Reads the configuration again at each SIGHUP and for each request. Returns at the first signal that ends the process, or after another process
/// has taken over.
async fn serve_until_signal(
    signals: &mut Signals,
    service: &mut Service,
    source: &Source,
    sockets: &Sockets<'_>,
    mut requests: Requests,
) -> End {
    // Files may be on a slow disk, so they are read in a thread of their own.
    let mut preparing: Option<JoinHandle<Result<Prepared, Failure>>> = None;
    let (mut waiting, mut is_wanted): (Vec<Outcome>, bool) = (Vec::new(), false);
    loop {
        if is_wanted && preparing.is_none() {
            service_manager::reloading();
            is_wanted = false;
            let (source, running, passed) = (source.clone(), service.running(), Arc::clone(&sockets.passed));
            preparing = Some(tokio::task::spawn_blocking(move || {
                reload::prepare(source.read().map_err(Failure::Configuration)?, &running, &passed)
            }));
        }
        let is_idle = preparing.is_none();
        let prepared = async {
            match &mut preparing {
                Some(preparing) => preparing.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            kind = signals.next() => {
                if kind == SignalKind::user_defined2() {
                    upgrade::start_program();
                    continue;
                }
                if kind != SignalKind::hangup() {
                    tracing::info!(signal = kind.as_raw_value(), "shutting down");
                    return End::Signal;
                }
                is_wanted = true;
            }
            // Requests that come during a reload wait for its end.
            Some(request) = requests.reload.recv(), if is_idle => {
                match request {
                    Request::Reload(outcome) => {
                        waiting.push(outcome);
                        is_wanted = true;
                    }
                    Request::Preview(outcome) => preview(service, source, &sockets.passed, outcome),
                    Request::Drain(vm, outcome) => {
                        let open = service.drain(&vm).await;
                        let _ = outcome.send(open.ok_or_else(|| format!("there is no VM named `{vm}`")));
                    }
                }
            }
            Some(stream) = requests.upgrade.recv() => match upgrade::hand_over(stream, service, &own_sockets(sockets), &sockets.passed) {
                Ok(handed_over) => return End::HandedOver(handed_over),
                Err(reason) => tracing::error!(reason, "the upgrade has failed; this relay goes on as before"),
            },
            prepared = prepared => {
                preparing = None;
                let outcome = match prepared {
                    Ok(prepared) => prepared.map_err(|failure| failure.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                let outcome = finish_reload(service, source, outcome).await;
                for request in waiting.drain(..) {
                    // Fails if the client is gone.
                    let _ = request.send(outcome.clone());
                }
            }
            () = sleep(LOOK_EVERY), if service.is_draining() => service.finish_drained(),
        }
    }
}

/// Says what a reload would change, from a thread of its own: files may be on a slow disk.
fn preview(service: &Service, source: &Source, passed: &Arc<PassedSockets>, outcome: Outcome) {
    let (source, passed, process) = (source.clone(), Arc::clone(passed), service.common.process.clone());
    let (running, serving) = (service.running(), service.len());
    tokio::task::spawn_blocking(move || {
        let preview = source
            .read()
            .map_err(Failure::Configuration)
            .and_then(|config| reload::preview(&config, &running, serving, &process, &passed));
        // Fails if the client is gone.
        let _ = outcome.send(preview.map_err(|failure| failure.to_string()));
    });
}

/// Applies what was prepared, and reports it to the log and the service manager.
async fn finish_reload(
    service: &mut Service,
    source: &Source,
    prepared: Result<Prepared, String>,
) -> Result<Changes, String> {
    let outcome = match prepared {
        Ok(prepared) => Ok(service.apply(prepared).await),
        Err(error) => Err(error),
    };
    let status = match &outcome {
        Ok(changes) => {
            if matches!(source, Source::Flags(_)) && !service.running().iter().any(VmConfig::has_files) {
                tracing::info!("SIGHUP: no certificates are configured; flags are read at start only");
            } else {
                tracing::info!(vms = service.len(), %changes, "read the configuration again");
            }
            format!("{} VMs; {changes}", service.len())
        }
        Err(error) => {
            tracing::error!(%error, "can't use the new configuration; nothing has changed");
            format!("can't use the new configuration, nothing has changed: {error}")
        }
    };
    service_manager::notify(&format!("READY=1\nSTATUS={status}"));
    outcome
}

/// Another process has taken over: closes everything but connections, and forwards these until they end.
async fn forward(
    signals: &mut Signals,
    limit: &ConnectionLimit,
    service: &mut Service,
    handed_over: &HandedOver,
) -> Result<(), Failure> {
    service_manager::notify(&format!("MAINPID={}", handed_over.pid()));
    service.leave().await;
    if let Some(sessions) = &service.common.sessions {
        sessions.leave(FLUSH_PATIENCE);
    }
    service.common.stdout.finish(FLUSH_PATIENCE);
    handed_over.released();
    tracing::info!(
        pid = handed_over.pid(),
        connections = limit.open(),
        "another process has taken over; this one forwards its connections until they end"
    );
    loop {
        tokio::select! {
            () = limit.until_empty() => {
                tracing::info!("the last connection has ended");
                return Ok(());
            }
            () = handed_over.gone() => {
                tracing::warn!(connections = limit.open(), "the process that has taken over has ended; ending its connections here");
                return Ok(());
            }
            kind = signals.next() => {
                if kind == SignalKind::hangup() || kind == SignalKind::user_defined2() {
                    continue;
                }
                return drain(signals, limit, service).await;
            }
        }
    }
}

/// Stops accepting, and waits for open connections.
async fn drain(signals: &mut Signals, limit: &ConnectionLimit, service: &mut Service) -> Result<(), Failure> {
    let patience = service.common.process.drain();
    service.stop_accepting().await;
    if limit.open() > 0 {
        tracing::info!(connections = limit.open(), seconds = patience.as_secs(), "waiting for open connections to end");
    }
    let again = async {
        loop {
            let kind = signals.next().await;
            if kind != SignalKind::hangup() && kind != SignalKind::user_defined2() {
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
fn flush(control: &Runtime, vms: Vec<RunningVm>, stdout: &Stdout) {
    control.block_on(async {
        let finishing: Vec<_> = vms.into_iter().map(|vm| tokio::spawn(vm.finish(FLUSH_PATIENCE))).collect();
        for finishing in finishing {
            let _ = finishing.await;
        }
    });
    stdout.finish(FLUSH_PATIENCE);
}

struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    usr2: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.term.recv() => SignalKind::terminate(),
            _ = self.int.recv() => SignalKind::interrupt(),
            _ = self.hup.recv() => SignalKind::hangup(),
            _ = self.usr2.recv() => SignalKind::user_defined2(),
        }
    }
}
