//! The zoo: servers that do one thing wrong each. The hunt finds every one, and names what is wrong.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    io,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use spice_testkit::{
    hunt::{Finding, FindingKind, Hunt, HuntReport, OverTcp, Sent, replay_conversation},
    server::{CHANNELS, Flaw, SECURED, TestServer, USER},
    spice_conformance::{Subject, Target},
    spice_link::ChannelType,
};

const PASSWORD: &str = "sekrit";

/// How long the hunt for one flaw takes at most.
const LIMIT: Duration = Duration::from_secs(30);

/// How many hunts run at the same time. Most of a hunt for a server that does not answer is waiting.
const AT_ONCE: usize = 6;

/// What is sent to find a flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Messages,
    Conversations,
}
use How::{Conversations, Messages};

/// A flaw, what is sent, how the key of the finding starts, and fields of which the finding names one, among its fields or in what it
/// expects.
const ZOO: &[(Flaw, How, &str, &str)] = &[
    (Flaw::Magic, Messages, "differs/magic/", "magic"),
    (Flaw::Version, Messages, "differs/version/", "major_version"),
    (Flaw::VersionZero, Messages, "differs/version/refusal-4", "major_version"),
    (Flaw::SizeMin, Messages, "differs/size/nothing", "size"),
    (Flaw::SizeMax, Messages, "differs/size/nothing", "size"),
    (Flaw::CapsCount, Messages, "differs/caps-count/", "num_"),
    (Flaw::CapsEnd, Messages, "differs/caps-range/reply", "num_|caps_offset|size"),
    (Flaw::CapsStart, Messages, "differs/caps-range/", "caps_offset"),
    (Flaw::Existence, Messages, "differs/accepted/reply", "channel_"),
    (Flaw::Mechanism, Conversations, "differs/mechanism/", "mechanism"),
    (Flaw::Ticket, Conversations, "differs/ticket/", "credentials"),
    (Flaw::ConnectionId, Conversations, "differs/connection-id/", "id"),
    (Flaw::Duplicate, Conversations, "differs/duplicate/", "channel"),
    (Flaw::Kick, Conversations, "differs/take-over/", "the end of the main channel"),
    (Flaw::SessionId, Conversations, "differs/session-id/", "an id that is new"),
    (Flaw::Close, Conversations, "differs/", "end"),
    (Flaw::Key, Conversations, "differs/key/", "another key"),
    (Flaw::Upgrade, Conversations, "differs/websocket/", "carrier"),
    (Flaw::Security, Conversations, "differs/tls-policy/", "channel"),
    (Flaw::Selection, Conversations, "differs/selection/", "selects_nothing"),
    (Flaw::SaslName, Conversations, "differs/sasl/", "credentials"),
    (Flaw::SaslPassword, Conversations, "differs/sasl/", "credentials"),
    (Flaw::Silent, Messages, "differs/accepted/nothing", "an accepting reply"),
    (Flaw::ReplyMagic, Messages, "differs/accepted/other-reply", "magic"),
    (Flaw::ReplyCut, Messages, "differs/accepted/reply", "bytes"),
    (Flaw::ReplyMinor, Messages, "differs/accepted/reply", "version is 2.2"),
    (Flaw::ReplyOffset, Messages, "differs/accepted/reply", "offset"),
    (Flaw::ReplyKey, Messages, "differs/accepted/reply", "RSA key"),
    (Flaw::SaslKey, Messages, "differs/accepted/reply", "zeros in place of a key"),
    (Flaw::Residue, Messages, "differs/", "a refusal with"),
    (Flaw::MagicCode, Messages, "differs/magic/refusal-3", "magic"),
    (Flaw::InvalidCode, Messages, "differs/size/refusal-1", "size"),
    (Flaw::Order, Messages, "differs/version/refusal-3", "major_version"),
    (Flaw::TlsCode, Conversations, "differs/tls-policy/reply-6", "channel"),
    (Flaw::TicketCode, Conversations, "differs/ticket/reply-0-result-1", "credentials"),
    (Flaw::IdCode, Conversations, "differs/connection-id/reply-0-result-9", "id"),
    (Flaw::NoMainInit, Conversations, "differs/main-init/reply-0-result-0-nothing", "main_init"),
    (Flaw::InitFirst, Conversations, "differs/main-init/", "main_init"),
    (Flaw::ShortInit, Conversations, "differs/main-init/", "main_init"),
    (Flaw::MainLeaves, Conversations, "differs/main-leaves/", "leaves"),
    (Flaw::WebSocketKey, Conversations, "differs/websocket/", "carrier"),
    (Flaw::Crash, Messages, "gone/caps-range/", "caps_offset"),
    (Flaw::CrashTicket, Conversations, "gone/", "credentials"),
    (Flaw::Hang, Messages, "hung/size/", "size"),
    (Flaw::HangSasl, Conversations, "hung/", "credentials"),
    (Flaw::Endless, Messages, "differs/size/", "size"),
];

#[test]
fn every_flaw_is_in_the_zoo() {
    for flaw in Flaw::CHECKS.iter().chain(&Flaw::ANSWERS) {
        assert!(ZOO.iter().any(|(known, ..)| known == flaw), "{flaw:?}");
    }
}

/// Both in one test, so that the hunts share the machine with no other ones.
#[test]
fn every_flaw_is_found_and_named_and_a_sound_server_has_none() {
    let (next, wrong) = (Mutex::new(chosen().into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((flaw, how, key, field)) = next.lock().unwrap().next() else { return };
                    let start = Instant::now();
                    let server = server(Some(*flaw), flaw.needs_sasl());
                    let report = hunt(&server, *how);
                    println!("{flaw:?}, {how:?}: {:.1} s", start.elapsed().as_secs_f64());
                    let is_it = |finding: &&Finding| finding.key().starts_with(key) && names(finding, field);
                    if let Some(finding) = report.findings.iter().find(is_it) {
                        replays(finding, &server);
                    } else {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{flaw:?}, {how:?}: expected {key}, {field}:\n{}", text(&report)));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (sasl, how) in [(false, Messages), (true, Messages), (false, Conversations), (true, Conversations)] {
        let found: Vec<_> = hunt(&server(None, sasl), how).findings.iter().map(Finding::to_string).collect();
        assert_eq!(found, [""; 0], "sasl: {sasl}, {how:?}");
    }
}

/// The whole zoo, or the one flaw that the environment variable `ZOO_FLAW` names: `cargo xtask fuzz mutants` sets it.
fn chosen() -> Vec<&'static (Flaw, How, &'static str, &'static str)> {
    let only = std::env::var("ZOO_FLAW").ok();
    ZOO.iter().filter(|(flaw, ..)| only.as_ref().is_none_or(|only| *only == format!("{flaw:?}"))).collect()
}

fn text(report: &HuntReport) -> String {
    report.findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
}

fn names(finding: &Finding, field: &str) -> bool {
    field
        .split('|')
        .any(|field| finding.fields().iter().any(|name| name.starts_with(field)) || finding.expected.contains(field))
}

/// A conversation that was found has at most two fields that are not plain, and its regression file shows the difference again.
fn replays(finding: &Finding, server: &Zoo) {
    let Sent::Conversation(conversation) = &finding.sent else { return };
    assert!(finding.fields().len() <= 2, "{finding}");
    assert_eq!(conversation.to_string().parse(), Ok(conversation.clone()));
    if finding.kind == FindingKind::Differs {
        let subject = subject(server, Duration::from_millis(500)).unwrap();
        assert!(replay_conversation(&finding.to_regression(), &subject).unwrap().is_some(), "{finding}");
    }
}

/// A server, what it does wrong, and whether it requires SASL.
struct Zoo {
    server: Arc<TestServer>,
    flaw: Option<Flaw>,
    sasl: bool,
}

fn server(flaw: Option<Flaw>, sasl: bool) -> Zoo {
    let start = if sasl { TestServer::start_sasl } else { TestServer::start };
    Zoo { server: Arc::new(start(PASSWORD, flaw).unwrap()), flaw, sasl }
}

fn hunt(zoo: &Zoo, how: How) -> HuntReport {
    let Zoo { server, flaw, .. } = zoo;
    // A sound server is given more time: a busy machine must not look like a silent server.
    let patience = Duration::from_millis(if flaw.is_some() { 500 } else { 10_000 });
    let again = Arc::clone(server);
    let hunt = Hunt::new().time_limit(LIMIT).restart(move || again.restart());
    match how {
        Messages => {
            let channels: Vec<_> = CHANNELS
                .iter()
                .map(|(kind, id)| (ChannelType(*kind), *id))
                .chain([(ChannelType(SECURED), 0)])
                .collect();
            let over = OverTcp::new(server.address()).unwrap().with_time_limit(patience);
            hunt.cases(if flaw.is_some() { 1000 } else { 400 }).most_findings(3).channels(&channels).run(over).unwrap()
        }
        Conversations => {
            let subject = subject(zoo, patience).unwrap();
            // A finding of a server that does not answer takes long: one is enough.
            hunt.cases(if flaw.is_some() { 200 } else { 50 }).most_findings(1).run_conversations(subject).unwrap()
        }
    }
}

fn subject(zoo: &Zoo, patience: Duration) -> io::Result<Subject> {
    let Zoo { server, sasl, .. } = zoo;
    let target = Target::new(server.address()).with_time_limit(patience);
    let subject = Subject::new(target).with_password(PASSWORD).with_secured(ChannelType(SECURED));
    let subject = if *sasl { subject.with_user(USER) } else { subject };
    let subject = subject.survey()?;
    // A server that shows no channels, or no session, still has them.
    Ok(if subject.other.is_none() { subject.with_channels(&[(ChannelType::INPUTS, 0)]) } else { subject })
}
