//! The settings of one VM.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_derive::Deserialize;
use spice_relay::{
    net::{NetAddress, Network, TcpOptions, proxy_protocol::ProxyVersion},
    spice_events::Auth,
};

use super::{
    names::{ConnectName, TlsName},
    parse::{self, seconds},
    qmp_options::{self, FileMode, GroupId, QemuVersion},
};
use crate::hooks::{HookCommand, HookSettings};

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
    pub(super) fn hooks(&self) -> HookSettings {
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

fn auth_parser() -> impl TypedValueParser<Value = Auth> {
    let values = [(Auth::Spice, "Tickets"), (Auth::None, "disable-ticketing=on"), (Auth::Sasl, "sasl=on")];
    let possible = values.map(|(auth, help)| PossibleValue::new(auth.name()).help(help));
    PossibleValuesParser::new(possible).try_map(|name| name.parse::<Auth>())
}

fn proxy_version_parser() -> impl TypedValueParser<Value = ProxyVersion> {
    let possible = [("v1", "Text"), ("v2", "Binary")].map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(possible).try_map(|name| name.parse::<ProxyVersion>())
}
