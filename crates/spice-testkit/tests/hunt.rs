//! `hunt` against our own acceptor; `zoo.rs` has running servers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

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
