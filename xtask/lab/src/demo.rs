//! `cargo xtask demo`: boots a real QEMU, puts the relay in front of it, connects real clients, and prints the events of both side by
//! side.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use qmp_schema::{Event, EventMessage, Timestamp};
use serde_json::Value;
use spice_link::ChannelType;
use spice_testkit::{
    events::connections,
    lab::{self, CHANNELS, Client, EventLog, Peer, Process, Scratch, Vm},
};

/// How long the client stays connected, so that QEMU has finished the set-up of the session.
const STAY: Duration = Duration::from_millis(500);
/// How long to wait for the relay to start, and for the last line of its log.
const PATIENCE: Duration = Duration::from_secs(20);
const COLUMN: usize = 70;
/// How often new events are printed. The relay's log, which maps ports, arrives on another path, a little later or earlier.
const GLANCE: Duration = Duration::from_millis(20);

pub(crate) fn run() -> Result<()> {
    for peer in [Peer::Qemu, Peer::SpiceGtk] {
        ensure!(peer.is_here(), "{peer:?} is missing; `cargo xtask setup` installs it");
    }
    shell::run(&mut shell::cargo(&["build", "--quiet", "-p", "spicewatch"]))?;
    let folder = shell::root().join("target/demo");
    fs::create_dir_all(&folder)?;

    let port = lab::free_port()?;
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on"))?;
    let relay = Relay::start(port, &vm.qmp_socket())?;
    println!(
        "{} listens for SPICE on port {port}. The relay in front of it listens on port {}.\n",
        vm.versions()?.join(", "),
        relay.port
    );
    println!("{:COLUMN$}Events of the relay (with the ports of the client)", "Events of QEMU");

    let sides = [vm.events(), &relay.events];
    let screenshot = folder.join("screenshot.png");
    show(
        sides,
        || relay.ports(),
        || {
            let client = Client::start(&["--port", &relay.port.to_string()])?;
            for side in sides {
                side.wait_for("SPICE_INITIALIZED", CHANNELS)?;
            }
            thread::sleep(STAY);
            client.leave()?;
            take_picture(relay.port, relay.scratch.path(), &screenshot)?;
            for side in sides {
                side.wait_for_quiet()?;
            }
            Ok(())
        },
    )?;

    let told = || {
        let [theirs, ours] = sides.map(EventLog::lines);
        (stories(&theirs, &relay.ports()), stories(&ours, &Ports::new()))
    };
    let (start, mut both) = (Instant::now(), told());
    while both.0 != both.1 && start.elapsed() < PATIENCE {
        thread::sleep(GLANCE);
        both = told();
    }
    let (theirs, ours) = both;
    println!("\nA screenshot that a client took through the relay: {}", screenshot.canonicalize()?.display());
    let events: usize = ours.iter().map(|story| story.1.len()).sum();
    if ours != theirs {
        bail!("the events differ:\nQEMU      {theirs:#?}\nthe relay {ours:#?}");
    }
    println!(
        "The {events} events of {} connections are equal byte for byte, except the time and the addresses (each side names \
         the socket that it accepted).",
        ours.len()
    );
    Ok(())
}

/// Pairs of ports: the port of a client, and the local port of the relay's connection to QEMU for that client.
type Ports = Vec<(String, String)>;

/// The relay. Dropping it ends the process.
struct Relay {
    _process: Process,
    port: u16,
    events: EventLog,
    log: Arc<Mutex<Vec<Value>>>,
    scratch: Scratch,
}

impl Relay {
    fn start(upstream: u16, qemu: &Path) -> Result<Self> {
        // Cargo builds it into the folder of this program.
        let program = std::env::current_exe()?.with_file_name("spicewatch");
        let scratch = Scratch::new()?;
        let socket = scratch.join("relay.qmp");
        let mut command = Command::new(&program);
        command.args(["relay", "--listen", "127.0.0.1:0", "--upstream", &format!("127.0.0.1:{upstream}")]);
        command.arg("--qmp").arg(format!("unix:{}", socket.display())).arg("--qemu-qmp").arg(qemu);
        command.args(["--log", "debug", "--log-format", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let stderr = process.child().stderr.take().context("no stderr")?;
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
            return Ok(Self { _process: process, port: port.parse()?, events, log, scratch });
        }
        bail!("the relay did not start: {:?}", log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the pairs of ports from the relay's log.
    fn ports(&self) -> Ports {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let connected = log.iter().filter(|line| line["message"] == "connected to the upstream");
        connected.filter_map(|line| Some((port_of(&line["client"])?, port_of(&line["local"])?))).collect()
    }
}

fn port_of(address: &Value) -> Option<String> {
    Some(address.as_str()?.rsplit_once(':')?.1.to_owned())
}

/// Prints the events of both sides as they arrive, while `play` runs.
fn show(sides: [&EventLog; 2], ports: impl Fn() -> Ports, play: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    thread::scope(|scope| {
        let playing = scope.spawn(play);
        let mut shown = [0, 0];
        loop {
            let over = playing.is_finished();
            let came = sides.map(EventLog::lines);
            thread::sleep(GLANCE);
            let ports = ports();
            let news: Vec<Vec<String>> = came
                .iter()
                .zip(&mut shown)
                .map(|(lines, shown)| {
                    let new = lines[*shown..].iter().map(|line| short(line, &ports)).collect();
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
        }
    })
}

/// Shortens an event to the width of a column.
fn short(line: &str, ports: &Ports) -> String {
    let Ok(message) = qmp_schema::from_str::<EventMessage<'_>>(line) else { return line.to_owned() };
    let Some(Timestamp { seconds, microseconds }) = message.timestamp else { return line.to_owned() };
    let at = format!("{:02}.{microseconds:06}", seconds % 60);
    match message.event {
        Event::SpiceConnected(event) => format!("{at} CONNECTED    {}", client_port_of(ports, &event.client.port)),
        Event::SpiceDisconnected(event) => format!("{at} DISCONNECTED {}", client_port_of(ports, &event.client.port)),
        Event::SpiceInitialized(event) => {
            let (client, id) = (&event.client, event.client.connection_id);
            let code = u8::try_from(client.channel_type).map(ChannelType);
            let kind = code.ok().and_then(ChannelType::name).unwrap_or("?");
            let port = client_port_of(ports, &client.port);
            format!("{at} INITIALIZED  {port} {kind} {} of session {id}", client.channel_id)
        }
        other => format!("{at} {}", other.name()),
    }
}

/// Maps the port of a relay's connection to the port of its client. Other ports stay unchanged.
fn client_port_of<'a>(ports: &'a Ports, port: &'a str) -> &'a str {
    ports.iter().find(|(_, local)| local == port).map_or(port, |(client, _)| client)
}

/// The events of each connection without addresses and time, sorted by the port of its client.
fn stories(lines: &[String], ports: &Ports) -> Vec<(String, Vec<String>)> {
    let mut stories: Vec<_> = connections(lines.iter().map(String::as_str))
        .iter()
        .map(|connection| (client_port_of(ports, connection.client_port).to_owned(), connection.said()))
        .collect();
    stories.sort();
    stories
}

/// Takes a screenshot with spicy-screenshot, a program of spice-gtk that waits for the first picture of the display.
fn take_picture(port: u16, scratch: &Path, file: &Path) -> Result<()> {
    let ppm = scratch.join("screenshot.ppm");
    let mut command = Command::new("spicy-screenshot");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-o"]).arg(&ppm);
    let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    process.wait()?;
    let picture = fs::read(&ppm).context("spicy-screenshot wrote no picture")?;
    let (width, height, pixels) =
        read_ppm(&picture).context("spicy-screenshot wrote a file that is not a PPM picture")?;
    let mut png = png::Encoder::new(BufWriter::new(File::create(file)?), width, height);
    png.set_color(png::ColorType::Rgb);
    png.write_header()?.write_image_data(pixels)?;
    Ok(())
}

/// Reads width, height and pixels of a binary PPM picture with one byte for each colour, the format of spicy-screenshot.
fn read_ppm(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
    let (magic, size, most, pixels) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    let (width, height) = std::str::from_utf8(size).ok()?.split_once(' ')?;
    let (width, height) = (width.parse::<u32>().ok()?, height.parse::<u32>().ok()?);
    let len = usize::try_from(u64::from(width) * u64::from(height) * 3).ok()?;
    (magic == b"P6" && most == b"255" && pixels.len() == len).then_some((width, height, pixels))
}

#[cfg(test)]
mod tests {
    use super::read_ppm;

    #[test]
    fn only_complete_binary_ppm_pictures_are_read() {
        assert_eq!(read_ppm(b"P6\n2 1\n255\n\n23456"), Some((2, 1, &b"\n23456"[..])));
        for bytes in [&b"P5\n2 1\n255\n123456"[..], b"P6\n2 1\n255\n12345", b"P6\n2 1\n", b""] {
            assert_eq!(read_ppm(bytes), None);
        }
    }
}
