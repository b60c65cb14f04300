//! `spicewatch last`: who was connected, from the history.

use std::{process::ExitCode, time::Duration};

use spice_sessions::{Reason, Record, Timestamp};

use super::{
    failed,
    parse_time::parse_time,
    print,
    svg::Timeline,
    table::Table,
    text::{csv_line, duration, json_line, size},
    time::{local, moment, now},
    who::{client, id, tls, vm},
};
use crate::{
    history::{DEFAULT_LOCATION, Entry, Filter, Location, Reader},
    print_error,
};

/// Print who was connected, from the history of a relay
///
/// One line for each session, the newest first; times are local. END is "still connected" for a live session, and "crash" if the relay was killed
/// meanwhile: then DURATION lasts up to its last sign of life. RX is what the client sent, TX what it received.
///
/// A TIME is a date, a time or both ("2026-11-24 09:12"), a time in RFC 3339, a day ("today", "yesterday 14:00", "last tuesday"), or a distance from now
/// ("-2h", "3 days ago").
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    /// The history that the relay writes
    #[arg(long, value_name = "sqlite:PATH", default_value = DEFAULT_LOCATION)]
    history: Location,
    /// How many lines to print, at most; 0 prints all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Sessions that began at this time or later
    #[arg(long, short, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Sessions that began at this time or earlier
    #[arg(long, short = 't', value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Sessions that were connected at this time
    #[arg(long, short, value_name = "TIME", allow_hyphen_values = true)]
    present: Option<String>,
    /// Only this VM
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// Only clients with this address
    #[arg(long, value_name = "ADDR")]
    client: Option<String>,
    /// Refused links, instead of sessions
    #[arg(long)]
    failed: bool,
    /// Print session records: one JSON object per line
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, with whole ids and times in RFC 3339
    #[arg(long)]
    csv: bool,
    /// Print a picture, in SVG: a timeline for each VM, from --since (a day ago, if not given) to --until (now)
    ///
    /// With refused links. -n does not apply.
    #[arg(long, conflicts_with_all = ["json", "csv", "failed", "present"])]
    svg: bool,
}

const AFTER: &str = "\
Examples:
  spicewatch last -n 20
      The newest twenty sessions
  spicewatch last --present 'last tuesday 14:00' --vm desk
      Who was on this VM then
  spicewatch last --svg --since 'last monday' > week.svg
      A picture: when each VM was in use
  spicewatch last --failed --since -1h
      Links that were refused in the last hour, and why

Exit codes:
  0  the answer was printed, also if it has no line
  2  the history could not be read, or a time could not be understood";

pub(crate) fn run(args: &Args) -> ExitCode {
    let Args { history, limit, vm, client, failed: only_failed, json, csv: as_csv, .. } = args;
    let zoned = jiff::Zoned::now();
    let time = |text: &Option<String>| text.as_deref().map(|text| parse_time(text, &zoned)).transpose();
    let times = time(&args.since).and_then(|since| Ok((since, time(&args.until)?, time(&args.present)?)));
    let (since, until, present) = match times {
        Ok(times) => times,
        Err(error) => return failed("last", &error),
    };
    if args.svg {
        return picture(
            args,
            since.unwrap_or_else(|| day_before(until.unwrap_or_else(now))),
            until.unwrap_or_else(now),
        );
    }
    // One more than is printed tells whether there are more.
    let wanted = if *limit == 0 { 0 } else { limit.saturating_add(1) };
    let filter = Filter {
        vm: vm.clone(),
        client: client.clone(),
        failed: *only_failed,
        since,
        until,
        present,
        limit: wanted,
        ..Filter::default()
    };
    let read = Reader::open(history).and_then(|reader| reader.entries(&filter, now()));
    let mut entries = match read {
        Ok(entries) => entries,
        Err(error) => {
            let remedy = "A relay writes the history that its --history names; give the same here";
            return failed("last", &format!("{history}: {error}. {remedy}"));
        }
    };
    let has_more = *limit > 0 && entries.len() > *limit;
    entries.truncate(if *limit > 0 { *limit } else { usize::MAX });
    let code = if *json {
        print("last", &entries.iter().map(|entry| json_line(&entry.record)).collect::<String>())
    } else if *as_csv {
        print("last", &csv(&entries))
    } else if *only_failed {
        print("last", &refusals(&entries))
    } else {
        print("last", &sessions(&entries, now()))
    };
    if has_more {
        print_error(format_args!("spicewatch last: there are more than {limit}; -n prints more"));
    }
    code
}

/// The most sessions, and the most refused links, of a picture.
const MAX_DRAWN: usize = 10_000;

/// Prints the timeline of each VM.
fn picture(args: &Args, from: Timestamp, to: Timestamp) -> ExitCode {
    let sessions = Filter {
        vm: args.vm.clone(),
        client: args.client.clone(),
        during: Some((from, to)),
        limit: MAX_DRAWN,
        ..Filter::default()
    };
    let refusals = Filter { failed: true, since: Some(from), until: Some(to), during: None, ..sessions.clone() };
    let read = Reader::open(&args.history)
        .and_then(|reader| Ok((reader.entries(&sessions, now())?, reader.entries(&refusals, now())?)));
    match read {
        Ok((sessions, refusals)) => {
            if sessions.len().max(refusals.len()) == MAX_DRAWN {
                print_error(format_args!(
                    "spicewatch last: only the newest {MAX_DRAWN} are drawn; --vm or --since draws fewer"
                ));
            }
            let zone = jiff::tz::TimeZone::system();
            print("last", &Timeline { sessions: &sessions, refusals: &refusals, from, to, zone }.draw())
        }
        Err(error) => failed("last", &format!("{}: {error}", args.history)),
    }
}

fn day_before(at: Timestamp) -> Timestamp {
    Timestamp { seconds: at.seconds - 24 * 3600, ..at }
}

fn sessions(entries: &[Entry], now: Timestamp) -> String {
    let mut table = Table::new(["VM", "CLIENT", "START", "END", "DURATION", "RX", "TX", "REASON"]);
    for Entry { record, is_live, .. } in entries {
        let bytes = |bytes: Option<u64>| bytes.filter(|_| !is_live).map_or_else(|| "-".into(), size);
        let end = match (record.event.end, record.event.reason) {
            _ if *is_live => "still connected".to_owned(),
            (_, Some(Reason::RelayDied)) => "crash".to_owned(),
            (Some(end), _) => local(end),
            (None, _) => "-".to_owned(),
        };
        let until = record.event.end.unwrap_or(now);
        table.row([
            vm(record),
            client(record),
            local(record.event.start),
            end,
            duration(between(record.event.start, until)),
            bytes(record.client.bytes),
            bytes(record.server.bytes),
            reason(record),
        ]);
    }
    table.print()
}

fn refusals(entries: &[Entry]) -> String {
    let mut table = Table::new(["VM", "CLIENT", "TIME", "REASON", "STAGE"]);
    for Entry { record, .. } in entries {
        table.row([vm(record), client(record), local(record.timestamp), reason(record), stage(record)]);
    }
    table.print()
}

fn csv(entries: &[Entry]) -> String {
    let mut text = csv_line([
        "vm", "client", "port", "start", "end", "state", "reason", "ended_by", "stage", "tls", "rx", "tx", "session",
    ]);
    for Entry { record, is_live, .. } in entries {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let state = if *is_live { "live" } else { "ended" };
        let cells = [
            vm(record),
            client(record),
            number(record.client.port.map(u64::from)),
            moment(record.event.start).to_string(),
            record.event.end.map(|end| moment(end).to_string()).unwrap_or_default(),
            state.to_owned(),
            record.event.reason.map(|reason| reason.name().to_owned()).unwrap_or_default(),
            record.spice.ended_by.map(|by| by.to_string()).unwrap_or_default(),
            stage(record),
            tls(record),
            number(record.client.bytes),
            number(record.server.bytes),
            id(record),
        ];
        text.push_str(&csv_line(cells.iter().map(String::as_str)));
    }
    text
}

fn reason(record: &Record) -> String {
    record.event.reason.map_or_else(|| "-".into(), |reason| reason.name().to_owned())
}

fn stage(record: &Record) -> String {
    record.spice.stage.to_string()
}

fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(moment(end).duration_since(moment(start))).unwrap_or_default()
}
