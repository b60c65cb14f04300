//! The settings of the whole process.

use std::{num::NonZero, path::PathBuf, time::Duration};

use clap::ValueEnum;
use qmp_schema::Encode as _;
use serde_derive::Deserialize;
use spice_relay::{
    connection::{SourceLimit, Timeouts},
    net::{NetAddress, Network},
};

use super::{
    parse::{self, LONGEST, seconds},
    vm::VmConfig,
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
    /// Tells each VM which of its TLS addresses it shares: those at which some VM has a `tls-name`.
    pub(in crate::relay) fn mark_shared(&mut self) {
        let named = self.vm.iter().filter(|vm| !vm.tls_name.is_empty());
        let named: Vec<_> = named.flat_map(|vm| vm.tls_listen.clone()).collect();
        for vm in &mut self.vm {
            vm.shared = vm.tls_listen.iter().filter(|address| named.contains(address)).cloned().collect();
        }
    }

    /// The beginning of an error about one VM of several.
    pub(in crate::relay) fn error_prefix(&self, index: usize) -> String {
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
