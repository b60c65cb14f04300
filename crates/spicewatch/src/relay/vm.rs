//! One VM of the configuration: checked, then bound, then served.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use qmp_server::{BindError, Listener, Server};
use rustls::pki_types::ServerName;
use spice_events::Auth;
use tokio::{runtime::Handle, sync::Notify, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::{
    check,
    config::{AuthName, Config, VmConfig},
    connection::{Way, serve},
    endpoint::{Endpoint, check_socket_path},
    listen::{self, Bound},
    qemu::Qemu,
    qmp::{self, Facts},
    seldom::PEER,
    status::Status,
    stdout::Stdout,
    tls::{Connector, Expected, Identity},
    watch::{Sink, Watch},
};

/// The SPICE server, and whether it could be reached last time.
#[derive(Debug)]
pub(super) struct Upstream {
    address: Endpoint,
    down: AtomicBool,
    /// Told when it is back after it was gone.
    back: Arc<Notify>,
}

impl Upstream {
    pub(super) fn address(&self) -> &Endpoint {
        &self.address
    }

    pub(super) fn is_down(&self) {
        self.down.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_up(&self, vm: &str) {
        if self.down.load(Ordering::Relaxed) && self.down.swap(false, Ordering::Relaxed) {
            tracing::info!(target: PEER, vm, upstream = %self.address, "the upstream is back");
            self.back.notify_one();
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// A VM whose configuration is sound: files are read, names are resolved. Nothing is bound yet.
pub(super) struct Plan {
    config: VmConfig,
    upstream: Endpoint,
    pub(super) identity: Option<Arc<Identity>>,
    acceptor: Option<TlsAcceptor>,
    pub(super) connector: Option<Arc<Connector>>,
}

impl Plan {
    pub(super) fn check(config: VmConfig) -> Result<Self, String> {
        let upstream = check::vm(&config)?;
        for endpoint in config.listen.iter().chain(&config.tls_listen).chain(&config.qmp) {
            match endpoint {
                Endpoint::Unix(path) => check_socket_path(path)?,
                Endpoint::Tcp(..) => {
                    endpoint.resolve().map_err(|error| format!("can't listen on {endpoint}: {error}"))?;
                }
            }
        }
        let identity = identity(&config)?;
        let acceptor = identity.as_ref().map(Identity::acceptor).transpose()?;
        let connector = config.upstream_tls.then(|| connector(&config, &upstream)).transpose()?;
        Ok(Self { config, upstream, identity, acceptor, connector })
    }

    pub(super) fn name(&self) -> String {
        self.config.name.clone().unwrap_or_else(|| self.upstream.to_string())
    }

    /// Whether its events go to stdout.
    pub(super) fn wants_stdout(&self) -> bool {
        self.config.qmp.is_empty()
    }

    /// Binds everything. Has to run inside a tokio runtime, as QMP's listeners belong to it.
    pub(super) fn bind(self) -> Result<BoundVm, String> {
        let (mut plain, mut tls, mut qmp) = (Vec::new(), Vec::new(), Vec::new());
        for endpoint in &self.config.listen {
            plain.extend(listen::bind(endpoint)?);
        }
        for endpoint in &self.config.tls_listen {
            tls.extend(listen::bind(endpoint)?);
        }
        for endpoint in &self.config.qmp {
            let failed = |error: &dyn fmt::Display| format!("can't serve QMP on {endpoint}: {error}");
            match endpoint {
                Endpoint::Unix(path) => qmp.push(Listener::unix(path).map_err(|error| failed(&error))?),
                Endpoint::Tcp(..) => qmp.extend(
                    listen::bind_each(endpoint, |address| Listener::tcp(address).map_err(system))
                        .map_err(|error| failed(&error))?,
                ),
            }
        }
        let facts = Arc::new(Mutex::new(self.facts(&plain, &tls)));
        Ok(BoundVm { plan: self, plain, tls, qmp, facts })
    }
}

/// What the system said.
fn system(error: BindError) -> io::Error {
    match error {
        BindError::InUse { .. } => io::ErrorKind::AddrInUse.into(),
        BindError::Io { source, .. } => source,
        error => io::Error::other(error),
    }
}

fn identity(config: &VmConfig) -> Result<Option<Arc<Identity>>, String> {
    match (&config.cert, &config.key, &config.x509_dir) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            Err("expected either cert and key, or x509-dir, found both".into())
        }
        (Some(cert), Some(key), None) => Identity::load(cert.clone(), key.clone()).map(Some),
        (Some(_), None, None) | (None, Some(_), None) => Err("expected cert and key, found one of them".into()),
        (None, None, Some(dir)) if !config.tls_listen.is_empty() => {
            Identity::load(dir.join("server-cert.pem"), dir.join("server-key.pem")).map(Some)
        }
        (None, None, None) if !config.tls_listen.is_empty() => {
            Err("expected a certificate for --tls-listen (--cert FILE --key FILE, or --x509-dir DIR), found none"
                .into())
        }
        (None, None, _) => Ok(None),
    }
}

fn connector(config: &VmConfig, upstream: &Endpoint) -> Result<Arc<Connector>, String> {
    let from_dir = config.x509_dir.as_ref().map(|dir| dir.join("ca-cert.pem"));
    let ca = config.ca.clone().or(from_dir).ok_or("expected a CA for --upstream-tls (--ca FILE), found none")?;
    let name = config.upstream_name.as_deref().or(upstream.host());
    let expected = match (&config.host_subject, name) {
        (Some(_), _) if config.upstream_name.is_some() => {
            return Err("expected either upstream-name or host-subject, found both".into());
        }
        // TLS wants a name to ask for; where the subject decides, any does.
        (Some(subject), name) => Expected::Subject(subject.as_str().into(), server_name(name.unwrap_or("localhost"))?),
        (None, Some(name)) => Expected::Name(server_name(name)?),
        (None, None) => {
            return Err("expected --upstream-name or --host-subject for TLS over a unix socket, found neither".into());
        }
    };
    Connector::load(ca, expected)
}

fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|_| format!("expected a host's name or address, found `{name}`"))
}

/// A VM that could listen on all that it shall.
pub(super) struct BoundVm {
    plan: Plan,
    plain: Vec<Bound>,
    tls: Vec<Bound>,
    qmp: Vec<Listener>,
    facts: Arc<Mutex<Facts>>,
}

/// A VM that is served.
#[derive(Debug)]
pub(super) struct RunningVm {
    pub(super) watch: Arc<Watch>,
    /// What is to be ended first of all.
    accepting: Vec<JoinHandle<()>>,
    /// The socket files of those, removed when this goes.
    bound: Vec<Bound>,
}

impl BoundVm {
    /// Asks QEMU, where it is to be asked. Apart from [`start`](Self::start), so that those who don't answer are waited for together.
    pub(super) fn ask(&self) -> impl Future<Output = Option<Auth>> + Send + 'static {
        let (qemu, facts) = (self.plan.qemu(), Arc::clone(&self.facts));
        async move { qemu?.ask(&facts).await.inspect_err(|error| tracing::debug!("{error:#}")).ok() }
    }

    /// Starts all that serves it: connections on the runtime that moves bytes, the rest on the current runtime. `known` is what
    /// QEMU said.
    pub(super) fn start(
        self,
        config: &Config,
        status: &Status,
        stdout: Option<&Stdout>,
        workers: usize,
        known: Option<Auth>,
    ) -> Result<RunningVm, String> {
        let Self { plan, plain, tls, qmp, facts } = self;
        let vm: Arc<str> = plan.name().into();
        let qemu = plan.qemu();
        let auth = known.or(plan.config.auth.map(auth));
        let tracker = Watch::tracker(auth);
        let sink = if let Some(stdout) = stdout.filter(|_| qmp.is_empty()) {
            Sink::Stdout(stdout.clone())
        } else {
            let mut server = Server::builder(qmp::service(&tracker, &facts, status.clone()));
            if let Some(bytes) = config.max_qmp_behind {
                server = server.max_behind(bytes.get());
            }
            let server = server.build();
            for listener in qmp {
                server.listen(listener);
            }
            Sink::Qmp(server)
        };
        let watch = Arc::new(Watch::new(Arc::clone(&vm), tracker, sink));
        let back = Arc::new(Notify::new());
        if let Some(qemu) = qemu {
            let asking = qemu.keep_asking(facts, Arc::clone(&watch), Arc::clone(&back), known.is_some());
            Handle::current().spawn(asking);
        }
        let way = Arc::new(Way {
            watch: Arc::clone(&watch),
            upstream: Upstream { address: plan.upstream, down: AtomicBool::new(false), back },
            connector: plan.connector,
            proxy_from: plan.config.proxy_from,
            send_proxy: plan.config.send_proxy,
            timing: config.timing(),
        });
        let mut accepting = Vec::new();
        let listeners =
            plain.iter().map(|bound| (bound, None)).chain(tls.iter().map(|bound| (bound, plan.acceptor.clone())));
        for (bound, acceptor) in listeners {
            tracing::info!(vm = &*vm, address = %bound.address, tls = acceptor.is_some(), upstream = %way.upstream, "accepting");
            // As many tasks as threads take turns at it, so that a burst of connections is spread.
            for _ in 0..workers {
                let socket = bound.acceptor().map_err(|error| format!("can't listen on {}: {error}", bound.address))?;
                let (way, gate, acceptor) = (Arc::clone(&way), Arc::clone(&status.gate), acceptor.clone());
                accepting.push(status.data.spawn(listen::accept(socket, move |accepted| {
                    // Who counts is the client, not the balancer in between.
                    let source = accepted.source().filter(|_| !way.expects_proxy(accepted.source()));
                    if let Some(pass) = gate.enter(source) {
                        tokio::spawn(serve(Arc::clone(&way), accepted, acceptor.clone(), pass));
                    }
                })));
            }
        }
        Ok(RunningVm { watch, accepting, bound: plain.into_iter().chain(tls).collect() })
    }
}

impl Plan {
    fn qemu(&self) -> Option<Qemu> {
        self.config.qemu_qmp.clone().map(|path| Qemu { path })
    }

    /// What `query-spice` says of the listeners: as configured where it was, and the port that was bound.
    fn facts(&self, plain: &[Bound], tls: &[Bound]) -> Facts {
        let port = |bound: &[Bound]| {
            bound.iter().find_map(|bound| match bound.address {
                Endpoint::Tcp(_, port) => Some(port),
                Endpoint::Unix(_) => None,
            })
        };
        let host = match self.config.listen.first().or(self.config.tls_listen.first()) {
            Some(Endpoint::Tcp(host, _)) => host.clone(),
            Some(Endpoint::Unix(path)) => path.to_string_lossy().into_owned(),
            None => "*".to_owned(),
        };
        let auth = self.config.auth.map(auth);
        Facts { host: Some(host), port: port(plain), tls_port: port(tls), auth, ..Facts::default() }
    }
}

impl RunningVm {
    /// Stops accepting: the sockets are closed, their files removed.
    pub(super) async fn stop_accepting(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
        for task in self.accepting.drain(..) {
            let _ = task.await;
        }
        self.bound.clear();
    }
}

fn auth(name: AuthName) -> Auth {
    match name {
        AuthName::Spice => Auth::Spice,
        AuthName::None => Auth::None,
        AuthName::Sasl => Auth::Sasl,
    }
}
