//! One VM of the configuration: checked, then bound.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use qmp_server::{BindError, UnixOptions};
use spice_relay::{
    BoundRelay, Error, Relay, RelayBuilder,
    connection::Upstream,
    net::{
        Listener, NetAddress, bind_each, check_socket_path,
        tls::{KeyLogFile, ServerCheck, ServerIdentity, ServerTls, UpstreamTls},
    },
    spice_events::{Auth, Tracker},
};

use super::{
    ask_qemu::Qemu,
    check,
    common::Common,
    config::VmConfig,
    details::ServerDetails,
    passed::PassedSockets,
    places::{Place, Released, places, take},
};

/// A VM whose configuration is valid: its files are read and its names resolved. Nothing is bound yet.
pub(super) struct Plan {
    pub(super) config: VmConfig,
    upstream: NetAddress,
    pub(super) identity: Option<Arc<ServerIdentity>>,
    pub(super) server_tls: Option<ServerTls>,
    pub(super) upstream_tls: Option<Arc<UpstreamTls>>,
    key_log: Option<Arc<KeyLogFile>>,
}

impl Plan {
    /// Checks the configuration, and reads its files. `is_held` tells whether this process already listens on an address.
    pub(super) fn check(config: VmConfig, is_held: impl Fn(&NetAddress) -> bool) -> Result<Self, PlanError> {
        let upstream = check::vm(&config).map_err(PlanError::Other)?;
        check_listeners(&config, is_held).map_err(|error| PlanError::Other(error.to_string()))?;
        let identity = identity(&config).map_err(PlanError::Identity)?;
        let key_log = config.keylog.as_ref().map(|path| Arc::new(KeyLogFile::new(path)));
        let server_tls =
            identity.as_ref().map(|identity| ServerTls::with_key_log(identity, key_log.clone())).transpose();
        let server_tls = server_tls.map_err(|error| PlanError::Identity(error.to_string()))?;
        let upstream_tls = config.upstream_tls.then(|| upstream_tls(&config, &upstream, key_log.clone())).transpose();
        let upstream_tls = upstream_tls.map_err(PlanError::UpstreamCa)?;
        if let Some(network) = config.proxy_from.iter().find(|network| network.is_all()) {
            let vm = config.shown_name();
            tracing::warn!(vm, ?network, "proxy-from trusts every client: each can claim to have any address");
        }
        Ok(Self { config, upstream, identity, server_tls, upstream_tls, key_log })
    }

    /// Binds its addresses that are not held. Must run inside a tokio runtime, to which the QMP listeners belong.
    /// A socket that was passed is used instead.
    pub(super) fn bind(
        self,
        continued: Option<&VmConfig>,
        running: &[VmConfig],
        passed: &PassedSockets,
    ) -> Result<BoundVm, String> {
        if let Some(key_log) = &self.key_log {
            let path = key_log.path().display();
            key_log.open().map_err(|error| format!("can't write the key log {path}: {error}"))?;
            let vm = self.config.shown_name();
            tracing::warn!(vm, file = %path, "keylog undoes the secrecy of TLS: who has this file can decrypt every capture of these connections");
        }
        let mut listeners = Vec::new();
        for place in places(&self.config) {
            let is_held = if place.0.is_any_port() {
                // Such an address has a socket for each time that it is written.
                let count = |places: &[Place]| places.iter().filter(|other| **other == place).count();
                let bound: Vec<_> = listeners.iter().map(|(place, _): &(Place, _)| place.clone()).collect();
                continued.is_some_and(|old| count(&bound) < count(&places(old)))
            } else {
                // An address that VMs share may become that of one VM.
                running.iter().any(|vm| vm.listen.contains(&place.0) || vm.tls_listen.contains(&place.0))
            };
            let mut bound = if is_held { Vec::new() } else { passed.listeners(&place.0)? };
            if !is_held && bound.is_empty() {
                bound = Listener::bind(&place.0).map_err(|error| error.to_string())?;
            }
            listeners.push((place, bound));
        }
        let mut qmp = Vec::new();
        let is_held = |address: &&NetAddress| continued.is_some_and(|old| old.qmp.contains(address));
        for address in self.config.qmp.iter().filter(|address| !is_held(address)) {
            let mut bound = passed.qmp_listeners(address)?;
            if bound.is_empty() {
                bound = self.bind_qmp(address)?;
            }
            qmp.extend(bound.into_iter().map(|listener| (address.clone(), listener)));
        }
        let details = Arc::new(Mutex::new(self.details()));
        let qemu = self.config.qemu_qmp.clone().map(|address| Arc::new(Qemu::new(address)));
        Ok(BoundVm { plan: self, listeners, qmp, details, qemu, continued: None })
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
    pub(super) fn wants_qmp(&self) -> bool {
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
    pub(super) fn relay(
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
    pub(super) fn describe(&self, relay: &BoundRelay, details: &Mutex<ServerDetails>) {
        let port = |of_tls: bool| {
            relay.addresses().find_map(|(address, tls)| match address {
                NetAddress::Tcp(_, port) if tls == of_tls => Some(*port),
                _ => None,
            })
        };
        // At a shared address, it is known which port was configured.
        let shared_port = self.config.shared.iter().find_map(|address| match address {
            NetAddress::Tcp(_, port) => Some(*port),
            _ => None,
        });
        let host = match self.config.listen.first().or(self.config.tls_listen.first()) {
            Some(NetAddress::Tcp(host, _)) => host.clone(),
            Some(NetAddress::Unix(path)) => path.to_string_lossy().into_owned(),
            _ => "*".to_owned(),
        };
        let mut details = details.lock().unwrap_or_else(PoisonError::into_inner);
        (details.host, details.port, details.tls_port) = (Some(host), port(false), port(true).or(shared_port));
        details.name.clone_from(&self.config.name);
        // Else it is what QEMU said.
        if self.config.qemu_qmp.is_none() {
            let known = self.details();
            (details.auth, details.version) = (known.auth, known.version);
            (details.compiled_version, details.mouse_mode) = (None, None);
        }
    }
}

/// A VM whose new addresses are bound.
pub(super) struct BoundVm {
    pub(super) plan: Plan,
    /// The new sockets of each place. Empty if this process listens there already.
    pub(super) listeners: Vec<(Place, Vec<Listener>)>,
    pub(super) qmp: Vec<(NetAddress, qmp_server::Listener)>,
    pub(super) details: Arc<Mutex<ServerDetails>>,
    pub(super) qemu: Option<Arc<Qemu>>,
    /// The connections that another process has.
    pub(super) continued: Option<Tracker>,
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
        (None, None, Some(dir)) if config.serves_tls() => (dir.join("server-cert.pem"), dir.join("server-key.pem")),
        (None, None, None) if config.serves_tls() => {
            return Err(
                "expected a certificate for --tls-listen (--cert FILE --key FILE, or --x509-dir DIR), found none"
                    .into(),
            );
        }
        (None, None, _) => return Ok(None),
    };
    ServerIdentity::load(certificate, key).map(Some).map_err(|error| error.to_string())
}

fn upstream_tls(
    config: &VmConfig,
    upstream: &NetAddress,
    key_log: Option<Arc<KeyLogFile>>,
) -> Result<Arc<UpstreamTls>, String> {
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
    UpstreamTls::load_with_key_log(ca, &check, key_log).map_err(|error| error.to_string())
}
