//! `spicewatch reload`: a running relay reads its configuration again.

use std::process::ExitCode;

use super::{Relay, failed, print, text::shown};
use crate::control::{Command, client::ask};

/// Make a running relay read its configuration again, and print what has changed
///
/// Does what SIGHUP does, and waits for the outcome. No connection ends.
///
/// Exit codes: 0 if the new configuration is in use, 2 if it is wrong (then nothing has changed) or the relay could not be asked.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: Relay,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match ask(&args.relay.control, Command::Reload, drop) {
        Ok(answer) => print("reload", &format!("{}\n", shown(&answer.changes.unwrap_or_default()))),
        Err(error) => failed("reload", &error),
    }
}
