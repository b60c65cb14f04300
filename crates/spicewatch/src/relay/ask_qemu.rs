//! Asks QEMU over QMP how its SPICE server is configured.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use qmp_client::{Address, Client, Options};
use qmp_schema::{Command, RawJson, SpiceInfo, Value, Version};
use qmp_server::{Answer, CommandError, Reply};
use spice_relay::spice_events::Auth;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::details::ServerDetails;

/// How long QEMU may take for the negotiation, and for its reply.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between attempts that fail: the first, and the longest after doubling.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long an answer of QEMU is given again.
const FRESH: Duration = Duration::from_secs(1);
/// The longest message that QEMU may send, in bytes. `query-spice` lists one channel in some 150.
const MAX_MESSAGE: usize = 4 << 20;

/// QEMU's QMP socket.
#[derive(Debug)]
pub(super) struct Qemu {
    address: Address,
    /// QEMU's last answers. It is locked during a conversation, because QEMU serves one client per QMP socket.
    answers: tokio::sync::Mutex<HashMap<&'static str, (Instant, Answer)>>,
}

impl Qemu {
    pub(super) fn new(address: Address) -> Self {
        Self { address, answers: tokio::sync::Mutex::default() }
    }

    /// Connects, asks and disconnects, so that other clients can use the socket as well.
    pub(super) async fn ask(&self, details: &Mutex<ServerDetails>) -> Result<Auth> {
        let (version, info) = {
            let _turn = self.answers.lock().await;
            self.conversation("query-spice").await?
        };
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

    /// QEMU's answer to a command without arguments. An answer of the last second is given again, so that any number of QMP
    /// clients costs QEMU one connection a second.
    pub(super) async fn answer(&self, command: &'static str) -> Answer {
        let mut answers = self.answers.lock().await;
        if let Some((at, answer)) = answers.get(command)
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = match self.conversation(command).await {
            // Written again on one line: QEMU's monitor may have `pretty=on`.
            Ok((_, reply)) => reply.decode::<Value<'_>>().map(Reply::from).map_err(CommandError::from),
            Err(qmp_client::Error::Command(error)) => Err(error.into()),
            Err(error) => Err(CommandError::generic(format!("QEMU at {} does not answer: {error}", self.address))),
        };
        answers.insert(command, (Instant::now(), answer.clone()));
        answer
    }

    /// Returns the version in the greeting, and the reply to a command.
    async fn conversation(
        &self,
        command: &'static str,
    ) -> Result<(Version<'static>, RawJson<'static>), qmp_client::Error> {
        let options = Options::default().timeout(PATIENCE).max_message(MAX_MESSAGE);
        let mut client = Client::connect(&self.address, options).await?;
        let reply = client.execute(Command::new(command)).await?;
        Ok((client.greeting().version.clone(), reply))
    }

    /// Asks until QEMU answers, and again whenever the upstream has recovered. Then calls `answered`. `known`: QEMU has answered
    /// already.
    pub(super) async fn keep_asking(
        self: Arc<Self>,
        details: Arc<Mutex<ServerDetails>>,
        answered: impl Fn(Auth),
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
                        answered(auth);
                        tracing::info!(qemu = %self.address, auth = auth.name(), "QEMU answered");
                        known = true;
                        break;
                    }
                    Err(error) => {
                        if pause == PAUSES.0 {
                            tracing::warn!(qemu = %self.address, "can't ask QEMU for now: {error:#}");
                        }
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSES.1);
                    }
                }
            }
        }
    }
}
