//! `spicewatch who`: who is connected now.

use std::process::ExitCode;

use spice_sessions::{Record, Timestamp};

use super::{
    Relay, failed, print,
    table::Table,
    text::{csv_line, duration, json_line, size},
    time::{local, now},
};
use crate::control::{Command, client::ask};

/// Print who is connected now
///
/// Asks a running relay on its control socket. One line for each session; times are local.
///
/// IDLE is the time since the client last sent a byte of keyboard or mouse. CHANNELS counts open connections. TLS is its version, "yes" if that is not known,
/// or "no". RX is what the client sent, TX what it received. SESSION is the end of the session's id, for "spicewatch show" and "spicewatch end".
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: Relay,
    /// Only this VM
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// Print session records: one JSON object per line
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, with whole ids and times in RFC 3339
    #[arg(long)]
    csv: bool,
    /// Print nothing; the exit code is the answer
    #[arg(long, short, conflicts_with_all = ["json", "csv"])]
    quiet: bool,
}

const AFTER: &str = "\
Examples:
  spicewatch who
      Everyone, on all VMs
  spicewatch who --vm desk --quiet || virsh suspend desk
      Suspends a VM that no one uses

Exit codes:
  0  someone is connected, or, without --quiet, the answer was printed
  1  with --quiet: no one is connected
  2  the relay could not be asked, or has no VM of this name";

pub(crate) fn run(args: Args) -> ExitCode {
    let mut records = Vec::new();
    let answer = match ask(&args.relay.control, Command::Who { vm: args.vm }, |record| records.push(record)) {
        Ok(answer) => answer,
        Err(error) => return failed("who", &error),
    };
    if args.quiet {
        return if records.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS };
    }
    if args.json {
        return print("who", &records.iter().map(json_line).collect::<String>());
    }
    if args.csv {
        return print("who", &csv(&records, now()));
    }
    if records.is_empty() {
        let linking = match answer.linking.unwrap_or(0) {
            0 => String::new(),
            // They may be sessions in a moment.
            count => format!("; {count} open connections belong to no session yet"),
        };
        return print("who", &format!("no one is connected{linking}\n"));
    }
    print("who", &table(&records, now()))
}

pub(super) fn table(records: &[Record], now: Timestamp) -> String {
    let mut table = Table::new(["VM", "CLIENT", "SINCE", "IDLE", "CHANNELS", "TLS", "RX", "TX", "SESSION"]);
    for record in records {
        let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".into(), size);
        let id = id(record);
        table.row([
            vm(record),
            client(record),
            local(record.event.start),
            record.idle(now).map_or_else(|| "-".into(), duration),
            open_channels(record).to_string(),
            tls(record),
            bytes(record.client.bytes),
            bytes(record.server.bytes),
            id[id.len().saturating_sub(SHORT_ID)..].to_owned(),
        ]);
    }
    table.print()
}

fn csv(records: &[Record], now: Timestamp) -> String {
    let mut text =
        csv_line(["vm", "client", "port", "since", "idle_seconds", "channels", "tls", "rx", "tx", "session"]);
    for record in records {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let cells = [
            vm(record),
            client(record),
            number(record.client.port.map(u64::from)),
            super::time::moment(record.event.start).to_string(),
            number(record.idle(now).map(|idle| idle.as_secs())),
            open_channels(record).to_string(),
            tls(record),
            number(record.client.bytes),
            number(record.server.bytes),
            id(record),
        ];
        text.push_str(&csv_line(cells.iter().map(String::as_str)));
    }
    text
}

/// Digits of an id that a table shows.
const SHORT_ID: usize = 8;

/// The VM's name.
pub(super) fn vm(record: &Record) -> String {
    record.vm.as_ref().map_or_else(|| "-".into(), |vm| vm.name.clone())
}

/// The client's address.
pub(super) fn client(record: &Record) -> String {
    match (&record.client.address, record.network.transport.as_deref()) {
        (Some(address), _) => address.clone(),
        // Clients of unix sockets have no name.
        (None, Some(transport)) => transport.to_owned(),
        (None, None) => "-".into(),
    }
}

/// The session's id.
pub(super) fn id(record: &Record) -> String {
    record.session.as_ref().map(|session| session.id.to_string()).unwrap_or_default()
}

/// How many channels are open.
pub(super) fn open_channels(record: &Record) -> usize {
    record.spice.channels.iter().filter(|channel| channel.closed_at.is_none()).count()
}

/// The version of TLS, `yes` or `no`.
pub(super) fn tls(record: &Record) -> String {
    match (&record.tls.version, record.tls.established) {
        (Some(version), true) => version.clone(),
        (None, true) => "yes".into(),
        (_, false) => "no".into(),
    }
}
