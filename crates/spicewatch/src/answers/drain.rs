//! `spicewatch drain`: a VM of a running relay accepts no more connections.

use std::process::ExitCode;

use super::{Relay, failed, print};
use crate::control::{Command, client::ask};

/// Let a VM of a running relay accept no more connections, until the next reload
///
/// Open connections go on until they end; "spicewatch who --vm NAME" shows them. "spicewatch reload" and SIGHUP serve the VM again, unless it was removed
/// from the configuration.
///
/// Exit codes: 0 if the VM accepts no more connections, 2 otherwise.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: Relay,
    /// The VM's name
    vm: String,
}

pub(crate) fn run(args: Args) -> ExitCode {
    match ask(&args.relay.control, Command::Drain { vm: args.vm }, drop) {
        Ok(answer) => {
            let open = answer.open_connections.unwrap_or(0);
            print("drain", &format!("accepts no more connections; {open} are open\n"))
        }
        Err(error) => failed("drain", &error),
    }
}
