//! `hunt` against our own acceptor, and against a running server with one check left out.

use spice_testkit::{
    hunt::{Answered, Finding, Hunt},
    model::ModelHost,
    spice_link::{AcceptStatus, ChannelType, CloseReason, LinkAcceptor},
};

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
