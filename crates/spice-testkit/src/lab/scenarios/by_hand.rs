//! Links made by hand: what no usual client sends, and what servers do with it.

use std::io;

use spice_conformance::{Mess, Received, Wire, spice_link::ChannelType};

use super::{Form, Scenario, Stage};
use crate::lab::{
    PATIENCE,
    battery::{ACCEPTED, Case, NO_SELECTION, REFUSED, SASL, link, subject},
};

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "refused",
        about: "every link that a server with a password refuses, each on its own connection",
        spice: "port={port},tls-port={tls-port},x509-dir={pki},addr=127.0.0.1,password-secret=password,tls-channel=record",
        auth: "spice",
        form: Form::Pcap,
        play: |stage| play(stage, REFUSED),
    },
    Scenario {
        name: "accepted",
        about: "odd links that a server with a password accepts, each a new session that leaves at once",
        spice: "port={port},addr=127.0.0.1,password-secret=password",
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
        spice: "port={port},addr=127.0.0.1,password-secret=password",
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
    /// Links one channel by hand with the recorded servers' password, and records the link.
    fn linked(&mut self, case: &str, connection_id: u32, channel_type: ChannelType) -> io::Result<Wire> {
        let subject = subject(self.plain()?);
        let wire = Wire::connect(&subject.target)?;
        self.linked_over(wire, case, connection_id, channel_type)
    }

    fn linked_over(
        &mut self,
        mut wire: Wire,
        case: &str,
        connection_id: u32,
        channel_type: ChannelType,
    ) -> io::Result<Wire> {
        subject(self.plain()?).link_over(&mut wire, &Mess::channel(connection_id, channel_type, 0))?;
        let link = link(case, &wire);
        let result = link.result;
        self.links.push(link);
        if result == Some(0) {
            return Ok(wire);
        }
        Err(io::Error::other(format!("{case}: expected result 0, received {}", Received::join(wire.received()))))
    }
}

/// The id of the session whose main channel this is.
fn session_id(main: &Wire) -> io::Result<u32> {
    main.main_init().map(|(id, _)| id).ok_or_else(|| io::Error::other("expected MAIN_INIT"))
}

fn websocket(stage: &mut Stage) -> io::Result<()> {
    let mut open = Vec::new();
    let mut session = 0;
    for (case, channel_type, masked) in [
        ("main", ChannelType::MAIN, true),
        ("inputs", ChannelType::INPUTS, false),
        ("cursor", ChannelType::CURSOR, true),
        ("playback", ChannelType::PLAYBACK, true),
        ("webdav", ChannelType::WEBDAV, false),
    ] {
        let stream = subject(stage.plain()?).target.connect()?.upgrade("localhost", masked)?;
        let wire = stage.linked_over(Wire::over(stream, PATIENCE), case, session, channel_type)?;
        if channel_type == ChannelType::MAIN {
            session = session_id(&wire)?;
        }
        open.push(wire);
    }
    stage.vm.events().wait_for("SPICE_INITIALIZED", open.len())?;
    drop(open);
    stage.vm.events().wait_for_quiet()?;
    stage.vm.settle()
}

fn duplicate(stage: &mut Stage) -> io::Result<()> {
    let main = stage.linked("main", 0, ChannelType::MAIN)?;
    let session = session_id(&main)?;
    let inputs = stage.linked("inputs", session, ChannelType::INPUTS)?;
    let mut again = stage.linked("inputs again", session, ChannelType::INPUTS)?;
    again.skip_to_end()?;
    stage.vm.events().wait_for("SPICE_DISCONNECTED", 1)?;
    drop((main, inputs));
    stage.vm.events().wait_for_quiet()?;
    stage.vm.settle()
}

fn migration_target(stage: &mut Stage) -> io::Result<()> {
    let first = stage.linked("main with id 0x80000001", 0x8000_0001, ChannelType::MAIN)?;
    stage.vm.events().wait_for("SPICE_INITIALIZED", 1)?;
    drop(first);
    stage.vm.events().wait_for_quiet()?;
    let main = stage.linked("main with id 7", 7, ChannelType::MAIN)?;
    let inputs = stage.linked("inputs with id 7", 7, ChannelType::INPUTS)?;
    stage.vm.events().wait_for("SPICE_INITIALIZED", 3)?;
    drop(main);
    stage.vm.events().wait_for("SPICE_DISCONNECTED", 2)?;
    // QEMU has forgotten this one: no SPICE_DISCONNECTED follows.
    drop(inputs);
    Ok(())
}

fn kick(stage: &mut Stage) -> io::Result<()> {
    let mut old = stage.linked("old main", 0, ChannelType::MAIN)?;
    let session = session_id(&old)?;
    let mut old_inputs = stage.linked("old inputs", session, ChannelType::INPUTS)?;
    let new = stage.linked("new main", 0, ChannelType::MAIN)?;
    session_id(&new)?;
    old.skip_to_end()?;
    old_inputs.skip_to_end()?;
    stage.vm.events().wait_for("SPICE_DISCONNECTED", 2)?;
    drop(new);
    stage.vm.events().wait_for_quiet()?;
    stage.vm.settle()
}
