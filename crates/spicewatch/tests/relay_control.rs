//! What an operator does to a running relay, and what programs read from it: drain, preview, lines on stdout.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use relay_lab::{PATIENCE, Qmp, Relay, by_hand::link, eventually};
use spice_testkit::{
    captures,
    lab::{self, Scratch},
};

struct Lab {
    scratch: Scratch,
    server: TcpListener,
    listen: String,
}

impl Lab {
    fn new() -> Self {
        let listen = format!("127.0.0.1:{}", lab::free_port().unwrap());
        Self { scratch: Scratch::new().unwrap(), server: TcpListener::bind("127.0.0.1:0").unwrap(), listen }
    }

    fn file(&self, name: &str) -> String {
        self.scratch.join(name).display().to_string()
    }

    /// A file with the VM `desk`, and with more keys.
    fn config(&self, top: &str, of_vm: &str) -> PathBuf {
        let path = self.scratch.join("relay.toml");
        let (control, listen, upstream) = (self.file("control"), &self.listen, self.server.local_addr().unwrap());
        let text = format!(
            "log-format = \"json\"\nlog = \"debug\"\ncontrol = \"{control}\"\n{top}[[vm]]\nname = \"desk\"\nlisten = \"{listen}\"\nupstream = \"{upstream}\"\n{of_vm}"
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn ask(&self, args: &[&str]) -> Output {
        spicewatch(&[args, &["--control", &self.file("control")]].concat())
    }
}

fn spicewatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spicewatch")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn drained_vm_accepts_no_more_connections_until_a_reload_and_live_ones_go_on() {
    let lab = Lab::new();
    let relay = Relay::start_with(&lab.config("connect-listen = \"127.0.0.1:0\"\n", "connect = \"desk\"\n"));
    let (mut client, mut server) = link(lab.listen.parse().unwrap(), &lab.server, 7);
    relay.events.wait_for("SPICE_INITIALIZED", 1);
    assert_eq!(out(&lab.ask(&["drain", "desk"])), "accepts no more connections; 1 are open\n");
    eventually("the listener is closed", || TcpStream::connect(&lab.listen).is_err());
    let shared = relay.addresses().into_iter().find(|address| *address != lab.listen).unwrap();
    let connect = || {
        let mut stream = TcpStream::connect(&shared).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"CONNECT desk:1 HTTP/1.0\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8(status.to_vec()).unwrap()
    };
    assert_eq!(connect(), "HTTP/1.0 404");
    client.write_all(b"still").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    let unknown = lab.ask(&["drain", "elsewhere"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(unknown.stderr, b"spicewatch drain: there is no VM named `elsewhere`\n");

    assert_eq!(out(&lab.ask(&["reload"])), "changed: desk\n");
    let _second = link(lab.listen.parse().unwrap(), &lab.server, 8);
    relay.events.wait_for("SPICE_INITIALIZED", 2);
    assert_eq!(connect(), "HTTP/1.0 200");
    client.write_all(b"still").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn check_says_what_a_reload_of_the_running_relay_would_change() {
    let lab = Lab::new();
    let file = lab.config("", "");
    let check = || spicewatch(&["relay", "--check", "--config", &file.display().to_string()]);
    let valid = format!(
        "the configuration is valid; 1 VMs:\ndesk: listen {}, tls-listen , upstream {}\n",
        lab.listen,
        lab.server.local_addr().unwrap()
    );
    assert_eq!(out(&check()), valid, "no relay runs");
    let relay = Relay::start_with(&file);
    assert_eq!(out(&check()), format!("{valid}a reload of the running relay would change: no changes\n"));
    let vm =
        format!("[[vm]]\nname = \"two\"\nlisten = \"127.0.0.1:{}\"\nupstream = \"h:1\"\n", lab::free_port().unwrap());
    lab.config("workers = 7\n", &format!("optional = true\n{vm}"));
    let said = out(&check());
    assert!(said.ends_with("would change: added: two; changed: desk; after a restart: workers\n"), "{said}");
    assert_eq!(
        out(&lab.ask(&["reload"])),
        "added: two; changed: desk; after a restart: workers\n",
        "it has changed nothing"
    );
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.split("[[vm]]\nname = \"two\"").next().unwrap().replace("\"desk\"", "\"tower\"")).unwrap();
    let said = out(&check());
    assert!(said.contains("removed: two; renamed: desk to tower"), "{said}");
    // Another file is only checked.
    let other = lab.scratch.join("other.toml");
    fs::copy(&file, &other).unwrap();
    assert!(!out(&spicewatch(&["relay", "--check", "--config", &other.display().to_string()])).contains("running"));
    // So is a socket that a relay left behind.
    drop(relay);
    assert!(!out(&check()).contains("running"));
}

#[test]
fn events_go_to_qmp_and_to_stdout_at_the_same_time_with_the_vm() {
    let lab = Lab::new();
    let qmp = lab.file("qmp");
    for (format, wrapped) in [("json", true), ("qmp", false)] {
        let relay = Relay::start_with(&lab.config(
            &format!("format = \"{format}\"\n"),
            &format!(
                "qmp = \"unix:{qmp}\"\n[[vm]]\nname = \"a \\\"b\\\"\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{}\"\n",
                lab.server.local_addr().unwrap()
            ),
        ));
        let listener = Qmp::connect(qmp.as_ref());
        drop(link(lab.listen.parse().unwrap(), &lab.server, 7));
        listener.lines.wait_for("SPICE_DISCONNECTED", 1);
        relay.events.wait_for("SPICE_DISCONNECTED", 1);
        let expected: Vec<_> = listener
            .events()
            .iter()
            .map(|line| if wrapped { format!("{{\"vm\": \"desk\", \"qmp\": {line}}}") } else { line.clone() })
            .collect();
        assert_eq!(relay.events.all(), expected, "{format}");
        assert_eq!(expected.len(), 3);
        // A VM without a QMP socket, too.
        let other = relay.addresses().into_iter().find(|address| *address != lab.listen).unwrap();
        drop(link(other.parse().unwrap(), &lab.server, 8));
        relay.events.wait_for("SPICE_DISCONNECTED", 2);
        assert_eq!(
            relay.events.count("{\"vm\": \"a \\\"b\\\"\", \"qmp\": {\"timestamp\""),
            if wrapped { 3 } else { 0 }
        );
    }
    let both = spicewatch(&[
        "relay",
        "--check",
        "--config",
        &lab.config("format = \"qmp\"\nsessions = true\n", "").display().to_string(),
    ]);
    assert_eq!(both.status.code(), Some(2));
    assert!(String::from_utf8(both.stderr).unwrap().contains("expected either format or sessions, found both"));
}

/// Every command that prints says so in one line when it can't, and does not exit with 0.
#[test]
fn full_disk_and_closed_pipe_are_one_line_and_an_exit_code() {
    let lab = Lab::new();
    let file = lab.config("", "").display().to_string();
    let _relay = Relay::start_with(file.as_ref());
    let (control, server) =
        (lab.file("control"), Relay::start(&["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"]));
    let capture = captures::folder().join("accepted.pcap").display().to_string();
    let address = server.address().to_string();
    for args in [
        &["read", &capture][..],
        &["read", "--sessions", &capture],
        &["relay", "--check", "--config", &file],
        &["status", "--control", &control],
        &["status", "--json", "--control", &control],
        &["who", "--control", &control],
        &["reload", "--control", &control],
        &["drain", "desk", "--control", &control],
        &["conformance", "--list", &address],
    ] {
        let run = |stdout: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
            command.args(args).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
            let output = command.spawn().unwrap().wait_with_output().unwrap();
            (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
        };
        // A socket that was shut down, because a process that another test is starting may inherit the end of a pipe for a moment.
        let (reader, writer) = UnixStream::pair().unwrap();
        reader.shutdown(Shutdown::Both).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        for (stdout, error) in [
            (Stdio::from(full), "standard output: No space left on device"),
            (Stdio::from(OwnedFd::from(writer)), "standard output: Broken pipe"),
        ] {
            let (code, said) = run(stdout);
            assert_ne!(code, 0, "{args:?}");
            assert_eq!(said.lines().filter(|line| line.contains(error)).count(), 1, "{args:?}: {said}");
            assert!(!said.contains("panicked"), "{args:?}: {said}");
        }
    }
}
