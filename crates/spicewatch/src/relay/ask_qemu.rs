//! Asks QEMU over QMP how its SPICE server is configured.

use std::{
    borrow::Cow,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use qmp_client::{Address, Client, Options};
use qmp_schema::{Command, RawJson, SpiceInfo, Version};
use spice_relay::{observe::SharedTracker, spice_events::Auth};
use tokio::{sync::Notify, time::sleep};

use super::qmp::ServerDetails;

/// How long QEMU may take for the negotiation, and for its reply.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between attempts that fail: the first, and the longest after doubling.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The longest message that QEMU may send, in bytes. `query-spice` lists one channel in some 150.
const MAX_MESSAGE: usize = 4 << 20;

/// QEMU's QMP socket.
#[derive(Debug)]
pub(super) struct Qemu {
    pub(super) path: PathBuf,
}

impl Qemu {
    /// Connects, asks and disconnects, because QEMU serves one client per QMP socket.
    pub(super) async fn ask(&self, details: &Mutex<ServerDetails>) -> Result<Auth> {
        let (version, info) = self.conversation().await?;
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
        details.version = Some(version);
        details.compiled_version = info.compiled_version.map(Cow::into_owned);
        details.mouse_mode = Some(info.mouse_mode.into_owned());
        Ok(auth)
    }

    /// Returns the version in the greeting, and the reply to `query-spice`.
    async fn conversation(&self) -> Result<(Version<'static>, RawJson<'static>), qmp_client::Error> {
        let options = Options::default().timeout(PATIENCE).max_message(MAX_MESSAGE);
        let mut client = Client::connect(&Address::Unix(self.path.clone()), options).await?;
        let info = client.execute(Command::new("query-spice")).await?;
        Ok((client.greeting().version.clone(), info))
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
