//! Hooks: programs that run when a session starts or ends, a link is refused, or a VM has no session any more.
//!
//! ```text
//!  hub ── record ──▶ queue, bounded ──▶ runner, a thread of its own: one hook at a time for each VM ──▶ process
//! ```
//!
//! docs/HOOKS.md describes them for operators.

mod args;
mod command;
mod environment;
mod process;
mod runner;
mod table;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
        mpsc as std_mpsc,
    },
    time::Duration,
};

pub(crate) use args::HookArgs;
pub(crate) use command::HookCommand;
use runner::{Message, Runner};
use serde_derive::{Deserialize, Serialize};
use spice_sessions::{Action, Record};
use table::HookKind;
pub(crate) use table::{HookSettings, HookTable};
use tokio::sync::mpsc;

/// Records that wait for the runner. It takes them at once, unless it has no processor time.
const QUEUE: usize = 4096;

/// Runs hooks. Handing over a record never waits.
#[derive(Clone, Debug)]
pub(crate) struct Hooks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Arc<RwLock<HookTable>>,
    messages: mpsc::Sender<Message>,
    counters: Arc<Counters>,
}

/// What became of hooks.
#[derive(Debug, Default)]
struct Counters {
    run: AtomicU64,
    failed: AtomicU64,
    timed_out: AtomicU64,
    dropped: AtomicU64,
}

/// What became of hooks, for `spicewatch status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct HookCounts {
    /// Hooks that were started.
    pub(crate) run: u64,
    /// Those that could not be started, or ended with another exit status than 0.
    pub(crate) failed: u64,
    /// Those that ran longer than `hook-seconds`, and were ended.
    pub(crate) timed_out: u64,
    /// Hooks that were left out, because too many waited.
    pub(crate) dropped: u64,
}

impl Hooks {
    /// Starts the runner.
    pub(crate) fn start(table: HookTable) -> io::Result<Self> {
        let (messages, inbox) = mpsc::channel(QUEUE);
        let (table, counters) = (Arc::new(RwLock::new(table)), Arc::<Counters>::default());
        let runner = Runner::new(Arc::clone(&table), Arc::clone(&counters));
        runner.start(inbox)?;
        Ok(Self(Arc::new(Shared { table, messages, counters })))
    }

    /// Other hooks from now on. One that runs is not ended.
    pub(crate) fn set(&self, table: HookTable) {
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// Takes a record. `live` is how many sessions its VM has now; it is counted only if a hook wants it.
    pub(crate) fn take(&self, record: &Record, live: impl FnOnce() -> usize) {
        let kind = match record.event.action {
            Action::SessionStarted => HookKind::SessionStart,
            Action::SessionEnded => HookKind::SessionEnd,
            Action::LinkRefused => HookKind::LinkRefused,
            Action::SessionUpdated => return,
        };
        let vm = record.vm.as_ref().map_or("", |vm| &vm.name);
        let table = self.0.table.read().unwrap_or_else(PoisonError::into_inner);
        let settings = table.of(vm);
        let watches_empty = settings.command(HookKind::VmEmpty).is_some() && kind != HookKind::LinkRefused;
        if settings.command(kind).is_none() && !watches_empty {
            return;
        }
        drop(table);
        let message = Message::Record { kind, record: Box::new(record.clone()), live: live() };
        if self.0.messages.try_send(message).is_err() {
            self.0.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of hooks so far.
    pub(crate) fn counts(&self) -> HookCounts {
        let Counters { run, failed, timed_out, dropped } = &*self.0.counters;
        let [run, failed, timed_out, dropped] =
            [run, failed, timed_out, dropped].map(|count| count.load(Ordering::Relaxed));
        HookCounts { run, failed, timed_out, dropped }
    }

    /// Waits for the hooks that run and wait, but no longer than `patience`. Then it ends those that still run, and drops the others.
    pub(crate) fn finish(&self, patience: Duration) {
        let (done, finished) = std_mpsc::channel();
        if self.0.messages.try_send(Message::Finish { patience, done }).is_ok() {
            let _ = finished.recv_timeout(patience + process::GRACE + Duration::from_secs(1));
        }
    }
}
