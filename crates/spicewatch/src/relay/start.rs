//! Everything that can fail before the process serves.

use std::{
    io,
    path::Path,
    sync::{Arc, mpsc},
};

use spice_relay::connection::ConnectionLimit;
use spice_sessions::Source;
use tokio::runtime::{Builder, Runtime};

use super::{
    common::Common,
    config::Config,
    limits::max_connections,
    passed::PassedSockets,
    reload::{self, Prepared},
    service::Service,
    status::Status,
    upgrade::{Predecessor, TakeOver},
};
use crate::{
    control::{self, ControlSocket},
    outputs::{self, Failure, OutputConfig, SessionHub, logging::Log, stdout::Stdout},
};
#[cfg(feature = "http")]
use crate::{
    http::{self, Certificates, HttpListener},
    outputs::Feed,
};

/// A relay that has all its sockets, and serves none of them yet.
pub(super) struct Started {
    pub(super) bound: Prepared,
    /// The runtime that moves bytes.
    pub(super) data: Runtime,
    pub(super) service: Service,
    pub(super) control_socket: Option<ControlSocket>,
    #[cfg(feature = "http")]
    pub(super) http: Option<(HttpListener, Arc<Feed>)>,
}

/// Prepares everything, and takes over from the running relay at the end. After an error, the running relay goes on as before.
///
/// Must run inside the runtime that serves QMP.
pub(super) fn start(
    config: Config,
    passed: &PassedSockets,
    mut take_over: Option<TakeOver>,
    workers: usize,
    log: &Log,
) -> Result<(Started, Option<Predecessor>), Failure> {
    let (released, closed) = mpsc::channel();
    let closed = take_over.is_some().then_some(closed);
    match (prepare(config, passed, take_over.as_mut(), closed, workers, log), take_over) {
        (Ok(started), Some(take_over)) => Ok((started, Some(take_over.commit(released)?))),
        (Ok(started), None) => Ok((started, None)),
        (Err(failure), take_over) => {
            if let Some(take_over) = take_over {
                take_over.refuse(&failure);
            }
            Err(failure)
        }
    }
}

fn prepare(
    config: Config,
    passed: &PassedSockets,
    take_over: Option<&mut TakeOver>,
    closed: Option<mpsc::Receiver<()>>,
    workers: usize,
    log: &Log,
) -> Result<Started, Failure> {
    let refused = |error: io::Error| Failure::System(error.to_string());
    let mut bound = reload::prepare(config, &[], passed)?;
    let data = Builder::new_multi_thread().worker_threads(workers).thread_name("relay").enable_all().build();
    let data = data.map_err(refused)?;
    let stdout = Stdout::start().map_err(refused)?;
    let control_socket = control_socket(&bound.config, passed)?;
    #[cfg(feature = "http")]
    let http = http_listener(&bound.config, passed)?.map(|listener| (listener, Arc::new(Feed::new())));
    let sessions = session_hub(
        &bound.config,
        &stdout,
        control_socket.is_some(),
        closed,
        #[cfg(feature = "http")]
        http.as_ref().map(|(_, feed)| feed),
    )?;
    if let Some(take_over) = take_over {
        let mut trackers = take_over.trackers()?;
        for (vm, _) in &mut bound.vms {
            vm.continued = trackers.remove(&vm.config().shown_name());
        }
        if let Some(vm) = trackers.into_keys().next() {
            return Err(Failure::System(format!("can't take over VM `{vm}`: it can't be served")));
        }
        if let Some((sessions, state)) = sessions.as_ref().zip(take_over.sessions()) {
            let restored = sessions.restore(state);
            restored.map_err(|error| Failure::System(format!("can't take over the sessions: {error}")))?;
        }
    }
    let process = bound.config.clone();
    let limit = ConnectionLimit::new(max_connections(&process, workers), process.per_source());
    let status = Status { limit: Arc::clone(&limit), log: log.clone(), data: data.handle().clone() };
    let service = Service::new(Common {
        process,
        status,
        stdout,
        sessions,
        #[cfg(feature = "http")]
        certificates: Certificates::default(),
        workers,
    });
    Ok(Started {
        bound,
        data,
        service,
        control_socket,
        #[cfg(feature = "http")]
        http,
    })
}

/// The control socket: the one that was passed, or a new one.
fn control_socket(config: &Config, passed: &PassedSockets) -> Result<Option<ControlSocket>, Failure> {
    let path = config.control.as_deref().unwrap_or(Path::new(control::DEFAULT_PATH));
    if let Some((listener, owns_file)) = passed.unix_listener(path) {
        return Ok(Some(ControlSocket::from_listener(listener, path, owns_file)));
    }
    outputs::control_socket(config.control.as_deref(), config.control_mode, config.control_group.as_deref())
}

/// The listener for HTTP: the one that was passed, or a new one.
#[cfg(feature = "http")]
fn http_listener(config: &Config, passed: &PassedSockets) -> Result<Option<HttpListener>, Failure> {
    let shown = config.http.as_ref().map(ToString::to_string);
    if let Some((listener, shown)) = shown.and_then(|shown| Some((passed.tcp_listener(&shown)?, shown))) {
        let address =
            listener.local_addr().map_err(|error| Failure::Listen(format!("can't serve HTTP at {shown}: {error}")))?;
        return Ok(Some(HttpListener::Tcp(listener, address)));
    }
    let path = match &config.http {
        Some(address) => address.path(),
        None => Some(Path::new(http::DEFAULT_PATH)),
    };
    if let Some((path, (listener, owns_file))) = path.and_then(|path| Some((path, passed.unix_listener(path)?))) {
        return Ok(Some(HttpListener::Unix(ControlSocket::from_listener(listener, path, owns_file))));
    }
    HttpListener::bind(config.http.as_ref(), config.http_mode, config.http_group.as_deref())
}

/// What follows sessions, if that is configured.
fn session_hub(
    config: &Config,
    stdout: &Stdout,
    has_control: bool,
    released: Option<mpsc::Receiver<()>>,
    #[cfg(feature = "http")] feed: Option<&Arc<Feed>>,
) -> Result<Option<SessionHub>, Failure> {
    #[cfg(not(feature = "history"))]
    drop(released);
    let wanted = OutputConfig {
        stdout: config.sessions.then_some(stdout),
        sessions_to: config.sessions_to.as_deref(),
        hooks: config.hook_table().map_err(Failure::Configuration)?,
        #[cfg(feature = "history")]
        history: config.history.as_ref().map(|location| (location, config.keep_history())),
        #[cfg(feature = "history")]
        released,
        #[cfg(feature = "http")]
        feed,
    };
    // The log has a line about each session.
    let is_logged = tracing::enabled!(tracing::Level::INFO);
    if !wanted.has_any() && !has_control && !is_logged {
        return Ok(None);
    }
    outputs::session_hub(Source::Relay, wanted).map(Some)
}
