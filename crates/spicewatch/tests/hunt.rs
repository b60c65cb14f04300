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

#[test]
fn refused_password_is_an_error() {
    for (start, args, part) in [
        (TestServer::start as fn(&str, Option<Flaw>) -> _, &["--password", "wrong"][..], "it refuses the password"),
        (TestServer::start, &[], "it requires a password"),
        (TestServer::start_sasl, &["--password", "wrong", "--user", "alice"], "it refuses the user or the password"),
        (TestServer::start_sasl, &[], "it requires SASL"),
    ] {
        let server = start("sekrit", None).unwrap();
        let address = server.address().to_string();
        let output = run(&[&[&*address, "--conversations"], args].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{text}");
    }
}

/// spice-gtk keeps a connection whose `MAIN_INIT` has a wrong size: a deviation that is known. It has no other one here.
#[test]
fn spice_gtk_closes_where_a_sound_client_does() {
    if !lab::have(&[lab::Peer::SpiceGtk]) {
        return;
    }
    let client = ["--", "spicy-screenshot", "-h", "{host}", "-p", "{port}", "-w", "sekrit"];
    let hunt = ["--password", "sekrit", "--cases", "20", "--patience", "8", "--time-limit", "40", "--json"];
    let output = run(&[&hunt[..], &["--allow", "differs/main-init/stays"], &client].concat());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["findings"]), (Some(0), &serde_json::json!([])), "{report:#}");
}

/// The page's command: tshark reads the capture of a finding, and finds SPICE in it.
#[test]
fn tshark_reads_the_capture_of_a_finding() {
    if !lab::have(&[lab::Peer::Tshark]) {
        return;
    }
    let flawed = TestServer::start("sekrit", Some(Flaw::VersionZero)).unwrap();
    let scratch = lab::Scratch::new().unwrap();
    let folder = scratch.join("captures");
    let output = run(&[&flawed.address().to_string(), "--cases", "400", "--captures", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(folder.join("finding-1.pcap")).args(["-d", "tcp.port==5900,spice", "-V"]);
    let text = String::from_utf8(tshark.output().unwrap().stdout).unwrap();
    for part in ["Spice protocol", "SPICE MAGIC: REDQ", "Protocol major version: 0"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// The commands of docs/FUZZING.md: boofuzz finds a server that dies.
#[test]
fn boofuzz_script_of_the_page_runs() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let Some(programs) = lab::python_packages(&["boofuzz==0.4.2"], folder) else { return };
    let page = include_str!("../../../docs/FUZZING.md");
    let script = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let scratch = lab::Scratch::new().unwrap();
    std::fs::write(scratch.join("spice_link.py"), script).unwrap();
    let fuzz = |flaw, cases: &str| {
        let server = TestServer::start("sekrit", flaw).unwrap();
        let mut python = Command::new(programs.join("python"));
        let port = server.address().port().to_string();
        python.args(["spice_link.py", "127.0.0.1", &port, cases]).current_dir(scratch.path());
        let output = python.output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let text = fuzz(None, "12");
    assert!(text.contains("Test Case: 12: link:[link.major_version:"), "{text}");
    assert!(text.contains("Check OK: No crash detected.") && text.contains("52 45 44 51"), "{text}");
}

#[test]
fn several_messages_at_once_find_the_same() {
    let flawed = TestServer::start("sekrit", Some(Flaw::SizeMin)).unwrap();
    let output =
        run(&[&flawed.address().to_string(), "--parallel", "8", "--cases", "300", "--patience", "1", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["check"], "size", "{report:#}");
    assert_eq!(report["findings"][0]["fields"], serde_json::json!(["size"]));
}
