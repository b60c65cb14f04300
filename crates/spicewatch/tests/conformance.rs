//! The conformance runner against a real QEMU, against our own acceptor, and against acceptors with one check left out.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    io,
    process::{Command, Output},
    thread,
};

use spice_testkit::{
    lab::{self, Peer, Pki, SaslUser, Vm},
    server::{self, Flaw, TestServer},
};

const PASSWORD: &str = "sekrit";

fn run(args: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_spicewatch")).args(args).output()
}

/// The result of a run: how many cases passed, how many were skipped, and the names of those that failed.
fn conformance(args: &[&str]) -> io::Result<(u64, u64, Vec<String>)> {
    conformance_with("3", args)
}

fn conformance_with(patience: &str, args: &[&str]) -> io::Result<(u64, u64, Vec<String>)> {
    let output = run(&[&["conformance", "--format", "json", "--patience", patience], args].concat())?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let cases = report["cases"].as_array().unwrap().iter();
    let failed = cases.filter(|case| case["outcome"] == "failed");
    let failed: Vec<_> = failed.map(|case| case["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(output.status.code(), Some(i32::from(!failed.is_empty())), "{report:#}");
    Ok((report["passed"].as_u64().unwrap(), report["skipped"].as_u64().unwrap(), failed))
}

#[test]
fn qemu_passes_plain_in_tls_and_in_websocket() -> io::Result<()> {
    if !lab::have(&[Peer::Qemu, Peer::Openssl]) {
        return Ok(());
    }
    let (port, tls_port, pki) = (lab::free_port()?, lab::free_port()?, Pki::new()?);
    let dir = pki.dir().display();
    let _vm =
        Vm::boot(&format!("port={port},tls-port={tls_port},addr=127.0.0.1,password-secret=password,x509-dir={dir}"))?;
    let (plain, tls) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{tls_port}"));
    for (args, least) in [
        (vec![&*plain, "--password", PASSWORD], 120),
        (vec![&*tls, "--password", PASSWORD, "--tls"], 120),
        (vec![&*plain, "--password", PASSWORD, "--websocket"], 105),
    ] {
        let (passed, skipped, failed) = conformance(&args)?;
        assert_eq!(failed, [""; 0], "{args:?}");
        assert!(passed >= least, "{args:?}: {passed} passed, {skipped} skipped");
    }
    Ok(())
}

#[test]
fn qemu_passes_without_a_password_and_with_sasl() -> io::Result<()> {
    if !lab::have(&[Peer::Qemu, Peer::Sasl]) {
        return Ok(());
    }
    let (open, sasl) = (lab::free_port()?, lab::free_port()?);
    let _open = Vm::boot(&format!("port={open},addr=127.0.0.1,disable-ticketing=on"))?;
    let user = SaslUser::new("tester", PASSWORD, "digest-md5")?;
    let _sasl = Vm::boot_with(&format!("port={sasl},addr=127.0.0.1,sasl=on"), |qemu| user.configure(qemu))?;
    for (port, least, more) in [(open, 112, &[][..]), (sasl, 101, &["--user", "tester", "--password", PASSWORD])] {
        let (passed, _, failed) = conformance(&[&[&*format!("127.0.0.1:{port}")], more].concat())?;
        assert_eq!(failed, [""; 0]);
        assert!(passed >= least, "{passed} passed");
    }
    Ok(())
}

/// One channel requires TLS and one refuses it. Each is refused on the wrong kind of connection.
#[test]
fn qemu_refuses_by_its_tls_policy() -> io::Result<()> {
    if !lab::have(&[Peer::Qemu, Peer::Openssl]) {
        return Ok(());
    }
    let (port, tls_port, pki) = (lab::free_port()?, lab::free_port()?, Pki::new()?);
    let (dir, policy) = (pki.dir().display(), "tls-channel=record,plaintext-channel=playback");
    let options =
        format!("port={port},tls-port={tls_port},addr=127.0.0.1,disable-ticketing=on,x509-dir={dir},{policy}");
    let _vm = Vm::boot(&options)?;
    let (plain, tls) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{tls_port}"));
    for more in [&[&*plain][..], &[&*plain, "--websocket"], &[&*tls, "--tls"]] {
        let args = [more, &["--secured", "6", "--unsecured", "5", "--case", "policy"]].concat();
        assert_eq!(conformance(&args)?, (3, 3, Vec::new()), "{more:?}");
    }
    Ok(())
}

/// PLAIN is offered inside TLS only.
#[test]
fn qemu_accepts_a_sasl_user() -> io::Result<()> {
    if !lab::have(&[Peer::Qemu, Peer::Openssl, Peer::Sasl]) {
        return Ok(());
    }
    let (tls_port, pki, user) = (lab::free_port()?, Pki::new()?, SaslUser::new("tester", PASSWORD, "plain")?);
    let options = format!("tls-port={tls_port},addr=127.0.0.1,sasl=on,x509-dir={}", pki.dir().display());
    let _vm = Vm::boot_with(&options, |qemu| user.configure(qemu))?;
    let address = format!("127.0.0.1:{tls_port}");
    let args = [&*address, "--tls", "--user", "tester", "--password", PASSWORD, "--case", "sasl-plain"];
    assert_eq!(conformance(&args)?, (2, 0, Vec::new()));
    Ok(())
}

#[test]
fn acceptor_passes_plain_and_in_websocket() -> io::Result<()> {
    let server = TestServer::start(PASSWORD, None)?;
    let address = server.address().to_string();
    for more in [&[][..], &["--websocket"]] {
        let (passed, _, failed) = conformance(&[&[&*address, "--password", PASSWORD], OWN, more].concat())?;
        assert_eq!(failed, [""; 0]);
        assert!(passed >= 111, "{passed} passed");
    }
    let sasl = TestServer::start_sasl(PASSWORD, None)?;
    let address = sasl.address().to_string();
    let (passed, _, failed) = conformance(&[&[&*address, "--password", PASSWORD], OWN].concat())?;
    assert_eq!(failed, [""; 0]);
    assert!(passed >= 90, "{passed} passed");
    Ok(())
}

/// What the test server has: one user, and one channel that requires TLS.
const OWN: &[&str] = &["--user", server::USER, "--secured", "8"];

/// Each check is left out in turn. Exactly the cases about that check fail.
#[test]
fn missing_check_fails_exactly_its_cases() -> io::Result<()> {
    // The runs mostly wait for a time limit, so they run at the same time, with a limit of one second. A busy machine may need more:
    // a result that is not the expected one is tried again with three.
    let check = |flaw: Flaw| {
        let failed = fails(flaw, "1")?;
        if failed == expected(flaw) { Ok(failed) } else { fails(flaw, "3") }
    };
    let runs: Vec<io::Result<Vec<String>>> = thread::scope(|scope| {
        let runs: Vec<_> = Flaw::CHECKS.iter().map(|flaw| scope.spawn(move || check(*flaw))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let mut wrong = Vec::new();
    for (flaw, failed) in Flaw::CHECKS.iter().zip(runs) {
        let failed = failed?;
        if failed != expected(*flaw) {
            wrong.push(format!("{flaw:?}: {failed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

fn fails(flaw: Flaw, patience: &str) -> io::Result<Vec<String>> {
    let start = if flaw.needs_sasl() { TestServer::start_sasl } else { TestServer::start };
    let server = start(PASSWORD, Some(flaw))?;
    let address = server.address().to_string();
    // Half of the table would wait for the end of a connection that is never closed: a part of it is enough.
    let part: &[&str] =
        if flaw == Flaw::Close { &["--case", "major", "--case", "ticket-", "--case", "websocket"] } else { &[] };
    let (_, _, failed) = conformance_with(patience, &[&[&*address, "--password", PASSWORD], OWN, part].concat())?;
    Ok(failed)
}

/// By name, in the table's order.
fn expected(flaw: Flaw) -> Vec<&'static str> {
    let names = match flaw {
        Flaw::Magic => {
            "magic-first-byte magic-second-byte magic-third-byte magic-fourth-byte magic-lower-case magic-zeros \
             magic-reversed-with-a-header magic-before-version client-hello-to-a-plain-port websocket-other-protocol \
             websocket-without-a-key websocket-post websocket-request-in-two websocket-bytes-behind-the-request \
             websocket-refusal-in-a-frame"
        }
        Flaw::Version => {
            "major-0-is-not-answered major-1 major-3 major-2-in-the-other-order major-largest version-before-size"
        }
        Flaw::VersionZero => "major-0-is-not-answered",
        // The bytes of a refusal are checked with the refusal of a size.
        Flaw::SizeMin => "size-0 size-17 refusal-is-zeros",
        // 1020 words do not fit into 4096 bytes.
        Flaw::SizeMax => "size-4097 size-2-to-the-31 size-largest caps-1020-words",
        Flaw::CapsCount => {
            "caps-1025-common-words caps-1025-channel-words caps-count-largest caps-count-that-wraps-in-bytes \
             caps-counts-whose-sum-wraps"
        }
        Flaw::CapsEnd => {
            "caps-more-words-than-bytes caps-at-19-without-room caps-at-the-end caps-at-the-largest-offset \
             caps-at-an-offset-that-wraps"
        }
        Flaw::CapsStart => "caps-at-0 caps-at-17 caps-before-existence policy-needs-tls-after-capabilities",
        Flaw::Existence => {
            "channel-type-0 channel-type-7-tunnel channel-type-99 channel-type-255 channel-id-that-is-not-there \
             existence-before-authentication"
        }
        Flaw::Mechanism => {
            "mechanism-0 mechanism-3 mechanism-largest mechanism-in-the-other-order sasl-where-it-is-off"
        }
        Flaw::Ticket => {
            "ticket-wrong ticket-too-short ticket-too-long ticket-empty ticket-of-nothing ticket-of-zeros \
             ticket-that-was-never-encrypted ticket-for-another-key ticket-before-connection-id refused-link-ends-nothing"
        }
        Flaw::ConnectionId => "channel-without-an-id channel-with-a-wrong-id channel-with-its-sessions-id-off-by-one",
        Flaw::Duplicate => "channel-that-is-there-already",
        Flaw::Kick => "new-session-ends-the-old-one",
        // A channel can't join a session by an id that the session does not have.
        Flaw::SessionId => {
            "session-id-is-not-0 session-ids-differ channel-joins-its-session channel-that-is-there-already \
             refused-link-ends-nothing main-that-leaves-ends-its-session"
        }
        Flaw::Close => {
            "major-0-is-not-answered major-1 major-3 major-2-in-the-other-order major-largest ticket-wrong \
             ticket-too-short ticket-too-long ticket-empty ticket-of-nothing ticket-of-zeros \
             ticket-that-was-never-encrypted ticket-for-another-key ticket-before-connection-id websocket-other-protocol \
             websocket-without-a-key websocket-post websocket-request-in-two websocket-bytes-behind-the-request"
        }
        Flaw::Key => "reply-key-is-fresh ticket-for-another-key",
        // This server waits for the end of the request.
        Flaw::Upgrade => "websocket-request-in-two websocket-bytes-behind-the-request",
        Flaw::Security => "policy-needs-tls policy-needs-tls-before-existence",
        Flaw::Selection => "sasl-without-selection",
        Flaw::SaslName => "sasl-name-that-is-not-offered",
        Flaw::SaslPassword => "sasl-plain-wrong-password",
        // Flaws of answers are found by the hunt.
        _ => "",
    };
    names.split_whitespace().collect()
}

/// A SPICE server that was written from scratch.
const ANDRIS: &str = "andris==0.1.0";

/// andris, with a password.
struct Andris {
    address: String,
    _process: lab::Process,
    _scratch: lab::Scratch,
}

impl Andris {
    /// `None`: it can't be installed here.
    fn start() -> io::Result<Option<Self>> {
        use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        let Some(programs) = lab::python_packages(&[ANDRIS], folder) else { return Ok(None) };
        let (port, scratch) = (lab::free_port()?, lab::Scratch::new()?);
        let ticket = scratch.join("ticket");
        fs::write(&ticket, PASSWORD)?;
        fs::set_permissions(&ticket, fs::Permissions::from_mode(0o600))?;
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(programs.join("andris"));
        command.args(["--platform", "synthetic", "--no-audio", "--listen", &address, "--ticket-file"]).arg(&ticket);
        let process = lab::Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
        let start = std::time::Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(start.elapsed() < lab::PATIENCE, "andris does not listen");
            thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(Some(Self { address, _process: process, _scratch: scratch }))
    }
}

/// Runs `spicewatch hunt --json`. Returns the findings' keys and their sections, sorted.
fn hunt(args: &[&str]) -> io::Result<Vec<(String, u64)>> {
    let output = run(&[&["hunt", "--json"], args].concat())?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| io::Error::other(format!("{error}: {}", String::from_utf8_lossy(&output.stderr))))?;
    assert_eq!(report["cut_short"], false, "{report:#}");
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    let mut keys: Vec<_> = findings
        .iter()
        .map(|finding| {
            (finding["key"].as_str().unwrap_or_default().to_owned(), finding["section"].as_u64().unwrap_or(0))
        })
        .collect();
    keys.sort();
    Ok(keys)
}

/// andris' differences from spice-server, and their sections of docs/PROTOCOL.md. It closes without an answer where spice-server
/// refuses a message (8) or a mechanism (1), requires optional capabilities (4 in place of an accepting reply, 2), and has codes of its
/// own for channels that it lacks (9) or that have no session yet (8).
#[test]
fn all_kinds_of_andris_differences_are_found_in_one_run() -> io::Result<()> {
    let Some(server) = Andris::start()? else { return Ok(()) };
    let found = hunt(&[&server.address, "--parallel", "4", "--cases", "700", "--patience", "20"])?;
    for expected in [
        ("differs/accepted/refusal-4", 2),
        ("differs/accepted/refusal-8", 2),
        ("differs/accepted/refusal-9", 2),
        ("differs/caps-count/nothing", 8),
        ("differs/caps-range/nothing", 8),
        ("differs/magic/nothing", 8),
        ("differs/size/nothing", 8),
        ("differs/version/nothing", 8),
    ] {
        assert!(found.iter().any(|(key, section)| (key.as_str(), *section) == expected), "{expected:?}: {found:?}");
    }
    let found =
        hunt(&[&server.address, "--conversations", "--password", PASSWORD, "--cases", "20", "--patience", "3"])?;
    for expected in [("differs/existence/reply-9-end", 8), ("differs/mechanism/reply-0-end", 1)] {
        assert!(found.iter().any(|(key, section)| (key.as_str(), *section) == expected), "{expected:?}: {found:?}");
    }
    Ok(())
}

#[test]
fn qemu_has_no_finding() -> io::Result<()> {
    if !lab::have(&[Peer::Qemu, Peer::Sasl]) {
        return Ok(());
    }
    let port = lab::free_port()?;
    let _vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password"))?;
    let address = format!("127.0.0.1:{port}");
    assert_eq!(hunt(&[&address, "--cases", "1000", "--parallel", "4", "--patience", "30"])?, []);
    let conversations = ["--conversations", "--password", PASSWORD, "--cases", "60", "--patience", "10"];
    assert_eq!(hunt(&[&[&*address], &conversations[..]].concat())?, []);
    let (port, user) = (lab::free_port()?, SaslUser::new("tester", PASSWORD, "digest-md5")?);
    let _vm = Vm::boot_with(&format!("port={port},addr=127.0.0.1,sasl=on"), |qemu| user.configure(qemu))?;
    let address = format!("127.0.0.1:{port}");
    assert_eq!(hunt(&[&[&*address, "--user", "tester"], &conversations[..]].concat())?, []);
    let refused = run(&["hunt", &address, "--conversations", "--user", "tester", "--password", "wrong"])?;
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("it refuses the user or the password"), "{text}");
    Ok(())
}

/// andris serves no client without the capabilities AUTH_SELECTION and MINI_HEADER: it answers 4, version mismatch. Both are optional
/// in the protocol (docs/PROTOCOL.md, sections 1, 3 and 12), so these are real deviations. It passes all other cases.
#[test]
fn andris_deviates_from_the_protocol_only_for_clients_without_newer_capabilities() -> io::Result<()> {
    let Some(server) = Andris::start()? else { return Ok(()) };
    let address = &*server.address;
    let (passed, skipped, failed) = conformance(&[address, "--password", PASSWORD, "--level", "protocol"])?;
    let deviations = [
        "caps-none",
        "caps-channel-words-alone",
        "no-selection-needs-no-mechanism",
        "selection-and-long-headers",
        "no-selection-and-long-headers",
        "no-capabilities-at-all",
        "main-init-behind-a-long-header",
    ];
    assert_eq!(failed, deviations);
    // SASL, TLS and WebSocket, which it does not have here.
    assert_eq!((passed, skipped), (14, 11));

    let output = run(&["probe", address, "--password", PASSWORD])?;
    let text = String::from_utf8_lossy(&output.stdout);
    for channel in ["display", "inputs", "cursor"] {
        assert!(text.contains(&format!("  channel    {channel} 0: in a session only\n")), "{text}");
    }
    assert!(
        text.contains("  websocket  no\n") && text.contains("  listed     display 0, cursor 0, inputs 0\n"),
        "{text}"
    );
    Ok(())
}
