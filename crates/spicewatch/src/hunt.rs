//! `spicewatch hunt`: sends nearly valid first messages or conversations to a server, and prints those that it answers wrongly.

use crate::{password::Password, print_error, write_stdout};
use serde_derive::Serialize;
use spice_conformance::{
    ServerAddress, Subject, Target,
    hunt::{ClientCommand, Finding, Hunt, HuntReport, OverTcp, OverUnix, Sent},
    spice_link::ChannelType,
};
use std::{
    fmt::Write as _,
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// Hunt for messages that a SPICE server answers differently from spice-server, or that end it
///
/// Each first message is nearly valid and has a connection of its own. With --conversations, up to four links follow each other, with
/// right and wrong credentials, connection ids and channels. Every kind of finding is printed once, as short as it was found. The server
/// has to be on this machine. It can crash: use a server for tests.
///
/// With -- PROGRAM ARGS in place of a server, the hunt is for clients: PROGRAM is started once for each case, with {host} and {port} in
/// ARGS replaced by the address of a hostile server.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    /// The server: HOST:PORT on this machine's loopback, or unix:PATH
    #[arg(required_unless_present = "client")]
    server: Option<String>,

    /// The client under test: a program and its arguments, in which {host} and {port} are replaced by the hostile server's address
    #[arg(last = true, value_name = "PROGRAM", conflicts_with_all = ["server", "conversations", "user", "parallel"])]
    client: Vec<String>,

    /// Hold whole conversations: tickets, SASL PLAIN or SASL DIGEST-MD5, sessions and their channels, WebSocket
    #[arg(long)]
    conversations: bool,

    /// How many first messages to send at the same time (1 to 64)
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64), conflicts_with = "conversations")]
    parallel: u64,

    #[command(flatten)]
    password: Password,

    /// The SASL user that has the password
    #[arg(long, requires = "secret")]
    user: Option<String>,

    /// The type of a channel that the server offers with TLS only, as a number
    #[arg(long, value_name = "TYPE", requires = "conversations")]
    secured: Option<u8>,

    /// How many messages or conversations to send, or how often to start the client; without it 2000, and 100 for a client
    #[arg(long, value_name = "NUMBER")]
    cases: Option<u64>,

    /// The seed of the messages; the same seed sends the same messages
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Stop after this many seconds, with the findings so far
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,

    /// How long to wait for an answer, or for each step of a client, in seconds (1 to 60)
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    patience: u64,

    /// Ignore findings whose key starts with KEY, for example differs/version/; can be repeated
    #[arg(long, value_name = "KEY")]
    allow: Vec<String>,

    /// Write each finding as a pcap file for Wireshark into this folder: finding-1.pcap and so on. Conversations are not written
    #[arg(long, value_name = "FOLDER", conflicts_with = "conversations")]
    captures: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
JSON: {server, asked, allowed, cut_short, findings: [{key, kind, check, section, fields, expected, seen, count, message, conversation
or script}]}; message is the client's bytes in hexadecimal, conversation has one line for each link, script says what a hostile server
sent. server is the program for a client. cut_short is true if the server was gone or hung before all cases were sent.

Progress goes to stderr every few seconds if that is a terminal.

Exit code: 0 if there is no finding, 1 if there is one, 2 if the server can't be reached or refuses the password, or the client does not
connect.

Examples:
  spicewatch hunt 127.0.0.1:5930
  spicewatch hunt unix:/run/vm1.spice --conversations --password-file vm1.password
  spicewatch hunt 127.0.0.1:5930 --cases 100000 --parallel 8 --time-limit 60 --allow differs/version/ --json
  spicewatch hunt --password sekrit --time-limit 60 -- spicy-screenshot -h {host} -p {port} -w sekrit";

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
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match hunt(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            print_error(format_args!("spicewatch hunt: {}: {error}", args.target()));
            ExitCode::from(2)
        }
    }
}

impl Args {
    /// What is hunted in: the server as it was given, or the client's program.
    fn target(&self) -> &str {
        self.server.as_deref().or_else(|| self.client.first().map(String::as_str)).unwrap_or_default()
    }

    fn cases(&self) -> u64 {
        self.cases.unwrap_or(if self.client.is_empty() { 2000 } else { 100 })
    }

    /// What is sent.
    fn what(&self) -> &'static str {
        match (self.client.is_empty(), self.conversations) {
            (false, _) => "scripts",
            (true, true) => "conversations",
            (true, false) => "messages",
        }
    }
}

/// Whether there is no finding.
fn hunt(args: &Args) -> io::Result<bool> {
    let patience = Duration::from_secs(args.patience.clamp(1, 60));
    let is_message = args.client.is_empty() && !args.conversations;
    if is_message && args.password.is_given() {
        return Err(io::Error::other(
            "a first message has no password: --password and --password-file need --conversations",
        ));
    }
    let what = args.what();
    let mut hunt = Hunt::new().cases(args.cases()).seed(args.seed).parallel(args.parallel);
    hunt = args.allow.iter().fold(hunt, Hunt::allow);
    if let Some(seconds) = args.time_limit {
        hunt = hunt.time_limit(Duration::from_secs(seconds));
    }
    if io::stderr().is_terminal() {
        let mut last = Instant::now();
        hunt = hunt.progress(move |asked| {
            if last.elapsed() >= PROGRESS {
                last = Instant::now();
                print_error(format_args!("{asked} {what} sent"));
            }
        });
    }
    let (name, report) = if let [program, rest @ ..] = &args.client[..] {
        print_error(format_args!("starts {program} {} times, each with a hostile server", args.cases()));
        let client = ClientCommand::new(program).args(rest.iter().map(String::as_str)).time_limit(patience * 2);
        let password = args.password.read().map_err(io::Error::other)?;
        (program.clone(), hunt.client_time_limit(patience).run_client(client, password.as_deref())?)
    } else {
        let address = ServerAddress::resolve(args.target(), false, patience)?;
        print_error(format_args!("sends {} {what} to {address}", args.cases()));
        let report = match &address {
            _ if args.conversations => hunt.run_conversations(subject(args, &address, patience)?)?,
            ServerAddress::Tcp(address) => hunt.run(OverTcp::new(*address)?.with_time_limit(patience))?,
            ServerAddress::Unix(path) => hunt.run(OverUnix::new(path).with_time_limit(patience))?,
            _ => return Err(io::Error::other("expected HOST:PORT or unix:PATH")),
        };
        (address.to_string(), report)
    };
    if let Some(folder) = &args.captures {
        write_captures(folder, &report)?;
    }
    let text = if args.json { json(name, &report) } else { text(&report, what) };
    write_stdout(&text).map_err(|error| io::Error::new(error.kind(), format!("standard output: {error}")))?;
    Ok(report.findings.is_empty())
}

fn write_captures(folder: &Path, report: &HuntReport) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (number, finding) in (1..).zip(&report.findings) {
        if let Some(capture) = finding.to_pcap() {
            fs::write(folder.join(format!("finding-{number}.pcap")), capture)?;
        }
    }
    Ok(())
}

/// How often progress is printed.
const PROGRESS: Duration = Duration::from_secs(2);

/// The server, and what it tells of itself.
///
/// # Errors
/// If it refuses the password: every conversation would be a finding, and none would reach what follows.
fn subject(args: &Args, address: &ServerAddress, patience: Duration) -> io::Result<Subject> {
    let mut subject = Subject::new(Target::new(address.clone()).with_time_limit(patience));
    subject.password = args.password.read().map_err(io::Error::other)?;
    subject.user.clone_from(&args.user);
    subject.secured = args.secured.map(ChannelType);
    let subject = subject.survey()?;
    if let Some(seen) = subject.refused_credentials()? {
        let what = match (subject.requires_sasl(), &subject.password) {
            (true, None) => "it requires SASL: give --user, and --password or --password-file",
            (true, Some(_)) => "it refuses the user or the password",
            (false, None) => "it requires a password: give --password or --password-file",
            (false, Some(_)) => "it refuses the password",
        };
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{what} (it answers: {seen})")));
    }
    if let Some(seen) = &subject.no_session {
        print_error(format_args!("the server opens no session: {seen}"));
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
        let (mut message, mut conversation, mut script) = (None, None, None);
        match &finding.sent {
            Sent::Message(mess) => message = Some(hex(&mess.bytes())),
            Sent::Conversation(links) => conversation = Some(links.to_string()),
            Sent::Script(sent) => script = Some(sent.to_string()),
            _ => {}
        }
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
            script,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
