//! Events of one QEMU, across its restarts.

use std::time::Duration;

use qmp_schema::{Command, EventMessage, SpiceInfo, Version};
use tokio::time::sleep;

use crate::{Address, Client, Error, Options};

/// The events of the server at one address. It reconnects for as long as it is polled.
///
/// Each connection begins with [`Update::Connected`]. Then come the events and one [`Update::Spice`]: the state of the SPICE
/// server, which includes the effect of the events before it. Replace what you know of channels by it, and apply later events to
/// it.
#[derive(Debug)]
pub struct EventStream {
    address: Address,
    options: Options,
    client: Option<Client>,
    /// The state of the SPICE server, to return after the events before it.
    state: Option<Update>,
    was_connected: bool,
    /// Before the next attempt to connect.
    pause: Option<Duration>,
}

/// What an [`EventStream`] returns.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// The connection is negotiated.
    Connected {
        /// The version of the server.
        version: Version<'static>,
        /// Whether events since the last connection may be missing.
        may_have_missed: bool,
    },
    /// The state of the SPICE server now. `None`: the server has no SPICE server.
    Spice(Option<SpiceInfo<'static>>),
    /// An event.
    Event(EventMessage<'static>),
    /// There is no connection, or no longer one.
    Disconnected {
        /// Why.
        error: Error,
        /// The pause before the next attempt.
        retry_in: Duration,
    },
}

impl EventStream {
    /// A stream that connects when it is polled.
    #[must_use]
    pub fn new(address: Address, options: Options) -> Self {
        Self { address, options, client: None, state: None, was_connected: false, pause: None }
    }

    /// The next update. Dropping the future loses no event.
    pub async fn next(&mut self) -> Update {
        match self.try_next().await {
            Ok(update) => update,
            Err(error) => {
                self.client = None;
                self.state = None;
                let first = self.options.first_pause;
                let retry_in = self.pause.map_or(first, |pause| (pause * 2).min(self.options.longest_pause));
                self.pause = Some(retry_in);
                Update::Disconnected { error, retry_in }
            }
        }
    }

    async fn try_next(&mut self) -> Result<Update, Error> {
        let Some(client) = &mut self.client else { return self.connect().await };
        if let Some(event) = client.take_event() {
            return Ok(Update::Event(event));
        }
        if let Some(state) = self.state.take() {
            // The connection works: the next failure begins with a short pause again.
            self.pause = None;
            return Ok(state);
        }
        client.next_event().await.map(Update::Event)
    }

    async fn connect(&mut self) -> Result<Update, Error> {
        if let Some(pause) = self.pause {
            sleep(pause).await;
        }
        let mut client = Client::connect(&self.address, self.options.clone()).await?;
        let spice = match client.execute(Command::new("query-spice")).await {
            Ok(reply) => Some(reply.decode::<SpiceInfo<'_>>()?.into_owned()),
            // A QEMU without SPICE.
            Err(Error::Command(_)) => None,
            Err(error) => return Err(error),
        };
        let version = client.greeting().version.clone();
        let may_have_missed = std::mem::replace(&mut self.was_connected, true);
        (self.client, self.state) = (Some(client), Some(Update::Spice(spice)));
        Ok(Update::Connected { version, may_have_missed })
    }
}
