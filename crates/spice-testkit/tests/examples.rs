//! Examples of other crates against real peers, and against what real peers have sent.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use spice_testkit::lab::{self, CHANNELS, Client, Peer, Vm};

/// An example of this package. Cargo does not build another package's examples for a test, so the test does.
fn example(package: &str, name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--example", name]);
    cargo.args(profile.ends_with("release").then_some("--release"));
    assert!(cargo.arg("--target-dir").arg(profile.parent().unwrap()).status().unwrap().success());
    Command::new(profile.join("examples").join(name))
}

/// Ends an example with its value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ids_reports_invalid_messages_and_refused_credentials_of_real_captures() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let ids = |names: &[&str]| {
        let files = names.iter().map(|name| captures.join(format!("{name}.pcap")));
        let output = example("spice-capture", "ids").args(files).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ids(&["open", "ticket"]), "");
    let text = ids(&["wrong-password"]);
    assert!(text.contains("credentials refused, channel main"), "{text}");
    assert!(!text.contains("guessing") && !text.contains("invalid"), "{text}");
    for name in ["refused", "refused-qemu-11.1"] {
        let text = ids(&[name]);
        for part in ["invalid link message: expected major version 2, found 1", "refused links: password guessing?"] {
            assert!(text.contains(part), "{name}, {part}: {text}");
        }
    }
}

#[test]
fn presence_shows_a_client_of_qemu_while_it_is_there() -> io::Result<()> {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return Ok(());
    }
    let port = lab::free_port()?;
    let _vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password"))?;
    let mut command = example("spice-events", "presence");
    command.args(["127.0.0.1:0", &format!("127.0.0.1:{port}")]).stdout(Stdio::piped());
    let mut presence = Running(command.spawn()?);
    let mut lines = BufReader::new(presence.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap()?;
    let listens = first.rsplit(':').next().unwrap();
    let client = Client::start(&["--port", listens, "--password", spice_testkit::captures::PASSWORD])?;
    let all = format!(": {CHANNELS} channels");
    let mut next = |part: &str| lines.by_ref().map(Result::unwrap).find(|line| line.contains(part)).unwrap();
    assert!(next(&all).starts_with("127.0.0.1 session "));
    assert!(client.leave()?.success());
    assert_eq!(next("no client"), "no client");
    Ok(())
}
