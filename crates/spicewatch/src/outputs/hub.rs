//! The sessions of all VMs, and where their records go.

mod table;
#[cfg(feature = "http")]
mod totals;

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use rustix::system::uname;
use spice_relay::{
    observe::{ConnectionHandle, Ending},
    spice_events::{Anomaly, ChannelEvent, FlowId, Side, Timestamp},
};
use spice_sessions::{self as records, Config, Input, Reason, RestoreError, Sessions, SessionsState, Source, VmId};

#[cfg(feature = "history")]
use crate::history::History;
use crate::hooks::{HookTable, Hooks};
#[cfg(feature = "http")]
pub(crate) use totals::{Durations, Snapshot, VmTotals};

#[cfg(feature = "http")]
use super::Feed;
use super::{
    line_writer::{LineWriter, Refused, write_all},
    log_rate_limit::PEER_LOG_TARGET,
    session_log,
    stdout::{Stdout, StdoutSource},
};

/// How many records wait for a slow disk. Each has some 3000 bytes.
const QUEUE: usize = 10_000;

/// How often ends that wait for what follows are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(500);

/// Makes session records of the events of all VMs.
#[derive(Clone, Debug)]
pub(crate) struct SessionHub(Arc<Hub>);

#[derive(Debug)]
struct Hub {
    state: Mutex<State>,
    source: Source,
    since: jiff::Timestamp,
    /// Records that an output could not take.
    lost: AtomicU64,
    stdout: Option<Arc<StdoutSource>>,
    file: Option<LineWriter>,
    #[cfg(feature = "history")]
    history: Option<History>,
    /// Empty as long as no hook is configured.
    hooks: OnceLock<Hooks>,
    #[cfg(feature = "http")]
    feed: Option<Arc<Feed>>,
}

/// Where records go: each output, none or all of them.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) stdout: Option<Stdout>,
    pub(crate) file: Option<LineWriter>,
    #[cfg(feature = "history")]
    pub(crate) history: Option<History>,
    /// The clients of `/v1/events`.
    #[cfg(feature = "http")]
    pub(crate) feed: Option<Arc<Feed>>,
}

#[derive(Debug)]
struct State {
    sessions: Sessions,
    /// Open connections: their byte counts, and a way to end them.
    connections: HashMap<FlowId, (VmId, Arc<ConnectionHandle>)>,
    /// What was seen since the start.
    #[cfg(feature = "http")]
    totals: totals::Totals,
    /// Another process takes over, or has taken over: no record is made here.
    is_frozen: bool,
}

/// Open connections, by their ids.
pub(crate) type Connections = Vec<(FlowId, Arc<ConnectionHandle>)>;

impl SessionHub {
    /// `host` is the name of this machine, and `seed` is random.
    pub(crate) fn new(source: Source, host: &str, seed: [u8; 16], outputs: Outputs) -> Self {
        let sessions = Sessions::new(Config::new(source, seed).host(host));
        let state = Mutex::new(State {
            sessions,
            connections: HashMap::new(),
            is_frozen: false,
            #[cfg(feature = "http")]
            totals: totals::Totals::default(),
        });
        Self(Arc::new_cyclic(|hub: &Weak<Hub>| {
            let hub = hub.clone();
            let resume = move |source: &StdoutSource| {
                if let Some(hub) = hub.upgrade() {
                    resume(&hub, source);
                }
            };
            let (since, lost) = (jiff::Timestamp::now(), AtomicU64::new(0));
            Hub {
                state,
                source,
                since,
                lost,
                stdout: outputs.stdout.map(|stdout| stdout.source(resume)),
                file: outputs.file,
                #[cfg(feature = "history")]
                history: outputs.history,
                hooks: OnceLock::new(),
                #[cfg(feature = "http")]
                feed: outputs.feed,
            }
        }))
    }

    /// Names a VM.
    pub(crate) fn vm(&self, name: &str) -> VmId {
        self.state().sessions.vm(name)
    }

    /// Gives a VM another name.
    pub(crate) fn rename(&self, vm: VmId, name: &str) {
        self.state().sessions.rename(vm, name);
    }

    pub(crate) fn event(&self, vm: VmId, event: &ChannelEvent) {
        let mut state = self.state();
        #[cfg(feature = "http")]
        state.note_link(vm, event);
        state.sessions.handle(event.at, vm, Input::Event(event));
        self.write(&mut state);
    }

    /// Takes what a source shows that is not a relay.
    pub(crate) fn handle(&self, at: Timestamp, vm: VmId, input: Input<'_>) {
        let mut state = self.state();
        state.sessions.handle(at, vm, input);
        self.write(&mut state);
    }

    pub(crate) fn anomaly(&self, vm: VmId, anomaly: &Anomaly) {
        let mut state = self.state();
        state.sessions.handle(anomaly.at, vm, Input::Anomaly(anomaly));
        self.write(&mut state);
    }

    pub(crate) fn connection(&self, vm: VmId, flow: FlowId, connection: Arc<ConnectionHandle>) {
        self.state().connections.insert(flow, (vm, connection));
    }

    pub(crate) fn secured(&self, vm: VmId, flow: FlowId, version: &str, cipher: &str) {
        self.state().sessions.handle(now(), vm, Input::Tls { flow, version, cipher });
    }

    pub(crate) fn ending(&self, vm: VmId, flow: FlowId, ending: Ending) {
        let mut state = self.state();
        let now = now();
        if let Some((_, connection)) = state.connections.remove(&flow) {
            let traffic = counts(&connection);
            #[cfg(feature = "http")]
            state.note_bytes(vm, traffic);
            state.sessions.handle(now, vm, Input::Traffic { flow, traffic });
        }
        state.sessions.handle(now, vm, Input::Ending { flow, ending: reason(ending) });
        self.write(&mut state);
    }

    /// These hooks run from now on.
    pub(crate) fn set_hooks(&self, table: HookTable) -> io::Result<()> {
        match self.0.hooks.get() {
            Some(hooks) => hooks.set(table),
            None if table.is_empty() => {}
            None => {
                let hooks = Hooks::start(table)?;
                // Only one thread changes the configuration.
                let _ = self.0.hooks.set(hooks);
            }
        }
        Ok(())
    }

    /// Time has passed.
    pub(crate) fn tick(&self) {
        let mut state = self.state();
        if !state.is_frozen {
            state.sessions.handle_timeout(now());
            self.write(&mut state);
        }
    }

    /// Another process takes over: makes no more records. Returns the state of all sessions, and the connections that the caller's
    /// process forwards. Waits until the records before it are written to the file, but no longer than `patience`.
    pub(crate) fn freeze(&self, patience: Duration) -> (SessionsState, Connections) {
        let mut state = self.state();
        state.is_frozen = true;
        let connections = state.connections.iter().map(|(flow, (_, handle))| (*flow, Arc::clone(handle))).collect();
        let sessions = state.sessions.state();
        drop(state);
        if let Some(file) = &self.0.file {
            file.drain(patience);
        }
        (sessions, connections)
    }

    /// The other process has not taken over.
    pub(crate) fn thaw(&self) {
        self.state().is_frozen = false;
    }

    /// Goes on with the sessions of another process.
    pub(crate) fn restore(&self, sessions: SessionsState) -> Result<(), RestoreError> {
        let host = uname().nodename().to_string_lossy().into_owned();
        let sessions = Sessions::restore(Config::new(self.0.source, [0; 16]).host(&host), sessions)?;
        self.state().sessions = sessions;
        Ok(())
    }

    /// Another process has taken over: closes all outputs.
    pub(crate) fn leave(&self, patience: Duration) {
        if let Some(file) = &self.0.file {
            file.finish(patience);
        }
        #[cfg(feature = "history")]
        if let Some(history) = &self.0.history {
            history.finish(patience);
        }
        if let Some(hooks) = self.0.hooks.get() {
            hooks.finish(patience);
        }
    }

    /// All connections have ended: reports what waits, and waits until everything is written, but no longer than `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        let finish_hooks = || self.0.hooks.get().map_or((), |hooks| hooks.finish(patience));
        let is_relay = self.0.source == Source::Relay;
        if !is_relay {
            // The sessions go on, unseen: no hook runs for what is not their end.
            finish_hooks();
        }
        let mut state = self.state();
        let ending =
            if is_relay { records::Ending::relay(Reason::Drained) } else { records::Ending::closed(None, false) };
        state.sessions.end_all(now(), ending);
        self.write(&mut state);
        drop(state);
        if let Some(file) = &self.0.file {
            file.finish(patience);
        }
        #[cfg(feature = "history")]
        if let Some(history) = &self.0.history {
            history.finish(patience);
        }
        if is_relay {
            finish_hooks();
        }
    }

    /// Queues the records. Nothing here waits.
    fn write(&self, state: &mut State) {
        while let Some(record) = state.sessions.poll() {
            session_log::log(&record);
            if let Some(hooks) = self.0.hooks.get() {
                let vm = record.vm.as_ref().map_or("", |vm| &vm.name);
                let live = || state.sessions.vms().find(|(name, _)| *name == vm).map_or(0, |(_, live)| live);
                hooks.take(&record, live);
            }
            #[cfg(feature = "http")]
            state.totals.note(&record);
            #[cfg(feature = "history")]
            if let Some(history) = &self.0.history
                && !history.send(&record)
            {
                tracing::error!(target: PEER_LOG_TARGET, "the history is too far behind; a session record was lost");
            }
            let Ok(line) = serde_json::to_vec(&record) else { continue };
            #[cfg(feature = "http")]
            if let Some(feed) = &self.0.feed {
                feed.publish(&record, &line);
            }
            if let Some(file) = &self.0.file {
                let line = line.iter().copied().chain(*b"\n").collect();
                if file.send(line) == Err(Refused::Full) {
                    self.0.lost.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(target: PEER_LOG_TARGET, queued = QUEUE, "the disk is too far behind; a session record was lost");
                }
            }
            if let Some(stdout) = &self.0.stdout {
                stdout.send(line);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a reader of stdout that was too far behind how many records it missed, and which sessions are live.
fn resume(hub: &Hub, source: &StdoutSource) {
    let state = hub.state.lock().unwrap_or_else(PoisonError::into_inner);
    source.resume(|lost| {
        let live: Vec<_> = state.sessions.live(now()).collect();
        let record = serde_json::json!({
            "event": {"kind": "event", "action": "records-lost"},
            "spice": {"records_lost": lost, "live": live},
        });
        record.to_string().into_bytes()
    });
}

/// Opens the file of `sessions-to`. Records are added at its end.
pub(crate) fn open(path: &Path) -> io::Result<LineWriter> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    let name = path.display().to_string();
    let mut is_cut = false;
    LineWriter::start("sessions", QUEUE, move |lines| {
        // A record that a full disk has cut in two must not spoil the next one.
        let start: &[u8] = if is_cut { b"\n" } else { b"" };
        let lines = [start, lines].concat();
        let (written, error) = write_all(&mut file, &lines);
        is_cut = if written == 0 { is_cut } else { lines[written - 1] != b'\n' };
        if let Some(error) = error.or_else(|| file.flush().err()) {
            tracing::error!(target: PEER_LOG_TARGET, file = name, %error, "can't write session records; they are lost");
        }
        // A disk that is full now may have room later.
        Ok(())
    })
}

/// The name of the command.
pub(crate) const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Relay => "relay",
        Source::Tap => "tap",
        Source::Read => "read",
        Source::Follow => "follow",
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn counts(connection: &ConnectionHandle) -> records::Traffic {
    records::Traffic {
        to_server: connection.from_client(),
        to_client: connection.from_server(),
        last_from_client: connection.last_from_client().map(Timestamp::from),
        missed: 0,
    }
}

/// What the end of a connection means for its session.
fn reason(ending: Ending) -> records::Ending {
    match ending {
        Ending::Ended(side) => records::Ending::closed(Some(side), false),
        Ending::Reset(side) => records::Ending::closed(Some(side), true),
        Ending::Vanished(_) => records::Ending::relay(Reason::PeerVanished),
        Ending::TlsFailed => records::Ending { by: Some(Side::Client).into(), reason: Reason::TlsFailed },
        Ending::UpstreamUnreachable => records::Ending::relay(Reason::UpstreamUnreachable),
        Ending::LinkTimeout => records::Ending::relay(Reason::LinkTimeout),
        Ending::Terminated => records::Ending::relay(Reason::Terminated),
        Ending::IdleTimeout => records::Ending::relay(Reason::IdleTimeout),
        // Connections end by themselves, by a limit, or because the relay shuts down.
        Ending::Aborted => records::Ending::relay(Reason::Drained),
        _ => records::Ending::closed(None, false),
    }
}
