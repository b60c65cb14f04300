//! Asks the relay, again and again, in a thread.

use std::{
    io,
    path::PathBuf,
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use spice_sessions::Record;

use crate::control::{Command, Status, client::ask};

/// A poll that took long is followed by a pause of this many times its duration, so that a relay with very many sessions has little to do.
const REST: u32 = 4;

/// What a look has shown.
#[derive(Debug)]
pub(super) enum Update {
    /// The state of the relay, and its sessions.
    Sessions { status: Box<Status>, records: Vec<Record>, linking: usize },
    /// The relay could not be asked.
    Failed(String),
}

/// The updates of the thread.
pub(super) type Updates = Receiver<Update>;

/// Where to ask.
#[derive(Debug)]
pub(super) struct Source {
    control: PathBuf,
    vm: Option<String>,
}

impl Source {
    pub(super) fn new(control: PathBuf, vm: Option<String>) -> Self {
        Self { control, vm }
    }

    /// Asks once.
    pub(super) fn look(&mut self) -> Update {
        let mut records = Vec::new();
        let answers = ask(&self.control, Command::Status, drop).and_then(|answer| {
            let status = answer.status.ok_or("the answer has no status")?;
            let who = ask(&self.control, Command::Who { vm: self.vm.clone() }, |record| records.push(record))?;
            Ok((status, who.linking.unwrap_or(0)))
        });
        match answers {
            Ok((status, linking)) => Update::Sessions { status, records, linking },
            Err(error) => Update::Failed(error),
        }
    }

    /// Asks again and again, until the updates are dropped.
    pub(super) fn start(mut self, interval: Duration) -> io::Result<Updates> {
        let (sender, updates) = sync_channel(1);
        thread::Builder::new().name("watch".into()).spawn(move || {
            let mut pause = interval;
            loop {
                thread::sleep(pause);
                let start = Instant::now();
                let update = self.look();
                pause = interval.max(start.elapsed() * REST);
                if sender.send(update).is_err() {
                    return;
                }
            }
        })?;
        Ok(updates)
    }
}
