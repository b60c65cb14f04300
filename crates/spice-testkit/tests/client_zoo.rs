//! The zoo of clients that do one thing wrong each. The hunt finds every one, and names what is wrong.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    net::SocketAddr,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use spice_testkit::{
    client::{self, ClientFlaw},
    hunt::{Finding, FindingKind, Hunt, HuntReport, Sent, replay_client},
};

const PASSWORD: &str = "sekrit";

/// How long the hunt for one flaw takes at most.
const LIMIT: Duration = Duration::from_secs(30);

/// How many hunts run at the same time.
const AT_ONCE: usize = 4;

/// A flaw, how the key of the finding starts, and fields of which the finding names one, among its fields or in what it expects.
const ZOO: &[(ClientFlaw, &str, &str)] = &[
    (ClientFlaw::Magic, "differs/magic/", "magic"),
    (ClientFlaw::Version, "differs/version/", "major_version"),
    (ClientFlaw::SizeMin, "differs/size/goes-on", "size"),
    (ClientFlaw::SizeMax, "differs/size/stays", "size"),
    (ClientFlaw::CapsCount, "differs/caps-count/goes-on", "num_"),
    (ClientFlaw::CapsEnd, "panicked/caps-range/", "num_|caps_offset|size"),
    (ClientFlaw::CapsStart, "differs/caps-range/goes-on", "caps_offset"),
    (ClientFlaw::ReplyCode, "differs/reply/goes-on", "error"),
    (ClientFlaw::ResultCode, "differs/result/", "result"),
    (ClientFlaw::MessageType, "differs/main-init/linked", "message_type"),
    (ClientFlaw::MessageSize, "differs/main-init/linked", "message_size"),
    (ClientFlaw::Hang, "hung/", "a client that goes on or ends"),
    (ClientFlaw::Stays, "differs/", "the end"),
    (ClientFlaw::ClearPassword, "differs/ticket/wrong-ticket", "encrypted"),
    (ClientFlaw::MechanismOrder, "differs/mechanism/", "mechanism"),
    (ClientFlaw::MechanismAlways, "differs/ticket/too-many-bytes", "common_caps"),
    (ClientFlaw::MechanismNever, "differs/mechanism/", "mechanism"),
    (ClientFlaw::EarlyTicket, "differs/first-message/more", "link message"),
    (ClientFlaw::OneRead, "differs/ticket/end", "byte_by_byte|cut"),
];

#[test]
fn every_flaw_of_a_client_is_found_and_named_and_a_sound_client_has_none() {
    for flaw in ClientFlaw::ALL {
        assert!(ZOO.iter().any(|(known, ..)| *known == flaw), "{flaw:?}");
    }
    let (next, wrong) = (Mutex::new(chosen().into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((flaw, key, field)) = next.lock().unwrap().next() else { return };
                    let start = Instant::now();
                    let report = hunt(Some(*flaw));
                    println!("{flaw:?}: {:.1} s, {} asked", start.elapsed().as_secs_f64(), report.asked);
                    let is_it = |finding: &&Finding| finding.key().starts_with(key) && names(finding, field);
                    if let Some(finding) = report.findings.iter().find(is_it) {
                        replays(finding, *flaw);
                    } else {
                        let found: Vec<_> = report.findings.iter().map(Finding::to_string).collect();
                        wrong.lock().unwrap().push(format!("{flaw:?}: expected {key}, {field}:\n{}", found.join("\n")));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let found: Vec<_> = hunt(None).findings.iter().map(Finding::to_string).collect();
    assert_eq!(found, [""; 0]);
}

/// The whole zoo, or the one flaw that the environment variable `ZOO_FLAW` names: `cargo xtask fuzz mutants` sets it.
fn chosen() -> Vec<&'static (ClientFlaw, &'static str, &'static str)> {
    let only = std::env::var("ZOO_FLAW").ok();
    ZOO.iter().filter(|(flaw, ..)| only.as_ref().is_none_or(|only| *only == format!("{flaw:?}"))).collect()
}

fn names(finding: &Finding, field: &str) -> bool {
    field
        .split('|')
        .any(|field| finding.fields().iter().any(|name| name.starts_with(field)) || finding.expected.contains(field))
}

fn client(flaw: Option<ClientFlaw>) -> impl Fn(SocketAddr) -> std::io::Result<()> + Send + Sync + 'static {
    move |server| client::link(server, PASSWORD, flaw)
}

fn hunt(flaw: Option<ClientFlaw>) -> HuntReport {
    let hunt = Hunt::new().time_limit(LIMIT);
    // A sound client is given more time: a busy machine must not look like a client that stays.
    let hunt = match flaw {
        Some(ClientFlaw::Hang | ClientFlaw::Stays | ClientFlaw::ResultCode) => {
            hunt.cases(600).most_findings(1).client_time_limit(Duration::from_millis(500))
        }
        Some(_) => hunt.cases(600).most_findings(6).client_time_limit(Duration::from_millis(500)),
        None => hunt.cases(1000).client_time_limit(Duration::from_secs(20)),
    };
    hunt.run_client(client(flaw), Some(PASSWORD)).unwrap()
}

/// The regression file of a finding shows it again.
fn replays(finding: &Finding, flaw: ClientFlaw) {
    assert!(matches!(finding.sent, Sent::Script(_)), "{finding}");
    if finding.kind == FindingKind::Differs {
        let found = replay_client(&finding.to_regression(), client(Some(flaw)), Some(PASSWORD)).unwrap();
        assert!(found.is_some(), "{finding}");
    }
}
