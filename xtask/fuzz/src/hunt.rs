//! `cargo xtask fuzz hunt`: hunts in this project's own acceptor. First messages go to a function, conversations to a server on
//! loopback, half of them with tickets and half with SASL.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use spice_testkit::{
    hunt::{Answered, Hunt, HuntReport},
    model::ModelHost,
    server::{SECURED, TestServer, USER},
    spice_conformance::{Subject, Target},
    spice_link::{AcceptStatus, ChannelType, CloseReason, LinkAcceptor},
};

const PASSWORD: &str = "sekrit";

/// A sound server always answers. A machine that is busy with other work must not look like a silent server.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many first messages to send.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// How many conversations to hold.
    #[arg(long, default_value_t = 10_000)]
    conversations: u64,
    /// The seed of both.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds after which each part ends with what it has done.
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let hunt = || Hunt::new().seed(args.seed).time_limit(Duration::from_secs(args.seconds));
    let start = Instant::now();
    let report =
        hunt().cases(args.messages).channels(&[(ChannelType::INPUTS, 0)]).run(|bytes: &[u8]| Ok(acceptor(bytes)))?;
    let mut findings = show("messages", &report, start);
    if args.conversations > 0 {
        let start = Instant::now();
        let halves = [false, true].map(|sasl| {
            let (cases, seed, seconds) = (args.conversations / 2, args.seed, args.seconds);
            thread::spawn(move || conversations(sasl, cases, seed, seconds))
        });
        for (half, name) in halves.into_iter().zip(["conversations with tickets", "conversations with SASL"]) {
            let report = half.join().map_err(|_| anyhow!("a hunt has panicked"))??;
            findings += show(name, &report, start);
        }
    }
    ensure!(findings == 0, "{findings} kinds of findings in a sound server");
    Ok(())
}

/// Prints what a hunt has found, and returns how many kinds.
fn show(what: &str, report: &HuntReport, start: Instant) -> usize {
    for finding in &report.findings {
        println!("{finding}\n");
    }
    println!(
        "{} {what}, {} kinds of findings, {:.0} s",
        report.asked,
        report.findings.len(),
        start.elapsed().as_secs_f64()
    );
    report.findings.len()
}

/// The acceptor with one channel beside main, and FIN behind the message.
fn acceptor(bytes: &[u8]) -> Answered {
    let (mut host, mut out) = (ModelHost::new(&[(3, 0, 1)]), [0; 1024]);
    let turn = LinkAcceptor::new().read(&mut host, bytes, &mut out);
    let mut answered = Answered::from(out[..turn.written].to_vec());
    answered.is_ended = !matches!(turn.outcome, AcceptStatus::Close(CloseReason::NoSelection));
    answered
}

fn conversations(sasl: bool, cases: u64, seed: u64, seconds: u64) -> Result<HuntReport> {
    let server = if sasl { TestServer::start_sasl(PASSWORD, None)? } else { TestServer::start(PASSWORD, None)? };
    let target = Target::new(server.address()).with_time_limit(PATIENCE);
    let subject = Subject::new(target).with_password(PASSWORD).with_secured(ChannelType(SECURED));
    let subject = if sasl { subject.with_user(USER) } else { subject };
    let mut subject = subject.survey()?;
    if subject.other.is_none() {
        // A survey opens no session with SASL.
        subject = subject.with_channels(&[(ChannelType::INPUTS, 0)]);
    }
    let hunt = Hunt::new().cases(cases).seed(seed).time_limit(Duration::from_secs(seconds));
    Ok(hunt.run_conversations(subject)?)
}
