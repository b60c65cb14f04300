//! `spicewatch conformance`: plays spice-conformance's cases against a server, and prints how they were decided.

mod print;

use crate::{print_error, server_args::ServerArgs, write_stdout};
use clap::{
    ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use spice_conformance::{Case, Level, Report, Subject, cases, spice_link::ChannelType};
use std::process::ExitCode;

/// Check how a SPICE server answers, case by case, against a table of named cases
///
/// Each case makes one to three connections of its own. The expected answers are those of spice-server 0.15, which QEMU uses. Each case names its section in docs/PROTOCOL.md.
/// The cases open new sessions, so a client that is connected to the server is disconnected. A server with a password needs --password or --password-file.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,

    /// The SASL user that has the password
    #[arg(long, requires = "secret")]
    user: Option<String>,

    /// The type of a channel that the server offers with TLS only, as a number
    #[arg(long, value_name = "TYPE")]
    secured: Option<u8>,

    /// The type of a channel that the server offers without TLS only, as a number
    #[arg(long, value_name = "TYPE")]
    unsecured: Option<u8>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Play only the cases of a level: protocol has what any server should pass, spice-server everything that spice-server does
    #[arg(long, value_name = "LEVEL", value_parser = level_parser(), default_value = "spice-server")]
    level: Level,

    /// Play only the cases whose name contains TEXT; can be repeated
    #[arg(long = "case", value_name = "TEXT")]
    only: Vec<String>,

    /// Print the table of cases and connect to nothing
    #[arg(long)]
    list: bool,
}

const AFTER: &str = "\
JSON: {server, passed, failed, skipped, cases: [{name, section, level, outcome, milliseconds}]}. outcome is passed, failed (with expected and
seen) or skipped (with reason). note, if a case has one, tells how versions of spice-server differ.

Exit code: 0 if no case failed, 1 if one did, 2 if the server could not be reached.

Examples:
  spicewatch conformance 127.0.0.1:5930 --password-file vm1.password
  spicewatch conformance 127.0.0.1:5931 --password-file vm1.password --tls --format junit >conformance.xml
  spicewatch conformance 127.0.0.1:5931 --tls --user alice --password-file alice.password --case sasl
  spicewatch conformance 127.0.0.1:5930 --case ticket --case caps
  spicewatch conformance 127.0.0.1:5930 --level protocol";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for each case
    Text,
    Json,
    /// JUnit's XML
    Junit,
}

fn level_parser() -> impl TypedValueParser<Value = Level> {
    let names = [Level::Protocol, Level::SpiceServer].map(Level::name);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Level>())
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match check(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            print_error(format_args!("spicewatch conformance: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Whether no case failed.
fn check(args: &Args) -> Result<bool, String> {
    let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|text| name.contains(&**text));
    let table: Vec<_> = cases().filter(|case| case.level() <= args.level && is_wanted(case.name())).collect();
    if args.list {
        for case in table {
            write(&print::row(case))?;
        }
        return Ok(true);
    }
    let target = args.server.target()?;
    let password = args.server.password.read()?;
    let server = format!("{} ({})", target.address, target.carrier);
    print_error(format_args!(
        "plays {} cases against {server}: up to three connections for each; live sessions end",
        table.len()
    ));
    let mut subject = Subject::new(target);
    subject.password = password;
    subject.user.clone_from(&args.user);
    subject.secured = args.secured.map(ChannelType);
    subject.unsecured = args.unsecured.map(ChannelType);
    let subject = subject.survey().map_err(|error| format!("{server}: {error}"))?;
    if let Some(seen) = &subject.no_session {
        print_error(format_args!("the server opens no session ({seen}): cases that need one will fail"));
    }
    let format = if args.server.json { Format::Json } else { args.format };
    let report = play(&table, &subject, format)?;
    match format {
        Format::Text => write(&print::summary(&report)),
        Format::Json => write(&print::json(&server, &report)),
        Format::Junit => write(&print::junit(&server, &report)),
    }?;
    Ok(report.counts().failed == 0)
}

/// Plays the cases; as text, each is printed when it is decided.
fn play(table: &[&Case], subject: &Subject, format: Format) -> Result<Report, String> {
    let outcomes = table.iter().map(|case| {
        let outcome = case.run(subject);
        if format == Format::Text {
            write(&print::line(&outcome))?;
        }
        Ok(outcome)
    });
    outcomes.collect()
}

fn write(text: &str) -> Result<(), String> {
    write_stdout(text).map_err(|error| format!("standard output: {error}"))
}
