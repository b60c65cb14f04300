//! Decides which hook runs when: one at a time for each VM, in the order of the records.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering, mpsc::Sender as StdSender},
    thread,
    time::Duration,
};

use spice_sessions::Record;
use tokio::{
    runtime::Builder,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    Counters,
    environment::environment,
    process::{self, Outcome},
    table::{HookKind, HookTable},
};
use crate::outputs::log_rate_limit::PEER_LOG_TARGET;

/// Hooks that run at a time, of all VMs.
const MAX_RUNNING: usize = 64;

/// Hooks of one VM that wait. A record has some 3000 bytes.
const MAX_WAITING: usize = 64;

/// Those of them that are about refused links. Any client can cause these as often as it likes.
const MAX_WAITING_REFUSED: usize = 32;

/// What the runner is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A record, and how many sessions its VM has.
    Record { kind: HookKind, record: Box<Record>, live: usize },
    /// The command ends. `done` is told when no hook runs any more.
    Finish { patience: Duration, done: StdSender<()> },
}

/// Runs hooks.
#[derive(Debug)]
pub(super) struct Runner {
    table: Arc<RwLock<HookTable>>,
    counters: Arc<Counters>,
    /// VMs with hooks that run or wait, or with a deadline.
    vms: HashMap<String, Vm>,
    /// When a VM will have been without a session for long enough.
    deadlines: BTreeSet<(Instant, String)>,
    /// VMs that could run a hook, if fewer ran in all.
    ready: VecDeque<String>,
    /// Each returns the name of its VM.
    running: JoinSet<String>,
    cancel: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Vm {
    waiting: VecDeque<Job>,
    /// A hook runs, or the VM is in `ready`.
    is_busy: bool,
    /// The last session's end, and when the VM will have been empty for long enough.
    empty: Option<(Instant, Box<Record>)>,
}

#[derive(Debug)]
struct Job {
    kind: HookKind,
    record: Box<Record>,
    live: usize,
}

impl Runner {
    pub(super) fn new(table: Arc<RwLock<HookTable>>, counters: Arc<Counters>) -> Self {
        Self {
            table,
            counters,
            vms: HashMap::new(),
            deadlines: BTreeSet::new(),
            ready: VecDeque::new(),
            running: JoinSet::new(),
            cancel: watch::channel(false).0,
        }
    }

    /// Starts the thread.
    pub(super) fn start(self, inbox: mpsc::Receiver<Message>) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("hooks".into()).spawn(move || runtime.block_on(self.run(inbox)))?;
        Ok(())
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        loop {
            let deadline = self.deadlines.first().map(|(at, _)| *at);
            let empty = async {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(Message::Record { kind, record, live }) => self.take(kind, record, live),
                    Some(Message::Finish { patience, done }) => {
                        self.finish(patience).await;
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                Some(ended) = self.running.join_next() => self.ended(&ended.unwrap_or_default()),
                () = empty => self.report_empty(),
            }
            self.start_ready();
        }
    }

    fn take(&mut self, kind: HookKind, record: Box<Record>, live: usize) {
        let name = record.vm.as_ref().map_or_else(String::new, |vm| vm.name.clone());
        match kind {
            HookKind::SessionStart => self.forget_empty(&name),
            HookKind::SessionEnd if live == 0 => {
                self.forget_empty(&name);
                let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
                let settings = table.of(&name);
                if settings.command(HookKind::VmEmpty).is_some() {
                    let at = Instant::now() + settings.empty_after();
                    drop(table);
                    self.deadlines.insert((at, name.clone()));
                    self.vms.entry(name.clone()).or_default().empty = Some((at, record.clone()));
                }
            }
            _ => {}
        }
        self.queue(&name, Job { kind, record, live });
    }

    /// The VM is not empty any more.
    fn forget_empty(&mut self, name: &str) {
        if let Some((at, _)) = self.vms.get_mut(name).and_then(|vm| vm.empty.take()) {
            self.deadlines.remove(&(at, name.to_owned()));
            self.forget_idle(name);
        }
    }

    /// Queues `on-vm-empty` of each VM whose deadline has passed.
    fn report_empty(&mut self) {
        let now = Instant::now();
        while let Some((at, name)) = self.deadlines.pop_first() {
            if at > now {
                self.deadlines.insert((at, name));
                return;
            }
            if let Some((_, record)) = self.vms.get_mut(&name).and_then(|vm| vm.empty.take()) {
                self.queue(&name, Job { kind: HookKind::VmEmpty, record, live: 0 });
                self.forget_idle(&name);
            }
        }
    }

    fn queue(&mut self, name: &str, job: Job) {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if table.of(name).command(job.kind).is_none() {
            return;
        }
        drop(table);
        let vm = self.vms.entry(name.to_owned()).or_default();
        let refused = vm.waiting.iter().filter(|job| job.kind == HookKind::LinkRefused).count();
        let is_full =
            vm.waiting.len() >= MAX_WAITING || job.kind == HookKind::LinkRefused && refused >= MAX_WAITING_REFUSED;
        if is_full {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            let hook = job.kind.name();
            tracing::warn!(target: PEER_LOG_TARGET, vm = name, kind = hook, "too many hooks of the VM wait; one was left out");
            return;
        }
        vm.waiting.push_back(job);
        if !vm.is_busy {
            vm.is_busy = true;
            self.ready.push_back(name.to_owned());
        }
    }

    /// Starts hooks, as long as fewer than [`MAX_RUNNING`] run.
    fn start_ready(&mut self) {
        while self.running.len() < MAX_RUNNING {
            let Some(name) = self.ready.pop_front() else { return };
            let Some(job) = self.vms.get_mut(&name).and_then(|vm| vm.waiting.pop_front()) else { continue };
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            let settings = table.of(&name);
            let (command, limit) = (settings.command(job.kind).cloned(), settings.limit());
            drop(table);
            let counters = Arc::clone(&self.counters);
            let cancelled = self.cancel.subscribe();
            self.running.spawn(async move {
                // A reload may have removed it.
                if let Some(command) = command {
                    counters.run.fetch_add(1, Ordering::Relaxed);
                    let variables = environment(job.kind, &job.record, job.live);
                    let mut input = serde_json::to_vec(&job.record).unwrap_or_default();
                    input.push(b'\n');
                    let outcome = process::run(&command, variables, input, limit, cancelled).await;
                    report(&name, job.kind, &command.to_string(), &outcome, &counters);
                }
                name
            });
        }
    }

    /// A hook has ended: the VM's next one may run.
    fn ended(&mut self, name: &str) {
        let Some(vm) = self.vms.get_mut(name) else { return };
        vm.is_busy = !vm.waiting.is_empty();
        if vm.is_busy {
            self.ready.push_back(name.to_owned());
        }
        self.forget_idle(name);
    }

    fn forget_idle(&mut self, name: &str) {
        if self.vms.get(name).is_some_and(|vm| !vm.is_busy && vm.waiting.is_empty() && vm.empty.is_none()) {
            self.vms.remove(name);
        }
    }

    /// Runs what waits, but no longer than `patience`. A VM that is empty is not reported: what comes next is not known.
    async fn finish(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.deadlines.clear();
        self.start_ready();
        while let Ok(Some(ended)) = timeout_at(deadline, self.running.join_next()).await {
            self.ended(&ended.unwrap_or_default());
            self.start_ready();
        }
        let left: usize = self.vms.values().map(|vm| vm.waiting.len()).sum();
        if left > 0 || !self.running.is_empty() {
            tracing::warn!(running = self.running.len(), waiting = left, "hooks are ended, because this process ends");
        }
        self.counters.dropped.fetch_add(left as u64, Ordering::Relaxed);
        self.cancel.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}

/// Counts and logs how a hook ended.
fn report(vm: &str, kind: HookKind, program: &str, outcome: &Outcome, counters: &Counters) {
    let kind = kind.name();
    match outcome {
        Outcome::Ended(status, _) if status.success() => {
            tracing::debug!(vm, kind, program, "the hook has ended");
        }
        Outcome::Ended(status, said) => {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(target: PEER_LOG_TARGET, vm, kind, program, %status, stderr = said, "the hook has failed");
        }
        Outcome::TimedOut => {
            counters.timed_out.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(target: PEER_LOG_TARGET, vm, kind, program, "the hook ran too long, and was ended; hook-seconds is its limit");
        }
        Outcome::NotStarted(error) => {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(target: PEER_LOG_TARGET, vm, kind, program, %error, "can't start the hook");
        }
    }
}
