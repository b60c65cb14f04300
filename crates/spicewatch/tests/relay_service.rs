//! The relay as a service: out of descriptors, with a service manager, and with a log that is not read.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixDatagram, UnixListener},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use relay_lab::{PATIENCE, Qmp, Relay, eventually};
use spice_testkit::lab::Scratch;

/// Sends a few bytes there and back. A delay fails by the sockets' timeouts.
fn passes(client: &mut TcpStream, inside: &mut TcpStream) {
    client.write_all(b"up").unwrap();
    inside.read_exact(&mut [0; 2]).unwrap();
    inside.write_all(b"down").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
}

fn accept(server: &TcpListener) -> TcpStream {
    let stream = server.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn connect(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect(relay.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// `spicewatch relay` with at most this many descriptors.
fn limited(descriptors: usize, args: &[&str]) -> Relay {
    let limit = format!("ulimit -n {descriptors} && exec \"$0\" relay \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limit, env!("CARGO_BIN_EXE_spicewatch"), "--log", "debug", "--log-format", "json"]).args(args);
    Relay::run(command.stdin(Stdio::null()))
}

#[test]
fn relay_out_of_descriptors_waits_and_recovers() {
    const DESCRIPTORS: usize = 64;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap().to_string();
    let relay = limited(
        DESCRIPTORS,
        &["--listen", "127.0.0.1:0", "--upstream", &upstream, "--max-connections", "1000", "--proxy-from", "127.0.0.1"],
    );
    relay.log.wait_for("leaves room for fewer connections", 1);
    let live = || {
        let mut client = connect(&relay);
        client.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.1 4321 5900\r\n").unwrap();
        (client, accept(&server))
    };
    let (mut client, mut inside) = live();
    passes(&mut client, &mut inside);

    // Each holds one descriptor while the relay waits for its header. There are fewer descriptors than connections.
    let many: Vec<_> = (0..DESCRIPTORS).map(|_| connect(&relay)).collect();
    relay.log.wait_for("can't accept for now", 1);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        passes(&mut client, &mut inside);
        thread::sleep(Duration::from_millis(50));
    }
    // A second of failures is one line, although several tasks accept.
    assert_eq!((relay.log.count("can't accept for now"), relay.log.count("accepting again")), (1, 0));

    drop(many);
    let (mut another, mut its_inside) = live();
    passes(&mut another, &mut its_inside);
    eventually("the log says so", || {
        drop(connect(&relay));
        relay.log.count("accepting again") == 1
    });
    passes(&mut client, &mut inside);
    relay.events.wait_for("SPICE_CONNECTED", 2);
    assert_eq!((relay.events.count("SPICE_CONNECTED"), relay.events.count("SPICE_DISCONNECTED")), (2, 0));
}

#[test]
fn service_manager_is_notified() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 256];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    };
    let mut command = Relay::command();
    command.args(["--log-format", "json", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"]);
    let relay = Relay::run(command.env("NOTIFY_SOCKET", &path));
    assert_eq!(hear(), "READY=1");
    // It listens already.
    drop(connect(&relay));
    relay.signal("-HUP");
    let reloading = hear();
    let (first, clock) = reloading.split_once('\n').unwrap();
    assert_eq!(first, "RELOADING=1");
    assert!(clock.strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(hear(), "READY=1\nSTATUS=1 VMs; no changes");
    relay.log.wait_for("SIGHUP: no certificates are configured", 1);
    relay.signal("-TERM");
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(relay.wait().code(), Some(0));
}

/// `systemd-socket-activate` binds, and starts the relay at the first client.
#[test]
fn sockets_of_a_service_manager_are_used_and_clients_in_their_backlogs_are_served() {
    let (server, scratch) = (TcpListener::bind("127.0.0.1:0").unwrap(), Scratch::new().unwrap());
    let upstream = server.local_addr().unwrap().to_string();
    let [listen, own, unused] = [(); 3].map(|()| format!("127.0.0.1:{}", spice_testkit::lab::free_port().unwrap()));
    let [qmp, control] = ["qmp", "control"].map(|name| scratch.join(name));
    let mut command = Command::new("systemd-socket-activate");
    for socket in [&listen, qmp.to_str().unwrap(), control.to_str().unwrap(), &unused] {
        command.arg(format!("--listen={socket}"));
    }
    command.args(["--fdname=spice:qmp:control:left", env!("CARGO_BIN_EXE_spicewatch"), "relay", "--log-format=json"]);
    command.args(["--listen", &listen, "--listen", &own, "--upstream", &upstream, "--qmp"]);
    command.arg(format!("unix:{}", qmp.display())).arg("--control").arg(&control);
    let first = thread::spawn({
        let listen = listen.clone();
        move || {
            let mut client = None;
            eventually("it listens", || {
                client = TcpStream::connect(&listen).ok();
                client.is_some()
            });
            client.unwrap()
        }
    });
    let relay = Relay::run(&mut command);
    let (mut client, mut inside) = (first.join().unwrap(), accept(&server));
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    passes(&mut client, &mut inside);
    assert_eq!(relay.addresses(), [listen, own]);
    relay.log.wait("the unused socket", |lines| {
        let is_named =
            |line: &String| line.contains(&unused) && line.contains("left") && line.contains("its clients wait");
        lines.iter().any(is_named).then_some(())
    });
    assert_eq!(relay.log.count("its clients wait"), 1);
    assert!(Qmp::connect(&qmp).execute("query-spice").contains("\"enabled\": true"));
    let mut status = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    assert!(status.arg("status").arg("--control").arg(&control).status().unwrap().success());
    drop((client, inside));
    relay.signal("-TERM");
    assert_eq!(relay.wait().code(), Some(0));
    assert!(qmp.exists() && control.exists(), "the service manager's files");
}

/// No process reads stderr: its pipe fills up, and everything else goes on.
#[test]
fn unread_log_delays_nothing() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (upstream, scratch) = (server.local_addr().unwrap().to_string(), Scratch::new().unwrap());
    let socket = scratch.join("vm.qmp");
    let mut command = Relay::command();
    let qmp = format!("unix:{}", socket.display());
    let port = spice_testkit::lab::free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    command.args([
        "--log",
        "debug",
        "--log-format",
        "json",
        "--listen",
        &listen,
        "--upstream",
        &upstream,
        "--qmp",
        &qmp,
    ]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let _first = accept(&server);
    let events = Qmp::connect(&socket);
    // At least two lines for each connection, of at least 100 bytes each: a pipe holds 65536 bytes, the queue 4096 lines, and the
    // writer has 1000.
    let rounds = 4000;
    for _ in 0..rounds {
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop((accept(&server), client));
    }
    events.lines.wait_for("SPICE_DISCONNECTED", rounds);
    let status = events.execute("__org.spicewatch_query-relay");
    let lost: u64 =
        status.split_once("\"log-lines-lost\": ").unwrap().1.split([',', '}']).next().unwrap().parse().unwrap();
    assert!(lost > 0, "{status}");
    // A reader now finds whole lines, and how many are missing.
    let log = relay_lab::Lines::follow(child.stderr.take().unwrap());
    log.wait_for("lost log lines", 1);
    assert!(log.all().iter().all(|line| line.starts_with('{') && line.ends_with('}')));
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert!(child.wait().unwrap().success());
    assert!(!fs::exists(&socket).unwrap());
}

/// A client that connects and leaves in a loop causes a bounded number of lines, and a count.
#[test]
fn flood_does_not_fill_the_log() {
    const FLOOD: usize = 300;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (upstream, scratch) = (server.local_addr().unwrap().to_string(), Scratch::new().unwrap());
    let socket = scratch.join("vm.qmp");
    let relay = Relay::run(Relay::command().args(["--log-format", "json", "--listen", "127.0.0.1:0"]).args([
        "--upstream",
        &upstream,
        "--qmp",
        &format!("unix:{}", socket.display()),
    ]));
    let (qmp, start) = (Qmp::connect(&socket), Instant::now());
    for _ in 0..FLOOD {
        let client = connect(&relay);
        drop((accept(&server), client));
    }
    qmp.lines.wait_for("SPICE_DISCONNECTED", FLOOD);
    relay.log.wait_for("\"message\":\"leaving out more lines like the one before\",\"seconds\":10", 1);
    let status = qmp.execute("__org.spicewatch_query-relay");
    let log = relay.log.clone();
    relay.signal("-TERM");
    assert!(relay.wait().success());
    log.wait_for_end();
    let written = log.count("\"kind\":\"unlinked\"");
    assert!(log.count("\"left_out\":") >= 1, "the count is logged");
    let most = 100 * (2 + start.elapsed().as_secs() / 10);
    assert!((100..=most).contains(&(written as u64)), "{written}");
    assert!(!status.contains("\"log-lines-lost\": 0"), "{status}");
}

/// QEMU serves one client per QMP socket: if libvirt is connected to each of them, QEMU does not answer.
#[test]
fn relay_waits_for_all_silent_qemus_at_once() {
    const VMS: usize = 4;
    let scratch = Scratch::new().unwrap();
    let sockets: Vec<_> = (0..VMS).map(|number| scratch.join(&format!("{number}.qmp"))).collect();
    let _busy: Vec<_> = sockets.iter().map(|path| UnixListener::bind(path).unwrap()).collect();
    let vm = |path: &PathBuf| {
        format!("[[vm]]\nlisten = \"127.0.0.1:0\"\nupstream = \"127.0.0.1:1\"\nqemu-qmp = \"{}\"\n", path.display())
    };
    let config = format!("log-format = \"json\"\n{}", sockets.iter().map(vm).collect::<String>());
    fs::write(scratch.join("relay.toml"), config).unwrap();
    let start = Instant::now();
    let relay = Relay::start_with(&scratch.join("relay.toml"));
    // The relay waits for each of them for 5 seconds.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    relay.log.wait_for("no answer in 5s; QEMU serves one client per QMP socket", VMS);
}
