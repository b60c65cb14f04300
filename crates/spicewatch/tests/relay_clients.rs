//! QEMU's own QMP library and shell, the package `qmp`, socat and nc as clients of the relay's socket, while a real session passes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use relay_lab::{Lines, Relay};
use spice_testkit::lab::{self, CHANNELS, Client, Peer, Scratch, Vm};

const PACKAGES: [&str; 2] = ["qemu.qmp==0.0.6", "qmp==1.1.0"];

/// Prints the library's events, one per line, until the given number of connections has ended. Then prints query-spice's reply.
const LISTENER: &str = r#"
import asyncio, json, sys
from qemu.qmp import EventListener, QMPClient

async def main():
    qmp = QMPClient("listener")
    await qmp.connect(sys.argv[1])
    listener = EventListener()
    qmp.register_listener(listener)
    print("listening", flush=True)
    over = 0
    while over < int(sys.argv[2]):
        event = await asyncio.wait_for(listener.get(), 60)
        over += event["event"] == "SPICE_DISCONNECTED"
        print(json.dumps(dict(event)), flush=True)
    print(json.dumps(await qmp.execute("query-spice")), flush=True)
    await qmp.disconnect()

asyncio.run(main())
"#;

/// The package `qmp`: liveness, the events of a session until the given number of connections has ended, and the channels then.
const PACKAGE_LISTENER: &str = r#"
import sys, qmp
client = qmp.QEMUMonitorProtocol(sys.argv[1])
print("greeting", sorted(client.connect()["QMP"]), flush=True)
print("status", client.command("query-status")["status"], client.command("query-name")["name"], flush=True)
over = 0
while over < int(sys.argv[2]):
    event = client.pull_event(wait=60.0)["event"]
    over += event == "SPICE_DISCONNECTED"
    print(event, flush=True)
print("channels", client.command("query-spice")["channels"], flush=True)
client.close()
"#;

fn programs() -> Option<PathBuf> {
    lab::python_packages(&PACKAGES, Path::new(env!("CARGO_TARGET_TMPDIR")))
}

#[test]
fn qemu_library_and_shell_receive_the_events_of_a_session() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let Some(programs) = programs() else { return };
    let (port, scratch) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
    let socket = scratch.join("vm.qmp");
    let (upstream, qmp) = (format!("127.0.0.1:{port}"), format!("unix:{}", socket.display()));
    let relay = Relay::start(&[
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--qmp",
        &qmp,
        "--auth",
        "none",
        "--name",
        "desktop-17",
    ]);

    let mut listener = Command::new(programs.join("python3"));
    listener.args(["-c", LISTENER]).arg(&socket).arg(CHANNELS.to_string());
    let mut listener = listener.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut heard = BufReader::new(listener.stdout.take().unwrap());
    heard.read_line(&mut String::new()).unwrap();
    let heard = Lines::follow(heard);
    let mut package = Command::new(programs.join("python3"));
    package.args(["-c", PACKAGE_LISTENER]).arg(&socket).arg(CHANNELS.to_string());
    let mut package = package.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let pulled = Lines::follow(package.stdout.take().unwrap());
    pulled.wait_for("status running desktop-17", 1);
    let mut shell = Command::new(programs.join("qmp-shell"));
    let mut shell = shell
        .arg(&socket)
        .env("HOME", scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let typed = shell.stdin.take().unwrap();
    let shown = Lines::follow(shell.stdout.take().unwrap());
    shown.wait_for("Connected to QEMU", 1);

    let client = Client::start(&["--port", &relay.address().port().to_string()]).unwrap();
    heard.wait_for("SPICE_INITIALIZED", CHANNELS);
    writeln!(&typed, "query-spice").unwrap();
    shown.wait_for("\"connection-id\"", 1);
    assert!(client.leave().unwrap().success());
    vm.events().wait_for_quiet().unwrap();
    heard.wait_for("\"channels\": []", 1);
    assert!(listener.wait().unwrap().success());
    pulled.wait_for("channels []", 1);
    assert!(package.wait().unwrap().success());
    // The shell reads while it runs a command. An empty line shows the events that have arrived.
    writeln!(&typed, "query-version").unwrap();
    shown.wait_for("spicewatch", 1);
    writeln!(&typed).unwrap();
    shown.wait_for("SPICE_DISCONNECTED", 1);
    drop(typed);
    shell.wait().unwrap();
    for (name, count) in
        [("SPICE_CONNECTED", CHANNELS), ("SPICE_INITIALIZED", CHANNELS), ("SPICE_DISCONNECTED", CHANNELS)]
    {
        assert_eq!((name, heard.count(name)), (name, count));
        assert_eq!((name, pulled.count(name)), (name, count));
    }
}

/// What a program prints that copies stdin to a socket, ends the sending with stdin, and reads to the end.
fn piped(command: &mut Command, input: &str) -> String {
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap()
}

/// `echo … | socat` and `| nc -N`: the replies of all commands come although the client has half-closed, also those that QEMU is
/// asked for. QEMU itself sends the same.
#[test]
fn socat_and_nc_get_the_replies_of_all_commands() {
    if !lab::have(&[Peer::Qemu, Peer::Socat, Peer::Netcat]) {
        return;
    }
    let (port, scratch) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let asked = scratch.join("asked.qmp");
    let vm = Vm::boot_with(&format!("port={port},addr=127.0.0.1,disable-ticketing=on"), |command| {
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", asked.display()));
    })
    .unwrap();
    let socket = scratch.join("vm.qmp");
    let (upstream, qmp) = (format!("127.0.0.1:{port}"), format!("unix:{}", socket.display()));
    let asked = asked.display().to_string();
    let _relay =
        Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--qmp", &qmp, "--qemu-qmp", &asked]);
    let input = "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-status\",\"id\":1}\
                 {\"execute\":\"query-name\",\"id\":2}{\"execute\":\"query-version\",\"id\":3}\n";
    for round in 0..20 {
        let socat = |path: &Path| {
            let mut socat = Command::new("socat");
            piped(socat.args(["-t", "10", "-"]).arg(format!("UNIX-CONNECT:{}", path.display())), input)
        };
        let nc = |path: &Path| piped(Command::new("nc").args(["-N", "-U"]).arg(path), input);
        let theirs = socat(&vm.qmp_socket());
        assert_eq!(theirs.lines().count(), 5, "round {round}: {theirs}");
        assert_eq!(socat(&socket), theirs, "round {round}: socat");
        assert_eq!(nc(&socket), theirs, "round {round}: nc");
    }
}
