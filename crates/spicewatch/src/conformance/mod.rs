//! `spicewatch conformance`: a table of named cases against any SPICE server.

mod case;
mod cases;
mod report;
mod wire;

use crate::{
    dial::{Reach, Target},
    password::Password,
    print_error,
};
use case::{Server, Verdict};
use clap::ValueEnum;
use report::Outcome;
use std::{
    collections::HashSet,
    io::{self, Write},
    process::ExitCode,
    time::Instant,
};
use wire::{Answer, Mess, Wire};

/// Try what a SPICE server accepts and refuses, and how, against a table of named cases
///
/// Each case is a connection or two of its own. The expectations are those of spice-server 0.15, which QEMU uses; each names its section in docs/PROTOCOL.md.
/// New sessions are made on the way, so that whoever is connected to the server is disconnected. Without a password the server has to be one that asks
/// for none.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    password: Password,

    /// The SASL user that the password is for
    #[arg(long, requires = "secret")]
    user: Option<String>,

    /// The type of a channel that the server is set up to have in TLS alone, by its number
    #[arg(long, value_name = "TYPE")]
    secured: Option<u8>,

    /// The type of a channel that the server is set up to have in plain alone, by its number
    #[arg(long, value_name = "TYPE")]
    unsecured: Option<u8>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Only cases whose name has this in it; may be given more than once
    #[arg(long = "case", value_name = "TEXT")]
    only: Vec<String>,

    /// Print the table and send nothing
    #[arg(long)]
    list: bool,
}

const AFTER: &str = "\
JSON: {server, passed, failed, skipped, cases: [{name, section, outcome, milliseconds}]}; outcome is passed, failed (then with expected
and seen) or skipped (then with reason); note, where a case has one, says how versions of spice-server differ.

Exit code: 0 if no case failed, 1 if one did, 2 if the server could not be reached.

Examples:
  spicewatch conformance 127.0.0.1:5930 --password-file vm1.password
  spicewatch conformance 127.0.0.1:5931 --password-file vm1.password --tls --format junit >conformance.xml
  spicewatch conformance 127.0.0.1:5931 --tls --user alice --password-file alice.password --case sasl
  spicewatch conformance 127.0.0.1:5930 --case ticket --case caps";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a case
    Text,
    Json,
    /// JUnit's XML
    Junit,
}

/// The channels that cases join, the first that the server lists: inputs, playback, record, usbredir, webdav. No display: a client
/// that links to one and does not go on makes spice-server wait for it, half a minute long, and one that leaves meanwhile may end it.
const USUAL: [(u8, u8); 5] = [(3, 0), (5, 0), (6, 0), (9, 0), (11, 0)];

pub(crate) fn run(args: &Args) -> ExitCode {
    match conform(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            print_error(format_args!("spicewatch conformance: {error}"));
            ExitCode::from(2)
        }
    }
}

fn conform(args: &Args) -> Result<bool, String> {
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|text| name.contains(&**text));
    let table: Vec<_> = cases::all().filter(|case| wanted(case.name)).collect();
    if args.list {
        for case in &table {
            say(&format!(
                "{:>2} {}{}{}\n",
                case.section,
                case.name,
                if case.note.is_empty() { "" } else { ": " },
                case.note
            ));
        }
        return Ok(true);
    }
    let target = args.reach.target()?;
    let password = args.password.read()?;
    let Target { address, carrier, .. } = target;
    print_error(format_args!(
        "sends {} cases to {address} ({}): up to three connections each; live sessions end",
        table.len(),
        carrier.name()
    ));
    let format = if args.json { Format::Json } else { args.format };
    let server = survey(target, args, password).map_err(|error| format!("{address}: {error}"))?;

    let mut outcomes = Vec::new();
    for case in table {
        let start = Instant::now();
        let verdict = (case.play)(&server)
            .unwrap_or_else(|error| Verdict::Failed { expected: "a connection".to_owned(), seen: error.to_string() });
        let outcome = Outcome { case, verdict, time: start.elapsed() };
        if format == Format::Text {
            say(&(report::line(&outcome) + "\n"));
        }
        outcomes.push(outcome);
    }
    let name = format!("{address} ({})", carrier.name());
    match format {
        Format::Text => say(&(report::summary(&outcomes) + "\n")),
        Format::Json => say(&(report::json(&name, &outcomes) + "\n")),
        Format::Junit => say(&report::junit(&name, &outcomes)),
    }
    Ok(report::count(&outcomes).failed == 0)
}

/// Prints; whoever reads it may have gone.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Finds out what the cases need to know: whether the server wants SASL, and a channel beside main.
fn survey(target: Target, args: &Args, password: Option<String>) -> io::Result<Server> {
    let mut wire = Wire::dial(&target)?;
    wire.send(&Mess::main().bytes())?;
    wire.read_reply()?;
    let has_words = wire.reply.get(182).is_some_and(|count| *count > 0);
    let sasl = has_words && wire.reply.get(194).is_some_and(|word| word & 4 != 0);
    drop(wire);
    let &Args { secured, unsecured, .. } = args;
    let user = args.user.clone();
    let mut server = Server { target, password, user, secured, unsecured, sasl, other: None, cursor: None };
    if sasl {
        return Ok(server);
    }
    let mut main = server.link(&Mess::main(), &server.good())?;
    if main.session.is_none() {
        let seen = Answer::show(&main.seen);
        print_error(format_args!("no session can be made ({seen}): cases that need one will fail"));
        return Ok(server);
    }
    // ATTACH_CHANNELS; the answer is CHANNELS_LIST: a count, then a type and an id each.
    main.send(&[104, 0, 0, 0, 0, 0])?;
    let list = main.read_message(104)?.unwrap_or_default();
    let pairs: HashSet<(u8, u8)> =
        list.get(4..).unwrap_or_default().chunks_exact(2).map(|two| (two[0], two[1])).collect();
    server.cursor = Some((4, 0)).filter(|channel| pairs.contains(channel));
    server.other = USUAL.into_iter().find(|channel| pairs.contains(channel));
    Ok(server)
}
