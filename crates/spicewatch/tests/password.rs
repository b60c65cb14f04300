//! `probe` and `conformance` take the password from the command line or from a file.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use spice_testkit::{lab::Scratch, server::TestServer};

const PASSWORD: &str = "sekrit";

fn run(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn password_from_a_file_works_like_the_flag() {
    let server = TestServer::start(PASSWORD, None).unwrap();
    let (address, scratch) = (server.address().to_string(), Scratch::new().unwrap());
    let file = |name: &str, text: &str| {
        fs::write(scratch.join(name), text).unwrap();
        scratch.join(name).display().to_string()
    };
    let long = file("long", &"x".repeat(100));
    let output = run(&["probe", &address, "--password-file", &long], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("expected a password of at most 85 bytes"), "{said}");
    let (bare, ended, wrong) = (file("bare", PASSWORD), file("ended", "sekrit\n"), file("wrong", "other\n"));
    for (flag, input, refused) in [
        (["--password", PASSWORD], "", false),
        (["--password-file", &bare], "", false),
        (["--password-file", &ended], "", false),
        (["--password-file", "-"], "sekrit\r\n", false),
        (["--password", "other"], "", true),
        (["--password-file", &wrong], "", true),
    ] {
        let output = run(&[&["probe", &address, "--json"], &flag[..]].concat(), input);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["session"]["refused"].is_string(), refused, "{flag:?}: {report:#}");
        let output =
            run(&[&["conformance", &address, "--patience", "3", "--case", "ticket-right"], &flag[..]].concat(), input);
        assert_eq!(
            output.status.code(),
            Some(i32::from(refused)),
            "{flag:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn invalid_password_file_prints_one_line() {
    let scratch = Scratch::new().unwrap();
    let file = |name: &str, text: &[u8]| {
        fs::write(scratch.join(name), text).unwrap();
        scratch.join(name).display().to_string()
    };
    let (good, empty, lines) = (file("good", b"sekrit"), file("empty", b"\n"), file("lines", b"sekrit\nsauce\n"));
    let (binary, missing) = (file("binary", b"\xff\xfes\0"), scratch.join("missing").display().to_string());
    for command in ["probe", "conformance"] {
        for (flags, part) in [
            (&["--password-file", &missing][..], "missing: No such file or directory"),
            (&["--password-file", &empty], "empty: expected a password, found nothing"),
            (&["--password-file", &lines], "lines: expected a password in one line"),
            (&["--password-file", &binary], "binary: expected a password in UTF-8"),
            (&["--password-file", "/dev/zero"], "/dev/zero: expected a password of at most 4096 bytes"),
            (&["--password-file", &good, "--password", "sekrit"], "cannot be used with '--password"),
        ] {
            let output = run(&[&[command, "127.0.0.1:1"], flags].concat(), "");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{flags:?}: {said}");
            assert!(said.contains(part) && !said.contains("sauce"), "{flags:?}: {said}");
        }
    }
    // --user needs a password, from either flag.
    let user = run(&["conformance", "--list", "127.0.0.1:1", "--user", "alice", "--password-file", &good], "");
    assert!(user.status.success(), "{}", String::from_utf8_lossy(&user.stderr));
    let alone = run(&["conformance", "--list", "127.0.0.1:1", "--user", "alice"], "");
    assert_eq!(alone.status.code(), Some(2));
}

/// A full disk under stderr takes the message, not the exit code.
#[test]
fn the_exit_code_needs_no_stderr() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (args, code) in [
        (&["probe", "127.0.0.1:1"][..], 2),
        (&["conformance", "127.0.0.1:1"], 2),
        (&["relay", "--listen", "127.0.0.1:0"], 2),
        (&["relay", "--listen", "192.0.2.99:1", "--upstream", "127.0.0.1:1"], 3),
        (&["read", "/no/such/file"], 2),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
        let status = command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}
