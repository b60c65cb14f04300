//! `spicewatch tap` beside QEMU's own events: loopback, a network namespace, TLS, lost packets, privileges.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use spice_conformance::{Mess, Subject, Target, spice_link::ChannelType};
use spice_testkit::{
    captures::{self, PASSWORD},
    events,
    lab::{self, CHANNELS, Client, PATIENCE, Peer, Process, TlsTunnel, Vm},
};

/// Sessions of one channel, made by hand.
const SESSIONS: usize = 100;

/// A running `spicewatch tap`, and what it prints.
struct Tap {
    child: Child,
    lines: Receiver<String>,
    errors: BufReader<ChildStderr>,
}

impl Tap {
    /// Returns when it captures.
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
        command.arg("tap").args(args);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        errors.read_line(&mut first).unwrap();
        assert!(first.starts_with("spicewatch: capturing on "), "{first}");
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, errors }
    }

    fn lines(&self, count: usize) -> Vec<String> {
        (0..count)
            .map(|n| self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{n} lines of {count}")))
            .collect()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -$0 $1", name, &id]).status().unwrap().success());
    }

    /// Ends it; what else it printed, and what it said.
    fn stop(mut self) -> (Vec<String>, String, ExitStatus) {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.errors.read_to_string(&mut said).unwrap();
        (self.lines.iter().collect(), said, status)
    }

    /// Ends it once it has printed this many lines. Of those that `ours` keeps, all are QEMU's, and none of QEMU's is missing.
    #[track_caller]
    fn check(self, count: usize, qemu: &[String], ours: impl Fn(&&str) -> bool) {
        let mut printed = self.lines(count);
        let (rest, said, status) = self.stop();
        printed.extend(rest);
        let printed = printed.iter().map(String::as_str).filter(ours);
        let found = events::disagreements(printed, qemu.iter().map(String::as_str), false);
        assert!(found.is_empty() && status.success(), "{}\n{said}", found.join("\n"));
        assert!(said.contains(&format!("{count} events, 0 anomalies")), "{said}");
    }
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t0\t0\t0\n")
}

/// Whether these peers are here, and so is the right to capture packets.
fn have(peers: &[Peer]) -> bool {
    lab::have(&[peers, &[Peer::Tcpdump]].concat())
}

fn session(vm: &Vm, args: &[&str]) {
    let before = vm.events().count("SPICE_INITIALIZED");
    let client = Client::start(&[args, &["--password", PASSWORD]].concat()).unwrap();
    vm.events().wait_for("SPICE_INITIALIZED", before + CHANNELS).unwrap();
    client.leave().unwrap();
    vm.events().wait_for_quiet().unwrap();
}

#[test]
fn sessions_through_loopback_give_qemus_events() {
    if !have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let port = lab::free_port().unwrap();
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let target = Target::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).with_time_limit(PATIENCE);
    let subject = Subject::new(target).with_password(PASSWORD);
    // Without a port it would see what other tests do at the same time.
    for interface in ["lo", "any"] {
        let tap = Tap::start(&["--port", &port.to_string(), interface]);
        let before = vm.events().lines().len();
        session(&vm, &["--port", &port.to_string()]);
        let mut initialized = vm.events().count("SPICE_INITIALIZED");
        for _ in 0..SESSIONS {
            let wire = subject.link(&Mess::channel(0, ChannelType::MAIN, 0)).unwrap();
            assert!(wire.main_init().is_some(), "the server lets in a client with the right password");
            initialized += 1;
            vm.events().wait_for("SPICE_INITIALIZED", initialized).unwrap();
            drop(wire);
            vm.events().wait_for_quiet().unwrap();
        }
        let qemu: Vec<String> = vm.events().lines()[before..].to_vec();
        let qemu = captures::spice_events(qemu.join("\n").as_bytes()).unwrap();
        assert_eq!(qemu.len(), 3 * (SESSIONS + CHANNELS));
        tap.check(qemu.len(), &qemu, |_| true);
    }
}

/// A network namespace behind a pair of virtual interfaces; removed on drop.
struct Namespace {
    name: String,
}

impl Namespace {
    const OUTSIDE: &str = "198.51.100.1";
    const INSIDE: &str = "198.51.100.2";

    fn new() -> Self {
        let name = format!("tap{}", std::process::id() % 100_000);
        let run = |line: String| {
            let output = Command::new("ip").args(line.split(' ')).output().unwrap();
            assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run(format!("netns add {name}"));
        let namespace = Self { name };
        let (name, outside, inside) = (&namespace.name, Self::OUTSIDE, Self::INSIDE);
        run(format!("link add {name} type veth peer name {name}i netns {name}"));
        run(format!("addr add {outside}/30 dev {name}"));
        run(format!("link set {name} up"));
        run(format!("-n {name} addr add {inside}/30 dev {name}i"));
        run(format!("-n {name} link set {name}i up"));
        namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its virtual interfaces go with it.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// The client speaks to a socat in the namespace, which connects back to QEMU outside of it.
#[test]
fn a_session_through_a_network_namespace_gives_qemus_events() {
    if !have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Socat]) || !is_root() {
        return;
    }
    let namespace = Namespace::new();
    let port = lab::free_port().unwrap();
    let vm = Vm::boot(&format!("port={port},addr=0.0.0.0,password-secret=password")).unwrap();
    let socat = format!("TCP4-LISTEN:{port},reuseaddr,fork");
    let to = format!("TCP4:{}:{port}", Namespace::OUTSIDE);
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &namespace.name, "socat", "-d", "-d", &socat, &to]);
    let mut socat = Process::spawn(command.stdin(Stdio::null()).stderr(Stdio::piped())).unwrap();
    let mut said = BufReader::new(socat.child().stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "socat does not listen");
    }
    thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));

    // Both ways cross the virtual interface: the client's to the namespace is SPICE of another server's.
    let tap = Tap::start(&["--auth", "spice", &namespace.name]);
    session(&vm, &["--host", Namespace::INSIDE, "--port", &port.to_string()]);
    let qemu = captures::spice_events(&vm.events().raw()).unwrap();
    let server = format!("\"host\": \"{}\"", Namespace::OUTSIDE);
    let of_qemu = |line: &&str| line.split("\"client\": ").next().is_some_and(|start| start.contains(&server));
    tap.check(2 * qemu.len(), &qemu, of_qemu);
}

/// The secrets are logged while the connections are made.
#[test]
fn tls_is_decrypted_with_a_key_log_that_grows() {
    if !have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl, Peer::Socat]) {
        return;
    }
    let (pki, port) = (lab::Pki::new().unwrap(), lab::free_port().unwrap());
    let spice = format!("tls-port={port},x509-dir={},addr=127.0.0.1,password-secret=password", pki.dir().display());
    let vm = Vm::boot(&spice).unwrap();
    let tunnel = TlsTunnel::start(port, "-tls1_3").unwrap();
    fs::write(tunnel.key_log(), "").unwrap();
    let key_log = tunnel.key_log();
    let ports = [tunnel.port(), port].map(|port| port.to_string());
    let key_log = key_log.to_str().unwrap();
    let tap = Tap::start(&["--port", &ports[0], "--tls-port", &ports[1], "--keylog", key_log, "lo"]);
    session(&vm, &["--port", &ports[0]]);
    let qemu = captures::spice_events(&vm.events().raw()).unwrap();
    // The tunnel's own port has the same sessions without TLS.
    let own = format!("\"port\": \"{port}\"");
    tap.check(2 * qemu.len(), &qemu, |line| line.contains(&own));
}

/// The program does not run while more is sent than the kernel's buffer holds.
#[test]
fn lost_packets_are_reported() {
    if !have(&[]) {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let tap = Tap::start(&["--port", &address.port().to_string(), "--buffer", "1", "lo"]);
    let (mut client, mut server) = (TcpStream::connect(address).unwrap(), listener.accept().unwrap().0);
    client.write_all(b"REDQ").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    assert!(tap.lines(1)[0].contains("SPICE_CONNECTED"));
    tap.signal("STOP");
    let sender = thread::spawn(move || {
        server.write_all(&vec![0; 50 << 20]).unwrap();
    });
    assert_eq!(std::io::copy(&mut client, &mut std::io::sink()).unwrap(), 50 << 20);
    sender.join().unwrap();
    tap.signal("CONT");
    // A packet that is received after the loss tells of it; the first ones may find the buffer still full.
    drop(client);
    let Tap { child, lines, mut errors } = tap;
    let (sender, said) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut line = String::new();
        while !line.contains("packets were lost") {
            line.clear();
            assert_ne!(errors.read_line(&mut line).unwrap(), 0, "it ended without a word of the loss");
        }
        sender.send(()).unwrap();
        errors
    });
    while said.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
        drop((TcpStream::connect(address).unwrap(), listener.accept().unwrap()));
    }
    let tap = Tap { child, lines, errors: reader.join().unwrap() };
    let (_, said, status) = tap.stop();
    assert!(status.success(), "{said}");
}

#[test]
fn privileges_are_dropped() {
    if !have(&[]) || !is_root() {
        return;
    }
    let tap = Tap::start(&["--user", "nobody", "lo"]);
    let status = fs::read_to_string(format!("/proc/{}/status", tap.child.id())).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let uids = field("Uid:");
    let mut uids = uids.split_whitespace();
    let first = uids.next().unwrap();
    assert!(first != "0" && uids.all(|uid| uid == first), "{status}");
    assert_eq!((field("CapEff:").as_str(), field("CapPrm:").as_str()), ("0000000000000000", "0000000000000000"));
    assert!(!field("Groups:").split_whitespace().any(|group| group == "0"), "{status}");
    let (_, said, status) = tap.stop();
    assert!(status.success(), "{said}");
}

/// A copy of the program that every user may run.
fn for_everyone(folder: &std::path::Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.join("spicewatch");
    fs::copy(env!("CARGO_BIN_EXE_spicewatch"), &copy).unwrap();
    copy
}

#[test]
fn cap_net_raw_is_needed_and_suffices() {
    if !have(&[]) || !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = for_everyone(folder.path());
    let nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(args).arg(&program).args(["tap", "lo"]);
        command
    };
    let output = nobody(&[]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("setcap cap_net_raw+ep"), "{said}");
    let tap = Tap::spawn(nobody(&["--inh-caps=+net_raw", "--ambient-caps=+net_raw"]));
    let (_, said, status) = tap.stop();
    assert!(status.success(), "{said}");
}

#[test]
fn what_can_not_begin_gets_one_line_and_exit_code_2() {
    for (args, expected) in [
        (&["no-such-interface"][..], "no-such-interface"),
        (&["--user", "no such user", "lo"], "there is no user no such user"),
        (&["--keylog", "/does/not/exist", "lo"], "/does/not/exist"),
        (&["--buffer", "0", "lo"], "0"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_spicewatch")).arg("tap").args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.starts_with("spicewatch: ") && said.contains(expected), "{said}");
    }
}
