//! The old process of an upgrade: hands everything over, and forwards its connections until they end.

use std::{
    collections::HashMap,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use spice_relay::{
    observe::{self, ConnectionHandle, Report, Successor},
    spice_events::{FlowId, Tracker},
};
use tokio::sync::Notify;

use super::{
    message::{Answer, Counts, FORM, FromNew, FromOld, Go, Hello, Ready, SocketState, State, Taken, VmState},
    outline::{ambiguous, difference, outlines},
    wire::Peer,
};
use crate::{
    outputs::FLUSH_PATIENCE,
    relay::{passed::PassedSockets, service::Service, vm::RunningVm},
};

/// How long the new process may take for each step before [`Go`].
const PATIENCE: Duration = Duration::from_secs(20);

/// How often byte counts are sent that have changed.
const COUNTS_EVERY: Duration = Duration::from_millis(500);

/// A relay that another process has taken over from.
#[derive(Debug)]
pub(in crate::relay) struct HandedOver {
    forwarder: Arc<Forwarder>,
    /// Notified when the new process has ended.
    gone: Arc<Notify>,
    sender: JoinHandle<()>,
    /// The new process.
    pid: u32,
}

/// Sends reports to the new process, in the order in which they were made.
#[derive(Debug)]
struct Forwarder {
    queue: Sender<Queued>,
    connections: Mutex<HashMap<FlowId, Arc<ConnectionHandle>>>,
}

#[derive(Debug)]
enum Queued {
    Message(FromOld),
    /// There are no more.
    End,
}

/// The successor of one VM's observer.
struct OfVm(usize, Arc<Forwarder>);

impl Successor for OfVm {
    fn report(&self, report: Report) {
        let Self(vm, forwarder) = self;
        if let Report::Ending { flow, .. } = &report
            && let Some(connection) = forwarder.connections().remove(flow)
        {
            forwarder.send(FromOld::Counts(counts(*flow, &connection)));
        }
        forwarder.send(FromOld::Report(*vm, report));
    }

    fn connection(&self, flow: FlowId, connection: &Arc<ConnectionHandle>) {
        self.1.connections().insert(flow, Arc::clone(connection));
    }
}

impl Forwarder {
    fn send(&self, message: FromOld) {
        // Fails after the new process has ended.
        let _ = self.queue.send(Queued::Message(message));
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<FlowId, Arc<ConnectionHandle>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands over to the process at the other end of `stream`. An error is the one line that says why this process goes on as before.
///
/// `own` are sockets that are no VM's: their addresses, and whether a file goes at their end.
///
/// Blocks until the new process has taken over, or has failed.
pub(in crate::relay) fn hand_over(
    stream: UnixStream,
    service: &Service,
    own: &[(String, bool, BorrowedFd<'_>)],
    passed: &PassedSockets,
) -> Result<HandedOver, String> {
    let failed = |error: std::io::Error| format!("the new process does not answer: {error}");
    let peer = Peer::new(stream);
    peer.set_patience(Some(PATIENCE)).map_err(failed)?;
    let Some((hello, _)) = peer.receive::<Hello>().map_err(failed)? else {
        return Err("the new process has ended".to_owned());
    };
    if let Some(reason) = refusal(service, &hello) {
        let _ = peer.send(&Answer::Refused(reason.clone()), &[]);
        return Err(reason);
    }
    tracing::info!(version = hello.version, "a new process takes over");
    let (queue, queued) = channel();
    let forwarder = Arc::new(Forwarder { queue, connections: Mutex::default() });
    let mut vms = Vec::new();
    for (index, vm) in service.vms().iter().enumerate() {
        let successor = Arc::new(OfVm(index, Arc::clone(&forwarder)));
        let tracker = vm.observer.hand_over(successor, Tracker::state);
        vms.push(VmState { name: vm.config.shown_name(), tracker });
    }
    let taken = offer(&peer, service, own, passed, &forwarder, vms);
    if let Err(reason) = taken {
        if let Some(sessions) = &service.common.sessions {
            sessions.thaw();
        }
        for vm in service.vms() {
            vm.observer.take_back();
        }
        return Err(reason);
    }
    for vm in service.vms() {
        vm.observer.confirm();
    }
    let gone = Arc::<Notify>::default();
    let sender = start(peer, queued, &forwarder, &gone).map_err(failed)?;
    Ok(HandedOver { forwarder, gone, sender, pid: hello.pid })
}

/// Why this process can't hand over to that one.
fn refusal(service: &Service, hello: &Hello) -> Option<String> {
    if hello.form != FORM {
        let version = env!("CARGO_PKG_VERSION");
        return Some(format!(
            "version {} can't take over from version {version}: expected form {FORM} of the messages, found {}; restart the relay instead",
            hello.version, hello.form
        ));
    }
    if let Some(vm) = service.draining().first() {
        return Some(format!(
            "the removed VM `{}` still has connections; upgrade when they have ended",
            vm.config.shown_name()
        ));
    }
    let running: Vec<_> = service.vms().iter().map(|vm| vm.config.clone()).collect();
    difference(&outlines(&running), &hello.vms).or_else(|| ambiguous(&service.common.process))
}

/// Sends the state, and waits for the new process to take it.
fn offer(
    peer: &Peer,
    service: &Service,
    own: &[(String, bool, BorrowedFd<'_>)],
    passed: &PassedSockets,
    forwarder: &Forwarder,
    vms: Vec<VmState>,
) -> Result<(), String> {
    // What was written before the hand-over comes before what the new process writes.
    service.common.stdout.drain(FLUSH_PATIENCE);
    let sessions = service.common.sessions.as_ref().map(|sessions| {
        let (state, connections) = sessions.freeze(FLUSH_PATIENCE);
        let mut known = forwarder.connections();
        for (flow, connection) in connections {
            known.entry(flow).or_insert(connection);
        }
        state
    });
    let connections = forwarder.connections().iter().map(|(flow, handle)| counts(*flow, handle)).collect();
    let (mut sockets, mut descriptors) = (Vec::new(), Vec::new());
    let mut add = |address: String, owns_file: bool, is_kept: bool, descriptor| {
        sockets.push(SocketState { address, owns_file, is_kept });
        descriptors.push(descriptor);
    };
    for (address, descriptor) in passed.descriptors() {
        add(address, false, true, descriptor);
    }
    let relays = service.vms().iter().flat_map(|vm| vm.relay().listeners());
    for listener in relays.chain(service.shared().listeners()).filter(|listener| !passed.has(listener.configured())) {
        add(listener.configured().to_string(), listener.owns_file(), false, listener.as_fd());
    }
    for (address, handle) in service.vms().iter().flat_map(RunningVm::qmp_handles) {
        if !passed.has(address) {
            add(address.to_string(), handle.owns_file(), false, handle.as_fd());
        }
    }
    for (address, owns_file, descriptor) in own {
        if !address.parse().is_ok_and(|address| passed.has(&address)) {
            add(address.clone(), *owns_file, false, *descriptor);
        }
    }
    let state =
        State { pid: std::process::id(), next_flow: observe::next_flow().0, vms, sessions, connections, sockets };
    let failed = |error: std::io::Error| format!("the new process does not answer: {error}");
    let ended = || "the new process has ended; its log says why".to_owned();
    peer.send(&Answer::State(Box::new(state)), &descriptors).map_err(failed)?;
    match peer.receive::<Ready>().map_err(failed)?.ok_or_else(ended)?.0 {
        Ready::Yes => {}
        Ready::No(reason) => return Err(reason),
    }
    peer.send(&Go {}, &[]).map_err(failed)?;
    // From here on, only the end of the stream says that the new process has not taken over.
    peer.set_patience(None).map_err(failed)?;
    peer.receive::<Taken>().map_err(failed)?.ok_or_else(ended)?;
    Ok(())
}

/// Starts the threads that talk to the new process.
fn start(
    peer: Peer,
    queued: Receiver<Queued>,
    forwarder: &Arc<Forwarder>,
    gone: &Arc<Notify>,
) -> std::io::Result<JoinHandle<()>> {
    let (reader, known, ended) = (peer.try_clone()?, Arc::clone(forwarder), Arc::clone(gone));
    thread::Builder::new().name("upgrade-in".into()).spawn(move || {
        while let Ok(Some((FromNew::Terminate(flow), _))) = reader.receive() {
            if let Some(connection) = known.connections().get(&flow) {
                connection.terminate();
            }
        }
        ended.notify_one();
    })?;
    let forwarder = Arc::clone(forwarder);
    thread::Builder::new().name("upgrade-out".into()).spawn(move || send_all(&peer, &queued, &forwarder))
}

/// Sends what is queued, and counts, until the end or until the new process has ended.
fn send_all(peer: &Peer, queued: &Receiver<Queued>, forwarder: &Forwarder) {
    let mut sent: HashMap<FlowId, Counts> = HashMap::new();
    let mut next = Instant::now() + COUNTS_EVERY;
    loop {
        let message = match queued.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Queued::Message(message)) => message,
            Ok(Queued::End) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                next = Instant::now() + COUNTS_EVERY;
                let now: Vec<_> = forwarder.connections().iter().map(|(flow, handle)| counts(*flow, handle)).collect();
                sent.retain(|flow, _| now.iter().any(|counts| counts.flow == *flow));
                for counts in now {
                    if sent.insert(counts.flow, counts) != Some(counts)
                        && peer.send(&FromOld::Counts(counts), &[]).is_err()
                    {
                        return;
                    }
                }
                continue;
            }
        };
        if peer.send(&message, &[]).is_err() {
            return;
        }
    }
}

fn counts(flow: FlowId, connection: &ConnectionHandle) -> Counts {
    let micros = |at: SystemTime| {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    };
    Counts {
        flow,
        from_client: connection.from_client(),
        from_server: connection.from_server(),
        client_at: connection.last_from_client().map(micros),
    }
}

impl HandedOver {
    /// The id of the new process.
    pub(in crate::relay) fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells the new process that this one has closed its outputs.
    pub(in crate::relay) fn released(&self) {
        self.forwarder.send(FromOld::Released);
    }

    /// Waits until the new process has ended.
    pub(in crate::relay) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// All connections have ended: waits until the new process has all reports.
    pub(in crate::relay) fn finish(self) {
        let _ = self.forwarder.queue.send(Queued::End);
        let _ = self.sender.join();
    }
}
