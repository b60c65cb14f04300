//! One VM of the configuration: checked, then bound, then served.

use std::{
    fmt, io,
    sync::{Arc, Mutex},
};

use qmp_server::{BindError, Dialer, Server, UnixOptions};
use spice_relay::{
    BoundRelay, Error, Relay,
    connection::Upstream,
    net::{
        NetAddress, bind_each, check_socket_path,
        tls::{ServerCheck, ServerIdentity, ServerTls, UpstreamTls},
    },
    observe::{EventObserver, SharedTracker},
    spice_events::{Auth, Config as TrackerConfig},
};
use tokio::{runtime::Handle, sync::Notify};

use super::{
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

/// A VM whose configuration is valid: its files are read and its names resolved. Nothing is bound yet.
pub(super) struct Plan {
    config: VmConfig,
    upstream: NetAddress,
    pub(super) identity: Option<Arc<ServerIdentity>>,
    server_tls: Option<ServerTls>,
    pub(super) upstream_tls: Option<Arc<UpstreamTls>>,
}

impl Plan {
    pub(super) fn check(config: VmConfig) -> Result<Self, String> {
        let upstream = check::vm(&config)?;
        check_listeners(&config).map_err(|error| error.to_string())?;
        let identity = identity(&config)?;
        let server_tls = identity.as_ref().map(ServerTls::new).transpose().map_err(|error| error.to_string())?;
        let upstream_tls = config.upstream_tls.then(|| upstream_tls(&config, &upstream)).transpose()?;
        Ok(Self { config, upstream, identity, server_tls, upstream_tls })
    }

    /// Whether its events go to stdout.
    pub(super) fn wants_stdout(&self) -> bool {
        self.config.qmp.is_empty() && self.config.qmp_connect.is_empty()
    }

    /// Binds all its addresses. Must run inside a tokio runtime, to which the QMP listeners belong.
    pub(super) fn bind(self, process: &Config, status: &Status, workers: usize) -> Result<BoundVm, String> {
        let mut upstream = Upstream::from(self.upstream.clone());
        if let Some(tls) = &self.upstream_tls {
            upstream = upstream.tls(Arc::clone(tls));
        }
        if let Some(version) = self.config.send_proxy {
            upstream = upstream.send_proxy(version);
        }
        let mut relay = Relay::builder(upstream)
            .name(self.name())
            .timeouts(process.timeouts())
            .connection_limit(Arc::clone(&status.limit))
            // One for each thread, so that a burst of connections is spread.
            .accept_tasks(workers);
        for address in &self.config.listen {
            relay = relay.listen(address.clone());
        }
        for (address, tls) in self.config.tls_listen.iter().zip(std::iter::repeat(self.server_tls.as_ref())) {
            if let Some(tls) = tls {
                relay = relay.listen_tls(address.clone(), tls.clone());
            }
        }
        for network in &self.config.proxy_from {
            relay = relay.proxy_from(network.clone());
        }
        let relay = relay.bind().map_err(|error| error.to_string())?;
        let qmp = self.bind_qmp()?;
        let details = Arc::new(Mutex::new(self.details(&relay)));
        let qemu = self.config.qemu_qmp.clone().map(|address| Arc::new(Qemu::new(address)));
        Ok(BoundVm { plan: self, relay, qmp, details, qemu })
    }

    fn bind_qmp(&self) -> Result<Vec<qmp_server::Listener>, String> {
        let mut bound = Vec::new();
        for address in &self.config.qmp {
            let failed = |error: &dyn fmt::Display| format!("can't serve QMP on {address}: {error}");
            match address {
                NetAddress::Unix(path) => {
                    let mut options = UnixOptions::default();
                    options.mode = self.config.qmp_mode.map_or(options.mode, |mode| mode.0);
                    options.group = self.config.qmp_group.map(|group| group.0);
                    bound.push(qmp_server::Listener::unix_with(path, options).map_err(|error| failed(&error))?);
                }
                _ => bound.extend(
                    bind_each(address, |address| qmp_server::Listener::tcp(address).map_err(system))
                        .map_err(|error| failed(&error))?,
                ),
            }
        }
        Ok(bound)
    }

    fn name(&self) -> String {
        self.config.name.clone().unwrap_or_else(|| self.upstream.to_string())
    }

    /// Clients that the relay connects to.
    fn dialers(&self) -> impl Iterator<Item = Dialer> {
        self.config.qmp_connect.iter().map(|address| match address {
            NetAddress::Unix(path) => Dialer::unix(path),
            address => Dialer::tcp(address.to_string()),
        })
    }

    /// What `query-spice` says about the listeners: the configured host, and the bound ports.
    fn details(&self, relay: &BoundRelay) -> ServerDetails {
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
        let auth = self.config.auth;
        ServerDetails {
            name: self.config.name.clone(),
            host: Some(host),
            port: port(false),
            tls_port: port(true),
            auth,
            version: self.config.qemu_version.unwrap_or_default().announced(),
            compiled_version: None,
            mouse_mode: None,
        }
    }
}

fn check_listeners(config: &VmConfig) -> Result<(), Error> {
    for address in config.listen.iter().chain(&config.tls_listen).chain(&config.qmp) {
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

/// A VM that listens on all its addresses.
pub(super) struct BoundVm {
    plan: Plan,
    relay: BoundRelay,
    qmp: Vec<qmp_server::Listener>,
    details: Arc<Mutex<ServerDetails>>,
    qemu: Option<Arc<Qemu>>,
}

/// A VM that is served.
#[derive(Debug)]
pub(super) struct RunningVm {
    pub(super) observer: Arc<EventObserver<VmSink>>,
    pub(super) relay: Relay,
}

impl BoundVm {
    /// Asks QEMU, if that is configured. Separate from [`start`](Self::start), so that all VMs are asked at the same time.
    pub(super) fn ask(&self) -> impl Future<Output = Option<Auth>> + Send + 'static {
        let (qemu, details) = (self.qemu.clone(), Arc::clone(&self.details));
        async move { qemu?.ask(&details).await.inspect_err(|error| tracing::debug!("{error:#}")).ok() }
    }

    /// Starts everything that serves the VM: connections on the runtime that moves bytes, the rest on the current runtime.
    /// `asked` is QEMU's answer.
    pub(super) fn start(
        self,
        process: &Config,
        status: &Status,
        stdout: Option<&Stdout>,
        sessions: Option<&SessionHub>,
        asked: Option<Auth>,
    ) -> Result<RunningVm, Error> {
        let Self { plan, relay, qmp, details, qemu } = self;
        let mut config = TrackerConfig::new();
        config.auth = asked.or(plan.config.auth);
        let tracker = SharedTracker::new(config);
        let service = {
            let (tracker, details, status, qemu) =
                (tracker.clone(), Arc::clone(&details), status.clone(), qemu.clone());
            move || qmp::service(&tracker, &details, status.clone(), qemu.as_ref())
        };
        let output = if let Some(stdout) = stdout.filter(|_| plan.wants_stdout()) {
            if process.sessions {
                EventOutput::Nowhere
            } else {
                EventOutput::Stdout(events_to(stdout, &plan.name(), &tracker))
            }
        } else {
            let mut server = Server::builder(service());
            if let Some(bytes) = process.max_qmp_behind {
                server = server.max_behind(bytes.get());
            }
            let server = server.build();
            for listener in qmp {
                server.listen(listener);
            }
            for dialer in plan.dialers() {
                server.dial(dialer);
            }
            EventOutput::Qmp(server)
        };
        let recovered = Arc::new(Notify::new());
        if let Some(qemu) = qemu {
            let answered = {
                let (tracker, output) = (tracker.clone(), output.clone());
                move |auth| {
                    tracker.set_auth(auth);
                    // The greeting of later clients has QEMU's version.
                    if let EventOutput::Qmp(server) = &output {
                        server.set_service(service());
                    }
                }
            };
            Handle::current().spawn(qemu.keep_asking(details, answered, Arc::clone(&recovered), asked.is_some()));
        }
        let name = plan.name();
        let sessions = sessions.map(|sessions| (sessions.clone(), sessions.vm(&name)));
        let sink = VmSink { vm: name.into(), output, sessions, recovered };
        let observer = Arc::new(EventObserver::with_tracker(tracker, sink));
        let relay = relay.start_on(&status.data, Arc::clone(&observer) as _)?;
        Ok(RunningVm { observer, relay })
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
