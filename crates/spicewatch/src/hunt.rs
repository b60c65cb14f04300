//! `spicewatch hunt`: sends nearly valid first messages or conversations to a server, and prints those that it answers wrongly.

use crate::{password::Password, print_error};
use serde_derive::Serialize;
use spice_conformance::{
    ServerAddress, Subject, Target,
    hunt::{Finding, Hunt, HuntReport, OverTcp, OverUnix, Sent},
    spice_link::ChannelType,
};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    process::ExitCode,
    time::Duration,
};

/// Hunt for messages that a SPICE server answers differently from spice-server, or that end it
///
/// Each first message is nearly valid and has a connection of its own. With --conversations, up to four links follow each other, with
/// right and wrong credentials, connection ids and channels. Every kind of finding is printed once, as short as it was found. The server
/// has to be on this machine. It can crash: use a server for tests.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    /// The server: HOST:PORT on this machine's loopback, or unix:PATH
    server: String,

    /// Hold whole conversations: tickets or SASL PLAIN, sessions and their channels, WebSocket
    #[arg(long)]
    conversations: bool,

    #[command(flatten)]
    password: Password,

    /// The SASL user that has the password
    #[arg(long, requires = "secret")]
    user: Option<String>,

    /// The type of a channel that the server offers with TLS only, as a number
    #[arg(long, value_name = "TYPE", requires = "conversations")]
    secured: Option<u8>,

    /// How many messages or conversations to send
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
JSON: {server, asked, allowed, cut_short, findings: [{key, kind, check, section, fields, expected, seen, count, message or
conversation}]}; message is the client's bytes in hexadecimal, conversation has one line for each link. cut_short is true if the server
was gone or hung before all cases were sent.

Exit code: 0 if there is no finding, 1 if there is one, 2 if the server could not be reached.

Examples:
  spicewatch hunt 127.0.0.1:5930
  spicewatch hunt unix:/run/vm1.spice --conversations --password-file vm1.password
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
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
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
    if !args.conversations && args.password.is_given() {
        return Err(io::Error::other(
            "a first message has no password: --password and --password-file need --conversations",
        ));
    }
    let address = ServerAddress::resolve(&args.server, false, patience)?;
    let what = if args.conversations { "conversations" } else { "messages" };
    print_error(format_args!("sends {} {what} to {address}", args.cases));
    let mut hunt = Hunt::new().cases(args.cases).seed(args.seed);
    hunt = args.allow.iter().fold(hunt, Hunt::allow);
    if let Some(seconds) = args.time_limit {
        hunt = hunt.time_limit(Duration::from_secs(seconds));
    }
    if io::stderr().is_terminal() {
        hunt = hunt.progress(move |asked| {
            if asked > 0 && asked.is_multiple_of(500) {
                print_error(format_args!("{asked} {what} sent"));
            }
        });
    }
    let report = match &address {
        _ if args.conversations => hunt.run_conversations(subject(args, &address, patience)?)?,
        ServerAddress::Tcp(address) => hunt.run(OverTcp::new(*address)?.with_time_limit(patience))?,
        ServerAddress::Unix(path) => hunt.run(OverUnix::new(path).with_time_limit(patience))?,
        _ => return Err(io::Error::other("expected HOST:PORT or unix:PATH")),
    };
    let text = if args.json { json(address.to_string(), &report) } else { text(&report, what) };
    // A reader that has gone, such as `head`, is no error.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(report.findings.is_empty())
}

/// The server, and what it tells of itself.
fn subject(args: &Args, address: &ServerAddress, patience: Duration) -> io::Result<Subject> {
    let mut subject = Subject::new(Target::new(address.clone()).with_time_limit(patience));
    subject.password = args.password.read().map_err(io::Error::other)?;
    subject.user.clone_from(&args.user);
    subject.secured = args.secured.map(ChannelType);
    let subject = subject.survey()?;
    if let Some(seen) = &subject.no_session {
        print_error(format_args!("the server opens no session ({seen}): is the password missing?"));
    }
    Ok(subject)
}

fn text(report: &HuntReport, what: &str) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let _ = writeln!(out, "{finding}");
    }
    let allowed = if report.allowed > 0 { format!(", {} allowed", report.allowed) } else { String::new() };
    let cut_short = if report.is_cut_short { "; the server is gone or hangs" } else { "" };
    let HuntReport { asked, findings, .. } = report;
    let _ = writeln!(out, "{asked} {what}: {} kinds of findings{allowed}{cut_short}", findings.len());
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
        let (message, conversation) = match &finding.sent {
            Sent::Message(mess) => (Some(hex(&mess.bytes())), None),
            Sent::Conversation(conversation) => (None, Some(conversation.to_string())),
            _ => (None, None),
        };
        Self {
            key: finding.key(),
            kind: finding.kind.to_string(),
            check: finding.check,
            section: finding.section,
            fields: finding.fields(),
            expected: &finding.expected,
            seen: &finding.seen,
            count: finding.count,
            message,
            conversation,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
