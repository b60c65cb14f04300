//! Whole sessions of spice-gtk: eleven channels that open and close, or are refused, or end badly.

use std::{fs, io, thread, time::Duration};

use super::{Form, Scenario, Stage};
use crate::{
    captures::{PASSWORD, USER},
    lab::{CHANNELS, Client, MOMENT, TlsTunnel},
};

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "open",
        about: "spice-gtk opens eleven channels on a server without authentication, and leaves",
        spice: "port={port},addr=127.0.0.1,disable-ticketing=on",
        auth: "none",
        form: Form::Pcap,
        play: |stage| session(stage, &[], MOMENT),
    },
    Scenario {
        name: "ticket",
        about: "spice-gtk opens eleven channels with a password, stays a second, and leaves",
        spice: "port={port},addr=127.0.0.1,password-secret=password",
        auth: "spice",
        form: Form::PcapNano,
        play: |stage| session(stage, &["--password", PASSWORD], Duration::from_secs(1)),
    },
    Scenario {
        name: "wrong-password",
        about: "spice-gtk has a wrong password and gives up after the main channel",
        spice: "port={port},addr=127.0.0.1,password-secret=password",
        auth: "spice",
        form: Form::Cooked1,
        play: |stage| refused(stage, &["--password", "wrong"]),
    },
    Scenario {
        name: "sasl",
        about: "spice-gtk opens eleven channels with SASL (DIGEST-MD5) on plain TCP, all behind its security layer",
        spice: "port={port},addr=127.0.0.1,sasl=on",
        auth: "sasl",
        form: Form::Pcap,
        play: |stage| session(stage, &["--user", USER, "--password", PASSWORD], MOMENT),
    },
    Scenario {
        name: "sasl-wrong-password",
        about: "spice-gtk has a wrong SASL password and gives up after the main channel",
        spice: "port={port},addr=127.0.0.1,sasl=on",
        auth: "sasl",
        form: Form::Pcap,
        play: |stage| refused(stage, &["--user", USER, "--password", "wrong"]),
    },
    Scenario {
        name: "dual-stack",
        about: "a listener for both families: one session over 127.0.0.1, which it sees as ::ffff:127.0.0.1, then one over ::1",
        spice: "port={port},addr=::,password-secret=password",
        auth: "spice",
        form: Form::Cooked2,
        play: |stage| {
            session(stage, &["--password", PASSWORD], MOMENT)?;
            session(stage, &["--host", "::1", "--password", PASSWORD], MOMENT)
        },
    },
    Scenario {
        name: "tls",
        about: "spice-gtk opens eleven channels inside TLS: opaque without the key",
        spice: "tls-port={tls-port},x509-dir={pki},addr=127.0.0.1,password-secret=password",
        auth: "spice",
        form: Form::Pcap,
        play: |stage| session(stage, &["--password", PASSWORD], MOMENT),
    },
    Scenario {
        name: "tls12-keylog",
        about: "spice-gtk opens eleven channels inside TLS 1.2, resumed from a session that an empty connection made; its secrets are logged",
        spice: "tls-port={tls-port},x509-dir={pki},addr=127.0.0.1,password-secret=password",
        auth: "spice",
        form: Form::Pcap,
        play: |stage| tunnelled(stage, |port| TlsTunnel::resuming(port, "-tls1_2")),
    },
    Scenario {
        name: "tls13-keylog",
        about: "spice-gtk opens eleven channels inside TLS 1.3; the secrets are in the capture file",
        spice: "tls-port={tls-port},x509-dir={pki},addr=127.0.0.1,password-secret=password",
        auth: "spice",
        form: Form::Pcapng,
        play: |stage| tunnelled(stage, |port| TlsTunnel::start(port, "-tls1_3")),
    },
    Scenario {
        name: "mixed",
        about: "main and inputs inside TLS, where the server wants them, the other channels plain",
        spice: "port={port},tls-port={tls-port},x509-dir={pki},addr=127.0.0.1,password-secret=password,tls-channel=main,tls-channel=inputs",
        auth: "spice",
        form: Form::Pcapng,
        play: |stage| session(stage, &["--password", PASSWORD, "--secure-channels", "main,inputs"], MOMENT),
    },
    Scenario {
        name: "need-secured",
        about: "a client that tries inputs and cursor in plain is told to use TLS, and does",
        spice: "port={port},tls-port={tls-port},x509-dir={pki},addr=127.0.0.1,disable-ticketing=on,tls-channel=inputs,tls-channel=cursor",
        auth: "none",
        form: Form::Pcap,
        play: |stage| session(stage, &[], MOMENT),
    },
    Scenario {
        name: "kick",
        about: "a second spice-gtk session while one is active: the first is dropped, all of its channels",
        spice: "port={port},addr=127.0.0.1,password-secret=password",
        auth: "spice",
        form: Form::Pcap,
        play: kick,
    },
    Scenario {
        name: "killed",
        about: "spice-gtk is killed in the middle of a session: its kernel closes the sockets",
        spice: "port={port},addr=127.0.0.1,password-secret=password",
        auth: "spice",
        form: Form::Pcap,
        play: |stage| {
            let client = stage.client(&["--password", PASSWORD])?;
            stage.vm.events().wait_for("SPICE_INITIALIZED", CHANNELS)?;
            thread::sleep(MOMENT);
            client.kill()?;
            stage.vm.events().wait_for("SPICE_DISCONNECTED", CHANNELS)?;
            stage.vm.settle()
        },
    },
    Scenario {
        name: "quit",
        about: "QEMU quits while eleven channels are open: it says nothing more of them",
        spice: "port={port},addr=127.0.0.1,password-secret=password",
        auth: "spice",
        form: Form::Pcap,
        play: |stage| {
            let client = stage.client(&["--password", PASSWORD])?;
            stage.vm.events().wait_for("SPICE_INITIALIZED", CHANNELS)?;
            stage.vm.quit()?;
            client.leave().map(drop)
        },
    },
];

/// Eleven channels open, stay for a while, and close. May be played more than once on a stage.
fn session(stage: &mut Stage, args: &[&str], stay: Duration) -> io::Result<()> {
    let events = stage.vm.events();
    let before = events.count("SPICE_INITIALIZED");
    let client = stage.client(args)?;
    events.wait_for("SPICE_INITIALIZED", before + CHANNELS)?;
    thread::sleep(stay);
    client.leave()?;
    events.wait_for_quiet()?;
    stage.vm.settle()
}

/// Eleven channels through a tunnel that logs its secrets.
fn tunnelled(stage: &mut Stage, tunnel: fn(u16) -> io::Result<TlsTunnel>) -> io::Result<()> {
    let tunnel = tunnel(stage.tls_port.ok_or_else(|| io::Error::other("this server has no TLS port"))?)?;
    let events = stage.vm.events();
    let client = Client::start(&["--port", &tunnel.port().to_string(), "--password", PASSWORD])?;
    events.wait_for("SPICE_INITIALIZED", CHANNELS)?;
    thread::sleep(MOMENT);
    client.leave()?;
    events.wait_for_quiet()?;
    stage.vm.settle()?;
    stage.key_log = Some(fs::read(tunnel.key_log())?);
    Ok(())
}

/// The client gives up on the main channel, and is then told to leave.
fn refused(stage: &mut Stage, args: &[&str]) -> io::Result<()> {
    let client = stage.client(args)?;
    stage.vm.events().wait_for("SPICE_DISCONNECTED", 1)?;
    client.leave()?;
    stage.vm.events().wait_for_quiet()?;
    stage.vm.settle()
}

fn kick(stage: &mut Stage) -> io::Result<()> {
    let password = ["--password", PASSWORD];
    let first: Client = stage.client(&password)?;
    stage.vm.events().wait_for("SPICE_INITIALIZED", CHANNELS)?;
    thread::sleep(MOMENT);
    let second = stage.client(&password)?;
    stage.vm.events().wait_for("SPICE_INITIALIZED", 2 * CHANNELS)?;
    stage.vm.events().wait_for("SPICE_DISCONNECTED", CHANNELS)?;
    thread::sleep(MOMENT);
    first.leave()?;
    second.leave()?;
    stage.vm.events().wait_for_quiet()?;
    stage.vm.settle()
}
