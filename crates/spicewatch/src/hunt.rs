//! `spicewatch hunt`: sends nearly valid first messages to a server, and prints those that it answers wrongly.

use crate::print_error;
use serde_derive::Serialize;
use spice_conformance::{
    ServerAddress,
    hunt::{Finding, Hunt, HuntReport, OverTcp},
};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    process::ExitCode,
    time::Duration,
};

/// Hunt for first messages that a SPICE server answers differently from spice-server, or that end it
///
/// Each message is nearly valid and has a connection of its own. Every kind of finding is printed once, with the shortest message that was found. The server
/// has to be on this machine. It can crash: use a server for tests.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    /// The server, HOST:PORT on this machine's loopback
    server: String,

    /// How many messages to send
    #[arg(long, value_name = "NUMBER", default_value_t = 2000)]
    cases: u64,

    /// The seed of the messages; the same seed sends the same messages
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Stop after this many seconds, with the findings so far
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,

    /// How long to wait for an answer, in seconds (1 to 60)
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    patience: u64,

    /// Ignore findings whose key starts with KEY, for example differs/version/; can be repeated
    #[arg(long, value_name = "KEY")]
    allow: Vec<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
JSON: {server, asked, allowed, cut_short, findings: [{key, kind, check, section, fields, expected, seen, count, message}]}; message is the
client's bytes in hexadecimal. cut_short is true if the server was gone or hung before all messages were sent.

Exit code: 0 if there is no finding, 1 if there is one, 2 if the server could not be reached.

Examples:
  spicewatch hunt 127.0.0.1:5930
  spicewatch hunt 127.0.0.1:5930 --cases 100000 --time-limit 60 --allow differs/version/ --json";

#[derive(Serialize)]
struct JsonReport<'a> {
    server: String,
    asked: u64,
    allowed: u64,
    cut_short: bool,
    findings: Vec<JsonFinding<'a>>,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    key: String,
    kind: String,
    check: &'a str,
    section: u8,
    fields: Vec<&'a str>,
    expected: &'a str,
    seen: &'a str,
    count: u64,
    message: String,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match hunt(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            print_error(format_args!("spicewatch hunt: {}: {error}", args.server));
            ExitCode::from(2)
        }
    }
}

/// Whether there is no finding.
fn hunt(args: &Args) -> io::Result<bool> {
    let patience = Duration::from_secs(args.patience.clamp(1, 60));
    let ServerAddress::Tcp(address) = ServerAddress::resolve(&args.server, false, patience)? else {
        return Err(io::Error::other("expected HOST:PORT"));
    };
    print_error(format_args!("sends {} messages to {address}, each on a connection of its own", args.cases));
    let mut hunt = Hunt::new().cases(args.cases).seed(args.seed);
    hunt = args.allow.iter().fold(hunt, Hunt::allow);
    if let Some(seconds) = args.time_limit {
        hunt = hunt.time_limit(Duration::from_secs(seconds));
    }
    if io::stderr().is_terminal() {
        hunt = hunt.progress(|asked| {
            if asked > 0 && asked.is_multiple_of(500) {
                print_error(format_args!("{asked} messages sent"));
            }
        });
    }
    let report = hunt.run(OverTcp::new(address)?.with_time_limit(patience))?;
    let text = if args.json { json(address.to_string(), &report) } else { text(&report) };
    // A reader that has gone, such as `head`, is no error.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(report.findings.is_empty())
}

fn text(report: &HuntReport) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let _ = writeln!(out, "{finding}");
    }
    let allowed = if report.allowed > 0 { format!(", {} allowed", report.allowed) } else { String::new() };
    let cut_short = if report.is_cut_short { "; the server is gone or hangs" } else { "" };
    let HuntReport { asked, findings, .. } = report;
    let _ = writeln!(out, "{asked} messages: {} kinds of findings{allowed}{cut_short}", findings.len());
    out
}

fn json(server: String, report: &HuntReport) -> String {
    let findings = report.findings.iter().map(JsonFinding::from).collect();
    let HuntReport { asked, allowed, is_cut_short: cut_short, .. } = *report;
    let report = JsonReport { server, asked, allowed, cut_short, findings };
    serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
}

impl<'a> From<&'a Finding> for JsonFinding<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            key: finding.key(),
            kind: finding.kind.to_string(),
            check: finding.check,
            section: finding.section,
            fields: finding.fields(),
            expected: &finding.expected,
            seen: &finding.seen,
            count: finding.count,
            message: hex(&finding.mess.bytes()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
