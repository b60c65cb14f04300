//! `spicewatch show` and `spicewatch end`: one live session.

use std::{fmt::Write as _, process::ExitCode};

use spice_sessions::Record;

use super::{
    Relay, failed, print,
    table::Table,
    text::{csv_line, duration, json_line, shown, size},
    time::{local, moment, now},
    who::{client, id, tls, vm},
};
use crate::control::{Command, client::ask};

/// Print a live session: its client, its channels and their bytes
#[derive(clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    relay: Relay,
    /// The session's id, or its last digits, as "spicewatch who" prints them
    session: String,
    /// Print the session record, a JSON object
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, a line for each channel, with times in RFC 3339
    #[arg(long)]
    csv: bool,
}

/// End a live session: close its connections
///
/// Its record then has the reason "terminated". The client can connect again.
#[derive(clap::Args)]
pub(crate) struct EndArgs {
    #[command(flatten)]
    relay: Relay,
    /// The session's id, or its last digits, as "spicewatch who" prints them
    session: String,
}

pub(crate) fn show(args: ShowArgs) -> ExitCode {
    let mut found = None;
    if let Err(error) = ask(&args.relay.control, Command::Show { session: args.session }, |record| found = Some(record))
    {
        return failed("show", &error);
    }
    match found {
        Some(record) if args.json => print("show", &json_line(&record)),
        Some(record) if args.csv => print("show", &csv(&record)),
        Some(record) => print("show", &text(&record)),
        None => failed("show", "the answer has no session"),
    }
}

pub(crate) fn end(args: EndArgs) -> ExitCode {
    let mut found = None;
    match ask(&args.relay.control, Command::End { session: args.session }, |record| found = Some(record)) {
        Err(error) => failed("end", &error),
        Ok(answer) => {
            let connections = answer.ended_connections.unwrap_or(0);
            let of = found.map_or_else(String::new, |record| format!(" of {} on {}", client(&record), vm(&record)));
            print("end", &format!("ended {connections} connections{}\n", shown(&of)))
        }
    }
}

fn csv(record: &Record) -> String {
    let mut text = csv_line(["session", "vm", "client", "channel", "id", "opened", "closed", "tls", "rx", "tx"]);
    for channel in &record.spice.channels {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let name = channel.name.clone().map(String::from);
        let cells = [
            id(record),
            vm(record),
            client(record),
            name.unwrap_or_else(|| number(channel.channel_type.map(u64::from))),
            number(channel.id.map(u64::from)),
            moment(channel.opened_at).to_string(),
            channel.closed_at.map(|at| moment(at).to_string()).unwrap_or_default(),
            if channel.tls { "yes".into() } else { "no".into() },
            number(channel.bytes_to_server),
            number(channel.bytes_to_client),
        ];
        text.push_str(&csv_line(cells.iter().map(String::as_str)));
    }
    text
}

/// The session, for people.
pub(super) fn text(record: &Record) -> String {
    let now = now();
    let port = record.client.port.map(|port| format!(" port {port}")).unwrap_or_default();
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".into(), size);
    let mut text = String::new();
    for (name, value) in [
        ("session", id(record)),
        ("vm", vm(record)),
        ("client", client(record) + &port),
        ("since", local(record.event.start)),
        ("idle", record.idle(now).map_or_else(|| "-".into(), duration)),
        ("tls", [Some(tls(record)), record.tls.cipher.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ")),
        ("auth", record.spice.auth.as_deref().unwrap_or("-").to_owned()),
        ("connection-id", record.spice.connection_id.map_or_else(|| "-".into(), |id| id.to_string())),
        ("rx, tx", format!("{}, {}", bytes(record.client.bytes), bytes(record.server.bytes))),
        ("anomalies", record.spice.anomalies.join(", ")),
    ] {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<14} {}", shown(&value));
        }
    }
    let mut table = Table::new(["CHANNEL", "ID", "SINCE", "UNTIL", "TLS", "RX", "TX"]);
    for channel in &record.spice.channels {
        let name = channel.name.clone().map(String::from);
        table.row([
            name.or_else(|| channel.channel_type.map(|kind| kind.to_string())).unwrap_or_else(|| "-".into()),
            channel.id.map_or_else(|| "-".into(), |id| id.to_string()),
            local(channel.opened_at),
            channel.closed_at.map_or_else(|| "open".into(), local),
            if channel.tls { "yes".into() } else { "no".into() },
            bytes(channel.bytes_to_server),
            bytes(channel.bytes_to_client),
        ]);
    }
    if !table.is_empty() {
        let _ = write!(text, "\n{}", table.print());
    }
    text
}
