//! A trace of what happened, one step a line, and the records that follow, one a line.
//!
//! ```text
//! 1 open desk client:4000 > server:5900 tls      a connection of VM `desk`; `-` is no VM
//! 1 init main 7                                  its link succeeded: channel type (and :id), connection id, auth
//! 1 traffic 170 206                              bytes to the server and to the client
//! 1 end client | client-reset | server | server-reset | none | REASON
//! 1 close
//! 1 anomaly NAME …                               1 unreadable, 1 forget, +500ms, flush, end-all REASON
//! ```
//! Time goes on by a millisecond a line.

use std::{collections::HashMap, fmt::Write as _, sync::Arc, time::Duration};

use spice_events::{
    Address, Anomaly, AnomalyKind, Auth, Channel, ChannelEvent, Connection, Endpoints, EventKind, Family, FlowId,
    LinkStep, Side, Timestamp,
    spice_link::{ChannelType, Error, LinkErrorCode, RefusalForm},
};
use spice_sessions::{Action, AtVm, Config, Ending, Input, Reason, Record, Sessions, Source, Traffic, Uuid, VmId};

/// Runs traces, and keeps every record.
pub(crate) struct Trace {
    pub(crate) sessions: Sessions,
    pub(crate) now: i64,
    pub(crate) records: Vec<Record>,
    connections: HashMap<u64, (VmId, Arc<Connection>)>,
    names: Vec<Uuid>,
}

impl Trace {
    pub(crate) fn new(source: Source) -> Self {
        Self::with(Config::new(source, [7; 16]))
    }

    pub(crate) fn with(config: Config) -> Self {
        let (sessions, now) = (Sessions::new(config), 1_795_370_000_000_000);
        Self { sessions, now, records: Vec::new(), connections: HashMap::new(), names: Vec::new() }
    }

    pub(crate) fn at(&self) -> Timestamp {
        Timestamp { seconds: self.now / 1_000_000, microseconds: self.now % 1_000_000 }
    }

    /// Runs the steps, and returns the records that they made, one a line.
    pub(crate) fn run(&mut self, steps: &str) -> String {
        let mut lines = String::new();
        for step in steps.lines().map(str::trim).filter(|step| !step.is_empty()) {
            self.step(step);
            self.check_counts();
            while let Some(record) = self.sessions.poll() {
                writeln!(lines, "{}", self.line(&record)).unwrap();
                self.records.push(record);
            }
        }
        lines
    }

    /// The counts of all VMs are those of the whole.
    fn check_counts(&self) {
        let sum = |count: fn(AtVm<'_>) -> usize| self.sessions.at_vms().map(count).sum::<usize>();
        let of_whole = (self.sessions.len(), self.sessions.connections(), self.sessions.linking());
        assert_eq!((sum(|vm| vm.sessions), sum(|vm| vm.connections), sum(|vm| vm.linking)), of_whole);
        let channels = sum(|vm| vm.channels.values().sum());
        let joined = self.sessions.connections() - self.sessions.linking();
        assert!(channels <= joined, "{channels} channels, {joined} connections of sessions");
    }

    fn step(&mut self, step: &str) {
        self.now += 1000;
        let words: Vec<_> = step.split_whitespace().collect();
        match words[..] {
            ["flush"] => return self.sessions.flush(),
            ["end-all", reason] => {
                return self.sessions.end_all(self.at(), Ending::relay(reason_named(reason)));
            }
            [wait] if wait.starts_with('+') => {
                let millis: i64 = wait[1..].trim_end_matches("ms").parse().unwrap();
                self.now += millis * 1000;
                return self.sessions.handle_timeout(self.at());
            }
            _ => {}
        }
        let number: u64 = words[0].parse().unwrap();
        let flow = FlowId(number);
        if words[1] == "open" {
            let vm = if words[2] == "-" { VmId::default() } else { self.sessions.vm(words[2]) };
            let endpoints = Endpoints { client: address(words[3]), server: address(words[5]) };
            let connection = Connection { endpoints, tls: words.get(6) == Some(&"tls") };
            self.connections.insert(number, (vm, Arc::new(connection)));
        }
        let (vm, connection) = self.connections[&number].clone();
        let at = self.at();
        let event = |kind| ChannelEvent { at, flow, connection: Arc::clone(&connection), kind };
        let (connected, disconnected) = (event(EventKind::Connected), event(EventKind::Disconnected));
        let (initialized, anomaly);
        let input = match words[1..] {
            ["open", ..] => Input::Event(&connected),
            ["init", channel, id, ref auth @ ..] => {
                let (kind, channel_id) = channel.split_once(':').unwrap_or((channel, "0"));
                let channel_type = ChannelType::ALL.iter().find(|known| known.name() == Some(kind)).unwrap();
                let auth = auth.first().map_or(Auth::Spice, |auth| auth.parse().unwrap());
                let (connection_id, channel_id) = (id.parse().unwrap(), channel_id.parse().unwrap());
                let channel = Channel { connection_id, channel_type: *channel_type, channel_id, auth };
                initialized = event(EventKind::Initialized(channel));
                Input::Event(&initialized)
            }
            ["traffic", to_server, to_client] => {
                let (to_server, to_client) = (to_server.parse().unwrap(), to_client.parse().unwrap());
                let last_from_client = (to_server > 0).then_some(at);
                Input::Traffic { flow, traffic: Traffic { to_server, to_client, last_from_client, missed: 0 } }
            }
            ["missed", missed] => {
                let traffic = Traffic { missed: missed.parse().unwrap(), ..Traffic::default() };
                Input::Traffic { flow, traffic }
            }
            ["end", how] => Input::Ending { flow, ending: ending(how) },
            ["close"] => Input::Event(&disconnected),
            ["anomaly", ref kind @ ..] => {
                anomaly = Anomaly { at, flow, connection, place: None, kind: anomaly_named(kind) };
                Input::Anomaly(&anomaly)
            }
            ["unreadable"] => Input::Unreadable { flow },
            ["forget"] => Input::Forgotten { flow },
            ["tls", version, cipher] => Input::Tls { flow, version, cipher },
            _ => panic!("no such step: {step}"),
        };
        self.sessions.handle(at, vm, input);
    }

    /// A record in a line. Sessions are named in the order in which they began.
    pub(crate) fn line(&mut self, record: &Record) -> String {
        let mut line = match record.event.action {
            Action::SessionStarted => "started".to_owned(),
            Action::SessionUpdated => "live".to_owned(),
            Action::SessionEnded => "ended".to_owned(),
            Action::LinkRefused => "refused".to_owned(),
        };
        if let Some(session) = &record.session {
            write!(line, " {}", self.name(session.id)).unwrap();
            if let Some(previous) = session.previous_id {
                write!(line, " after {}", self.name(previous)).unwrap();
            }
        }
        if let Some(vm) = &record.vm {
            write!(line, " vm={}", vm.name).unwrap();
        }
        write!(line, " client={}", record.client.address.as_deref().unwrap_or("-")).unwrap();
        if let Some(id) = record.spice.connection_id.filter(|_| record.event.action == Action::SessionStarted) {
            write!(line, " id={id}").unwrap();
        }
        if record.event.action != Action::SessionStarted {
            if let (Some(to_server), Some(to_client)) = (record.client.bytes, record.server.bytes) {
                write!(line, " bytes={to_server}/{to_client}").unwrap();
            }
            if record.session.is_some() {
                let channels: Vec<_> =
                    record.spice.channels.iter().map(|channel| channel.name.as_deref().unwrap_or("?")).collect();
                write!(line, " channels={}", channels.join(",")).unwrap();
            }
        }
        if let Some(reason) = record.event.reason {
            write!(line, " {reason}").unwrap();
        }
        if let Some(by) = record.spice.ended_by {
            write!(line, " by={}", format!("{by:?}").to_lowercase()).unwrap();
        }
        if record.event.action == Action::LinkRefused {
            write!(line, " at={}", format!("{:?}", record.spice.stage).to_lowercase()).unwrap();
        }
        line
    }

    fn name(&mut self, id: Uuid) -> String {
        let index = self.names.iter().position(|known| *known == id).unwrap_or_else(|| {
            self.names.push(id);
            self.names.len() - 1
        });
        format!("s{}", index + 1)
    }
}

/// Runs the steps from nothing, and compares the records.
pub(crate) fn check(source: Source, steps: &str, expected: &str) {
    let tidy = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let records = Trace::new(source).run(steps);
    assert_eq!(tidy(&records), tidy(expected), "{steps}");
}

fn address(text: &str) -> Address {
    if let Some(path) = text.strip_prefix("unix:") {
        return Address::unix(path);
    }
    let (host, port) = text.rsplit_once(':').unwrap();
    Address { host: host.into(), port: port.into(), family: Family::Ipv4 }
}

fn reason_named(name: &str) -> Reason {
    Reason::ALL.into_iter().find(|reason| reason.name() == name).unwrap()
}

fn ending(how: &str) -> Ending {
    match how {
        "client" => Ending::closed(Some(Side::Client), false),
        "client-reset" => Ending::closed(Some(Side::Client), true),
        "server" => Ending::closed(Some(Side::Server), false),
        "server-reset" => Ending::closed(Some(Side::Server), true),
        "none" => Ending::closed(None, false),
        reason => Ending::relay(reason_named(reason)),
    }
}

fn anomaly_named(words: &[&str]) -> AnomalyKind {
    let refused = |code, form| AnomalyKind::Refused { code: LinkErrorCode(code), form };
    match words {
        ["reply", code] => refused(code.parse().unwrap(), RefusalForm::Reply),
        ["second-reply", code] => refused(code.parse().unwrap(), RefusalForm::SecondReply),
        ["result", code] => refused(code.parse().unwrap(), RefusalForm::Result),
        ["sasl", code] => refused(code.parse().unwrap(), RefusalForm::Sasl),
        ["magic"] => AnomalyKind::Unreadable(Error::Magic { seen: *b"GET " }),
        ["major", major] => AnomalyKind::Unreadable(Error::Version { major: major.parse().unwrap() }),
        ["sasl-length", seen, max] => {
            AnomalyKind::Unreadable(Error::SaslLength { seen: seen.parse().unwrap(), max: max.parse().unwrap() })
        }
        ["unlinked", after] => AnomalyKind::Unlinked {
            after: match *after {
                "accept" => LinkStep::Accept,
                "message" => LinkStep::Message,
                "reply" => LinkStep::Reply,
                "sasl" => LinkStep::Sasl,
                "hidden-result" => LinkStep::HiddenResult,
                _ => panic!("no such step: {after}"),
            },
        },
        ["migration-target"] => AnomalyKind::MigrationTarget,
        ["leaked"] => AnomalyKind::Leaked,
        ["inferred"] => AnomalyKind::Inferred,
        ["websocket-head"] => AnomalyKind::WebSocketHead,
        _ => panic!("no such anomaly: {words:?}"),
    }
}

/// How long a moment is, for tests that wait.
pub(crate) fn millis(duration: Duration) -> String {
    format!("+{}ms", duration.as_millis())
}
