//! Where session records go, the log, and the control socket: set up alike for each command that follows sessions.
//!
//! ```text
//!  events, byte counts ──▶ hub ─┬─▶ stdout, file ──▶ line_writer
//!                               ├─▶ history
//!                               ├─▶ feed ──▶ clients of HTTP
//!                               └─▶ session_log ──▶ logging ──▶ line_writer
//!  control socket ◀── hub::table
//! ```

mod failure;
#[cfg(feature = "http")]
mod feed;
mod hub;
mod line_writer;
pub(crate) mod log_rate_limit;
pub(crate) mod logging;
mod session_log;
pub(crate) mod stdout;

use std::path::Path;
#[cfg(feature = "http")]
use std::sync::Arc;
#[cfg(feature = "history")]
use std::sync::mpsc::Receiver;

use rustix::{
    fs::{Access, access},
    rand::{GetRandomFlags, getrandom},
    system::uname,
};
use spice_sessions::Source;

#[cfg(feature = "history")]
use crate::history::{History, Location, Retention};
use crate::{
    control::{self, ControlSocket, SocketMode},
    hooks::HookTable,
};
pub(crate) use failure::{FLUSH_PATIENCE, Failure};
#[cfg(feature = "http")]
pub(crate) use feed::{Feed, Message, Subscription};
use hub::Outputs;
#[cfg(feature = "http")]
pub(crate) use hub::{Durations, Snapshot, VmTotals};
pub(crate) use hub::{SessionHub, TICK};
use stdout::Stdout;

/// The configured outputs of session records.
pub(crate) struct OutputConfig<'a> {
    pub(crate) stdout: Option<&'a Stdout>,
    pub(crate) sessions_to: Option<&'a Path>,
    pub(crate) hooks: HookTable,
    #[cfg(feature = "history")]
    pub(crate) history: Option<(&'a Location, Retention)>,
    /// The clients of `/v1/events`.
    #[cfg(feature = "http")]
    pub(crate) feed: Option<&'a Arc<Feed>>,
    /// The sender is dropped when the process before this one has closed the history.
    #[cfg(feature = "history")]
    pub(crate) released: Option<Receiver<()>>,
}

impl OutputConfig<'_> {
    /// Whether there is an output.
    pub(crate) fn has_any(&self) -> bool {
        #[cfg(feature = "history")]
        let has_history = self.history.is_some();
        #[cfg(not(feature = "history"))]
        let has_history = false;
        #[cfg(feature = "http")]
        let has_feed = self.feed.is_some();
        #[cfg(not(feature = "http"))]
        let has_feed = false;
        self.stdout.is_some() || self.sessions_to.is_some() || has_history || has_feed || !self.hooks.is_empty()
    }
}

/// Follows sessions, and writes their records to these outputs.
pub(crate) fn session_hub(source: Source, config: OutputConfig<'_>) -> Result<SessionHub, Failure> {
    let open =
        |path: &Path| hub::open(path).map_err(|error| Failure::Configuration(format!("{}: {error}", path.display())));
    let outputs = Outputs {
        stdout: config.stdout.cloned(),
        file: config.sessions_to.map(open).transpose()?,
        #[cfg(feature = "history")]
        history: match config.history {
            Some((location, retention)) => Some(
                History::start(location, hub::source_name(source), retention, config.released)
                    .map_err(|error| Failure::System(error.to_string()))?,
            ),
            None => None,
        },
        #[cfg(feature = "http")]
        feed: config.feed.cloned(),
    };
    let mut seed = [0; 16];
    getrandom(&mut seed, GetRandomFlags::empty()).map_err(|error| Failure::System(error.to_string()))?;
    let host = uname().nodename().to_string_lossy().into_owned();
    let hub = SessionHub::new(source, &host, seed, outputs);
    hub.set_hooks(config.hooks).map_err(|error| Failure::System(error.to_string()))?;
    Ok(hub)
}

/// Whether this process may make a socket there.
pub(crate) fn is_in_writable_folder(path: &Path) -> bool {
    access(path.parent().unwrap_or(path), Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Binds the control socket. The default one is left out if it can't be bound. An empty path turns it off.
pub(crate) fn control_socket(
    path: Option<&Path>,
    mode: Option<SocketMode>,
    group: Option<&str>,
) -> Result<Option<ControlSocket>, Failure> {
    match path {
        Some(path) if path.as_os_str().is_empty() => Ok(None),
        Some(path) => match ControlSocket::bind(path, mode, group) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) => Err(Failure::Listen(format!("can't serve the control socket {}: {error}", path.display()))),
        },
        None => {
            let path = Path::new(control::DEFAULT_PATH);
            if !is_in_writable_folder(path) {
                return Ok(None);
            }
            let socket = ControlSocket::bind(path, mode, group).inspect_err(
                |error| tracing::warn!(path = control::DEFAULT_PATH, %error, "no control socket; --control sets another path"),
            );
            Ok(socket.ok())
        }
    }
}
