//! `spicewatch status`: what a running relay does.

use std::{fmt::Write as _, process::ExitCode};

use super::{
    Relay, failed, print,
    text::{csv_line, json_line, shown},
};
use crate::{
    control::{Command, Status, client::ask},
    hooks::HookCounts,
};

/// Print what a running relay does: its VMs, and how many sessions each has
///
/// Exit codes: 0 if the relay answered, 2 otherwise.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: Relay,
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, a line for each VM
    #[arg(long)]
    csv: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match ask(&args.relay.control, Command::Status, drop).map(|answer| answer.status) {
        Ok(Some(status)) if args.json => print("status", &json_line(&status)),
        Ok(Some(status)) if args.csv => print("status", &csv(&status)),
        Ok(Some(status)) => print("status", &text(&status)),
        Ok(None) => failed("status", "the answer has no status"),
        Err(error) => failed("status", &error),
    }
}

fn csv(status: &Status) -> String {
    let lines = status.vms.iter().map(|vm| csv_line([vm.name.as_str(), &vm.sessions.to_string()]));
    std::iter::once(csv_line(["vm", "sessions"])).chain(lines).collect()
}

fn text(status: &Status) -> String {
    let Status { version, source, pid, since, sessions, connections, started, ended, refused, health_checks, .. } =
        status;
    let mut text = format!(
        "spicewatch {version}, {source}, process {pid}, since {since}\n\
         {sessions} sessions, {connections} connections\n\
         since the start: {started} sessions began, {ended} ended, {refused} links were refused, {health_checks} health checks\n"
    );
    let lost = status.lost_records;
    if lost > 0 {
        let _ = writeln!(text, "{lost} session records were lost, because an output could not take them; see the log");
    }
    if let Some(HookCounts { run, failed, timed_out, dropped }) = status.hooks {
        let _ = writeln!(text, "hooks: {run} ran, {failed} failed, {timed_out} ran too long, {dropped} were left out");
    }
    for vm in &status.vms {
        let _ = writeln!(text, "{:>6} {}", vm.sessions, shown(&vm.name));
    }
    text
}
