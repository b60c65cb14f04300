//! The new process of an upgrade: takes over, and reports the connections that stay in the old one.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use spice_relay::{
    connection::{ConnectionLimit, Permit},
    observe::{self, ConnectionHandle, Ending, EventObserver, Observe, Opened, Report},
    spice_events::{Config as TrackerConfig, FlowId, Tracker},
};
use spice_sessions::SessionsState;
use tokio::{runtime::Handle, task::AbortHandle};

use super::{
    message::{Answer, Counts, FORM, FromNew, FromOld, Go, Hello, Ready, State, Taken},
    outline::outlines,
    wire::Peer,
};
use crate::{
    control::{self, client},
    outputs::Failure,
    relay::{config::Config, passed::PassedSockets, sink::VmSink},
};

/// How long the old process may take for each step.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connection ids that are left to the old process, which may still accept some.
const FLOWS: u64 = 1_000_000;

/// An upgrade before its commit. Dropping it lets the old process go on as before.
#[derive(Debug)]
pub(in crate::relay) struct TakeOver {
    peer: Peer,
    state: State,
}

/// The old process, from the commit on.
#[derive(Debug)]
pub(in crate::relay) struct Predecessor {
    peer: Peer,
    pid: u32,
    /// The VMs' names, in the old process's order.
    names: Vec<String>,
    counts: Vec<Counts>,
    /// Dropped when the old process has closed its history.
    released: Option<mpsc::Sender<()>>,
}

impl TakeOver {
    /// Asks the running relay for its state and its sockets. It withholds events from then on, so that little time may pass until
    /// [`commit`](Self::commit).
    pub(in crate::relay) fn begin(config: &Config) -> Result<(Self, PassedSockets), Failure> {
        let path = config.control.as_deref().unwrap_or(Path::new(control::DEFAULT_PATH));
        if path.as_os_str().is_empty() {
            let message = "--upgrade needs the control socket of the running relay, and `control` turns it off";
            return Err(Failure::Configuration(message.to_owned()));
        }
        let failed =
            |error: std::io::Error| Failure::System(format!("can't take over from the running relay: {error}"));
        let ended = || Failure::System("can't take over: the running relay has ended".to_owned());
        let peer = client::upgrade(path).map_err(|error| Failure::System(format!("can't take over: {error}")))?;
        let peer = Peer::new(peer);
        peer.set_patience(Some(PATIENCE)).map_err(failed)?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        peer.send(&Hello { form: FORM, version, pid: std::process::id(), vms: outlines(&config.vm) }, &[])
            .map_err(failed)?;
        let (answer, descriptors) = peer.receive::<Answer>().map_err(failed)?.ok_or_else(ended)?;
        let mut state = match answer {
            Answer::Refused(reason) => return Err(Failure::System(format!("can't take over: {reason}"))),
            Answer::State(state) => *state,
        };
        let sockets: Vec<(_, OwnedFd)> = std::mem::take(&mut state.sockets).into_iter().zip(descriptors).collect();
        let sockets = sockets.into_iter().map(|(socket, fd)| (socket.address, socket.owns_file, socket.is_kept, fd));
        let passed = PassedSockets::from_predecessor(sockets).map_err(Failure::System)?;
        Ok((Self { peer, state }, passed))
    }

    /// The trackers of the VMs, by name.
    pub(in crate::relay) fn trackers(&mut self) -> Result<HashMap<String, Tracker>, Failure> {
        let mut trackers = HashMap::new();
        for vm in &mut self.state.vms {
            let tracker = std::mem::take(&mut vm.tracker);
            let tracker = Tracker::restore(TrackerConfig::new(), tracker);
            let tracker =
                tracker.map_err(|error| Failure::System(format!("can't take over VM `{}`: {error}", vm.name)))?;
            trackers.insert(vm.name.clone(), tracker);
        }
        Ok(trackers)
    }

    /// The state of the sessions, if the old process follows them.
    pub(in crate::relay) fn sessions(&mut self) -> Option<SessionsState> {
        self.state.sessions.take()
    }

    /// Tells the old process why it has to go on.
    pub(in crate::relay) fn refuse(&self, reason: &Failure) {
        let _ = self.peer.send(&Ready::No(reason.to_string()), &[]);
    }

    /// Takes over. From the return on, this process owns everything.
    ///
    /// `released` is dropped when the old process has closed its outputs.
    pub(in crate::relay) fn commit(self, released: mpsc::Sender<()>) -> Result<Predecessor, Failure> {
        let Self { peer, state } = self;
        let failed =
            |error: std::io::Error| Failure::System(format!("can't take over from the running relay: {error}"));
        let ended = || Failure::System("can't take over: the running relay has ended".to_owned());
        peer.send(&Ready::Yes, &[]).map_err(failed)?;
        let Go {} = peer.receive::<Go>().map_err(failed)?.ok_or_else(ended)?.0;
        // If this fails, the old process has ended, and this one owns everything.
        let _ = peer.send(&Taken {}, &[]);
        let _ = peer.set_patience(None);
        observe::skip_flows(FlowId(state.next_flow.saturating_add(FLOWS)));
        let names = state.vms.into_iter().map(|vm| vm.name).collect();
        Ok(Predecessor { peer, pid: state.pid, names, counts: state.connections, released: Some(released) })
    }
}

/// A connection that the old process forwards.
struct Forwarded {
    vm: usize,
    handle: Arc<ConnectionHandle>,
    terminating: AbortHandle,
    _permit: Permit,
}

impl Predecessor {
    /// Reports the connections of the old process to these observers, until it ends. `observer` finds one by the name of the VM.
    pub(in crate::relay) fn start(
        self,
        observer: impl Fn(&str) -> Option<Arc<EventObserver<VmSink>>>,
        limit: &Arc<ConnectionLimit>,
        runtime: &Handle,
    ) -> std::io::Result<()> {
        let Self { peer, pid, names, counts, released } = self;
        let writer = Arc::new(Mutex::new(peer.try_clone()?));
        let observers = names.iter().map(|name| observer(name)).collect();
        let (limit, runtime) = (Arc::clone(limit), runtime.clone());
        let mut connections = Connections { observers, open: HashMap::new(), limit, runtime, writer, released };
        let mut known: HashMap<_, _> = counts.into_iter().map(|counts| (counts.flow, counts)).collect();
        for vm in 0..connections.observers.len() {
            let Some(observer) = connections.observers[vm].clone() else { continue };
            let flows: Vec<_> = observer.tracker().look(|tracker| tracker.flows().collect());
            for flow in flows {
                connections.add(vm, flow, known.remove(&flow));
            }
        }
        tracing::info!(
            pid,
            connections = connections.open.len(),
            "took over; the old process forwards its connections until they end"
        );
        thread::Builder::new().name("upgrade".into()).spawn(move || connections.run(&peer, pid))?;
        Ok(())
    }
}

struct Connections {
    observers: Vec<Option<Arc<EventObserver<VmSink>>>>,
    open: HashMap<FlowId, Forwarded>,
    limit: Arc<ConnectionLimit>,
    runtime: Handle,
    writer: Arc<Mutex<Peer>>,
    released: Option<mpsc::Sender<()>>,
}

impl Connections {
    fn run(mut self, peer: &Peer, pid: u32) {
        loop {
            match peer.receive::<FromOld>() {
                Ok(Some((FromOld::Released, _))) => self.released = None,
                Ok(Some((FromOld::Report(vm, report), _))) => self.report(vm, report),
                Ok(Some((FromOld::Counts(counts), _))) => {
                    if let Some(forwarded) = self.open.get(&counts.flow) {
                        set(&forwarded.handle, &counts);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(pid, %error, "can't read what the old process reports");
                    break;
                }
            }
        }
        if self.open.is_empty() {
            tracing::info!(pid, "the old process has ended");
        } else {
            let connections = self.open.len();
            tracing::warn!(pid, connections, "the old process has ended, and its connections with it");
        }
        for (flow, forwarded) in self.open.drain() {
            forwarded.terminating.abort();
            if let Some(observer) = self.observers.get(forwarded.vm).and_then(Option::as_ref) {
                observer.ending(flow, Ending::Aborted);
                observer.closed(flow, None);
            }
        }
    }

    fn report(&mut self, vm: usize, report: Report) {
        let Some(observer) = self.observers.get(vm).and_then(Option::clone) else { return };
        match report {
            Report::Opened { flow, endpoints, tls } => {
                observer.opened(flow, Opened::new(endpoints, tls));
                self.add(vm, flow, None);
            }
            Report::Secured { flow, version, cipher } => observer.secured(flow, &version, &cipher),
            Report::Bytes { flow, from, data } => {
                observer.bytes(flow, from, &data);
            }
            Report::Ending { flow, ending } => observer.ending(flow, ending),
            Report::Closed { flow, by } => {
                observer.closed(flow, by);
                if let Some(forwarded) = self.open.remove(&flow) {
                    forwarded.terminating.abort();
                }
            }
            _ => {}
        }
    }

    /// Adds a connection whose tracker knows that it is open.
    fn add(&mut self, vm: usize, flow: FlowId, counts: Option<Counts>) {
        let handle = Arc::<ConnectionHandle>::default();
        if let Some(counts) = counts {
            set(&handle, &counts);
        }
        if let Some(Some(observer)) = self.observers.get(vm) {
            observer.connection(flow, Arc::clone(&handle));
        }
        let (writer, ending) = (Arc::clone(&self.writer), Arc::clone(&handle));
        let terminating = self.runtime.spawn(async move {
            ending.terminated().await;
            let writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writer.send(&FromNew::Terminate(flow), &[]);
        });
        let (terminating, permit) = (terminating.abort_handle(), self.limit.admit());
        self.open.insert(flow, Forwarded { vm, handle, terminating, _permit: permit });
    }
}

fn set(handle: &ConnectionHandle, counts: &Counts) {
    let at = counts.client_at.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(at)));
    handle.set_counts(counts.from_client, counts.from_server, at);
}
