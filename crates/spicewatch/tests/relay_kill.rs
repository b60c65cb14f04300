//! kill -9 of the server, of a client and of the relay, with a connection at each stage.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use relay_lab::{
    PATIENCE, Qmp, Relay,
    compare::{Comparison, names},
    eventually,
    piped::Process,
    signal,
};
use spice_link::ticket;
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Pki, Scratch, Vm},
    spice_conformance::Mess,
};

/// The stage that a connection has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Accepted,
    HalfAHeader,
    MessSent,
    ReplyRead,
    HalfATicket,
    TicketSent,
    Linked,
    HalfATlsHello,
}

fn read<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::Accepted,
        Self::HalfAHeader,
        Self::MessSent,
        Self::ReplyRead,
        Self::HalfATicket,
        Self::TicketSent,
        Self::Linked,
        Self::HalfATlsHello,
    ];

    /// Brings a connection to this stage, as far as the server answers.
    fn reach(self, mut stream: impl Read + Write) -> io::Result<()> {
        let mess = Mess::default().bytes();
        match self {
            Self::Accepted => return Ok(()),
            Self::HalfATlsHello => return stream.write_all(b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03"),
            Self::HalfAHeader => return stream.write_all(&mess[..8]),
            Self::MessSent => return stream.write_all(&mess),
            _ => stream.write_all(&mess)?,
        }
        stream.flush()?;
        // A header whose last word is the size of the reply, then a code and the key.
        let header: [u8; 16] = read(&mut stream)?;
        let size = u32::from_le_bytes(header[12..].try_into().unwrap());
        let mut reply = vec![0; size as usize];
        stream.read_exact(&mut reply)?;
        let ticket = ticket::seal(reply[4..166].try_into().unwrap(), PASSWORD.as_bytes()).unwrap();
        match self {
            Self::ReplyRead => return Ok(()),
            Self::HalfATicket => return stream.write_all(&[&[1, 0, 0, 0], &ticket[..64]].concat()),
            _ => stream.write_all(&[&[1, 0, 0, 0], &ticket[..]].concat())?,
        }
        stream.flush()?;
        if self == Self::Linked {
            assert_eq!(read(&mut stream)?, [0; 4]);
            // MAIN_INIT: type 103, 32 bytes.
            let main_init: [u8; 38] = read(&mut stream)?;
            assert_eq!(main_init[..6], [103, 0, 32, 0, 0, 0]);
        }
        Ok(())
    }

    /// Whether the server links a connection of this stage, because the client has sent its password.
    fn links(self) -> bool {
        matches!(self, Self::TicketSent | Self::Linked)
    }

    /// The events of a relay for a connection that ended in this stage.
    fn names(self) -> &'static [&'static str] {
        if self.links() { &["CONNECTED", "INITIALIZED", "DISCONNECTED"] } else { &["CONNECTED", "DISCONNECTED"] }
    }
}

/// A QEMU with a plain and a TLS port, and what a relay needs to connect to it.
struct Server {
    vm: Vm,
    port: u16,
    tls_port: u16,
    pki: Pki,
}

impl Server {
    fn boot() -> Option<Self> {
        if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl, Peer::Socat]) {
            return None;
        }
        let (port, tls_port, pki) = (lab::free_port().unwrap(), lab::free_port().unwrap(), Pki::new().unwrap());
        Some(Self { vm: Self::vm(port, tls_port, &pki), port, tls_port, pki })
    }

    fn vm(port: u16, tls_port: u16, pki: &Pki) -> Vm {
        let dir = pki.dir().display();
        Vm::boot(&format!("port={port},tls-port={tls_port},x509-dir={dir},addr=127.0.0.1,password-secret=password"))
            .unwrap()
    }

    /// Starts a relay with a plain and a TLS listener.
    fn relay(&self, more: &[&str]) -> Relay {
        let (upstream, dir) = (format!("127.0.0.1:{}", self.port), self.pki.dir().display().to_string());
        let base =
            ["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0", "--x509-dir", &dir, "--upstream", &upstream];
        Relay::start(&[&base[..], more].concat())
    }
}

fn listener(relay: &Relay, stage: Stage) -> SocketAddr {
    relay.addresses()[usize::from(stage == Stage::HalfATlsHello)].parse().unwrap()
}

fn connect(relay: &Relay, stage: Stage) -> TcpStream {
    let stream = TcpStream::connect(listener(relay, stage)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until an end or a reset. Returns how many bytes arrived.
fn drained(mut stream: &TcpStream) -> usize {
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    rest.len()
}

/// Checks that a real session passes.
fn a_session_works(relay: &Relay) {
    let before = relay.events.count("SPICE_INITIALIZED");
    let port = relay.address().port().to_string();
    let client = Client::start(&["--port", &port, "--password", PASSWORD]).unwrap();
    relay.events.wait_for("SPICE_INITIALIZED", before + CHANNELS);
    assert!(client.leave().unwrap().success());
}

#[test]
fn killed_server_ends_each_connection_and_the_next_one_is_served() {
    let Some(mut server) = Server::boot() else { return };
    let relay = server.relay(&[]);
    let open = relay.descriptors();
    let clients: Vec<_> = Stage::ALL
        .iter()
        .map(|&stage| {
            let stream = connect(&relay, stage);
            stage.reach(&stream).unwrap();
            (stage, stream)
        })
        .collect();
    // A new session replaced the one before it, whose connection has ended already.
    relay.events.wait_for("SPICE_INITIALIZED", 2);
    server.vm.kill().unwrap();
    for (stage, stream) in &clients {
        if *stage != Stage::HalfATlsHello {
            drained(stream);
        }
    }
    // Half a TLS hello never reached the server: that client still has time.
    relay.events.wait_for("SPICE_DISCONNECTED", Stage::ALL.len() - 1);
    drop(clients);
    relay.events.wait_for("SPICE_DISCONNECTED", Stage::ALL.len());
    let expected: Vec<_> = Stage::ALL.iter().map(|stage| stage.names()).collect();
    assert_eq!(names(&relay.events.all()), expected);
    eventually("its sockets are closed", || relay.descriptors() <= open);

    // While the server is gone, the log has the reason. When it is back, clients are served.
    assert_eq!(drained(&connect(&relay, Stage::Accepted)), 0);
    relay.log.wait_for("can't reach the upstream", 1);
    server.vm = Server::vm(server.port, server.tls_port, &server.pki);
    a_session_works(&relay);
    relay.log.wait_for("the upstream is back", 1);
    let log = relay.log.clone();
    relay.signal("-TERM");
    assert_eq!(relay.wait().code(), Some(0));
    assert!(!log.all().iter().any(|line| line.contains("panicked")), "{:?}", log.all());
}

/// A stopped server takes connections and does not answer. Then it is killed.
#[test]
fn killed_server_that_had_stopped_answering_ends_each_connection() {
    let Some(mut server) = Server::boot() else { return };
    let upstream = format!("127.0.0.1:{}", server.tls_port);
    let ca = server.pki.ca().display().to_string();
    let plain = server.relay(&[]);
    let tls = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--upstream-tls", "--ca", &ca]);
    let open = [plain.descriptors(), tls.descriptors()];
    signal(server.vm.id(), "-STOP");
    let before_tls = connect(&tls, Stage::Accepted);
    (&before_tls).write_all(&Mess::default().bytes()).unwrap();
    let no_reply = connect(&plain, Stage::MessSent);
    Stage::MessSent.reach(&no_reply).unwrap();
    tls.log.wait_for("connected to the upstream", 1);
    plain.log.wait_for("connected to the upstream", 1);
    server.vm.kill().unwrap();
    for (relay, client, open) in [(&tls, &before_tls, open[1]), (&plain, &no_reply, open[0])] {
        assert_eq!(drained(client), 0);
        relay.events.wait_for("SPICE_DISCONNECTED", 1);
        assert_eq!(names(&relay.events.all()), [["CONNECTED", "DISCONNECTED"]]);
        eventually("its sockets are closed", || relay.descriptors() <= open);
    }
    // The handshake with the server broke, and the log says so.
    tls.log.wait_for("can't reach the upstream", 1);
}

#[test]
fn killed_client_is_reported_disconnected() {
    let Some(server) = Server::boot() else { return };
    let relay = server.relay(&[]);
    let open = relay.descriptors();
    let mut linked = 0;
    for (number, stage) in (1..).zip(Stage::ALL) {
        let mut client = Process::start(listener(&relay, stage));
        stage.reach(&mut client).unwrap();
        relay.events.wait_for("SPICE_CONNECTED", number);
        if stage != Stage::HalfATlsHello {
            relay.log.wait_for("connected to the upstream", number);
        }
        // INITIALIZED comes with MAIN_INIT, which this client may not have read.
        linked += usize::from(stage.links());
        relay.events.wait_for("SPICE_INITIALIZED", linked);
        // Its bytes have arrived. Killing it earlier would be another stage.
        std::thread::sleep(Duration::from_millis(50));
        client.0.kill().unwrap();
        relay.events.wait_for("SPICE_DISCONNECTED", number);
        assert_eq!(names(&relay.events.all()).pop().unwrap(), stage.names(), "{stage:?}");
        eventually("its sockets are closed", || relay.descriptors() <= open);
    }
    // QEMU reports the same for half a hello on its own TLS port.
    server.vm.events().wait_for_quiet().unwrap();
    let before = server.vm.events().count("SPICE_DISCONNECTED");
    let direct = TcpStream::connect((Ipv4Addr::LOCALHOST, server.tls_port)).unwrap();
    Stage::HalfATlsHello.reach(&direct).unwrap();
    drop(direct);
    server.vm.events().wait_for("SPICE_DISCONNECTED", before + 1).unwrap();
    assert_eq!(names(&server.vm.events().lines()).pop().unwrap(), Stage::HalfATlsHello.names());
    // At the relay, that connection ends there. The others were connected to the upstream.
    assert_eq!(relay.ports().len(), Stage::ALL.len() - 1);
    relay.log.wait_for("TLS handshake failed", 1);
    eventually("the log has one line for each", || relay.ended() >= Stage::ALL.len() - 1);
    assert_eq!(relay.ended(), Stage::ALL.len() - 1, "{:#?}", relay.log.all());
    a_session_works(&relay);
}

/// The same, compared with QEMU's own events.
#[test]
fn killed_client_is_reported_as_qemu_reports_it() {
    let Some(server) = Server::boot() else { return };
    let relay = server.relay(&[]);
    let mut linked = 0;
    for (number, stage) in (1..).zip(Stage::ALL.into_iter().filter(|stage| *stage != Stage::HalfATlsHello)) {
        let mut client = Process::start(listener(&relay, stage));
        stage.reach(&mut client).unwrap();
        server.vm.events().wait_for("SPICE_CONNECTED", number).unwrap();
        linked += usize::from(stage.links());
        server.vm.events().wait_for("SPICE_INITIALIZED", linked).unwrap();
        // Its bytes have arrived. Killing it earlier would be another stage.
        std::thread::sleep(lab::MOMENT);
        client.0.kill().unwrap();
        server.vm.events().wait_for("SPICE_DISCONNECTED", number).unwrap();
    }
    let all = Comparison { relay: &relay, vm: &server.vm, before: 0, tls_at_the_relay: false, behind: &[] };
    assert_eq!(all.check("killed at each stage"), (7, 16));
}

fn is_stale(path: &Path) -> bool {
    path.exists() && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[test]
fn killed_relay_ends_its_connections_and_the_next_one_starts_anew() {
    let Some(server) = Server::boot() else { return };
    let scratch = Scratch::new().unwrap();
    let (qmp_path, unix_path) = (scratch.join("vm.qmp"), scratch.join("vm.spice"));
    let (port, dir) = (lab::free_port().unwrap(), server.pki.dir().display().to_string());
    let (qmp, unix) = (format!("unix:{}", qmp_path.display()), format!("unix:{}", unix_path.display()));
    let (listen, upstream) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", server.port));
    let args = [
        "--listen",
        &listen,
        "--listen",
        &unix,
        "--tls-listen",
        "127.0.0.1:0",
        "--x509-dir",
        &dir,
        "--upstream",
        &upstream,
        "--qmp",
        &qmp,
    ];
    let mut relay = Relay::start(&args);
    let listeners = Qmp::connect(&qmp_path);
    let tls: SocketAddr = relay.addresses()[2].parse().unwrap();
    let clients: Vec<_> = Stage::ALL
        .iter()
        .map(|&stage| {
            let plain = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let stream = TcpStream::connect(if stage == Stage::HalfATlsHello { tls } else { plain }).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stage.reach(&stream).unwrap();
            stream
        })
        .collect();
    listeners.lines.wait_for("SPICE_INITIALIZED", 2);
    // All of them except half a TLS hello were connected to the server.
    server.vm.events().wait_for("SPICE_CONNECTED", Stage::ALL.len() - 1).unwrap();
    relay.kill();

    // Both peers and the QMP clients see the end.
    for client in &clients {
        drained(client);
    }
    server.vm.events().wait_for_quiet().unwrap();
    listeners.lines.wait_for_end();
    // Two stale sockets are left. The next relay replaces them, takes the same port at once, and does not know the
    // connections of the first one.
    assert!(is_stale(&qmp_path) && is_stale(&unix_path));
    let relay = Relay::start(&args);
    let qmp = Qmp::connect(&qmp_path);
    assert!(qmp.execute("query-spice").contains("\"channels\": []"));
    let before = server.vm.events().count("SPICE_INITIALIZED");
    let client = Client::start(&["--unix", &unix_path.display().to_string(), "--password", PASSWORD]).unwrap();
    qmp.lines.wait_for("SPICE_INITIALIZED", CHANNELS);
    server.vm.events().wait_for("SPICE_INITIALIZED", before + CHANNELS).unwrap();
    assert!(client.leave().unwrap().success());
    qmp.lines.wait_for("SPICE_DISCONNECTED", CHANNELS);
    relay.signal("-TERM");
    assert_eq!(relay.wait().code(), Some(0));
    assert!(!qmp_path.exists() && !unix_path.exists(), "a graceful shutdown leaves no file");
}
