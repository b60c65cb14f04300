//! The configuration is read again while sessions are live: no byte of them is lost, and their events are reported to the end.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use relay_lab::{PATIENCE, Qmp, Relay, by_hand::link, eventually};
use spice_testkit::lab::{self, CHANNELS, Client, Peer, Scratch, Vm};

/// A relay with a configuration file, and a server that every VM has as its upstream.
struct Lab {
    scratch: Scratch,
    server: TcpListener,
    relay: Relay,
}

impl Lab {
    fn new(config: impl FnOnce(&Self) -> String) -> Self {
        let scratch = Scratch::new().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        // A place holder that does nothing, for the configuration's text.
        let mut command = Command::new("sh");
        command.args(["-c", "echo '{\"message\":\"ready\"}' >&2"]);
        let mut lab = Self { scratch, server, relay: Relay::run(&mut command) };
        lab.write(&config(&lab));
        lab.relay = Relay::run(Relay::command().arg("--config").arg(lab.file("relay.toml")));
        lab
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn write(&self, text: &str) {
        fs::write(self.file("relay.toml"), format!("log-format = \"json\"\nlog = \"debug\"\n{text}")).unwrap();
    }

    /// A VM, with more keys.
    fn vm(&self, name: &str, address: &str, more: &str) -> String {
        let (upstream, qmp) = (self.server.local_addr().unwrap(), self.file(name).display().to_string());
        format!(
            "[[vm]]\nname = \"{name}\"\nlisten = \"{address}\"\nupstream = \"{upstream}\"\nqmp = \"unix:{qmp}\"\n{more}\n"
        )
    }

    /// Reads the configuration again, and waits for the outcome.
    #[track_caller]
    fn reload(&self, outcome: &str) {
        let before = self.relay.log.count(outcome);
        self.relay.signal("-HUP");
        self.relay.log.wait_for(outcome, before + 1);
    }

    fn session(&self, address: SocketAddr, id: u32) -> Session {
        let (client, server) = link(address, &self.server, id);
        Session::start(client, server)
    }
}

/// A linked channel over which both sides send bytes all the time, and compare what they receive.
struct Session {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
    streams: [TcpStream; 2],
}

impl Session {
    fn start(client: TcpStream, server: TcpStream) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let pair = |from: &TcpStream, to: &TcpStream| {
            let (mut from, mut to, stop) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&stop));
            let sender = thread::spawn(move || {
                let mut sent = 0u64;
                loop {
                    let bytes: Vec<u8> = (sent..sent + 997).map(|at| (at % 251) as u8).collect();
                    from.write_all(&bytes).unwrap();
                    sent += 997;
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    thread::yield_now();
                }
                from.shutdown(std::net::Shutdown::Write).unwrap();
                sent
            });
            let receiver = thread::spawn(move || {
                let (mut received, mut buffer) = (0u64, vec![0; 16 * 1024]);
                loop {
                    match to.read(&mut buffer) {
                        Ok(0) => return received,
                        Ok(len) => {
                            for byte in &buffer[..len] {
                                assert_eq!(*byte, (received % 251) as u8, "byte {received}");
                                received += 1;
                            }
                        }
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => panic!("after {received} bytes: {error}"),
                    }
                }
            });
            [sender, receiver]
        };
        let threads = [pair(&client, &server), pair(&server, &client)].into_iter().flatten().collect();
        Self { stop, threads, streams: [client, server] }
    }

    /// Ends both directions. Every byte that was sent was received.
    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let moved: Vec<u64> = self.threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(moved[0] > 0 && moved[2] > 0);
        assert_eq!((moved[0], moved[2]), (moved[1], moved[3]), "sent, and received");
        drop(self.streams);
    }
}

fn free() -> String {
    format!("127.0.0.1:{}", lab::free_port().unwrap())
}

#[test]
fn live_sessions_go_on_while_vms_are_added_removed_renamed_and_moved() {
    let [a, b, c, d] = [(); 4].map(|()| free());
    let lab = Lab::new(|lab| lab.vm("a", &a, "") + &lab.vm("b", &b, "") + &lab.vm("c", &c, ""));
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let [qmp_a, qmp_b, qmp_c] = ["a", "b", "c"].map(|name| Qmp::connect(&lab.file(name)));
    let sessions = [&a, &b, &c].map(|at| lab.session(address(at), 7));
    for qmp in [&qmp_a, &qmp_b, &qmp_c] {
        qmp.lines.wait_for("SPICE_INITIALIZED", 1);
    }

    // a stays, b is removed, c is renamed and keeps its sockets, d is added.
    let renamed = lab.vm("c", &c, "").replace("name = \"c\"", "name = \"other\"");
    lab.write(&(lab.vm("a", &a, "") + &renamed + &lab.vm("d", &d, "")));
    lab.reload("added: d; removed: b; renamed: c to other");
    let qmp_d = Qmp::connect(&lab.file("d"));
    let more = [&a, &c, &d].map(|at| lab.session(address(at), 8));
    for (qmp, initialized) in [(&qmp_a, 2), (&qmp_b, 1), (&qmp_c, 2), (&qmp_d, 1)] {
        qmp.lines.wait_for("SPICE_INITIALIZED", initialized);
    }
    eventually("b does not listen any more", || TcpStream::connect(address(&b)).is_err());
    assert!(qmp_b.execute("query-spice").contains("\"connection-id\": 7"), "b's session is live");

    // The listeners of a and d change places; a's clients wait in the same socket.
    lab.write(&(lab.vm("a", &d, "") + &renamed + &lab.vm("d", &a, "")));
    lab.reload("changed: a, d");
    let moved = [lab.session(address(&d), 9), lab.session(address(&a), 9)];
    qmp_a.lines.wait_for("SPICE_INITIALIZED", 3);
    qmp_d.lines.wait_for("SPICE_INITIALIZED", 2);

    // Nothing changes.
    lab.reload("\"changes\":\"no changes\"");

    let [session_a, session_b, session_c] = sessions;
    session_b.finish();
    qmp_b.lines.wait_for("SPICE_DISCONNECTED", 1);
    qmp_b.lines.wait_for_end();
    eventually("b's QMP socket goes with its last connection", || !fs::exists(lab.file("b")).unwrap());
    for session in [session_a, session_c].into_iter().chain(more).chain(moved) {
        session.finish();
    }
    for (qmp, sessions) in [(&qmp_a, 3), (&qmp_c, 2), (&qmp_d, 2)] {
        qmp.lines.wait_for("SPICE_DISCONNECTED", sessions);
        let count = |name: &str| qmp.events().iter().filter(|event| event.contains(name)).count();
        assert_eq!((count("SPICE_CONNECTED"), count("SPICE_INITIALIZED")), (sessions, sessions));
        assert!(qmp.execute("query-spice").contains("\"channels\": []"));
    }
}

/// A wrong configuration is one line, and changes nothing: not even what is right in it.
#[test]
fn wrong_configuration_changes_nothing() {
    let [a, b] = [(); 2].map(|()| free());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let lab = Lab::new(|lab| lab.vm("a", &a, ""));
    let session = lab.session(a.parse().unwrap(), 7);
    let valid = lab.vm("a", &b, "");
    for (text, error) in [
        (format!("{valid}upstreem = \"h:1\"\n"), "unknown field `upstreem`"),
        (valid.clone() + &lab.vm("b", &b, ""), "is already a listener of vm `a`"),
        (valid.clone() + &lab.vm("b", &taken, ""), "Address already in use"),
        (valid.clone() + &lab.vm("b", &free(), "cert = \"/no\"\nkey = \"/no\"\n"), "a certificate needs --tls-listen"),
        (String::new(), "expected at least one [[vm]]"),
    ] {
        lab.write(&text);
        lab.reload("can't use the new configuration; nothing has changed");
        let said = lab.relay.log.all();
        let line = said.iter().rfind(|line| line.contains("nothing has changed")).unwrap();
        assert!(line.contains(error), "{line}");
        assert!(TcpStream::connect(&b).is_err(), "no address of it is bound: {error}");
        lab.session(a.parse().unwrap(), 8).finish();
    }
    lab.write(&valid);
    lab.reload("changed: a");
    lab.session(b.parse().unwrap(), 9).finish();
    session.finish();
}

/// A VM that is removed and comes back while its session is live is the same VM.
#[test]
fn vm_that_comes_back_keeps_its_sessions_and_its_qmp_clients() {
    let [a, b] = [(); 2].map(|()| free());
    let lab = Lab::new(|lab| lab.vm("a", &a, "") + &lab.vm("b", &b, ""));
    let qmp = Qmp::connect(&lab.file("b"));
    let session = lab.session(b.parse().unwrap(), 7);
    qmp.lines.wait_for("SPICE_INITIALIZED", 1);
    lab.write(&lab.vm("a", &a, ""));
    lab.reload("removed: b");
    lab.write(&(lab.vm("a", &a, "") + &lab.vm("b", &b, "")));
    lab.reload("changed: b");
    lab.session(b.parse().unwrap(), 8).finish();
    qmp.lines.wait_for("SPICE_DISCONNECTED", 1);
    session.finish();
    qmp.lines.wait_for("SPICE_DISCONNECTED", 2);
}

/// Limits and timeouts are read again, and what needs a restart is named.
#[test]
fn limits_change_and_what_needs_a_restart_is_named() {
    let a = free();
    let lab = Lab::new(|lab| lab.vm("a", &a, ""));
    let _first = lab.session(a.parse().unwrap(), 7);
    lab.write(&format!("max-connections = 1\nworkers = 1\n{}", lab.vm("a", &a, "")));
    lab.reload("after a restart: workers");
    let mut refused = TcpStream::connect(&a).unwrap();
    refused.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)));
    lab.relay.log.wait_for("too many connections", 1);
    lab.write(&lab.vm("a", &a, ""));
    lab.reload("\"changes\":\"no changes\"");
    lab.session(a.parse().unwrap(), 8).finish();
}

/// The service manager's STATUS has the outcome.
#[test]
fn service_manager_learns_the_outcome() {
    let (scratch, port) = (Scratch::new().unwrap(), free());
    let (path, file) = (scratch.join("notify"), scratch.join("relay.toml"));
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 1024];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    };
    let write = |more: &str| {
        let vm = format!("[[vm]]\nname = \"a\"\nlisten = \"{port}\"\nupstream = \"127.0.0.1:1\"\n");
        fs::write(&file, format!("log-format = \"json\"\n{vm}{more}")).unwrap();
    };
    write("");
    let relay = Relay::run(Relay::command().arg("--config").arg(&file).env("NOTIFY_SOCKET", &path));
    assert_eq!(hear(), "READY=1");
    write("auth = \"none\"\n");
    relay.signal("-HUP");
    assert!(hear().starts_with("RELOADING=1\n"));
    assert_eq!(hear(), "READY=1\nSTATUS=1 VMs; changed: a");
    write("auht = \"none\"\n");
    relay.signal("-HUP");
    assert!(hear().starts_with("RELOADING=1\n"));
    let status = hear();
    assert!(status.starts_with("READY=1\nSTATUS=can't use the new configuration, nothing has changed: "), "{status}");
    assert!(status.contains("unknown field `auht`") && status.lines().count() == 2, "{status}");
}

/// A folder has a file for each VM, which tools can add and remove.
#[test]
fn file_that_is_added_to_the_folder_is_a_vm_after_a_reload() {
    let [a, b] = [(); 2].map(|()| free());
    let lab = Lab::new(|lab| {
        fs::create_dir(lab.file("conf.d")).unwrap();
        format!("vm-dir = \"{}\"\n{}", lab.file("conf.d").display(), lab.vm("a", &a, ""))
    });
    let file = lab.file("conf.d").join("b.toml");
    let upstream = lab.server.local_addr().unwrap();
    fs::write(&file, format!("listen = \"{b}\"\nupstream = \"{upstream}\"\n")).unwrap();
    lab.reload("added: b");
    lab.session(b.parse().unwrap(), 7).finish();
    fs::remove_file(&file).unwrap();
    lab.reload("removed: b");
    eventually("b does not listen", || TcpStream::connect(&b).is_err());
}

#[test]
fn check_prints_what_the_configuration_has_and_listens_nowhere() {
    let a = free();
    // The relay that runs has its sockets; a check leaves them alone.
    let lab = Lab::new(|lab| lab.vm("a", &a, ""));
    let check = || Relay::command().args(["--check", "--config"]).arg(lab.file("relay.toml")).output().unwrap();
    let output = check();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("the configuration is valid; 1 VMs:\na: listen"), "{said}");
    lab.write("[[vm]]\nlisten = \":1\"\n");
    let output = check();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("expected an upstream"), "{said}");
    lab.session(a.parse().unwrap(), 7).finish();
}

/// A certificate file that blocks, as on a file system that does not answer, blocks nothing but the reload.
#[test]
fn file_that_blocks_holds_up_no_session_and_no_shutdown() {
    let a = free();
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../spice-relay/tests/tls/");
    let lab = Lab::new(|lab| {
        fs::copy(format!("{tls}key.pem"), lab.file("key.pem")).unwrap();
        fs::copy(format!("{tls}cert.pem"), lab.file("cert.pem")).unwrap();
        let file = |name: &str| lab.file(name).display().to_string();
        let keys =
            format!("tls-listen = \"127.0.0.1:0\"\ncert = \"{}\"\nkey = \"{}\"\n", file("cert.pem"), file("key.pem"));
        lab.vm("a", &a, &keys)
    });
    let session = lab.session(a.parse().unwrap(), 7);
    fs::remove_file(lab.file("cert.pem")).unwrap();
    assert!(Command::new("mkfifo").arg(lab.file("cert.pem")).status().unwrap().success());
    lab.relay.signal("-HUP");
    // The reload opens the file for reading when this returns.
    let fifo = fs::OpenOptions::new().write(true).open(lab.file("cert.pem")).unwrap();
    lab.session(a.parse().unwrap(), 8).finish();
    session.finish();
    let Lab { relay, .. } = lab;
    relay.signal("-TERM");
    assert_eq!(relay.wait().code(), Some(0));
    drop(fifo);
}

/// A VM whose address this machine lacks is left out, if that is configured, and served after a reload with another address.
#[test]
fn optional_vm_without_its_address_leaves_the_others_served() {
    let [a, b] = [(); 2].map(|()| free());
    // An address that is reserved for documentation.
    let absent = |lab: &Lab| lab.vm("b", "192.0.2.99:5900", "optional = true\n");
    let lab = Lab::new(|lab| lab.vm("a", &a, "") + &absent(lab));
    lab.relay.log.wait_for("the VM is not served; the next reload tries again", 1);
    lab.session(a.parse().unwrap(), 7).finish();
    lab.write(&(lab.vm("a", &a, "") + &lab.vm("b", &b, "optional = true\n")));
    lab.reload("added: b");
    lab.session(b.parse().unwrap(), 7).finish();
    lab.write(&(lab.vm("a", &a, "") + &lab.vm("b", "192.0.2.99:5900", "")));
    lab.reload("nothing has changed");
}

/// Real sessions at real QEMUs: reloads, right and wrong ones, end none, and each QEMU's events are the relay's.
#[test]
fn sessions_of_real_qemus_outlive_reloads() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let vms: Vec<_> = (0..3)
        .map(|_| {
            let port = lab::free_port().unwrap();
            (Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap(), port)
        })
        .collect();
    let [a, b, c] = [(); 3].map(|()| free());
    let vm = |lab: &Lab, name: &str, number: usize, address: &str| {
        let (made, upstream) = (lab.server.local_addr().unwrap(), vms[number].1);
        lab.vm(name, address, "auth = \"none\"\n").replace(&made.to_string(), &format!("127.0.0.1:{upstream}"))
    };
    let lab = Lab::new(|lab| vm(lab, "a", 0, &a) + &vm(lab, "b", 1, &b) + &vm(lab, "c", 2, &c));
    let qmp = ["a", "b", "c"].map(|name| Qmp::connect(&lab.file(name)));
    let clients = [&a, &b, &c].map(|address| {
        let port = address.parse::<SocketAddr>().unwrap().port();
        Client::start(&["--port", &port.to_string()]).unwrap()
    });
    for qmp in &qmp {
        qmp.lines.wait_for("SPICE_INITIALIZED", CHANNELS);
    }
    let renamed = vm(&lab, "c", 2, &c).replace("name = \"c\"", "name = \"other\"");
    let added = lab.vm("d", &free(), "");
    lab.write(&(vm(&lab, "a", 0, &a) + &renamed + &added));
    lab.reload("added: d; removed: b; renamed: c to other");
    lab.write("[[vm]]\n");
    lab.reload("nothing has changed");
    for (qmp, (vm, _)) in qmp.iter().zip(&vms) {
        let listed = qmp.execute("query-spice").matches("connection-id").count();
        assert_eq!((listed, qmp.lines.count("SPICE_DISCONNECTED")), (CHANNELS, 0));
        assert_eq!(vm.events().count("SPICE_DISCONNECTED"), 0);
    }
    for client in clients {
        assert!(client.leave().unwrap().success(), "a session failed");
    }
    for (qmp, (vm, _)) in qmp.iter().zip(&vms) {
        qmp.lines.wait_for("SPICE_DISCONNECTED", CHANNELS);
        vm.events().wait_for_quiet().unwrap();
        // The same channels with the same ids, in QEMU's own events and in the relay's.
        let channels = |events: Vec<String>| {
            let part = |event: &String, name: &str| {
                event.split_once(name).map(|(_, rest)| rest.split([',', '}']).next().unwrap_or_default().to_owned())
            };
            let names = ["\"connection-id\": ", "\"channel-type\": ", "\"channel-id\": "];
            let mut ids: Vec<_> = events
                .iter()
                .filter(|event| event.contains("SPICE_INITIALIZED"))
                .map(|event| names.map(|name| part(event, name)))
                .collect();
            ids.sort();
            ids
        };
        let (ours, qemus) = (channels(qmp.events()), channels(vm.events().lines()));
        assert_eq!((ours.len(), &ours), (CHANNELS, &qemus));
    }
}
