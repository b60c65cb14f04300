//! Twenty real QEMUs behind one relay, with a real session on each, while the configuration is read again and again: no byte of a session is
//! lost, and each VM's events stay QEMU's.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{fs, thread};

use relay_lab::{
    Qmp, Relay,
    by_hand::{Server, link},
    compare::{report, same_bytes, stories},
    eventually,
    tap::Tap,
};
use spice_testkit::lab::{self, CHANNELS, Client, Peer, Pki, Scratch, Vm};

const FLEET: usize = 20;
/// How many VMs run a firmware that draws on both displays. The others are stopped, because an emulated processor is slow.
const DRAWING: usize = 3;

struct Fleet {
    scratch: Scratch,
    pki: Pki,
    listen: Vec<String>,
    upstreams: Vec<String>,
    tls: String,
}

impl Fleet {
    fn qmp(&self, number: usize) -> String {
        self.scratch.join(&format!("{number}.qmp")).display().to_string()
    }

    fn vm(&self, number: usize, name: &str) -> String {
        let (listen, upstream, qmp) = (&self.listen[number], &self.upstreams[number], self.qmp(number));
        let tls = if number == 0 {
            format!("tls-listen = \"{}\"\nx509-dir = \"{}\"\n", self.tls, self.pki.dir().display())
        } else {
            String::new()
        };
        format!(
            "[[vm]]\nname = \"{name}\"\nlisten = \"{listen}\"\nupstream = \"{upstream}\"\nqmp = \"unix:{qmp}\"\nauth = \"none\"\n{tls}"
        )
    }

    /// The VMs with these numbers, each with its name.
    fn write(&self, vms: impl Iterator<Item = usize>, more: &str) {
        let vms: String = vms.map(|number| self.vm(number, &format!("vm-{number}"))).collect();
        let text = format!("log-format = \"json\"\nlog = \"debug,rustls=info\"\n{vms}{more}");
        fs::write(self.scratch.join("relay.toml"), text).unwrap();
    }
}

/// Reads the configuration again, and waits for the outcome.
#[track_caller]
fn reload(relay: &Relay, outcome: &str) {
    let before = relay.log.count(outcome);
    relay.signal("-HUP");
    relay.log.wait_for(outcome, before + 1);
}

/// Events without addresses and times, connection by connection.
fn said(lines: &[String]) -> Vec<Vec<String>> {
    let mut said: Vec<_> = stories(lines).into_iter().map(|(_, said)| said).collect();
    said.sort();
    said
}

#[test]
fn reloads_lose_no_byte_and_no_event_of_twenty_vms() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl]) {
        return;
    }
    let booting: Vec<_> = (0..FLEET)
        .map(|number| {
            thread::spawn(move || {
                let port = lab::free_port().unwrap();
                let spice = format!("port={port},addr=127.0.0.1,disable-ticketing=on");
                let vm = Vm::boot_with(&spice, |qemu| {
                    if number >= DRAWING {
                        qemu.arg("-S");
                    }
                });
                (vm.unwrap(), Tap::start("127.0.0.1:0", &format!("127.0.0.1:{port}")))
            })
        })
        .collect();
    let (vms, inside): (Vec<_>, Vec<_>) = booting.into_iter().map(|booting| booting.join().unwrap()).unzip();
    let added = Server::new();
    let free = || format!("127.0.0.1:{}", lab::free_port().unwrap());
    let upstreams = inside.iter().map(|tap| tap.address().to_owned()).chain([added.address()]);
    let fleet = Fleet {
        scratch: Scratch::new().unwrap(),
        pki: Pki::new().unwrap(),
        listen: (0..=FLEET).map(|_| free()).collect(),
        upstreams: upstreams.collect(),
        tls: free(),
    };
    fleet.write(0..FLEET, "");
    let relay = Relay::start_with(&fleet.scratch.join("relay.toml"));
    let outside: Vec<_> = fleet.listen[..FLEET].iter().map(|listen| Tap::start("127.0.0.1:0", listen)).collect();
    let qmp: Vec<_> = (0..FLEET).map(|number| Qmp::connect(fleet.qmp(number).as_ref())).collect();
    let clients: Vec<_> = outside.iter().map(|tap| Client::start(&["--port", tap.port()]).unwrap()).collect();
    for (qmp, vm) in qmp.iter().zip(&vms) {
        qmp.lines.wait_for("SPICE_INITIALIZED", CHANNELS);
        vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    }

    // One VM is added, the last but one is removed, and the last one is renamed.
    let renamed = fleet.vm(FLEET - 1, "renamed");
    let (kept, more) = (FLEET - 2, renamed + &fleet.vm(FLEET, "added"));
    fleet.write(0..kept, &more);
    reload(&relay, "added: added; removed: vm-18; renamed: vm-19 to renamed");
    drop(link(fleet.listen[FLEET].parse().unwrap(), &added.0, 7));
    // A wrong file.
    fleet.write(0..kept, &format!("{more}upstreem = \"h:1\"\n"));
    reload(&relay, "nothing has changed");
    // A new certificate.
    let new = Pki::new().unwrap();
    for file in ["server-cert.pem", "server-key.pem", "ca-cert.pem"] {
        fs::copy(new.dir().join(file), fleet.pki.dir().join(file)).unwrap();
    }
    fleet.write(0..kept, &more);
    reload(&relay, "\"changes\":\"no changes\"");
    let (port, ca) = (fleet.tls.rsplit_once(':').unwrap().1, new.ca().display().to_string());
    let before = qmp[0].lines.count("SPICE_INITIALIZED");
    let secured = Client::start(&["--host", "localhost", "--tls-port", port, "--ca", &ca]).unwrap();
    qmp[0].lines.wait_for("SPICE_INITIALIZED", before + CHANNELS);
    assert!(secured.leave().unwrap().success(), "the new certificate is shown");

    // A new session replaced that of vm-0; all others are as they were.
    for (number, (qmp, vm)) in qmp.iter().zip(&vms).enumerate().skip(1) {
        let listed = qmp.execute("query-spice").matches("connection-id").count();
        assert_eq!((listed, qmp.lines.count("SPICE_DISCONNECTED")), (CHANNELS, 0), "vm-{number}");
        assert_eq!(vm.events().count("SPICE_DISCONNECTED"), 0, "vm-{number}");
    }
    let mut bytes = 0;
    for (number, client) in clients.into_iter().enumerate() {
        let left = client.leave().unwrap();
        assert!(number == 0 || left.success(), "the session of vm-{number} failed");
    }
    for (number, (qmp, vm)) in qmp.iter().zip(&vms).enumerate() {
        let sessions = if number == 0 { 2 } else { 1 };
        qmp.lines.wait_for("SPICE_DISCONNECTED", sessions * CHANNELS);
        vm.events().wait_for("SPICE_DISCONNECTED", sessions * CHANNELS).unwrap();
        let without_tls = |said: Vec<Vec<String>>| -> Vec<Vec<String>> {
            let plain = |event: String| event.replace("\"tls\": true", "\"tls\": false");
            let mut said: Vec<_> = said.into_iter().map(|said| said.into_iter().map(plain).collect()).collect();
            said.sort();
            said
        };
        let (ours, qemus) = (without_tls(said(&qmp.events())), without_tls(said(&vm.events().lines())));
        assert_eq!(ours, qemus, "vm-{number}: relay (left) and QEMU (right)");
        assert_eq!(ours.len(), sessions * CHANNELS);
        if number > 0 {
            let (outside, inside) = (&outside[number], &inside[number]);
            eventually("both taps have seen the end", || {
                [outside, inside].iter().all(|tap| tap.talks().iter().all(|talk| talk.over))
            });
            let passed = same_bytes(&outside.talks(), &inside.talks(), &format!("vm-{number}"));
            bytes += passed.up + passed.down;
        }
    }
    assert!(bytes > FLEET * 10_000, "{bytes}");
    report(&format!("{FLEET} QEMUs, {} channels, {bytes} bytes compared", (FLEET + 1) * CHANNELS));
}
