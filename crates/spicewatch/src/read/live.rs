//! The outputs of a live capture besides its lines: the control socket, the history and hooks. They are those of a relay.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use spice_capture::{Capture, Ended, Output, tcp::Volume};
use spice_events::{EventKind, FlowId, Timestamp};
use spice_sessions::{Ending, Input, Source, Traffic, VmId};

#[cfg(feature = "history")]
use crate::history::{Location, Retention};
use crate::{
    control::{self, ControlSocket, SocketMode},
    hooks::HookArgs,
    outputs::{
        self, FLUSH_PATIENCE, Failure, OutputConfig, SessionHub, TICK,
        logging::{self, Log, LogFormat},
        stdout::Stdout,
    },
};

/// Servers that have a name of their own in records. Those that come later share one without a name: a capture may show any number.
const MAX_VMS: usize = 10_000;

// A doc comment would replace the command's own help.
#[derive(clap::Args)]
#[command(next_help_heading = "Live outputs")]
pub(crate) struct LiveArgs {
    /// Answer "spicewatch who", "watch", "status" and "show" on this socket
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// The group that may use the control socket: a name or a number [default: only this command's user]
    #[arg(long, value_name = "GROUP", requires = "control")]
    control_group: Option<String>,
    /// The permissions of the control socket, in octal [default: 660 with --control-group, 600 without]
    #[arg(long, value_name = "MODE", requires = "control")]
    control_mode: Option<SocketMode>,
    /// Keep session records in this SQLite database, which "spicewatch last" reads
    #[cfg(feature = "history")]
    #[arg(long, value_name = "sqlite:PATH")]
    history: Option<Location>,
    /// Days after which ended sessions are removed from the history; 0 keeps them
    #[cfg(feature = "history")]
    #[arg(long, value_name = "N", default_value_t = crate::history::DAYS)]
    history_days: u64,
    /// Bytes of the history after which its oldest sessions are removed; 0 is no limit
    #[cfg(feature = "history")]
    #[arg(long, value_name = "N", default_value_t = 0)]
    history_bytes: u64,
    /// The name of the VM whose SPICE server has this address, in these outputs; may be given more than once [default: the address]
    #[arg(long = "vm", value_name = "NAME=ADDRESS:PORT")]
    vms: Vec<VmName>,
    #[command(flatten)]
    hooks: HookArgs,
}

/// A VM's name, and its server's address as events show it.
#[derive(Clone, Debug)]
struct VmName {
    name: String,
    server: String,
}

impl FromStr for VmName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('=').filter(|(name, server)| !name.is_empty() && server.contains(':'));
        let (name, server) = parts.ok_or_else(|| format!("expected NAME=ADDRESS:PORT, found `{text}`"))?;
        Ok(Self { name: name.to_owned(), server: server.to_owned() })
    }
}

impl LiveArgs {
    /// Whether one of these outputs is wanted.
    pub(crate) fn is_set(&self) -> bool {
        #[cfg(feature = "history")]
        let has_history = self.history.is_some();
        #[cfg(not(feature = "history"))]
        let has_history = false;
        self.control.is_some() || has_history || self.hooks.is_set()
    }

    /// Starts the outputs, if one is wanted. They take over session records on stdout and in a file.
    pub(crate) fn start(
        &self,
        source: Source,
        sessions: bool,
        sessions_to: Option<&Path>,
    ) -> Result<Option<Live>, Failure> {
        if !self.is_set() {
            return Ok(None);
        }
        let refused = |error: io::Error| Failure::System(error.to_string());
        let hooks = self.hooks.table().map_err(Failure::Configuration)?;
        // Sessions have lines of their own, so that the log has only what goes wrong.
        let log = logging::start("warn", LogFormat::Text).map_err(Failure::Configuration)?;
        let control = match &self.control {
            Some(path) => outputs::control_socket(Some(path), self.control_mode, self.control_group.as_deref())?,
            None => None,
        };
        let stdout = sessions.then(Stdout::start).transpose().map_err(refused)?;
        let config = OutputConfig {
            stdout: stdout.as_ref(),
            sessions_to,
            hooks,
            #[cfg(feature = "history")]
            history: self
                .history
                .as_ref()
                .map(|location| (location, Retention::new(self.history_days, self.history_bytes))),
            #[cfg(feature = "http")]
            feed: None,
            #[cfg(feature = "history")]
            released: None,
        };
        let hub = outputs::session_hub(source, config)?;
        if let Some(socket) = &control {
            let operate = |_| Err("only a relay can do this".to_owned());
            let actions = control::server::Actions { operate: Arc::new(operate), upgrade: None };
            control::server::start(socket, Arc::new(hub.clone()), actions).map_err(refused)?;
        }
        let names = self.vms.iter().map(|vm| (vm.server.clone(), vm.name.clone())).collect();
        Ok(Some(Live {
            hub,
            stdout,
            log,
            _control: control,
            names,
            vms: HashMap::new(),
            flows: HashMap::new(),
            now: Timestamp { seconds: 0, microseconds: 0 },
            ticked: Instant::now(),
        }))
    }
}

/// Running outputs.
pub(crate) struct Live {
    hub: SessionHub,
    /// Set if session records are printed in place of events.
    stdout: Option<Stdout>,
    log: Log,
    _control: Option<ControlSocket>,
    /// Names by server address.
    names: HashMap<String, String>,
    vms: HashMap<String, VmId>,
    /// The VM of each open connection.
    flows: HashMap<FlowId, VmId>,
    /// The time of what was seen last.
    now: Timestamp,
    ticked: Instant,
}

impl Live {
    /// Whether session records are printed in place of events.
    pub(super) fn replace_events(&self) -> bool {
        self.stdout.is_some()
    }

    /// Takes what the capture shows.
    pub(super) fn take(&mut self, output: &Output) {
        match output {
            Output::Event(event) => {
                self.now = event.at;
                let vm = match event.kind {
                    EventKind::Connected => {
                        let vm = self.vm(&event.connection.endpoints.server.to_string());
                        self.flows.insert(event.flow, vm);
                        vm
                    }
                    EventKind::Disconnected => self.flows.remove(&event.flow).unwrap_or_default(),
                    EventKind::Initialized(_) => self.of(event.flow),
                };
                self.hub.handle(event.at, vm, Input::Event(event));
            }
            Output::Anomaly(anomaly) => self.hub.handle(anomaly.at, self.of(anomaly.flow), Input::Anomaly(anomaly)),
            Output::Unreadable(flow) => self.hub.handle(self.now, self.of(*flow), Input::Unreadable { flow: *flow }),
            Output::Forgotten(flow) => {
                let vm = self.flows.remove(flow).unwrap_or_default();
                self.hub.handle(self.now, vm, Input::Forgotten { flow: *flow });
            }
            Output::Ended(Ended { flow, at, by, volume, missed, .. }) => {
                let vm = self.of(*flow);
                self.hub.handle(*at, vm, Input::Traffic { flow: *flow, traffic: traffic(volume, *missed) });
                let ending = Ending::closed(*by, volume.was_reset);
                self.hub.handle(*at, vm, Input::Ending { flow: *flow, ending });
            }
            _ => {}
        }
    }

    /// To be called at least every [`TICK`]: time has passed, and connections have carried more.
    pub(super) fn turn(&mut self, capture: &mut Capture) {
        if self.ticked.elapsed() < TICK {
            return;
        }
        self.ticked = Instant::now();
        self.hub.tick();
        let (hub, flows, now) = (&self.hub, &self.flows, self.now);
        capture.volumes(|flow, volume| {
            if let Some(vm) = flows.get(&flow) {
                hub.handle(now, *vm, Input::Traffic { flow, traffic: traffic(&volume, 0) });
            }
        });
    }

    /// The capture has ended: writes what waits. The sessions go on, unseen.
    pub(super) fn finish(&self) {
        self.hub.finish(FLUSH_PATIENCE);
        if let Some(stdout) = &self.stdout {
            stdout.finish(FLUSH_PATIENCE);
        }
        self.log.finish(FLUSH_PATIENCE);
    }

    fn of(&self, flow: FlowId) -> VmId {
        self.flows.get(&flow).copied().unwrap_or_default()
    }

    fn vm(&mut self, server: &str) -> VmId {
        if let Some(vm) = self.vms.get(server) {
            return *vm;
        }
        if self.vms.len() >= MAX_VMS {
            return VmId::default();
        }
        let vm = self.hub.vm(self.names.get(server).map_or(server, String::as_str));
        self.vms.insert(server.to_owned(), vm);
        vm
    }
}

/// What the outputs wait for at most, before [`Live::turn`].
pub(crate) const LIVE_TURN: Duration = TICK;

fn traffic(volume: &Volume, missed: u64) -> Traffic {
    let Volume { from_client, from_server, last_from_client, .. } = *volume;
    Traffic { to_server: from_client, to_client: from_server, last_from_client, missed }
}
