//! Asks QEMU over QMP how its SPICE server is configured.

use std::{
    borrow::Cow,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use qmp_schema::{Command, Message, RawJson, SpiceInfo, Version};
use spice_relay::{observe::SharedTracker, spice_events::Auth};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::Notify,
    time::{sleep, timeout},
};

use super::qmp::ServerDetails;

/// How long QEMU may take for all its answers.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between attempts that fail: the first, and the longest after doubling.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The most that QEMU may send, in bytes. `query-spice` lists one channel in some 150.
const MAX_LINE: u64 = 4 << 20;

/// QEMU's QMP socket.
#[derive(Debug)]
pub(super) struct Qemu {
    pub(super) path: PathBuf,
}

impl Qemu {
    /// Connects, asks and disconnects, because QEMU serves one client per QMP socket.
    pub(super) async fn ask(&self, details: &Mutex<ServerDetails>) -> Result<Auth> {
        let answers = timeout(PATIENCE, self.conversation());
        let Ok(answers) = answers.await else {
            bail!("no answer in {PATIENCE:?}; QEMU serves one client per QMP socket, and another one may be connected");
        };
        let (version, info) = answers?;
        let info: SpiceInfo<'_> = info.decode()?;
        ensure!(info.enabled, "its SPICE server is not enabled");
        let auth = match info.auth.as_deref() {
            Some("spice") => Auth::Spice,
            Some("none") => Auth::None,
            Some("sasl") => Auth::Sasl,
            auth => bail!("expected auth to be spice, none or sasl, found {auth:?}"),
        };
        let mut details = details.lock().unwrap_or_else(PoisonError::into_inner);
        details.auth = Some(auth);
        details.version = version;
        details.compiled_version = info.compiled_version.map(Cow::into_owned);
        details.mouse_mode = Some(info.mouse_mode.into_owned());
        Ok(auth)
    }

    /// Returns the version in the greeting, and the reply to `query-spice`.
    async fn conversation(&self) -> Result<(Option<Version<'static>>, RawJson<'static>)> {
        let stream = UnixStream::connect(&self.path).await?;
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read.take(MAX_LINE));
        let mut line = String::new();
        lines.read_line(&mut line).await?;
        let version = match qmp_schema::from_str(line.trim_end()) {
            Ok(Message::Greeting(greeting)) => Some(greeting.version.into_owned()),
            _ => None,
        };
        let mut returned = None;
        for command in ["qmp_capabilities", "query-spice"] {
            write.write_all(format!("{}\n", Command::new(command)).as_bytes()).await?;
            returned = loop {
                line.clear();
                ensure!(lines.read_line(&mut line).await? > 0, "the connection ended before the reply to {command}");
                match qmp_schema::from_str(line.trim_end())? {
                    Message::Return(reply) => break Some(reply.value.into_owned()),
                    Message::Error(error) => bail!("{command}: {error}"),
                    _ => {}
                }
            };
        }
        Ok((version, returned.context("no command was sent")?))
    }

    /// Asks until QEMU answers, and again whenever the upstream has recovered. `known`: QEMU has answered already.
    pub(super) async fn keep_asking(
        self,
        details: Arc<Mutex<ServerDetails>>,
        tracker: SharedTracker,
        recovered: Arc<Notify>,
        mut known: bool,
    ) {
        loop {
            if known {
                recovered.notified().await;
            }
            let mut pause = PAUSES.0;
            loop {
                match self.ask(&details).await {
                    Ok(auth) => {
                        tracker.set_auth(auth);
                        tracing::info!(qemu = %self.path.display(), auth = auth.name(), "QEMU answered");
                        known = true;
                        break;
                    }
                    Err(error) => {
                        if pause == PAUSES.0 {
                            tracing::warn!(qemu = %self.path.display(), "can't ask QEMU for now: {error:#}");
                        }
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSES.1);
                    }
                }
            }
        }
    }
}
