//! Whole sessions of spice-gtk: eleven channels that open and close.

use std::io;

use super::{Form, Scenario, Stage};
use crate::{captures::PASSWORD, lab::CHANNELS};

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "open",
        about: "spice-gtk opens eleven channels on a server without authentication, and leaves",
        spice: "port={port},addr=127.0.0.1,disable-ticketing=on",
        auth: "none",
        form: Form::Pcap,
        play: |stage| full_session(stage, &[]),
    },
    Scenario {
        name: "ticket",
        about: "spice-gtk opens eleven channels with a password, and leaves",
        spice: "port={port},addr=127.0.0.1,password=sekrit",
        auth: "spice",
        form: Form::PcapNano,
        play: |stage| full_session(stage, &["--password", PASSWORD]),
    },
];

fn full_session(stage: &mut Stage, args: &[&str]) -> io::Result<()> {
    let client = stage.client(args)?;
    stage.vm.events().wait_for("SPICE_INITIALIZED", CHANNELS)?;
    client.leave()?;
    stage.vm.events().wait_for_quiet()
}
