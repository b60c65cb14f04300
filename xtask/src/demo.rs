//! `cargo xtask demo`: a real QEMU, the relay in front of it, real clients, and what both say, side by side.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use qmp_schema::{Event, EventMessage, Timestamp};
use serde_json::Value;
use spice_testkit::lab::{self, CHANNELS, Client, EventLog, Peer, Scratch, Vm};

use crate::{setup, shell};

/// How long a whole session stays, so that there is something to see, and QEMU is done with setting it up.
const STAY: Duration = Duration::from_millis(500);
/// What a screenshot may take.
const PATIENCE: Duration = Duration::from_secs(20);
const COLUMN: usize = 58;

pub(crate) fn run() -> Result<()> {
    setup::run()?;
    for peer in [Peer::Qemu, Peer::SpiceGtk] {
        ensure!(peer.is_here(), "{peer:?} is not here: the line above installs it");
    }
    shell::run(&mut shell::cargo(&["build", "--quiet", "-p", "spicewatch"]))?;
    let folder = shell::root().join("target/demo");
    fs::create_dir_all(&folder)?;

    let port = lab::free_port()?;
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on"))?;
    let relay = Relay::start(port, &vm.qmp_socket())?;
    println!(
        "{} listens for SPICE on port {port}, the relay before it on port {}.\n",
        vm.versions()?.join(", "),
        relay.port
    );
    println!("{:COLUMN$}the relay says", "QEMU says");

    let sides = [vm.events(), &relay.events];
    let screenshot = folder.join("screenshot.ppm");
    show(sides, || {
        let client = Client::start(&["--port", &relay.port.to_string()])?;
        for side in sides {
            side.wait_for("SPICE_INITIALIZED", CHANNELS)?;
        }
        thread::sleep(STAY);
        client.leave()?;
        take_picture(relay.port, &screenshot)?;
        for side in sides {
            side.wait_for_quiet()?;
        }
        Ok(())
    })?;

    let [theirs, ours] = sides.map(|side| stories(&side.lines()));
    let (theirs, ours) = (renamed(theirs?, &relay.ports()), ours?);
    let shown = screenshot.canonicalize().unwrap_or(screenshot);
    println!("\nThe picture that a client got through the relay: {}", shown.display());
    let events: usize = ours.iter().map(|story| story.1.len()).sum();
    if ours != theirs {
        bail!("they differ:\nQEMU      {theirs:?}\nthe relay {ours:?}");
    }
    println!(
        "They match: {events} events of {} connections, field by field, but for the addresses (each names the socket that \
         it accepted) and the microseconds.",
        ours.len()
    );
    Ok(())
}

/// The relay, ended when this goes.
struct Relay {
    child: Child,
    port: u16,
    events: EventLog,
    log: Arc<Mutex<Vec<Value>>>,
    _scratch: Scratch,
}

impl Relay {
    fn start(upstream: u16, qemu: &Path) -> Result<Self> {
        // Built beside this very program.
        let program = std::env::current_exe()?.with_file_name("spicewatch");
        let scratch = Scratch::new()?;
        let socket = scratch.join("relay.qmp");
        let mut command = Command::new(&program);
        command.args(["relay", "--listen", "127.0.0.1:0", "--upstream", &format!("127.0.0.1:{upstream}")]);
        command.arg("--qmp").arg(format!("unix:{}", socket.display())).arg("--qemu-qmp").arg(qemu);
        command.args(["--log", "debug", "--log-format", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("can't run {}", program.display()))?;
        let stderr = child.stderr.take().context("no stderr")?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, port) = mpsc::channel();
        let lines = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
                if line["message"] == "accepting"
                    && let Some(port) = port_of(&line["address"])
                {
                    let _ = found.send(port);
                }
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let port = port.recv_timeout(PATIENCE);
        let events = port.is_ok().then(|| UnixStream::connect(&socket).and_then(EventLog::record));
        if let (Ok(port), Some(Ok(events))) = (port, events) {
            return Ok(Self { child, port: port.parse()?, events, log, _scratch: scratch });
        }
        let _ = child.kill();
        let _ = child.wait();
        bail!("the relay does not start: {:?}", log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Which port of the relay's own each client was connected on with: the client's, then the relay's.
    fn ports(&self) -> Vec<(String, String)> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let connected = log.iter().filter(|line| line["message"] == "connected to the upstream");
        connected.filter_map(|line| Some((port_of(&line["client"])?, port_of(&line["local"])?))).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn port_of(address: &Value) -> Option<String> {
    Some(address.as_str()?.rsplit_once(':')?.1.to_owned())
}

/// Prints what both sides say while something goes on, each line when it comes.
fn show(sides: [&EventLog; 2], play: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    thread::scope(|scope| {
        let playing = scope.spawn(play);
        let mut shown = [0, 0];
        loop {
            let over = playing.is_finished();
            let news: Vec<Vec<String>> = sides
                .iter()
                .zip(&mut shown)
                .map(|(side, shown)| {
                    let lines = side.lines();
                    let new = lines[*shown..].iter().map(|line| short(line)).collect();
                    *shown = lines.len();
                    new
                })
                .collect();
            let text = |side: usize, row: usize| news[side].get(row).map_or("", String::as_str);
            for row in 0..news[0].len().max(news[1].len()) {
                println!("{:COLUMN$}{}", text(0, row), text(1, row));
            }
            if over {
                return playing.join().unwrap_or_else(|_| bail!("the demonstration panicked"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    })
}

/// An event in a column's width.
fn short(line: &str) -> String {
    let Ok(message) = qmp_schema::from_str::<EventMessage<'_>>(line) else { return line.to_owned() };
    let Some(Timestamp { seconds, microseconds }) = message.timestamp else { return line.to_owned() };
    let at = format!("{:02}.{microseconds:06}", seconds % 60);
    match message.event {
        Event::SpiceConnected(event) => format!("{at} CONNECTED    :{}", event.client.port),
        Event::SpiceDisconnected(event) => format!("{at} DISCONNECTED :{}", event.client.port),
        Event::SpiceInitialized(event) => {
            let (client, auth) = (event.client, event.server.auth.unwrap_or_default());
            let (kind, id) = (client.channel_type, client.connection_id);
            format!("{at} INITIALIZED  :{} {kind}/{} id {id} {auth}", client.port, client.channel_id)
        }
        other => format!("{at} {}", other.name()),
    }
}

/// A connection's client port, and what was said of it but for addresses and time.
type Story = (String, Vec<String>);

fn stories(lines: &[String]) -> Result<Vec<Story>> {
    let mut stories: Vec<Story> = Vec::new();
    for line in lines {
        let message: EventMessage<'_> = qmp_schema::from_str(line)?;
        let (port, said) = match message.event {
            Event::SpiceConnected(event) => {
                stories.push((event.client.port.into_owned(), vec!["CONNECTED".into()]));
                continue;
            }
            Event::SpiceInitialized(event) => {
                let client = event.client;
                let said = format!(
                    "INITIALIZED {} {}/{} tls {} auth {:?}",
                    client.connection_id, client.channel_type, client.channel_id, client.tls, event.server.auth
                );
                (client.port.into_owned(), said)
            }
            Event::SpiceDisconnected(event) => (event.client.port.into_owned(), "DISCONNECTED".into()),
            _ => continue,
        };
        let story = stories.iter_mut().rev().find(|story| story.0 == port);
        story.with_context(|| format!("an event before its SPICE_CONNECTED: {line}"))?.1.push(said);
    }
    stories.sort();
    Ok(stories)
}

/// QEMU's stories under the ports that the clients had at the relay.
fn renamed(mut stories: Vec<Story>, ports: &[(String, String)]) -> Vec<Story> {
    for story in &mut stories {
        if let Some((client, _)) = ports.iter().find(|(_, local)| *local == story.0) {
            story.0.clone_from(client);
        }
    }
    stories.sort();
    stories
}

/// spicy-screenshot, which is spice-gtk too; it waits for the first picture of the display.
fn take_picture(port: u16, file: &PathBuf) -> Result<()> {
    let _ = fs::remove_file(file);
    let mut command = Command::new("spicy-screenshot");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-o"]).arg(file);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = std::time::Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            bail!("spicy-screenshot took more than {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    ensure!(fs::metadata(file).is_ok_and(|file| file.len() > 0), "spicy-screenshot wrote no picture");
    Ok(())
}
