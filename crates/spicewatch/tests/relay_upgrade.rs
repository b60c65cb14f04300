//! A new relay takes over from a running one, with live sessions, and either process is killed at each stage.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Command, Stdio},
};

use relay_lab::{PATIENCE, Qmp, Relay, by_hand::link, eventually};
use spice_testkit::lab::{self, Scratch};

/// VMs with one server, and the configuration of their relays.
struct Lab {
    scratch: Scratch,
    server: TcpListener,
    addresses: Vec<String>,
}

/// A linked channel, with both ends.
struct Session(TcpStream, TcpStream);

impl Session {
    /// Sends bytes in both directions.
    fn check(&mut self) {
        let Self(client, inside) = self;
        let mut buffer = [0; 9];
        client.write_all(b"to server").unwrap();
        inside.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"to server");
        inside.write_all(b"to client").unwrap();
        client.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"to client");
    }
}

impl Lab {
    fn new(vms: usize) -> Self {
        let addresses = (0..vms).map(|_| format!("127.0.0.1:{}", lab::free_port().unwrap())).collect();
        let lab =
            Self { scratch: Scratch::new().unwrap(), server: TcpListener::bind("127.0.0.1:0").unwrap(), addresses };
        lab.write("");
        lab
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn write(&self, more: &str) {
        let path = |name: &str| self.file(name).display().to_string();
        let (control, records, upstream) = (path("control"), path("records"), self.server.local_addr().unwrap());
        let vm = |(index, address): (usize, &String)| {
            let qmp = path(&format!("qmp-{index}"));
            format!(
                "[[vm]]\nname = \"vm-{index}\"\nlisten = {address:?}\nupstream = \"{upstream}\"\nqmp = \"unix:{qmp}\"\n"
            )
        };
        let vms: Vec<_> = self.addresses.iter().enumerate().map(vm).collect();
        let process = "log-format = \"json\"\nlog = \"debug\"\n";
        let text = format!("{process}control = {control:?}\nsessions-to = {records:?}\n{more}\n{}", vms.join(""));
        fs::write(self.file("relay.toml"), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Relay::command();
        command.arg("--config").arg(self.file("relay.toml"));
        command
    }

    fn start(&self) -> Relay {
        Relay::run(&mut self.command())
    }

    #[track_caller]
    fn upgrade(&self) -> Relay {
        Relay::run(self.command().arg("--upgrade"))
    }

    fn session(&self, vm: usize, id: u32) -> Session {
        let (client, inside) = link(self.addresses[vm].parse().unwrap(), &self.server, id);
        Session(client, inside)
    }

    fn qmp(&self, vm: usize) -> Qmp {
        Qmp::connect(&self.file(&format!("qmp-{vm}")))
    }

    /// The ids of the sessions that `query-spice` lists.
    fn listed(&self, vm: usize) -> Vec<u32> {
        let reply = self.qmp(vm).execute("query-spice");
        let ids = reply.split("\"connection-id\": ").skip(1);
        ids.map(|rest| rest.split([',', '}']).next().unwrap().parse().unwrap()).collect()
    }

    /// How often each action is among the session records.
    fn records(&self, action: &str) -> usize {
        fs::read_to_string(self.file("records")).unwrap().matches(&format!("\"action\":\"{action}\"")).count()
    }

    /// As a process that takes over, up to the state. The control socket's answer, and the messages, are in `relay/upgrade`.
    fn ask(&self) -> UnixStream {
        let mut stream = UnixStream::connect(self.file("control")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"{\"version\": 1, \"command\": \"upgrade\"}\n").unwrap();
        let mut byte = [0];
        while byte != *b"\n" {
            stream.read_exact(&mut byte).unwrap();
        }
        stream
    }

    fn hello(&self) -> String {
        let vm = |(index, address): (usize, &String)| {
            let qmp = format!("unix:{}", self.file(&format!("qmp-{index}")).display());
            format!("{{\"name\": \"vm-{index}\", \"listeners\": [{address:?}], \"qmp\": [{qmp:?}]}}")
        };
        let vms: Vec<_> = self.addresses.iter().enumerate().map(vm).collect();
        format!("{{\"form\": 1, \"version\": \"test\", \"pid\": 1, \"vms\": [{}]}}", vms.join(", "))
    }
}

fn send(stream: &mut UnixStream, text: &str) {
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    stream.write_all(&[&length[..], &[0; 4], text.as_bytes()].concat()).unwrap();
}

#[test]
fn ten_upgrades_in_a_row_drop_no_session_and_report_none_twice() {
    const VMS: usize = 3;
    let lab = Lab::new(VMS);
    let mut relays = vec![lab.start()];
    let mut sessions: Vec<_> = (0..VMS).map(|vm| (vm, lab.session(vm, 100))).collect();
    let mut expected = vec![vec![100]; VMS];
    for round in 0..10 {
        relays.push(lab.upgrade());
        for (_, session) in &mut sessions {
            session.check();
        }
        let vm = round as usize % VMS;
        assert_eq!(lab.listed(vm), expected[vm], "in round {round}");
        sessions.push((vm, lab.session(vm, round)));
        expected[vm].push(round);
        eventually("the new session is listed", || lab.listed(vm) == expected[vm]);
        relays[relays.len() - 2].log.wait_for("another process has taken over", 1);
    }
    let status =
        Command::new(env!("CARGO_BIN_EXE_spicewatch")).arg("who").arg("--control").arg(lab.file("control")).output();
    let who = String::from_utf8(status.unwrap().stdout).unwrap();
    assert_eq!(who.matches("vm-").count(), 13, "{who}");
    let counts: Vec<_> = relays.iter().map(|relay| relay.log.count("\"message\":\"session started\"")).collect();
    assert_eq!(counts.iter().sum::<usize>(), 13, "{counts:?}");
    eventually("each has a record of its start", || lab.records("session-started") == 13);
    assert_eq!(lab.records("session-ended"), 0);

    let events: Vec<_> = (0..VMS).map(|vm| lab.qmp(vm)).collect();
    for (_, mut session) in sessions {
        session.check();
    }
    for (qmp, expected) in events.iter().zip(&expected) {
        qmp.lines.wait_for("SPICE_DISCONNECTED", expected.len());
    }
    let newest = relays.pop().unwrap();
    for relay in relays {
        assert_eq!(relay.wait().code(), Some(0), "an old process ends with its last connection");
    }
    for (vm, qmp) in events.iter().enumerate() {
        assert_eq!(qmp.events().len(), expected[vm].len(), "each has one event");
        assert!(lab.listed(vm).is_empty());
    }
    newest.signal("-TERM");
    assert_eq!(newest.wait().code(), Some(0));
    assert_eq!((lab.records("session-started"), lab.records("session-ended")), (13, 13));
    assert!(!lab.file("qmp-0").exists() && !lab.file("control").exists(), "the last process removes the files");
}

/// A new process that ends before it has taken over has no effect: not even on events that were withheld meanwhile.
#[test]
fn old_process_goes_on_if_the_new_one_ends_before_the_commit() {
    let lab = Lab::new(1);
    let relay = lab.start();
    let qmp = lab.qmp(0);
    let mut session = lab.session(0, 1);
    qmp.lines.wait_for("SPICE_INITIALIZED", 1);
    // Ends without a word, after the greeting, and after the state was asked for.
    drop(lab.ask());
    relay.log.wait_for("the upgrade has failed", 1);
    let mut hello = lab.ask();
    send(&mut hello, &lab.hello());
    // The state has come: events are withheld now.
    hello.read_exact(&mut [0; 8]).unwrap();
    let mut during = lab.session(0, 2);
    assert_eq!(qmp.events().len(), 2);
    drop(hello);
    relay.log.wait_for("the upgrade has failed", 2);
    qmp.lines.wait_for("SPICE_INITIALIZED", 2);
    // It says that it can't.
    let mut no = lab.ask();
    send(&mut no, &lab.hello());
    no.read_exact(&mut [0; 8]).unwrap();
    send(&mut no, "{\"no\": \"no room\"}");
    relay.log.wait_for("no room", 1);
    assert_eq!(lab.listed(0), [1, 2]);
    session.check();
    during.check();
    drop((session, during));
    qmp.lines.wait_for("SPICE_DISCONNECTED", 2);
    assert_eq!(qmp.events().len(), 6);
    eventually("both have a record of their end", || lab.records("session-ended") == 2);
    assert_eq!(lab.records("session-started"), 2);
    // An upgrade after that works.
    let _new = lab.upgrade();
    assert_eq!(relay.wait().code(), Some(0));
}

#[test]
fn connections_of_a_killed_old_process_are_reported_as_ended() {
    let lab = Lab::new(1);
    let mut old = lab.start();
    let _session = lab.session(0, 1);
    eventually("it is listed", || lab.listed(0) == [1]);
    let _new = lab.upgrade();
    let (mut live, qmp) = (lab.session(0, 2), lab.qmp(0));
    eventually("both are listed", || lab.listed(0) == [1, 2]);
    old.kill();
    qmp.lines.wait_for("SPICE_DISCONNECTED", 1);
    assert_eq!(lab.listed(0), [2]);
    live.check();
    eventually("it has ended", || lab.records("session-ended") == 1);
}

#[test]
fn old_process_ends_its_connections_if_the_new_one_is_killed() {
    let lab = Lab::new(1);
    let old = lab.start();
    let mut session = lab.session(0, 1);
    eventually("it is listed", || lab.listed(0) == [1]);
    let mut new = lab.upgrade();
    session.check();
    new.kill();
    assert_eq!(old.wait().code(), Some(0));
    assert_eq!(session.0.read(&mut [0]).unwrap_or(0), 0, "no process would report it");
    // The next process starts as after any crash.
    let _next = lab.start();
    assert!(lab.listed(0).is_empty());
}

/// One line says why, and nothing changes.
#[test]
fn wrong_upgrade_is_one_line() {
    let fails = |lab: &Lab, expected: &str| {
        let output = lab.command().arg("--upgrade").stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let line = said.lines().last().unwrap_or_default().to_owned();
        assert!(line.contains(expected), "{said}");
        output.status.code()
    };
    let mut lab = Lab::new(2);
    assert_eq!(fails(&lab, "No relay listens there"), Some(1));
    let relay = lab.start();
    let mut session = lab.session(0, 1);
    let removed = lab.addresses.pop().unwrap();
    lab.write("");
    assert_eq!(fails(&lab, "the new configuration has no VM `vm-1`"), Some(1));
    lab.addresses.push(removed);
    lab.write("upstreem = 1");
    assert_eq!(fails(&lab, "unknown field `upstreem`"), Some(2));
    lab.write("");
    let mut other = lab.ask();
    send(&mut other, "{\"form\": 2, \"version\": \"9\", \"pid\": 1, \"vms\": []}");
    let mut answer = Vec::new();
    other.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("version 9 can't take over"), "{answer:?}");
    session.check();
    relay.log.wait_for("the upgrade has failed", 2);
}

/// SIGUSR2 makes the relay start its program again. The child has the log and stdout of its parent.
#[test]
fn signal_upgrades_with_the_program_that_is_there_now() {
    let lab = Lab::new(1);
    let old = lab.start();
    let mut session = lab.session(0, 1);
    eventually("it is listed", || lab.listed(0) == [1]);
    let log = old.log.clone();
    old.signal("-USR2");
    log.wait_for("\"message\":\"ready\"", 2);
    session.check();
    assert_eq!(lab.listed(0), [1]);
    drop(session);
    assert_eq!(old.wait().code(), Some(0));
    let mut control = UnixStream::connect(lab.file("control")).unwrap();
    control.write_all(b"{\"version\": 1, \"command\": \"status\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(control).read_line(&mut line).unwrap();
    let pid: u32 = line.split_once("\"pid\":").unwrap().1.split([',', '}']).next().unwrap().parse().unwrap();
    relay_lab::signal(pid, "-TERM");
    eventually("the new process ends", || !lab.file("control").exists());
}
