//! Asks QEMU over QMP how its SPICE server is configured.

use std::{
    borrow::Cow,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use qmp_schema::{Encode, Object, SpiceInfo, Value};
use qmp_server::Version;
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
        let info: SpiceInfo<'_> = qmp_schema::from_slice(&info)?;
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

    /// The version of the greeting, and the return value of `query-spice` as JSON.
    async fn conversation(&self) -> Result<(Option<Version>, Vec<u8>)> {
        let stream = UnixStream::connect(&self.path).await?;
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read.take(MAX_LINE));
        let mut line = String::new();
        lines.read_line(&mut line).await?;
        let version = qmp_schema::from_str::<Value<'_>>(line.trim_end()).ok().as_ref().and_then(version);
        let mut returned = Vec::new();
        for command in ["qmp_capabilities", "query-spice"] {
            write.write_all(format!("{{\"execute\": \"{command}\"}}\n").as_bytes()).await?;
            returned = loop {
                line.clear();
                ensure!(lines.read_line(&mut line).await? > 0, "the connection ended before the reply to {command}");
                let reply: Object<'_> = match qmp_schema::from_str(line.trim_end())? {
                    Value::Object(reply) => reply,
                    _ => bail!("expected an object in reply to {command}"),
                };
                if let Some(error) = reply.get("error") {
                    bail!("{command}: {}", String::from_utf8_lossy(&error.to_vec()));
                }
                if let Some(value) = reply.get("return") {
                    break value.to_vec();
                }
            };
        }
        Ok((version, returned))
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

fn version(greeting: &Value<'_>) -> Option<Version> {
    let member = |value: &'_ Value<'_>, name: &str| match value {
        Value::Object(object) => object.get(name).cloned().map(Value::into_owned),
        _ => None,
    };
    let version = member(&member(greeting, "QMP")?, "version")?;
    let qemu = member(&version, "qemu")?;
    let number = |name: &str| match member(&qemu, name) {
        Some(Value::Int(number)) => Some(number),
        _ => None,
    };
    let package = member(&version, "package")?;
    Some(Version::new(number("major")?, number("minor")?, number("micro")?, package.as_str()?))
}
