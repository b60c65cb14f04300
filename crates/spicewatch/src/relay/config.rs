//! The configuration: one set of types for the flags and for the file.
//!
//! The flag `--tls-listen` is the key `tls-listen` of the file. A flag that may be given several times is an array in the file,
//! or a single value. Units are in the names. 0 seconds disables a limit; for the drain it means no time at all.

pub(super) mod names;
mod parse;
pub(super) mod qmp_options;

use std::{
    fs, io,
    num::NonZero,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use names::{ConnectName, TlsName};
use qmp_options::{FileMode, GroupId, QemuVersion};
use qmp_schema::Encode as _;
use serde::de::DeserializeOwned;
use serde_derive::Deserialize;
use spice_relay::{
    connection::{SourceLimit, Timeouts},
    net::{NetAddress, Network, TcpOptions, proxy_protocol::ProxyVersion},
    spice_events::Auth,
};

#[cfg(feature = "history")]
use crate::history::{Location, Retention};
#[cfg(feature = "http")]
use crate::http::HttpAddress;
use crate::{
    control::SocketMode,
    hooks::{HookCommand, HookSettings, HookTable},
    outputs::logging::LogFormat,
};

/// The settings of the whole process, and its VMs.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[command(next_help_heading = "Limits and logging")]
pub(crate) struct Config {
    /// Maximum concurrent connections of all VMs together; further ones are closed at once, without an event [default: 10000, or
    /// fewer if there are not enough descriptors]
    ///
    /// Each connection takes two descriptors. At start, the soft limit on descriptors is raised to the hard limit.
    #[arg(long, value_name = "N")]
    pub max_connections: Option<NonZero<usize>>,
    /// Maximum concurrent connections from one client address [default: no limit]
    ///
    /// A session of an ordinary client has some ten connections. Behind a load balancer, all connections have the balancer's
    /// address, unless --proxy-from makes the relay take the client's address from a PROXY header.
    #[arg(long, value_name = "N")]
    pub max_per_source: Option<NonZero<usize>>,
    /// Bits of an IPv6 address that make one source for --max-per-source, from 1 to 128 [default: 64]
    ///
    /// One host can have every address of its /64.
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(1..=128))]
    pub source_ipv6_prefix: Option<u8>,
    /// Seconds from accept to the end of the link stage [default: 120]
    ///
    /// spice-server has no such limit: a client that sends nothing holds its socket without end. A real link stage takes
    /// milliseconds, but QEMU's main loop is known to stall for 30 seconds. 0 disables the limit.
    #[arg(long, value_name = "N")]
    pub link_seconds: Option<u64>,
    /// Seconds without a byte in either direction before a linked channel is closed [default: 0, never]
    ///
    /// Idle channels are ordinary: an inputs channel is silent while its user does not type. TCP keepalive finds dead peers after
    /// 600 idle seconds, as in spice-server.
    #[arg(long, value_name = "N")]
    pub idle_seconds: Option<u64>,
    /// Seconds without a byte before a half-closed connection is closed: one side has ended, the other has not [default: 60]
    ///
    /// spice-server answers the end of a channel at once, except for sockets that it leaks. 0 disables the limit.
    #[arg(long, value_name = "N")]
    pub half_closed_seconds: Option<u64>,
    /// Seconds to connect to the upstream, TLS handshake included [default: 10]
    ///
    /// 0 disables the limit.
    #[arg(long, value_name = "N")]
    pub connect_seconds: Option<u64>,
    /// Seconds to wait for open connections after SIGTERM or SIGINT; a second signal ends them at once [default: 10]
    ///
    /// 0 does not wait.
    #[arg(long, value_name = "N")]
    pub drain_seconds: Option<u64>,
    /// Bytes of unread events after which a QMP client is disconnected [default: 16777216]
    ///
    /// A SPICE event has some 280 bytes. No client slows the relay or another client.
    #[arg(long, value_name = "N")]
    pub max_qmp_behind: Option<NonZero<usize>>,
    /// Write the events of all VMs to stdout in this form [default: qmp, and only the events of VMs without a QMP socket]
    #[arg(long, value_name = "FORMAT", conflicts_with = "sessions")]
    pub format: Option<StdoutFormat>,
    /// Write session records to stdout in place of events: who was connected, from when to when, and why it ended
    ///
    /// One JSON object per line when a session starts, when it ends, and for each refused link. QMP clients still get events.
    #[arg(long)]
    pub sessions: bool,
    /// Add session records to the end of this file
    #[arg(long, value_name = "FILE")]
    pub sessions_to: Option<PathBuf>,
    /// Keep session records in this SQLite database, which "spicewatch last" reads
    #[cfg(feature = "history")]
    #[arg(long, value_name = "sqlite:PATH")]
    #[serde(deserialize_with = "parse::one")]
    pub history: Option<Location>,
    /// Days after which ended sessions are removed from the history [default: 400]
    ///
    /// 0 keeps them.
    #[cfg(feature = "history")]
    #[arg(long, value_name = "N")]
    pub history_days: Option<u64>,
    /// Bytes of the history after which its oldest sessions are removed [default: 0, no limit]
    #[cfg(feature = "history")]
    #[arg(long, value_name = "N")]
    pub history_bytes: Option<u64>,
    /// Answer "spicewatch who", "status", "show" and "end" on this socket [default: /run/spicewatch/control.sock, if that folder is there]
    ///
    /// An empty value turns it off.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// The group that may use the control socket: a name or a number [default: only the relay's user]
    #[arg(long, value_name = "GROUP")]
    pub control_group: Option<String>,
    /// The permissions of the control socket, in octal [default: 660 with --control-group, 600 without]
    #[arg(long, value_name = "MODE")]
    #[serde(deserialize_with = "parse::one")]
    pub control_mode: Option<SocketMode>,
    /// Accept HTTP clients here that send a CONNECT for a name of --connect or --tls-connect, as with `proxy=` in a .vv file
    ///
    /// The VMs of a configuration file share these addresses. Other names are refused. SPICE_PROXY of spice-gtk has the form http://HOST:PORT.
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parse::one_or_many")]
    pub connect_listen: Vec<NetAddress>,
    /// Require a PROXY protocol header (v1 or v2) from these sources at --connect-listen: an address, ADDRESS/BITS, or `unix`
    #[arg(long, value_name = "SOURCE")]
    #[serde(deserialize_with = "parse::one_or_many")]
    pub connect_proxy_from: Vec<Network>,
    /// Serve metrics, sessions, the history and a page here over HTTP: unix:PATH or 127.0.0.1:PORT
    /// [default: unix:/run/spicewatch/http.sock, if that folder is there]
    ///
    /// HTTP only reads, and has no authentication: over TCP, every user of this machine can read. An empty value turns it off.
    #[cfg(feature = "http")]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parse::one")]
    pub http: Option<HttpAddress>,
    /// The group that may use the unix socket of --http: a name or a number [default: only the relay's user]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "GROUP")]
    pub http_group: Option<String>,
    /// The permissions of the unix socket of --http, in octal [default: 660 with --http-group, 600 without]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "MODE")]
    #[serde(deserialize_with = "parse::one")]
    pub http_mode: Option<SocketMode>,
    /// Run this program when a session starts: an absolute path, or a JSON array of the path and arguments
    ///
    /// No shell is involved. The session record is on the program's stdin, and its main members are in the environment (SPICEWATCH_*).
    /// In the file, these keys are defaults; each VM may have its own, and an empty one turns a hook off.
    #[arg(long, value_name = "PROGRAM", help_heading = "Hooks")]
    pub on_session_start: Option<HookCommand>,
    /// Run this program when a session has ended
    #[arg(long, value_name = "PROGRAM", help_heading = "Hooks")]
    pub on_session_end: Option<HookCommand>,
    /// Run this program when a link was refused: a login failed
    #[arg(long, value_name = "PROGRAM", help_heading = "Hooks")]
    pub on_link_refused: Option<HookCommand>,
    /// Run this program when a VM's last session has ended, and no other one has started for --vm-empty-seconds
    #[arg(long, value_name = "PROGRAM", help_heading = "Hooks")]
    pub on_vm_empty: Option<HookCommand>,
    /// Seconds without a session after which --on-vm-empty runs [default: 60]
    #[arg(long, value_name = "N", help_heading = "Hooks")]
    pub vm_empty_seconds: Option<u64>,
    /// Seconds after which a hook that still runs is ended: SIGTERM to its process group, and 2 seconds later SIGKILL [default: 30]
    #[arg(long, value_name = "N", help_heading = "Hooks")]
    pub hook_seconds: Option<u64>,
    /// Threads that forward bytes [default: one per core]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZero<usize>>,
    /// What to log to stderr: off, error, warn, info, debug, trace, or filter directives of the Rust library tracing [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// The format of the log [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Read one more VM from each file NAME.toml in this folder, with the keys of a VM; its name is NAME unless it has one
    #[arg(long, value_name = "DIR")]
    pub vm_dir: Option<PathBuf>,
    #[arg(skip)]
    pub vm: Vec<VmConfig>,
}

/// Where the configuration comes from. It is read at start and at each reload.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Flags(Box<Config>),
}

impl Source {
    /// The file, with its whole path.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.canonicalize().unwrap_or_else(|_| path.clone())),
            Self::Flags(_) => None,
        }
    }

    /// Reads the configuration, with the VMs of its folder.
    pub(crate) fn read(&self) -> Result<Config, String> {
        let mut config = match self {
            Self::File(path) => Config::from_file(path)?,
            Self::Flags(config) => Config::clone(config),
        };
        if let Some(folder) = &config.vm_dir {
            config.vm.extend(read_folder(folder)?);
        }
        config.mark_shared();
        Ok(config)
    }
}

/// Reads each file of the folder, in the order of their names.
fn read_folder(folder: &Path) -> Result<Vec<VmConfig>, String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    // Editors and packagers leave other files behind.
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files.iter().map(|path| read_vm(path)).collect()
}

fn read_vm(path: &Path) -> Result<VmConfig, String> {
    let mut vm: VmConfig = read_toml(path)?;
    if vm.name.is_none() {
        vm.name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    }
    Ok(vm)
}

/// The settings of one VM.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[command(next_help_heading = "The VM")]
pub(crate) struct VmConfig {
    /// The VM's name in the log [default: the upstream's address]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    #[allow(rustdoc::broken_intra_doc_links, reason = "the help of a flag: [V6] is part of an address")]
    /// Accept plain connections here: HOST:PORT, [V6]:PORT, :PORT (both families) or unix:PATH
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parse::one_or_many")]
    pub listen: Vec<NetAddress>,
    /// Accept TLS connections here
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parse::one_or_many")]
    pub tls_listen: Vec<NetAddress>,
    /// Accept only TLS clients that ask for this host name (SNI); VMs with different names can have the same --tls-listen
    ///
    /// One VM of an address may have no name: it gets all other connections.
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "parse::one_or_many")]
    pub tls_name: Vec<TlsName>,
    /// Serve plain clients that ask for this at --connect-listen: HOST:PORT, or HOST for each port
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "parse::one_or_many")]
    pub connect: Vec<ConnectName>,
    /// Serve TLS clients that ask for this at --connect-listen
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "parse::one_or_many")]
    pub tls_connect: Vec<ConnectName>,
    /// The addresses of `tls_listen` that other VMs may have too.
    #[arg(skip)]
    #[serde(skip)]
    pub shared: Vec<NetAddress>,
    /// Serve the other VMs if an address of this one can't be bound, when this machine lacks it for example
    ///
    /// The log has an error. The next reload tries again.
    #[arg(long)]
    pub optional: bool,
    /// The certificate that clients are shown, followed by its intermediates (PEM; read again on SIGHUP)
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "x509_dir")]
    pub cert: Option<PathBuf>,
    /// Its private key (PEM, without a password)
    #[arg(long, value_name = "FILE", requires = "cert", conflicts_with = "x509_dir")]
    pub key: Option<PathBuf>,
    /// A folder in the layout of QEMU's x509-dir: server-cert.pem and server-key.pem; with --upstream-tls also ca-cert.pem
    #[arg(long, value_name = "DIR")]
    pub x509_dir: Option<PathBuf>,
    /// Write the secrets of the relay's TLS connections to this file, so that captures of them can be decrypted
    ///
    /// For both sides, in the format of SSLKEYLOGFILE, which "spicewatch read --keylog" and Wireshark read. Lines are added, and only the file's owner can read
    /// it. This undoes the secrecy of TLS: use it to find a fault, and delete the file.
    #[arg(long, value_name = "FILE")]
    pub keylog: Option<PathBuf>,
    /// The SPICE server: HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parse::one")]
    pub upstream: Option<NetAddress>,
    /// Speak TLS to the SPICE server
    #[arg(long)]
    pub upstream_tls: bool,
    /// The CA certificates that may sign the SPICE server's certificate (PEM; read again on SIGHUP)
    #[arg(long, value_name = "FILE", requires = "upstream_tls")]
    pub ca: Option<PathBuf>,
    /// The host name that the SPICE server's certificate must have [default: the upstream's host]
    #[arg(long, value_name = "NAME", requires = "upstream_tls", conflicts_with = "host_subject")]
    pub upstream_name: Option<String>,
    /// The subject that the SPICE server's certificate must have instead of a name, as in SPICE's host-subject: C=…,O=…,CN=…
    #[arg(long, value_name = "SUBJECT", requires = "upstream_tls")]
    pub host_subject: Option<String>,
    /// Serve QMP here: unix:PATH or tcp:HOST:PORT [default: no QMP; events go to stdout]
    ///
    /// QEMU's `,server=on,wait=off` may follow. QMP has no authentication: over TCP, every client that can connect can read the events.
    #[arg(long, value_name = "ADDR", value_parser = qmp_options::listener)]
    #[serde(deserialize_with = "qmp_options::listeners")]
    pub qmp: Vec<NetAddress>,
    /// Connect to a QMP client that listens here, and again whenever the connection ends: unix:PATH or tcp:HOST:PORT
    ///
    /// For management that waits for its VMs to connect, for example Proxmox's qmeventd.
    #[arg(long, value_name = "ADDR", value_parser = qmp_options::client)]
    #[serde(deserialize_with = "qmp_options::clients")]
    pub qmp_connect: Vec<NetAddress>,
    /// The mode of the files of the QMP sockets, in octal [default: 0600]
    #[arg(long, value_name = "MODE")]
    #[serde(deserialize_with = "parse::one")]
    pub qmp_mode: Option<FileMode>,
    /// The group of the files of the QMP sockets, by name or number [default: the group of the relay's process]
    #[arg(long, value_name = "GROUP")]
    #[serde(deserialize_with = "qmp_options::group")]
    pub qmp_group: Option<GroupId>,
    /// The server's authentication, as events show it [default: sasl if the server offers it, else spice]
    ///
    /// `none` must be configured, because on the wire a server without ticketing looks the same as one with tickets.
    #[arg(long, value_name = "AUTH", conflicts_with = "qemu_qmp", value_parser = auth_parser())]
    #[serde(deserialize_with = "parse::auth")]
    pub auth: Option<Auth>,
    /// Ask QEMU on this QMP socket for its authentication, versions and mouse mode: PATH, unix:PATH or HOST:PORT
    ///
    /// The relay asks at start and whenever the upstream has recovered. It also asks when a QMP client sends query-status, query-name,
    /// query-uuid or query-kvm. QEMU serves one client per QMP socket, so no other client should use this one.
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parse::one")]
    pub qemu_qmp: Option<qmp_client::Address>,
    /// The version of QEMU that the QMP greeting announces, until QEMU itself is asked [default: 11.1.0]
    ///
    /// Errors about input that is not JSON are worded as this version does.
    #[arg(long, value_name = "VERSION")]
    #[serde(deserialize_with = "parse::one")]
    pub qemu_version: Option<QemuVersion>,
    /// Require a PROXY protocol header (v1 or v2) from these sources: an address, ADDRESS/BITS, or `unix`
    #[arg(long, value_name = "SOURCE")]
    #[serde(deserialize_with = "parse::one_or_many")]
    pub proxy_from: Vec<Network>,
    /// Idle seconds before the first TCP keepalive probe, to clients and to the server [default: 600, as in QEMU]
    ///
    /// The system decides how many probes follow, and how often. 0 sends none.
    #[arg(long, value_name = "N")]
    pub keepalive_seconds: Option<u64>,
    /// Seconds that sent bytes may be unacknowledged before a TCP connection ends [default: 0, the system's limit of some 15 minutes]
    ///
    /// This is TCP_USER_TIMEOUT. It ends connections of clients whose machine or network is gone.
    #[arg(long, value_name = "N")]
    pub tcp_user_timeout_seconds: Option<u64>,
    /// Send a PROXY protocol header to the upstream. spice-server itself does not understand it
    #[arg(long, value_name = "VERSION", value_parser = proxy_version_parser())]
    #[serde(deserialize_with = "parse::one")]
    pub send_proxy: Option<ProxyVersion>,
    // Hooks of this VM. As flags, they are those of the process.
    #[arg(skip)]
    pub on_session_start: Option<HookCommand>,
    #[arg(skip)]
    pub on_session_end: Option<HookCommand>,
    #[arg(skip)]
    pub on_link_refused: Option<HookCommand>,
    #[arg(skip)]
    pub on_vm_empty: Option<HookCommand>,
    #[arg(skip)]
    pub vm_empty_seconds: Option<u64>,
    #[arg(skip)]
    pub hook_seconds: Option<u64>,
}

/// Forms of an event on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StdoutFormat {
    /// As QEMU writes it
    #[default]
    Qmp,
    /// An object with the VM's name in `vm`, and in `qmp` the event as QEMU writes it
    Json,
}

impl StdoutFormat {
    /// The line for an event of this VM.
    pub(crate) fn line(self, vm: &str, event: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Qmp => event,
            Self::Json => {
                let mut line = b"{\"vm\": ".to_vec();
                vm.write_to(&mut line);
                line.extend(b", \"qmp\": ");
                line.extend(event);
                line.push(b'}');
                line
            }
        }
    }
}

impl Config {
    /// Reads the file. An error names the line.
    fn from_file(path: &Path) -> Result<Self, String> {
        read_toml(path)
    }

    /// Tells each VM which of its TLS addresses it shares: those at which some VM has a `tls-name`.
    pub(super) fn mark_shared(&mut self) {
        let named = self.vm.iter().filter(|vm| !vm.tls_name.is_empty());
        let named: Vec<_> = named.flat_map(|vm| vm.tls_listen.clone()).collect();
        for vm in &mut self.vm {
            vm.shared = vm.tls_listen.iter().filter(|address| named.contains(address)).cloned().collect();
        }
    }

    /// The beginning of an error about one VM of several.
    pub(super) fn error_prefix(&self, index: usize) -> String {
        match self.vm.get(index).and_then(|vm| vm.name.as_ref()) {
            _ if self.vm.len() == 1 => String::new(),
            Some(name) => format!("vm `{name}`: "),
            None => format!("vm number {}: ", index + 1),
        }
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        let defaults = Timeouts::new();
        Timeouts::new()
            .link(seconds(self.link_seconds, defaults.link))
            .idle(seconds(self.idle_seconds, defaults.idle))
            .half_closed(seconds(self.half_closed_seconds, defaults.half_closed))
            .connect(seconds(self.connect_seconds, defaults.connect))
    }

    /// The limit on connections of one source.
    pub(crate) fn per_source(&self) -> Option<SourceLimit> {
        let limit = SourceLimit::new(self.max_per_source?.get());
        Some(self.source_ipv6_prefix.map_or(limit, |bits| limit.ipv6_prefix(bits)))
    }

    /// Which entries of the history are kept.
    #[cfg(feature = "history")]
    pub(crate) fn keep_history(&self) -> Retention {
        Retention::new(self.history_days.unwrap_or(crate::history::DAYS), self.history_bytes.unwrap_or(0))
    }

    /// The hooks of VMs that have none of their own.
    fn hooks(&self) -> HookSettings {
        HookSettings {
            on_session_start: self.on_session_start.clone(),
            on_session_end: self.on_session_end.clone(),
            on_link_refused: self.on_link_refused.clone(),
            on_vm_empty: self.on_vm_empty.clone(),
            vm_empty_seconds: self.vm_empty_seconds,
            hook_seconds: self.hook_seconds,
        }
    }

    /// The hooks of all VMs. Checks that they can run.
    pub(crate) fn hook_table(&self) -> Result<HookTable, String> {
        let defaults = self.hooks();
        defaults.check()?;
        let mut table = HookTable::new(defaults);
        for vm in &self.vm {
            let hooks = vm.hooks();
            hooks.check().map_err(|error| format!("vm {}: {error}", vm.shown_name()))?;
            table.insert(vm.shown_name(), hooks);
        }
        Ok(table)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.unwrap_or(10).min(LONGEST))
    }
}

impl VmConfig {
    /// Whether it names files that are read again.
    pub(crate) fn has_files(&self) -> bool {
        self.cert.is_some() || self.x509_dir.is_some() || self.ca.is_some()
    }

    /// Whether clients speak TLS somewhere.
    pub(crate) fn serves_tls(&self) -> bool {
        !self.tls_listen.is_empty() || !self.tls_connect.is_empty()
    }

    /// How dead peers are found.
    pub(crate) fn tcp_options(&self) -> TcpOptions {
        // TCP_KEEPIDLE is a signed 16-bit number of seconds (MAX_TCP_KEEPIDLE), and TCP_USER_TIMEOUT a signed 32-bit one of milliseconds.
        let at_most = |seconds: Option<u64>, most: u64| seconds.map(|seconds| seconds.min(most));
        let (keepalive, timeout) =
            (at_most(self.keepalive_seconds, 32_767), at_most(self.tcp_user_timeout_seconds, 2_147_483));
        let defaults = TcpOptions::new();
        defaults.keepalive(seconds(keepalive, defaults.keepalive)).user_timeout(seconds(timeout, defaults.user_timeout))
    }

    /// Its hooks.
    fn hooks(&self) -> HookSettings {
        HookSettings {
            on_session_start: self.on_session_start.clone(),
            on_session_end: self.on_session_end.clone(),
            on_link_refused: self.on_link_refused.clone(),
            on_vm_empty: self.on_vm_empty.clone(),
            vm_empty_seconds: self.vm_empty_seconds,
            hook_seconds: self.hook_seconds,
        }
    }

    /// The name that logs and records show.
    pub(crate) fn shown_name(&self) -> String {
        let upstream = || self.upstream.as_ref().map(ToString::to_string);
        self.name.clone().or_else(upstream).unwrap_or_default()
    }
}

fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        let message = match error.message() {
            // `vm` is the only key that must be an array.
            "invalid type: map, expected a sequence" => "expected [[vm]], once for each VM, found [vm]".to_owned(),
            message => message.replace('\n', " "),
        };
        format!("{}:{line}: {message}", path.display())
    })
}

/// The longest time, in seconds: 136 years. A timer that is further ahead can't be set.
const LONGEST: u64 = u32::MAX as u64;

fn seconds(configured: Option<u64>, default: Option<Duration>) -> Option<Duration> {
    match configured {
        None => default,
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds.min(LONGEST))),
    }
}

fn auth_parser() -> impl TypedValueParser<Value = Auth> {
    let values = [(Auth::Spice, "Tickets"), (Auth::None, "disable-ticketing=on"), (Auth::Sasl, "sasl=on")];
    let possible = values.map(|(auth, help)| PossibleValue::new(auth.name()).help(help));
    PossibleValuesParser::new(possible).try_map(|name| name.parse::<Auth>())
}

fn proxy_version_parser() -> impl TypedValueParser<Value = ProxyVersion> {
    let possible = [("v1", "Text"), ("v2", "Binary")].map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(possible).try_map(|name| name.parse::<ProxyVersion>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.toml");
        fs::write(&path, text).unwrap();
        Config::from_file(&path).map_err(|error| error.rsplit_once('/').unwrap().1.to_owned())
    }

    #[test]
    fn file_sets_what_flags_set() {
        let config = read(
            "max-connections = 5\nlog-format = \"json\"\n\n[[vm]]\nlisten = \":5900\"\nupstream = \"unix:/run/vm\"\n\
             [[vm]]\nlisten = [\"[::1]:1\", \"unix:/a\"]\nupstream = \"h:2\"\nauth = \"sasl\"\nproxy-from = [\"10.0.0.0/8\"]\n",
        )
        .unwrap();
        assert_eq!(config.max_connections, NonZero::new(5));
        assert_eq!(config.vm[1].listen.len(), 2);
        assert_eq!(config.vm[1].auth, Some(Auth::Sasl));
        assert_eq!(config.timeouts().link, Some(Duration::from_secs(120)));
    }

    /// The keys that a table of the file knows, taken from the error about an unknown one.
    fn keys(table: &str) -> Vec<String> {
        let error = read(&format!("{table}no-such-key = 1\n")).unwrap_err();
        let mut keys: Vec<_> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    fn flags<A: clap::Args>() -> Vec<String> {
        let command = A::augment_args(clap::Command::new("relay"));
        let mut flags: Vec<_> = command.get_arguments().filter_map(|flag| flag.get_long()).map(str::to_owned).collect();
        flags.sort();
        flags
    }

    /// The keys that a VM has, and that are flags of the process.
    const HOOKS: [&str; 6] =
        ["hook-seconds", "on-link-refused", "on-session-end", "on-session-start", "on-vm-empty", "vm-empty-seconds"];

    #[test]
    fn every_flag_is_a_key_and_every_key_a_flag() {
        let vms = "vm".to_owned();
        let top: Vec<_> = keys("").into_iter().filter(|key| *key != vms).collect();
        assert_eq!(top, flags::<Config>());
        // As a flag, a hook is that of all VMs: there is one.
        let mut vm = flags::<VmConfig>();
        vm.extend(HOOKS.map(str::to_owned));
        vm.sort();
        assert_eq!(keys("[[vm]]\n"), vm);
    }

    /// The example in docs/RELAY.md is valid, and its tables have every key and its default.
    #[test]
    fn the_manual_has_every_key() {
        // A package does not contain the manual.
        let Ok(manual) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RELAY.md")) else {
            return;
        };
        let example = manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(read(example).unwrap().vm.len(), 2);
        let (top, vm) = manual.split_once("### For each VM").unwrap();
        let of_vm: Vec<_> = flags::<VmConfig>().into_iter().chain(HOOKS.map(str::to_owned)).collect();
        for (text, mut keys) in [(top, flags::<Config>()), (vm, of_vm)] {
            keys.sort();
            let first_cells =
                text.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
            let mut documented: Vec<_> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
            documented.sort_unstable();
            assert_eq!(documented, keys);
        }
        let defaults = Config::default().timeouts();
        let seconds = |limit: Option<Duration>| limit.map_or(0, |limit| limit.as_secs());
        for (key, default) in [
            ("link-seconds", seconds(defaults.link)),
            ("idle-seconds", seconds(defaults.idle)),
            ("half-closed-seconds", seconds(defaults.half_closed)),
            ("connect-seconds", seconds(defaults.connect)),
            ("drain-seconds", Config::default().drain().as_secs()),
        ] {
            assert!(manual.contains(&format!("| `{key}` | {default} |")), "{key}: {default}");
        }
    }

    #[test]
    fn each_file_of_the_folder_is_a_vm() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        file("b.toml", "listen = \":2\"\nupstream = \"h:2\"\n");
        file("a.toml", "name = \"first\"\nlisten = \":1\"\nupstream = \"h:1\"\n");
        file("a.toml~", "not toml");
        let source = Source::Flags(Box::new(Config { vm_dir: Some(folder.path().into()), ..Config::default() }));
        let names: Vec<_> = source.read().unwrap().vm.iter().map(VmConfig::shown_name).collect();
        assert_eq!(names, ["first", "b"]);
        file("c.toml", "listen = \":3\"\nupsteam = \"h:3\"\n");
        assert!(source.read().unwrap_err().contains("c.toml:2: unknown field `upsteam`"));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, error) in [
            ("[[vm]]\nlisten = \":1\"\nlisen = \":2\"\n", "relay.toml:3: unknown field `lisen`, expected one of "),
            ("max-conections = 1\n", "relay.toml:1: unknown field `max-conections`, expected one of "),
            (
                "[[vm]]\n\nlisten = \"5900\"\n",
                "relay.toml:3: expected HOST:PORT, tcp:HOST:PORT or unix:PATH, found `5900`",
            ),
            ("[[vm]]\nauth = \"kerberos\"\n", "relay.toml:2: expected spice, none or sasl, found `kerberos`"),
            ("idle-seconds = -1\n", "relay.toml:1: invalid value: integer `-1`"),
            ("[[vm]\n", "relay.toml:1: "),
            ("\n[vm]\nlisten = \":1\"\n", "relay.toml:2: expected [[vm]], once for each VM, found [vm]"),
            ("max-connections = 0\n", "relay.toml:1: invalid value: integer `0`, expected a nonzero usize"),
        ] {
            let seen = read(text).unwrap_err();
            assert!(seen.starts_with(error), "{seen}");
        }
    }
}
