//! `hunt` against our own acceptor, and against a running server with one check left out.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use spice_testkit::{
    hunt::{Answered, Finding, Hunt},
    model::ModelHost,
    spice_link::{AcceptStatus, ChannelType, CloseReason, LinkAcceptor},
};

#[cfg(all(feature = "server", feature = "battery"))]
use spice_testkit::{server::TestServer, spice_conformance::Subject};

/// The acceptor with one channel beside main, and FIN behind the message.
fn acceptor(bytes: &[u8]) -> Answered {
    let (mut host, mut out) = (ModelHost::new(&[(3, 0, 1)]), [0; 1024]);
    let turn = LinkAcceptor::new().read(&mut host, bytes, &mut out);
    let is_leaked = matches!(turn.outcome, AcceptStatus::Close(CloseReason::NoSelection));
    Answered { bytes: out[..turn.written].to_vec(), is_ended: !is_leaked }
}

#[test]
fn acceptor_answers_as_spice_server_does() {
    let report = Hunt::new().cases(5000).channels(&[(ChannelType::INPUTS, 0)]).run(|bytes: &[u8]| Ok(acceptor(bytes)));
    assert_eq!(report.unwrap().findings, []);
}

#[cfg(feature = "server")]
#[test]
fn left_out_checks_of_a_running_server_are_found() {
    use spice_testkit::{
        hunt::OverTcp,
        server::{CHANNELS, Flaw, SECURED, TestServer},
    };

    let channels: Vec<_> =
        CHANNELS.iter().map(|(kind, id)| (ChannelType(*kind), *id)).chain([(ChannelType(SECURED), 0)]).collect();
    let hunt = |flaw| {
        let server = TestServer::start("sekrit", flaw).unwrap();
        let report = Hunt::new().cases(700).channels(&channels).run(OverTcp::new(server.address()).unwrap()).unwrap();
        report.findings.iter().map(|finding| (finding.key(), finding.fields())).collect::<Vec<_>>()
    };
    assert_eq!(hunt(None), []);
    for (flaw, key, field) in [
        (Flaw::Magic, "differs/magic/", "magic"),
        (Flaw::Version, "differs/version/", "major_version"),
        (Flaw::VersionZero, "differs/version/refusal-4", "major_version"),
        (Flaw::SizeMin, "differs/size/", "size"),
        (Flaw::CapsCount, "differs/caps-count/", "num_"),
        (Flaw::CapsStart, "differs/caps-range/", "caps_offset"),
        (Flaw::Existence, "differs/accepted/", "channel_"),
    ] {
        let found = hunt(Some(flaw));
        let is_right = |(name, fields): &(String, Vec<&str>)| {
            name.starts_with(key) && fields.iter().any(|name| name.starts_with(field))
        };
        assert!(found.iter().any(is_right), "{flaw:?}: {found:?}");
    }
}

/// A subject for a test server, after a survey, with this time limit in milliseconds.
#[cfg(all(feature = "server", feature = "battery"))]
fn survey(server: &TestServer, has_sasl: bool, limit: u64) -> Subject {
    use spice_testkit::{
        server::{SECURED, USER},
        spice_conformance::Target,
    };

    let target = Target::new(server.address()).with_time_limit(std::time::Duration::from_millis(limit));
    let subject = Subject::new(target).with_password("sekrit").with_secured(ChannelType(SECURED));
    let subject = if has_sasl { subject.with_user(USER) } else { subject };
    let subject = subject.survey().unwrap();
    if subject.other.is_none() { subject.with_channels(&[(ChannelType::INPUTS, 0)]) } else { subject }
}

#[cfg(all(feature = "server", feature = "battery"))]
#[test]
fn conversations_with_a_sound_server_have_no_finding() {
    for has_sasl in [false, true] {
        let start = if has_sasl { TestServer::start_sasl } else { TestServer::start };
        let server = start("sekrit", None).unwrap();
        let report = Hunt::new().cases(100).run_conversations(survey(&server, has_sasl, 2000)).unwrap();
        let found: Vec<_> = report.findings.iter().map(Finding::to_string).collect();
        assert_eq!((found, report.asked), (Vec::new(), 100), "sasl: {has_sasl}");
    }
}

#[cfg(all(feature = "server", feature = "battery"))]
#[test]
fn flaws_behind_the_first_message_are_found_by_conversations() {
    use spice_testkit::{
        hunt::{Sent, replay_conversation},
        server::Flaw,
    };

    for (flaw, check, fields) in [
        (Flaw::Mechanism, "mechanism", &["mechanism"][..]),
        (Flaw::Ticket, "ticket", &["credentials"]),
        (Flaw::ConnectionId, "connection-id", &["channel", "id"]),
        (Flaw::Duplicate, "duplicate", &["channel"]),
        (Flaw::Kick, "take-over", &[]),
        (Flaw::SessionId, "session-id", &[]),
        (Flaw::Key, "key", &[]),
        (Flaw::Upgrade, "websocket", &["carrier"]),
        (Flaw::Security, "tls-policy", &["channel"]),
        (Flaw::Existence, "existence", &["channel"]),
        (Flaw::Close, "mechanism", &["mechanism"]),
        (Flaw::Selection, "selection", &["selects_nothing"]),
        (Flaw::SaslName, "sasl", &["credentials"]),
        (Flaw::SaslPassword, "sasl", &["credentials"]),
    ] {
        let has_sasl = flaw.needs_sasl();
        let start = if has_sasl { TestServer::start_sasl } else { TestServer::start };
        let server = start("sekrit", Some(flaw)).unwrap();
        let subject = survey(&server, has_sasl, 500);
        let report = Hunt::new().cases(150).most_findings(1).run_conversations(subject.clone()).unwrap();
        let found: Vec<_> = report.findings.iter().map(|finding| (finding.check, finding.fields())).collect();
        let finding = report.findings.iter().find(|finding| finding.check == check && finding.fields() == fields);
        let finding = finding.unwrap_or_else(|| panic!("{flaw:?}: {found:?}"));
        let Sent::Conversation(conversation) = &finding.sent else { panic!("{finding}") };
        assert_eq!(conversation.to_string().parse(), Ok(conversation.clone()));
        assert!(replay_conversation(&finding.to_regression(), &subject).unwrap().is_some(), "{flaw:?}: {finding}");
    }
}

#[test]
fn example_finds_the_bound_that_its_server_forgets() {
    let run = ["run", "--quiet", "--package", "spice-testkit", "--all-features", "--example", "hunt"];
    let output = std::process::Command::new(env!("CARGO")).args(run).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("differs/size/nothing-without-end ("), "{text}");
    assert!(
        text.contains("section 8; fields: size\n") && text.ends_with("2000 messages, 1 kinds of findings\n"),
        "{text}"
    );
}

/// What a person reads of a finding.
#[test]
fn finding_shows_its_bytes_its_section_and_its_choices() {
    let report = Hunt::new()
        .run(|bytes: &[u8]| Ok(if bytes.starts_with(b"REDQ") { acceptor(bytes) } else { Vec::new().into() }));
    let shown = report.unwrap().findings.iter().map(Finding::to_string).collect::<String>();
    assert!(shown.starts_with("differs/magic/nothing ("), "{shown}");
    for part in
        ["expected a refusal with 2 and the end, saw nothing and the end", "section 8; fields: magic", "on the wire: "]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
