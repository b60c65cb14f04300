//! The life of the process: start, reload, graceful shutdown.

use std::{io, num::NonZero, path::Path, sync::Arc, time::Duration};

use spice_relay::connection::ConnectionLimit;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    control::{self, Answer, ControlSocket, server::Operation},
    outputs::{self, FLUSH_PATIENCE, Failure, OutputConfig, SessionHub, logging::Log, stdout::Stdout},
};
#[cfg(feature = "http")]
use crate::{
    http::{self, Certificates, HttpListener},
    outputs::Feed,
};

use super::{
    check,
    common::Common,
    config::{Config, Source, VmConfig},
    limits::max_connections,
    passed::PassedSockets,
    reload::{self, Changes, Outcome, Prepared, ReloadHandle, Request},
    service::Service,
    service_manager,
    status::Status,
    vm::RunningVm,
};

/// How often a removed VM is looked at whose connections are to end.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Serves all VMs until a signal ends the process.
pub(super) fn serve(source: &Source, config: Config, passed: PassedSockets, log: &Log) -> Result<(), Failure> {
    check::whole(&config).map_err(Failure::Configuration)?;
    let workers = config.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let refused = |error: io::Error| Failure::System(error.to_string());
    let control =
        Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build().map_err(refused)?;
    let bound = {
        let _inside = control.enter();
        reload::prepare(config, &[], &passed)?
    };
    let process = bound.config;
    let most = max_connections(&process, workers);
    let data = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("relay")
        .enable_all()
        .build()
        .map_err(refused)?;
    let stdout = Stdout::start().map_err(refused)?;
    let control_socket = match process.control.as_deref().and_then(|path| Some((path, passed.unix_listener(path)?))) {
        Some((path, listener)) => Some(ControlSocket::from_listener(listener, path).map_err(refused)?),
        None => {
            outputs::control_socket(process.control.as_deref(), process.control_mode, process.control_group.as_deref())?
        }
    };
    #[cfg(feature = "http")]
    let http = match process.http.as_ref().and_then(|address| passed.unix_listener(address.path()?).zip(address.path()))
    {
        Some((listener, path)) => {
            Some(HttpListener::Unix(ControlSocket::from_listener(listener, path).map_err(refused)?))
        }
        None => HttpListener::bind(process.http.as_ref(), process.http_mode, process.http_group.as_deref())?,
    };
    #[cfg(feature = "http")]
    let http = http.map(|listener| (listener, Arc::new(Feed::new())));
    let sessions = session_hub(
        &process,
        &stdout,
        control_socket.is_some(),
        #[cfg(feature = "http")]
        http.as_ref().map(|(_, feed)| feed),
    )?;
    let limit = ConnectionLimit::new(most, process.per_source());
    let status = Status { limit: Arc::clone(&limit), log: log.clone(), data: data.handle().clone() };
    #[cfg(feature = "http")]
    let (certificates, content) = (Certificates::default(), content(&process, &status));
    let mut service = Service::new(Common {
        process,
        status,
        stdout: stdout.clone(),
        sessions: sessions.clone(),
        #[cfg(feature = "http")]
        certificates: certificates.clone(),
        workers,
    });

    let outcome = control.block_on(async {
        passed.warn_of_unused(&service.common.process);
        let mut signals = Signals::new().map_err(refused)?;
        let asking: Vec<_> = bound.vms.iter().map(|(vm, _)| tokio::spawn(vm.ask())).collect();
        for ((vm, _), asked) in bound.vms.into_iter().zip(asking) {
            service.add(vm, asked.await.ok().flatten()).map_err(Failure::System)?;
        }
        service.share(bound.shared).map_err(Failure::System)?;
        let (reload, requests) = ReloadHandle::new();
        if let Some((socket, sessions)) = control_socket.as_ref().zip(sessions.clone()) {
            tracing::info!(path = %socket.path().display(), "serving the control socket");
            let (reload, file) = (reload.clone(), source.file());
            let operate = move |operation| operate(&reload, file.as_deref(), operation);
            control::server::start(socket, Arc::new(sessions), Arc::new(operate)).map_err(refused)?;
        }
        #[cfg(feature = "http")]
        if let Some(((listener, feed), hub)) = http.as_ref().zip(sessions.clone()) {
            tracing::info!(address = listener.shown(), "serving HTTP");
            let content = content(hub, Arc::clone(feed), certificates);
            http::start(listener, content).map_err(refused)?;
        }
        if let Some(sessions) = sessions.clone() {
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(outputs::TICK);
                loop {
                    ticks.tick().await;
                    sessions.tick();
                }
            });
        }
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(vms = service.len(), max_connections = most, version, "ready");
        service_manager::notify("READY=1");
        serve_until_signal(&mut signals, &mut service, source, &Arc::new(passed), requests).await;
        service_manager::notify("STOPPING=1");
        drain(&mut signals, &limit, &mut service).await
    });
    // Ends every connection; each tells its observer.
    data.shutdown_timeout(FLUSH_PATIENCE);
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

/// What follows sessions, if that is configured.
fn session_hub(
    config: &Config,
    stdout: &Stdout,
    has_control: bool,
    #[cfg(feature = "http")] feed: Option<&Arc<Feed>>,
) -> Result<Option<SessionHub>, Failure> {
    let wanted = OutputConfig {
        stdout: config.sessions.then_some(stdout),
        sessions_to: config.sessions_to.as_deref(),
        hooks: config.hook_table().map_err(Failure::Configuration)?,
        #[cfg(feature = "history")]
        history: config.history.as_ref().map(|location| (location, config.keep_history())),
        #[cfg(feature = "http")]
        feed,
    };
    // The log has a line about each session.
    let is_logged = tracing::enabled!(tracing::Level::INFO);
    if !wanted.has_any() && !has_control && !is_logged {
        return Ok(None);
    }
    outputs::session_hub(spice_sessions::Source::Relay, &wanted).map(Some)
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

/// Reads the configuration again at each SIGHUP and for each request. Returns at the first signal that ends the process.
async fn serve_until_signal(
    signals: &mut Signals,
    service: &mut Service,
    source: &Source,
    passed: &Arc<PassedSockets>,
    mut requests: mpsc::Receiver<Request>,
) {
    // Files may be on a slow disk, so they are read in a thread of their own.
    let mut preparing: Option<JoinHandle<Result<Prepared, Failure>>> = None;
    let (mut waiting, mut is_wanted): (Vec<Outcome>, bool) = (Vec::new(), false);
    loop {
        if is_wanted && preparing.is_none() {
            service_manager::reloading();
            is_wanted = false;
            let (source, running, passed) = (source.clone(), service.running(), Arc::clone(passed));
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
                if kind != SignalKind::hangup() {
                    tracing::info!(signal = kind.as_raw_value(), "shutting down");
                    return;
                }
                is_wanted = true;
            }
            // Requests that come during a reload wait for its end.
            Some(request) = requests.recv(), if is_idle => {
                match request {
                    Request::Reload(outcome) => {
                        waiting.push(outcome);
                        is_wanted = true;
                    }
                    Request::Preview(outcome) => preview(service, source, passed, outcome),
                    Request::Drain(vm, outcome) => {
                        let open = service.drain(&vm).await;
                        let _ = outcome.send(open.ok_or_else(|| format!("there is no VM named `{vm}`")));
                    }
                }
            }
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
