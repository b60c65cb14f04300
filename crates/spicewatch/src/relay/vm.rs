//! One VM that is served, and what a reload changes about it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use qmp_server::{Dialer, ListenerHandle, Server, Service};
use spice_relay::{
    Error, Relay,
    net::{
        NetAddress,
        tls::{ServerIdentity, ServerTls, UpstreamTls},
    },
    observe::{EventObserver, SharedTracker},
    spice_events::{Auth, Config as TrackerConfig, Tracker},
};
use tokio::{runtime::Handle, sync::Notify, task::AbortHandle};

use super::{
    ask_qemu::Qemu,
    common::Common,
    config::{StdoutFormat, VmConfig},
    details::ServerDetails,
    places::{Place, Released},
    plan::{BoundVm, Plan},
    qmp,
    sink::{EventOutput, VmSink},
};
use crate::outputs::{
    FLUSH_PATIENCE,
    stdout::{Stdout, StdoutSource},
};

/// A VM that is served.
#[derive(Debug)]
pub(super) struct RunningVm {
    pub(super) config: VmConfig,
    pub(super) observer: Arc<EventObserver<VmSink>>,
    relay: Relay,
    server_tls: Option<ServerTls>,
    /// How many of the relay's listeners each place has, in their order.
    places: Vec<(Place, usize)>,
    details: Arc<Mutex<ServerDetails>>,
    identity: Option<Arc<ServerIdentity>>,
    upstream_tls: Option<Arc<UpstreamTls>>,
    /// Its QMP listeners.
    qmp: Vec<QmpSocket>,
    /// The tasks that connect to QMP clients.
    dialers: Vec<(NetAddress, AbortHandle)>,
    qemu: Option<Arc<Qemu>>,
    /// The task that asks QEMU.
    asking: Option<AbortHandle>,
    recovered: Arc<Notify>,
}

/// A QMP listener that is served.
#[derive(Debug)]
struct QmpSocket {
    address: NetAddress,
    task: AbortHandle,
    /// For a process that takes over. `None`: the process had no descriptor left.
    handle: Option<ListenerHandle>,
}

impl BoundVm {
    /// Starts everything that serves the VM: connections on the runtime that moves bytes, the rest on the current runtime.
    /// `asked` is QEMU's answer.
    pub(super) fn start(
        self,
        common: &Common,
        released: &mut [Released],
        asked: Option<Auth>,
    ) -> Result<RunningVm, Error> {
        let Self { plan, listeners, qmp, details, qemu, continued } = self;
        let mut config = TrackerConfig::new();
        config.auth = asked.or(plan.config.auth);
        let auth = config.auth;
        let tracker = SharedTracker::from(continued.unwrap_or_else(|| Tracker::new(config)));
        tracker.set_auth(auth);
        let (relay, places) = plan.relay(common, listeners, None, released);
        let relay = relay.bind()?;
        plan.describe(&relay, &details);
        let recovered = Arc::new(Notify::new());
        let name = plan.config.shown_name();
        let sessions = common.sessions.as_ref().map(|sessions| (sessions.clone(), sessions.vm(&name)));
        let service = service(common, &tracker, &details, qemu.as_ref());
        let qmp_server = plan.wants_qmp().then(|| qmp_server(common, service()));
        let output = event_output(common, &name, &tracker, qmp_server);
        let qmp = serve_qmp(&output, qmp);
        let dialers = dial(&output, &plan.config.qmp_connect);
        let sink = VmSink::new(&name, output, sessions, Arc::clone(&recovered));
        let observer = Arc::new(EventObserver::with_tracker(tracker, sink));
        let asking = qemu.as_ref().map(|qemu| {
            let (details, recovered) = (Arc::clone(&details), Arc::clone(&recovered));
            keep_asking(qemu, details, recovered, &observer, service, asked.is_some())
        });
        let relay = relay.start_on(&common.status.data, Arc::clone(&observer) as _)?;
        let Plan { config, identity, server_tls, upstream_tls, .. } = plan;
        #[cfg(feature = "http")]
        common.certificates.set(&name, identity.as_ref());
        Ok(RunningVm {
            config,
            observer,
            relay,
            server_tls,
            places,
            details,
            identity,
            upstream_tls,
            qmp,
            dialers,
            qemu,
            asking,
            recovered,
        })
    }
}

impl RunningVm {
    /// Stops accepting, and adds its sockets to those that other VMs may take.
    pub(super) async fn release(&mut self, owner: usize, released: &mut Vec<Released>) {
        let mut all = self.relay.release().await.into_iter();
        for (place, count) in self.places.drain(..) {
            released.push(Released { owner, place, listeners: all.by_ref().take(count).collect() });
        }
    }

    /// Stops accepting, and closes its sockets.
    pub(super) async fn stop_accepting(&mut self) {
        self.relay.stop_accepting().await;
    }

    /// Whether it listens on this address, for SPICE or QMP.
    pub(super) fn holds(config: &VmConfig, address: &NetAddress) -> bool {
        config.listen.contains(address) || config.tls_listen.contains(address) || config.qmp.contains(address)
    }

    /// What its connections share.
    pub(super) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Its TLS server, if clients speak TLS somewhere.
    pub(super) fn server_tls(&self) -> Option<&ServerTls> {
        self.server_tls.as_ref()
    }

    /// Takes new certificates, if nothing else has changed.
    pub(super) fn refresh(&self, new: &BoundVm) {
        if let (Some(identity), Some(new)) = (&self.identity, &new.plan.identity) {
            identity.replace(new);
            tracing::info!(file = %new.certificate().display(), "read the certificate and its key again");
        }
        if let (Some(upstream), Some(new)) = (&self.upstream_tls, &new.plan.upstream_tls) {
            upstream.replace(new);
            tracing::info!(file = %new.ca().display(), "read the upstream's CA again");
        }
    }

    /// Serves the VM with a new configuration from now on. Open connections go on, and their events go where those of new ones go.
    ///
    /// Its own listeners are among `released`.
    pub(super) fn change(
        &mut self,
        new: BoundVm,
        common: &Common,
        owner: usize,
        released: &mut [Released],
    ) -> Result<(), Error> {
        let BoundVm { plan, listeners, qmp, qemu, details: _, continued: _ } = new;
        let (relay, places) = plan.relay(common, listeners, Some(owner), released);
        self.places = places;
        let relay = relay.after(&self.relay).bind()?;
        plan.describe(&relay, &self.details);
        self.relay = relay.start_on(&common.status.data, Arc::clone(&self.observer) as _)?;
        let is_asked_elsewhere = plan.config.qemu_qmp != self.config.qemu_qmp;
        if is_asked_elsewhere {
            self.qemu = qemu;
        }
        let (name, sink, tracker) = (plan.config.shown_name(), self.observer.sink(), self.observer.tracker());
        sink.rename(&name);
        for socket in self.qmp.extract_if(.., |socket| !plan.config.qmp.contains(&socket.address)) {
            socket.task.abort();
        }
        retain(&mut self.dialers, &plan.config.qmp_connect);
        let service = service(common, tracker, &self.details, self.qemu.as_ref());
        match (sink.output().qmp, plan.wants_qmp()) {
            (Some(server), true) => server.set_service(service()),
            (None, true) => {
                let server = qmp_server(common, service());
                sink.set_output(event_output(common, &name, tracker, Some(server)));
            }
            (Some(server), false) => {
                sink.set_output(event_output(common, &name, tracker, None));
                Handle::current().spawn(async move { server.shutdown(FLUSH_PATIENCE).await });
            }
            (None, false) => {}
        }
        self.qmp.extend(serve_qmp(&sink.output(), qmp));
        let is_new = |address: &&NetAddress| self.dialers.iter().all(|(known, _)| known != *address);
        let new: Vec<_> = plan.config.qmp_connect.iter().filter(is_new).cloned().collect();
        self.dialers.extend(dial(&sink.output(), &new));
        if is_asked_elsewhere {
            if let Some(asking) = self.asking.take() {
                asking.abort();
            }
            self.asking = self.qemu.as_ref().map(|qemu| {
                let (details, recovered) = (Arc::clone(&self.details), Arc::clone(&self.recovered));
                keep_asking(qemu, details, recovered, &self.observer, service, false)
            });
        }
        if plan.config.qemu_qmp.is_none() {
            tracker.set_auth(plan.config.auth);
        }
        let Plan { config, identity, server_tls, upstream_tls, .. } = plan;
        self.server_tls = server_tls;
        #[cfg(feature = "http")]
        {
            common.certificates.set(&self.config.shown_name(), None);
            common.certificates.set(&name, identity.as_ref());
        }
        (self.config, self.identity, self.upstream_tls) = (config, identity, upstream_tls);
        Ok(())
    }

    /// Accepts no more connections until a reload. Open ones go on. Returns how many there are.
    pub(super) async fn drain(&mut self) -> usize {
        self.stop_accepting().await;
        self.places.clear();
        // The next reload finds another configuration, and binds its addresses again.
        let VmConfig { listen, tls_listen, shared, connect, tls_connect, .. } = &mut self.config;
        for addresses in [listen, tls_listen, shared] {
            addresses.clear();
        }
        for names in [connect, tls_connect] {
            names.clear();
        }
        self.observer.tracker().look(Tracker::len)
    }

    /// Whether no connection is open.
    pub(super) fn is_idle(&self) -> bool {
        self.observer.tracker().look(Tracker::is_empty)
    }

    /// Its QMP listeners, for a process that takes over.
    pub(super) fn qmp_handles(&self) -> impl Iterator<Item = (&NetAddress, &ListenerHandle)> {
        self.qmp.iter().filter_map(|socket| Some((&socket.address, socket.handle.as_ref()?)))
    }

    /// Another process has taken over: ends its QMP clients after the last event, and leaves the files of its QMP sockets.
    pub(super) fn leave(&mut self, patience: Duration) -> impl Future<Output = ()> + Send + use<> {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
        for socket in self.qmp.drain(..) {
            if let Some(handle) = socket.handle {
                handle.leave_file();
            }
            socket.task.abort();
        }
        let output = self.observer.sink().output();
        async move {
            if let Some(server) = output.qmp {
                server.shutdown(patience).await;
            }
        }
    }

    /// Ends everything but its connections: waits until its QMP clients have the last events, but no longer than `patience`.
    pub(super) async fn finish(mut self, patience: Duration) {
        // Clients could still connect.
        for socket in &mut self.qmp {
            socket.handle = None;
        }
        if let Some(asking) = &self.asking {
            asking.abort();
        }
        if let Some(server) = self.observer.sink().output().qmp {
            let gone = server.shutdown(patience).await;
            if gone.cut_off > 0 {
                tracing::warn!(clients = gone.cut_off, "QMP clients did not read the last events in time");
            }
        }
    }
}

/// Makes a VM's QMP service, of what is known when it is called.
fn service(
    common: &Common,
    tracker: &SharedTracker,
    details: &Arc<Mutex<ServerDetails>>,
    qemu: Option<&Arc<Qemu>>,
) -> impl Fn() -> Service + Send + 'static {
    let (tracker, details, status, qemu) = (tracker.clone(), Arc::clone(details), common.status.clone(), qemu.cloned());
    move || qmp::service(&tracker, &details, status.clone(), qemu.as_ref())
}

fn qmp_server(common: &Common, service: Service) -> Server {
    let mut server = Server::builder(service);
    if let Some(bytes) = common.process.max_qmp_behind {
        server = server.max_behind(bytes.get());
    }
    server.build()
}

/// Asks QEMU in a task of its own.
fn keep_asking(
    qemu: &Arc<Qemu>,
    details: Arc<Mutex<ServerDetails>>,
    recovered: Arc<Notify>,
    observer: &Arc<EventObserver<VmSink>>,
    service: impl Fn() -> Service + Send + 'static,
    known: bool,
) -> AbortHandle {
    let observer = Arc::clone(observer);
    let answered = move |auth| {
        observer.tracker().set_auth(auth);
        // The greeting of later clients has QEMU's version.
        if let Some(server) = observer.sink().output().qmp {
            server.set_service(service());
        }
    };
    Handle::current().spawn(Arc::clone(qemu).keep_asking(details, answered, recovered, known)).abort_handle()
}

/// Ends the tasks of addresses that are not configured any more.
fn retain(tasks: &mut Vec<(NetAddress, AbortHandle)>, configured: &[NetAddress]) {
    for (_, task) in tasks.extract_if(.., |(address, _)| !configured.contains(address)) {
        task.abort();
    }
}

/// Connects to QMP clients.
fn dial(output: &EventOutput, clients: &[NetAddress]) -> Vec<(NetAddress, AbortHandle)> {
    let Some(server) = &output.qmp else { return Vec::new() };
    let dial = |address: &NetAddress| {
        let dialer = match address {
            NetAddress::Unix(path) => Dialer::unix(path),
            address => Dialer::tcp(address.to_string()),
        };
        (address.clone(), server.dial(dialer))
    };
    clients.iter().map(dial).collect()
}

fn serve_qmp(output: &EventOutput, listeners: Vec<(NetAddress, qmp_server::Listener)>) -> Vec<QmpSocket> {
    let Some(server) = &output.qmp else { return Vec::new() };
    let serve = |(address, listener): (NetAddress, qmp_server::Listener)| {
        let handle =
            listener.handle().inspect_err(|error| tracing::warn!(%address, %error, "can't be handed over")).ok();
        QmpSocket { address, handle, task: server.listen(listener) }
    };
    listeners.into_iter().map(serve).collect()
}

/// Where events go: to QMP clients if there is a server for them, and else to stdout. A `format` writes them to stdout in any case.
fn event_output(common: &Common, name: &str, tracker: &SharedTracker, qmp: Option<Server>) -> EventOutput {
    let has_stdout = !common.process.sessions && (qmp.is_none() || common.process.format.is_some());
    let format = common.process.format.unwrap_or_default();
    let stdout = has_stdout.then(|| events_to(&common.stdout, name, format, tracker));
    EventOutput { qmp, stdout, format }
}

/// Writes a VM's events to stdout. After a gap, a record of the gap lists the channels that are up.
fn events_to(stdout: &Stdout, vm: &str, format: StdoutFormat, tracker: &SharedTracker) -> Arc<StdoutSource> {
    let (vm, tracker) = (vm.to_owned(), tracker.clone());
    stdout.source(move |source| {
        // Events are sent under the tracker's lock.
        tracker.look(|tracker| source.resume(|lost| format.line(&vm, qmp::events_lost(&vm, lost, tracker))));
    })
}
