//! Links made by hand: what no usual client sends, and what servers do with it.

use std::io;

use super::{Form, Scenario, Stage};
use crate::{
    captures::PASSWORD,
    lab::{
        WebSocket,
        battery::{ACCEPTED, Case, NO_SELECTION, REFUSED, SASL},
        link::{Mess, Wire},
    },
};

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "refused",
        about: "every link that a server with a password refuses, each on its own connection",
        spice: "port={port},tls-port={tls-port},x509-dir={pki},addr=127.0.0.1,password=sekrit,tls-channel=record",
        auth: "spice",
        form: Form::Pcap,
        play: |stage| play(stage, REFUSED),
    },
    Scenario {
        name: "accepted",
        about: "odd links that a server with a password accepts, each a new session that leaves at once",
        spice: "port={port},addr=127.0.0.1,password=sekrit",
        auth: "spice",
        form: Form::Pcap,
        play: |stage| play(stage, ACCEPTED),
    },
    Scenario {
        name: "sasl-by-hand",
        about: "what a SASL server refuses, one link that it accepts, and one whose socket it never closes",
        spice: "port={port},addr=127.0.0.1,sasl=on",
        auth: "sasl",
        form: Form::Pcap,
        play: |stage| {
            play(stage, SASL)?;
            // No SPICE_DISCONNECTED ever follows, so there is nothing to wait for.
            let seen = NO_SELECTION.play(stage.plain()?)?;
            stage.links.push(seen);
            Ok(())
        },
    },
    Scenario {
        name: "websocket",
        about: "five channels of a session in WebSocket frames, masked and unmasked",
        spice: "port={port},addr=127.0.0.1,password=sekrit",
        auth: "spice",
        form: Form::Pcapng,
        play: websocket,
    },
    Scenario {
        name: "duplicate",
        about: "inputs is linked twice in one session: the second is accepted and dropped at once",
        spice: "port={port},addr=127.0.0.1,disable-ticketing=on",
        auth: "none",
        form: Form::Pcap,
        play: duplicate,
    },
    Scenario {
        name: "migration-target",
        about: "main channels that bring a connection id, as clients do that follow a migration; the second leaves before its inputs",
        spice: "port={port},addr=127.0.0.1,disable-ticketing=on",
        auth: "none",
        form: Form::Pcap,
        play: migration_target,
    },
    Scenario {
        name: "kick-by-hand",
        about: "a second main channel while one is active: the first session is dropped when the second is let in",
        spice: "port={port},addr=127.0.0.1,disable-ticketing=on",
        auth: "none",
        form: Form::Pcap,
        play: kick,
    },
];

fn play(stage: &mut Stage, cases: &[Case]) -> io::Result<()> {
    for case in cases {
        let seen = case.play(stage.plain()?)?;
        stage.links.push(seen);
        stage.vm.events().wait_for("SPICE_DISCONNECTED", stage.links.len())?;
    }
    stage.vm.settle()
}

impl Stage {
    /// Links one channel by hand with the recorded servers' password; the result has to be 0.
    fn linked(&mut self, case: &str, connection_id: u32, channel_type: u8) -> io::Result<Wire> {
        let mut wire = Wire::connect(self.plain()?)?;
        let result = wire.link(&Mess::new(connection_id, channel_type, 0), PASSWORD)?;
        self.links.push(wire.seen(case));
        if result == 0 { Ok(wire) } else { Err(io::Error::other(format!("{case}: expected result 0, saw {result}"))) }
    }
}

fn websocket(stage: &mut Stage) -> io::Result<()> {
    let mut open = Vec::new();
    let mut session = 0;
    for (case, channel_type, masked) in
        [("main", 1, true), ("inputs", 3, false), ("cursor", 4, true), ("playback", 5, true), ("webdav", 11, false)]
    {
        let socket = WebSocket::connect(stage.plain()?, masked)?;
        let ports = [socket.stream().local_addr()?.port(), stage.plain()?.port()];
        let mut wire = Wire::over(socket, ports);
        wire.link(&Mess::new(session, channel_type, 0), PASSWORD)?;
        stage.links.push(wire.seen(case));
        if channel_type == 1 {
            session = wire.read_session_id(true)?;
        }
        open.push(wire);
    }
    stage.vm.events().wait_for("SPICE_INITIALIZED", open.len())?;
    drop(open);
    stage.vm.events().wait_for_quiet()?;
    stage.vm.settle()
}

fn duplicate(stage: &mut Stage) -> io::Result<()> {
    let mut main = stage.linked("main", 0, 1)?;
    let session = main.read_session_id(true)?;
    let inputs = stage.linked("inputs", session, 3)?;
    let mut again = stage.linked("inputs again", session, 3)?;
    again.until_end()?;
    stage.vm.events().wait_for("SPICE_DISCONNECTED", 1)?;
    drop((main, inputs));
    stage.vm.events().wait_for_quiet()?;
    stage.vm.settle()
}

fn migration_target(stage: &mut Stage) -> io::Result<()> {
    let first = stage.linked("main with id 0x80000001", 0x8000_0001, 1)?;
    stage.vm.events().wait_for("SPICE_INITIALIZED", 1)?;
    drop(first);
    stage.vm.events().wait_for_quiet()?;
    let main = stage.linked("main with id 7", 7, 1)?;
    let inputs = stage.linked("inputs with id 7", 7, 3)?;
    stage.vm.events().wait_for("SPICE_INITIALIZED", 3)?;
    drop(main);
    stage.vm.events().wait_for("SPICE_DISCONNECTED", 2)?;
    // QEMU has forgotten this one: no SPICE_DISCONNECTED follows.
    drop(inputs);
    Ok(())
}

fn kick(stage: &mut Stage) -> io::Result<()> {
    let mut old = stage.linked("old main", 0, 1)?;
    let session = old.read_session_id(true)?;
    let mut old_inputs = stage.linked("old inputs", session, 3)?;
    let mut new = stage.linked("new main", 0, 1)?;
    new.read_session_id(true)?;
    old.until_end()?;
    old_inputs.until_end()?;
    stage.vm.events().wait_for("SPICE_DISCONNECTED", 2)?;
    drop(new);
    stage.vm.events().wait_for_quiet()?;
    stage.vm.settle()
}
