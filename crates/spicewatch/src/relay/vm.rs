//! One VM of the configuration: checked, then bound, then served.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use qmp_server::{BindError, Dialer, Server, Service, UnixOptions};
use spice_relay::{
    BoundRelay, Error, Relay, RelayBuilder,
    connection::Upstream,
    net::{
        Listener, NetAddress, bind_each, check_socket_path,
        tls::{ServerCheck, ServerIdentity, ServerTls, UpstreamTls},
    },
    observe::{EventObserver, SharedTracker},
    spice_events::{Auth, Config as TrackerConfig, Tracker},
};
use tokio::{runtime::Handle, sync::Notify, task::AbortHandle};

use super::{
    FLUSH_PATIENCE,
    ask_qemu::Qemu,
    check,
    config::{Config, VmConfig},
    details::ServerDetails,
    qmp,
    sessions::SessionHub,
    sink::{EventOutput, VmSink},
    status::Status,
    stdout::{Stdout, StdoutSource},
};

/// What all VMs share.
#[derive(Debug)]
pub(super) struct Common {
    /// The settings of the process.
    pub(super) process: Config,
    pub(super) status: Status,
    pub(super) stdout: Stdout,
    pub(super) sessions: Option<SessionHub>,
    /// How many threads forward bytes.
    pub(super) workers: usize,
}

/// A VM whose configuration is valid: its files are read and its names resolved. Nothing is bound yet.
pub(super) struct Plan {
    config: VmConfig,
    upstream: NetAddress,
    identity: Option<Arc<ServerIdentity>>,
    server_tls: Option<ServerTls>,
    upstream_tls: Option<Arc<UpstreamTls>>,
}

impl Plan {
    /// Checks the configuration, and reads its files. `is_held` tells whether this process already listens on an address.
    pub(super) fn check(config: VmConfig, is_held: impl Fn(&NetAddress) -> bool) -> Result<Self, PlanError> {
        let upstream = check::vm(&config).map_err(PlanError::Other)?;
        check_listeners(&config, is_held).map_err(|error| PlanError::Other(error.to_string()))?;
        let identity = identity(&config).map_err(PlanError::Identity)?;
        let server_tls = identity.as_ref().map(ServerTls::new).transpose();
        let server_tls = server_tls.map_err(|error| PlanError::Identity(error.to_string()))?;
        let upstream_tls = config.upstream_tls.then(|| upstream_tls(&config, &upstream)).transpose();
        let upstream_tls = upstream_tls.map_err(PlanError::UpstreamCa)?;
        if let Some(network) = config.proxy_from.iter().find(|network| network.is_all()) {
            let vm = config.shown_name();
            tracing::warn!(vm, ?network, "proxy-from trusts every client: each can claim to have any address");
        }
        Ok(Self { config, upstream, identity, server_tls, upstream_tls })
    }

    /// Binds its addresses that are not held. Must run inside a tokio runtime, to which the QMP listeners belong.
    pub(super) fn bind(self, continued: Option<&VmConfig>, running: &[VmConfig]) -> Result<BoundVm, String> {
        let mut listeners = Vec::new();
        for place in places(&self.config) {
            let is_held = if place.0.is_any_port() {
                // Such an address has a socket for each time that it is written.
                let count = |places: &[Place]| places.iter().filter(|other| **other == place).count();
                let bound: Vec<_> = listeners.iter().map(|(place, _): &(Place, _)| place.clone()).collect();
                continued.is_some_and(|old| count(&bound) < count(&places(old)))
            } else {
                running.iter().flat_map(places).any(|(address, _)| address == place.0)
            };
            let bound =
                if is_held { Vec::new() } else { Listener::bind(&place.0).map_err(|error| error.to_string())? };
            listeners.push((place, bound));
        }
        let mut qmp = Vec::new();
        let is_held = |address: &&NetAddress| continued.is_some_and(|old| old.qmp.contains(address));
        for address in self.config.qmp.iter().filter(|address| !is_held(address)) {
            qmp.extend(self.bind_qmp(address)?.into_iter().map(|listener| (address.clone(), listener)));
        }
        let details = Arc::new(Mutex::new(self.details()));
        let qemu = self.config.qemu_qmp.clone().map(|address| Arc::new(Qemu::new(address)));
        Ok(BoundVm { plan: self, listeners, qmp, details, qemu })
    }

    fn bind_qmp(&self, address: &NetAddress) -> Result<Vec<qmp_server::Listener>, String> {
        let failed = |error: &dyn fmt::Display| format!("can't serve QMP on {address}: {error}");
        match address {
            NetAddress::Unix(path) => {
                let mut options = UnixOptions::default();
                options.mode = self.config.qmp_mode.map_or(options.mode, |mode| mode.0);
                options.group = self.config.qmp_group.map(|group| group.0);
                let bound = qmp_server::Listener::unix_with(path, options);
                bound.map(|listener| vec![listener]).map_err(|error| failed(&error))
            }
            _ => bind_each(address, |address| qmp_server::Listener::tcp(address).map_err(system))
                .map_err(|error| failed(&error)),
        }
    }

    /// Whether its events go to QMP clients.
    fn wants_qmp(&self) -> bool {
        !self.config.qmp.is_empty() || !self.config.qmp_connect.is_empty()
    }

    /// What is known of the SPICE server before its listeners are.
    fn details(&self) -> ServerDetails {
        ServerDetails {
            name: self.config.name.clone(),
            host: None,
            port: None,
            tls_port: None,
            auth: self.config.auth,
            version: self.config.qemu_version.unwrap_or_default().announced(),
            compiled_version: None,
            mouse_mode: None,
        }
    }

    /// The relay, with its listeners: those that were bound for it, and else those of `released`. Returns how many each place has.
    fn relay(
        &self,
        common: &Common,
        bound: Vec<(Place, Vec<Listener>)>,
        owner: Option<usize>,
        released: &mut [Released],
    ) -> (RelayBuilder, Vec<(Place, usize)>) {
        let mut upstream = Upstream::from(self.upstream.clone());
        if let Some(tls) = &self.upstream_tls {
            upstream = upstream.tls(Arc::clone(tls));
        }
        if let Some(version) = self.config.send_proxy {
            upstream = upstream.send_proxy(version);
        }
        let mut relay = Relay::builder(upstream)
            .name(self.config.shown_name())
            .timeouts(common.process.timeouts())
            .tcp_options(self.config.tcp_options())
            .connection_limit(Arc::clone(&common.status.limit))
            // One for each thread, so that a burst of connections is spread.
            .accept_tasks(common.workers);
        let mut counts = Vec::new();
        for (place, mut listeners) in bound {
            if listeners.is_empty() {
                listeners = take(released, &place, owner);
            }
            counts.push((place.clone(), listeners.len()));
            for listener in listeners {
                relay = relay.listener(listener, self.server_tls.clone().filter(|_| place.1));
            }
        }
        for network in &self.config.proxy_from {
            relay = relay.proxy_from(network.clone());
        }
        (relay, counts)
    }

    /// Updates what `query-spice` says about the listeners: the configured host, and the bound ports.
    fn describe(&self, relay: &BoundRelay, details: &Mutex<ServerDetails>) {
        let port = |of_tls: bool| {
            relay.addresses().find_map(|(address, tls)| match address {
                NetAddress::Tcp(_, port) if tls == of_tls => Some(*port),
                _ => None,
            })
        };
        let host = match self.config.listen.first().or(self.config.tls_listen.first()) {
            Some(NetAddress::Tcp(host, _)) => host.clone(),
            Some(NetAddress::Unix(path)) => path.to_string_lossy().into_owned(),
            _ => "*".to_owned(),
        };
        let mut details = details.lock().unwrap_or_else(PoisonError::into_inner);
        (details.host, details.port, details.tls_port) = (Some(host), port(false), port(true));
        details.name.clone_from(&self.config.name);
        // Else it is what QEMU said.
        if self.config.qemu_qmp.is_none() {
            let known = self.details();
            (details.auth, details.version) = (known.auth, known.version);
            (details.compiled_version, details.mouse_mode) = (None, None);
        }
    }
}

/// A configured address, and whether clients speak TLS there.
type Place = (NetAddress, bool);

fn places(config: &VmConfig) -> Vec<Place> {
    let plain = config.listen.iter().map(|address| (address.clone(), false));
    plain.chain(config.tls_listen.iter().map(|address| (address.clone(), true))).collect()
}

/// Sockets that a VM has released at a reload.
pub(super) struct Released {
    /// The VM's index among those that were running.
    owner: usize,
    place: Place,
    listeners: Vec<Listener>,
}

/// Takes the sockets of one place. An address may have moved from another VM, except one whose port the system picked.
fn take(released: &mut [Released], place: &Place, owner: Option<usize>) -> Vec<Listener> {
    let fits = |found: &&mut Released| {
        if place.0.is_any_port() {
            found.place == *place && Some(found.owner) == owner && !found.listeners.is_empty()
        } else {
            found.place.0 == place.0
        }
    };
    released.iter_mut().find(fits).map(|found| std::mem::take(&mut found.listeners)).unwrap_or_default()
}

/// Why a VM's configuration can't be used.
pub(super) enum PlanError {
    /// The relay's certificate or its key.
    Identity(String),
    /// The upstream's CA.
    UpstreamCa(String),
    Other(String),
}

fn check_listeners(config: &VmConfig, is_held: impl Fn(&NetAddress) -> bool) -> Result<(), Error> {
    let all = config.listen.iter().chain(&config.tls_listen).chain(&config.qmp);
    for address in all.filter(|address| !is_held(address)) {
        match address {
            NetAddress::Unix(path) => check_socket_path(path)?,
            _ => {
                address.resolve().map_err(|source| Error::Listen { address: address.clone(), source })?;
            }
        }
    }
    Ok(())
}

/// The system's part of a bind error.
fn system(error: BindError) -> io::Error {
    match error {
        BindError::InUse { .. } => io::ErrorKind::AddrInUse.into(),
        BindError::Io { source, .. } => source,
        error => io::Error::other(error),
    }
}

fn identity(config: &VmConfig) -> Result<Option<Arc<ServerIdentity>>, String> {
    let (certificate, key) = match (&config.cert, &config.key, &config.x509_dir) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            return Err("expected either cert and key, or x509-dir, found both".into());
        }
        (Some(certificate), Some(key), None) => (certificate.clone(), key.clone()),
        (Some(_), None, None) | (None, Some(_), None) => return Err("expected cert and key, found one of them".into()),
        (None, None, Some(dir)) if !config.tls_listen.is_empty() => {
            (dir.join("server-cert.pem"), dir.join("server-key.pem"))
        }
        (None, None, None) if !config.tls_listen.is_empty() => {
            return Err(
                "expected a certificate for --tls-listen (--cert FILE --key FILE, or --x509-dir DIR), found none"
                    .into(),
            );
        }
        (None, None, _) => return Ok(None),
    };
    ServerIdentity::load(certificate, key).map(Some).map_err(|error| error.to_string())
}

fn upstream_tls(config: &VmConfig, upstream: &NetAddress) -> Result<Arc<UpstreamTls>, String> {
    let from_dir = config.x509_dir.as_ref().map(|dir| dir.join("ca-cert.pem"));
    let ca = config.ca.clone().or(from_dir).ok_or("expected a CA for --upstream-tls (--ca FILE), found none")?;
    let name = config.upstream_name.as_deref().or(upstream.host());
    let check = match (&config.host_subject, name) {
        (Some(_), _) if config.upstream_name.is_some() => {
            return Err("expected either upstream-name or host-subject, found both".into());
        }
        // The TLS handshake asks for a name. The subject decides, so any name works.
        (Some(subject), name) => {
            ServerCheck::Subject { subject: subject.clone(), server_name: name.unwrap_or("localhost").to_owned() }
        }
        (None, Some(name)) => ServerCheck::Name(name.to_owned()),
        (None, None) => {
            return Err("expected --upstream-name or --host-subject for TLS over a unix socket, found neither".into());
        }
    };
    UpstreamTls::load(ca, &check).map_err(|error| error.to_string())
}

/// A VM whose new addresses are bound.
pub(super) struct BoundVm {
    plan: Plan,
    /// The new sockets of each place. Empty if this process listens there already.
    listeners: Vec<(Place, Vec<Listener>)>,
    qmp: Vec<(NetAddress, qmp_server::Listener)>,
    details: Arc<Mutex<ServerDetails>>,
    qemu: Option<Arc<Qemu>>,
}

/// A VM that is served.
#[derive(Debug)]
pub(super) struct RunningVm {
    pub(super) config: VmConfig,
    pub(super) observer: Arc<EventObserver<VmSink>>,
    relay: Relay,
    /// How many of the relay's listeners each place has, in their order.
    places: Vec<(Place, usize)>,
    details: Arc<Mutex<ServerDetails>>,
    identity: Option<Arc<ServerIdentity>>,
    upstream_tls: Option<Arc<UpstreamTls>>,
    /// The tasks of its QMP listeners.
    qmp: Vec<(NetAddress, AbortHandle)>,
    /// The tasks that connect to QMP clients.
    dialers: Vec<(NetAddress, AbortHandle)>,
    qemu: Option<Arc<Qemu>>,
    /// The task that asks QEMU.
    asking: Option<AbortHandle>,
    recovered: Arc<Notify>,
}

impl BoundVm {
    pub(super) fn config(&self) -> &VmConfig {
        &self.plan.config
    }

    /// Asks QEMU, if that is configured. Separate from [`start`](Self::start), so that all VMs are asked at the same time.
    pub(super) fn ask(&self) -> impl Future<Output = Option<Auth>> + Send + 'static {
        let (qemu, details) = (self.qemu.clone(), Arc::clone(&self.details));
        async move { qemu?.ask(&details).await.inspect_err(|error| tracing::debug!("{error:#}")).ok() }
    }

    /// Starts everything that serves the VM: connections on the runtime that moves bytes, the rest on the current runtime.
    /// `asked` is QEMU's answer.
    pub(super) fn start(
        self,
        common: &Common,
        released: &mut [Released],
        asked: Option<Auth>,
    ) -> Result<RunningVm, Error> {
        let Self { plan, listeners, qmp, details, qemu } = self;
        let mut config = TrackerConfig::new();
        config.auth = asked.or(plan.config.auth);
        let tracker = SharedTracker::new(config);
        let (relay, places) = plan.relay(common, listeners, None, released);
        let relay = relay.bind()?;
        plan.describe(&relay, &details);
        let recovered = Arc::new(Notify::new());
        let name = plan.config.shown_name();
        let sessions = common.sessions.as_ref().map(|sessions| (sessions.clone(), sessions.vm(&name)));
        let service = service(common, &tracker, &details, qemu.as_ref());
        let output = if plan.wants_qmp() {
            EventOutput::Qmp(qmp_server(common, service()))
        } else {
            without_qmp(common, &name, &tracker)
        };
        let qmp = serve_qmp(&output, qmp);
        let dialers = dial(&output, &plan.config.qmp_connect);
        let sink = VmSink::new(&name, output, sessions, Arc::clone(&recovered));
        let observer = Arc::new(EventObserver::with_tracker(tracker, sink));
        let asking = qemu.as_ref().map(|qemu| {
            let (details, recovered) = (Arc::clone(&details), Arc::clone(&recovered));
            keep_asking(qemu, details, recovered, &observer, service, asked.is_some())
        });
        let relay = relay.start_on(&common.status.data, Arc::clone(&observer) as _)?;
        let Plan { config, identity, upstream_tls, .. } = plan;
        Ok(RunningVm {
            config,
            observer,
            relay,
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
        let BoundVm { plan, listeners, qmp, qemu, details: _ } = new;
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
        retain(&mut self.qmp, &plan.config.qmp);
        retain(&mut self.dialers, &plan.config.qmp_connect);
        let service = service(common, tracker, &self.details, self.qemu.as_ref());
        match (sink.output(), plan.wants_qmp()) {
            (EventOutput::Qmp(server), true) => server.set_service(service()),
            (_, true) => sink.set_output(EventOutput::Qmp(qmp_server(common, service()))),
            (EventOutput::Qmp(server), false) => {
                sink.set_output(without_qmp(common, &name, tracker));
                Handle::current().spawn(async move { server.shutdown(FLUSH_PATIENCE).await });
            }
            (_, false) => {}
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
        let Plan { config, identity, upstream_tls, .. } = plan;
        (self.config, self.identity, self.upstream_tls) = (config, identity, upstream_tls);
        Ok(())
    }

    /// Whether no connection is open.
    pub(super) fn is_idle(&self) -> bool {
        self.observer.tracker().look(Tracker::is_empty)
    }

    /// Ends everything but its connections: waits until its QMP clients have the last events, but no longer than `patience`.
    pub(super) async fn finish(self, patience: Duration) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
        if let EventOutput::Qmp(server) = self.observer.sink().output() {
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
        if let EventOutput::Qmp(server) = observer.sink().output() {
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
    let EventOutput::Qmp(server) = output else { return Vec::new() };
    let dial = |address: &NetAddress| {
        let dialer = match address {
            NetAddress::Unix(path) => Dialer::unix(path),
            address => Dialer::tcp(address.to_string()),
        };
        (address.clone(), server.dial(dialer))
    };
    clients.iter().map(dial).collect()
}

fn serve_qmp(
    output: &EventOutput,
    listeners: Vec<(NetAddress, qmp_server::Listener)>,
) -> Vec<(NetAddress, AbortHandle)> {
    let EventOutput::Qmp(server) = output else { return Vec::new() };
    listeners.into_iter().map(|(address, listener)| (address, server.listen(listener))).collect()
}

/// Where events go without a QMP socket.
fn without_qmp(common: &Common, name: &str, tracker: &SharedTracker) -> EventOutput {
    if common.process.sessions {
        EventOutput::Nowhere
    } else {
        EventOutput::Stdout(events_to(&common.stdout, name, tracker))
    }
}

/// Writes a VM's events to stdout. After a gap, a record of the gap lists the channels that are up.
fn events_to(stdout: &Stdout, vm: &str, tracker: &SharedTracker) -> Arc<StdoutSource> {
    let (vm, tracker) = (vm.to_owned(), tracker.clone());
    stdout.source(move |source| {
        // Events are sent under the tracker's lock.
        tracker.look(|tracker| source.resume(|lost| qmp::events_lost(&vm, lost, tracker)));
    })
}
