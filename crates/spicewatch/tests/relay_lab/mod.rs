//! A relay in a process of its own, with its events and its log.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use qmp_schema::Value;
use spice_testkit::lab::Process;

#[cfg(feature = "http")]
pub mod browser;
pub mod by_hand;
pub mod compare;
pub mod http;
pub mod mask;
pub mod piped;
pub mod tap;

/// How long a test waits before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Lines that a thread collects.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<(Mutex<Said>, Condvar)>);

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    pub fn follow(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let shared = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                shared.0.0.lock().unwrap().lines.push(line);
                shared.0.1.notify_all();
            }
            shared.0.0.lock().unwrap().ended = true;
            shared.0.1.notify_all();
        });
        lines
    }

    pub fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    pub fn count(&self, part: &str) -> usize {
        self.all().iter().filter(|line| line.contains(part)).count()
    }

    /// Waits until `done` accepts the lines.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut done: impl FnMut(&[String]) -> Option<T>) -> T {
        self.until(what, |said| done(&said.lines))
    }

    #[track_caller]
    pub fn wait_for(&self, part: &str, count: usize) {
        self.wait(&format!("{count} times {part}"), |lines| {
            (lines.iter().filter(|line| line.contains(part)).count() >= count).then_some(())
        });
    }

    /// Waits until the stream has ended.
    #[track_caller]
    pub fn wait_for_end(&self) {
        self.until("end", |said| said.ended.then_some(()));
    }

    #[track_caller]
    fn until<T>(&self, what: &str, mut done: impl FnMut(&Said) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = done(&said) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what} in:\n{}", said.lines.join("\n"));
            said = self.0.1.wait_timeout(said, left).unwrap().0;
        }
    }
}

/// Waits until `done` returns true.
#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a process a signal, `-STOP` for example.
pub fn signal(process: u32, name: &str) {
    let kill = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(kill.success());
}

/// `spicewatch relay`, killed on drop.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    /// Events on stdout, for a relay without a QMP socket.
    pub events: Lines,
    /// The log, in JSON.
    pub log: Lines,
}

impl Relay {
    /// Starts it with these flags, and a debug log in JSON. It listens when this returns.
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(["--log", "debug,rustls=info", "--log-format", "json"]).args(args);
        Self::run(&mut command)
    }

    /// Starts it with this configuration file.
    #[track_caller]
    pub fn start_with(config: &Path) -> Self {
        Self::run(Self::command().arg("--config").arg(config))
    }

    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
        command.arg("relay").stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub fn run(command: &mut Command) -> Self {
        let mut process = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap();
        let events = Lines::follow(process.child().stdout.take().unwrap());
        let log = Lines::follow(process.child().stderr.take().unwrap());
        let relay = Self { process, events, log };
        relay.log.wait_for("\"message\":\"ready\"", 1);
        relay
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its addresses, in the order of the flags, plain ones first.
    pub fn addresses(&self) -> Vec<String> {
        let listening = |line: &String| {
            let line: Value<'_> = qmp_schema::from_str(line).ok()?;
            (text(&line, "message")? == "accepting").then(|| text(&line, "address"))?
        };
        self.log.all().iter().filter_map(listening).collect()
    }

    /// The first of them, which must be TCP.
    pub fn address(&self) -> SocketAddr {
        let addresses = self.addresses();
        assert!(!addresses.is_empty(), "no address in:\n{}", self.log.all().join("\n"));
        addresses[0].parse().unwrap()
    }

    /// For each client's port, the local port of its upstream connection.
    pub fn ports(&self) -> Vec<(String, String)> {
        let port = |address: String| address.rsplit_once(':').map(|(_, port)| port.to_owned());
        let connected = |line: &String| {
            let line: Value<'_> = qmp_schema::from_str(line).ok()?;
            (text(&line, "message")? == "connected to the upstream").then_some(())?;
            Some((port(text(&line, "client")?)?, port(text(&line, "local")?)?))
        };
        self.log.all().iter().filter_map(connected).collect()
    }

    /// How many connections have ended, by the log, of those with an upstream connection.
    pub fn ended(&self) -> usize {
        let ended = |line: &&String| line.contains("\"closed\"") || line.contains("\"broken\"");
        self.log.all().iter().filter(ended).count()
    }

    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn wait(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// How many descriptors are open, without the few pipes that its threads keep for later connections.
    pub fn descriptors(&self) -> usize {
        self.open_files().len()
    }

    /// What those descriptors are.
    pub fn open_files(&self) -> Vec<String> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().flatten();
        // A descriptor may be closed by now.
        let kind = open.filter_map(|open| Some(std::fs::read_link(open.path()).ok()?.to_string_lossy().into_owned()));
        kind.filter(|kind| !kind.starts_with("pipe:")).collect()
    }

    /// Its resident memory, in bytes.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }
}

/// A string member of a JSON object.
pub fn text(value: &Value<'_>, name: &str) -> Option<String> {
    match value {
        Value::Object(object) => object.get(name)?.as_str().map(str::to_owned),
        _ => None,
    }
}

/// A QMP client that has negotiated.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    pub lines: Lines,
}

impl Qmp {
    #[track_caller]
    pub fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        let qmp = Self { lines: Lines::follow(stream.try_clone().unwrap()), stream };
        qmp.lines.wait_for("{\"QMP\": ", 1);
        qmp.execute("qmp_capabilities");
        qmp
    }

    /// Runs a command. Returns the whole reply.
    #[track_caller]
    pub fn execute(&self, command: &str) -> String {
        let is_reply = |line: &&String| line.starts_with("{\"return\"") || line.starts_with("{\"error\"");
        let before = self.lines.all().iter().filter(is_reply).count();
        writeln!(&self.stream, "{{\"execute\": \"{command}\"}}").unwrap();
        self.lines.wait(command, |lines| lines.iter().filter(is_reply).nth(before).cloned())
    }

    pub fn send(&self, text: &str) {
        (&self.stream).write_all(text.as_bytes()).unwrap();
    }

    pub fn events(&self) -> Vec<String> {
        self.lines.all().into_iter().filter(|line| line.starts_with("{\"timestamp\"")).collect()
    }
}
