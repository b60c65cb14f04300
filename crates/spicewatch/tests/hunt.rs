//! `spicewatch hunt` against a server with a check left out, and against no server.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::process::{Command, Output};

use spice_testkit::{
    lab,
    server::{Flaw, TestServer},
};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spicewatch")).arg("hunt").args(args).output().unwrap()
}

#[test]
fn exit_code_tells_whether_there_is_a_finding() {
    let sound = TestServer::start("sekrit", None).unwrap();
    let output = run(&[&sound.address().to_string(), "--cases", "200"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), &*text), (Some(0), "200 messages: 0 kinds of findings\n"));

    let flawed = TestServer::start("sekrit", Some(Flaw::VersionZero)).unwrap();
    let address = flawed.address().to_string();
    let output = run(&[&address, "--cases", "400", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let finding = &report["findings"][0];
    assert_eq!(finding["key"], "differs/version/refusal-4");
    assert_eq!(finding["fields"], serde_json::json!(["major_version"]));
    assert!(finding["message"].as_str().unwrap().starts_with("5245445100000000"), "{report:#}");
    let output = run(&[&address, "--cases", "400", "--allow", "differs/version/"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn conversation_is_printed_link_by_link() {
    let flawed = TestServer::start("sekrit", Some(Flaw::Ticket)).unwrap();
    let address = flawed.address().to_string();
    let output = run(&[&address, "--conversations", "--password", "sekrit", "--cases", "100", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let finding = &report["findings"][0];
    assert_eq!((&finding["check"], &finding["fields"]), (&"ticket".into(), &serde_json::json!(["credentials"])));
    assert!(finding["conversation"].as_str().unwrap().starts_with("link credentials="), "{report:#}");
}

#[test]
fn server_that_is_not_there_or_not_here_is_an_error() {
    let port = lab::free_port().unwrap();
    for (server, part) in [(&*format!("127.0.0.1:{port}"), "refused"), ("192.0.2.1:5900", "this machine's loopback")] {
        let output = run(&[server]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{text}");
    }
}
