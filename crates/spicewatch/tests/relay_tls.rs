//! TLS on both sides of the relay, with OpenSSL as the other end: versions, certificates of version 1, names, reload.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use relay_lab::{Lines, PATIENCE, Relay, eventually};
use spice_testkit::lab::{self, Peer, Scratch};

/// Certificates, made by the `openssl` program on demand.
struct Pki(Scratch);

impl Pki {
    /// `None` without `openssl`.
    fn new() -> Option<Self> {
        if !lab::have(&[Peer::Openssl]) {
            return None;
        }
        let pki = Self(Scratch::new().unwrap());
        pki.authority("ca");
        Some(pki)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn openssl(&self, line: &str) {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn authority(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -keyout {name}-key.pem -out {name}.pem"
        ));
    }

    /// Makes `NAME.pem` and `NAME-key.pem`, signed by `ca`. Without extensions, the certificate has version 1.
    fn certificate(&self, name: &str, subject: &str, ca: &str, extensions: &str, days: i32) {
        self.openssl(&format!("req -newkey rsa:2048 -nodes -subj {subject} -keyout {name}-key.pem -out {name}.csr"));
        let sign = format!(
            "x509 -req -days {days} -in {name}.csr -CA {ca}.pem -CAkey {ca}-key.pem -CAcreateserial -out {name}.pem"
        );
        if extensions.is_empty() {
            self.openssl(&sign);
        } else {
            fs::write(self.0.join("extensions"), extensions).unwrap();
            self.openssl(&format!("{sign} -extfile extensions"));
        }
    }
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connects `openssl s_client` to the relay, with verification. Returns its output.
fn s_client(pki: &Pki, relay: &Relay, more: &[&str]) -> (Running, Lines) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-brief", "-verify_return_error", "-CAfile", &pki.path("ca.pem")]);
    command.args(["-connect", &relay.address().to_string()]).args(more);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = Lines::follow(child.stderr.take().unwrap());
    (Running(child), said)
}

#[test]
fn clients_are_shown_certificates_of_both_versions_in_tls_1_2_and_1_3() {
    let Some(pki) = Pki::new() else { return };
    pki.certificate("v1", "/O=old/CN=127.0.0.1", "ca", "", 30);
    pki.certificate("v3", "/CN=127.0.0.1", "ca", "subjectAltName=IP:127.0.0.1\n", 30);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap().to_string();
    for name in ["v1", "v3"] {
        let (cert, key) = (pki.path(&format!("{name}.pem")), pki.path(&format!("{name}-key.pem")));
        let relay =
            Relay::start(&["--tls-listen", "127.0.0.1:0", "--cert", &cert, "--key", &key, "--upstream", &upstream]);
        for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let (mut client, said) = s_client(&pki, &relay, &[flag]);
            said.wait_for("Verification: OK", 1);
            said.wait_for(version, 1);
            let mut inside = server.accept().unwrap().0;
            inside.set_read_timeout(Some(PATIENCE)).unwrap();
            client.0.stdin.as_mut().unwrap().write_all(b"up\n").unwrap();
            let mut seen = [0; 3];
            inside.read_exact(&mut seen).unwrap();
            assert_eq!(&seen, b"up\n");
            inside.write_all(b"down\n").unwrap();
            let mut line = String::new();
            BufReader::new(client.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "down\n");
        }
        let (_old, said) = s_client(&pki, &relay, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
        said.wait_for("alert", 1);
        relay.log.wait_for("TLS handshake failed", 1);
        // CONNECTED and DISCONNECTED, as QEMU reports it for its own TLS port.
        relay.events.wait_for("SPICE_DISCONNECTED", 1);
        let logged = relay.log.all().iter().any(|line| line.contains("X.509 version 1"));
        assert_eq!(logged, name == "v1");
    }
}

#[test]
fn key_of_another_certificate_is_refused() {
    let Some(pki) = Pki::new() else { return };
    for (name, extensions) in [("v1", ""), ("v3", "subjectAltName=IP:127.0.0.1\n")] {
        pki.certificate(name, "/CN=127.0.0.1", "ca", extensions, 30);
        let output = Relay::command()
            .args(["--tls-listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"])
            .args(["--cert", &pki.path(&format!("{name}.pem")), "--key", &pki.path("ca-key.pem")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("ca-key.pem: the key does not belong to the certificate"), "{said}");
    }
}

/// A TLS server that sends each line back reversed.
fn s_server(pki: &Pki, name: &str, more: &str) -> (Running, u16) {
    let port = lab::free_port().unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-rev", "-accept", &format!("127.0.0.1:{port}")]);
    command.args(["-cert", &pki.path(&format!("{name}.pem")), "-key", &pki.path(&format!("{name}-key.pem"))]);
    command.args(more.split(' ').filter(|word| !word.is_empty()));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Running(child);
    eventually("openssl listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (server, port)
}

#[test]
fn upstream_certificate_must_name_the_server() {
    const SAN: &str = "subjectAltName=IP:127.0.0.1\n";
    const ALL: &str = "C=IL,O=Red-Hat\\,-Inc.,CN=127.0.0.1";
    let Some(pki) = Pki::new() else { return };
    pki.authority("other");
    pki.certificate("leaf-ca", "/CN=no-authority", "ca", "basicConstraints=CA:FALSE\n", 30);
    pki.certificate("v1", "/C=IL/O=Red-Hat,-Inc./CN=127.0.0.1", "ca", "", 30);
    pki.certificate("v1-other", "/CN=127.0.0.1", "other", "", 30);
    pki.certificate("v1-name", "/CN=example.org", "ca", "", 30);
    pki.certificate("v1-expired", "/CN=127.0.0.1", "ca", "", -1);
    pki.certificate("v1-by-leaf", "/CN=127.0.0.1", "leaf-ca", "", 30);
    pki.certificate("v3", "/O=new/CN=127.0.0.1", "ca", SAN, 30);
    pki.certificate("v3-name", "/CN=127.0.0.1", "ca", "subjectAltName=DNS:example.org\n", 30);
    pki.certificate("v3-other", "/CN=127.0.0.1", "other", SAN, 30);
    for (cert, server, ca, flags, good) in [
        ("v1", "-tls1_2", "ca", vec![], true),
        ("v1", "-tls1_3", "ca", vec![], true),
        ("v1", "", "ca", vec!["--host-subject", ALL], true),
        ("v1", "", "ca", vec!["--host-subject", "CN=127.0.0.1"], false),
        ("v1", "", "ca", vec!["--upstream-name", "example.org"], false),
        ("v1-name", "", "ca", vec!["--upstream-name", "example.org"], true),
        ("v1-name", "", "ca", vec![], false),
        ("v1-other", "", "ca", vec![], false),
        ("v1-expired", "", "ca", vec![], false),
        ("v1-by-leaf", "", "leaf-ca", vec![], false),
        ("v3", "-tls1_2", "ca", vec![], true),
        ("v3", "-tls1_3", "ca", vec![], true),
        ("v3", "", "ca", vec!["--host-subject", "O=new,CN=127.0.0.1"], true),
        ("v3", "", "ca", vec!["--host-subject", "CN=127.0.0.1,O=new"], false),
        ("v3-name", "", "ca", vec![], false),
        ("v3-name", "", "ca", vec!["--upstream-name", "example.org"], true),
        ("v3-other", "", "ca", vec![], false),
    ] {
        let case = format!("{cert} {server} {ca} {flags:?}");
        let (_server, port) = s_server(&pki, cert, server);
        let (upstream, ca) = (format!("127.0.0.1:{port}"), pki.path(&format!("{ca}.pem")));
        let mut args = vec!["--listen", "127.0.0.1:0", "--upstream", &upstream, "--upstream-tls", "--ca", &ca];
        args.extend(flags);
        let relay = Relay::start(&args);
        let mut client = TcpStream::connect(relay.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"drawer\n").unwrap();
        let mut line = String::new();
        // A refused connection sees an end or a reset.
        let _ = BufReader::new(client).read_line(&mut line);
        assert_eq!(line, if good { "reward\n" } else { "" }, "{case}: {:?}", relay.log.all());
        if !good {
            relay.log.wait_for("can't reach the upstream", 1);
        }
    }
}

#[test]
fn sighup_loads_the_new_certificate_and_keeps_connections() {
    let Some(pki) = Pki::new() else { return };
    let names: [PathBuf; 2] = [pki.0.join("server-cert.pem"), pki.0.join("server-key.pem")];
    let install = |name: &str| {
        fs::copy(pki.0.join(&format!("{name}.pem")), &names[0]).unwrap();
        fs::copy(pki.0.join(&format!("{name}-key.pem")), &names[1]).unwrap();
    };
    for name in ["first", "second"] {
        pki.certificate(name, &format!("/O={name}/CN=127.0.0.1"), "ca", "subjectAltName=IP:127.0.0.1\n", 30);
    }
    install("first");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap().to_string();
    let dir = pki.0.path().display().to_string();
    let relay = Relay::start(&["--tls-listen", "127.0.0.1:0", "--x509-dir", &dir, "--upstream", &upstream]);
    let (mut old, said) = s_client(&pki, &relay, &[]);
    said.wait_for("O = first", 1);
    let mut inside = server.accept().unwrap().0;
    inside.set_read_timeout(Some(PATIENCE)).unwrap();

    install("second");
    relay.signal("-HUP");
    relay.log.wait_for("read the certificate and its key again", 1);
    let (_new, said) = s_client(&pki, &relay, &[]);
    said.wait_for("O = second", 1);

    fs::write(&names[1], "half a key").unwrap();
    relay.signal("-HUP");
    relay.log.wait_for("can't use the new certificate; the old one stays in use", 1);
    let (_newer, said) = s_client(&pki, &relay, &[]);
    said.wait_for("O = second", 1);

    old.0.stdin.as_mut().unwrap().write_all(b"still here\n").unwrap();
    let mut seen = [0; 11];
    inside.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"still here\n");
}

#[test]
fn sighup_loads_the_new_ca() {
    let Some(pki) = Pki::new() else { return };
    pki.authority("other");
    pki.certificate("v3", "/CN=127.0.0.1", "ca", "subjectAltName=IP:127.0.0.1\n", 30);
    let (_server, port) = s_server(&pki, "v3", "");
    let (upstream, trusted) = (format!("127.0.0.1:{port}"), pki.path("trusted.pem"));
    let trust = |name: &str| fs::copy(pki.path(name), &trusted).unwrap();
    trust("other.pem");
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--upstream-tls", "--ca", &trusted]);
    let answer = || {
        let mut client = TcpStream::connect(relay.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"drawer\n").unwrap();
        let mut line = String::new();
        let _ = BufReader::new(client).read_line(&mut line);
        line
    };
    assert_eq!(answer(), "", "another CA signed it");
    trust("ca.pem");
    relay.signal("-HUP");
    relay.log.wait_for("read the upstream's CA again", 1);
    assert_eq!(answer(), "reward\n");
    fs::write(&trusted, "half a certificate").unwrap();
    relay.signal("-HUP");
    relay.log.wait_for("can't use the new CA of the upstream; the old one stays in use", 1);
    assert_eq!(answer(), "reward\n");
}

#[test]
fn expired_certificate_is_logged() {
    let Some(pki) = Pki::new() else { return };
    pki.certificate("over", "/CN=127.0.0.1", "ca", "subjectAltName=IP:127.0.0.1\n", -1);
    let (cert, key) = (pki.path("over.pem"), pki.path("over-key.pem"));
    let args = ["--tls-listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--cert", &cert, "--key", &key];
    Relay::start(&args).log.wait_for("the certificate is not valid now", 1);
}

/// A plain client at the TLS port, and TLS to a plain upstream: the log names the mistake, not corrupt bytes.
#[test]
fn plain_and_tls_ports_mixed_up_are_named_in_the_log() {
    let Some(pki) = Pki::new() else { return };
    pki.certificate("v3", "/CN=127.0.0.1", "ca", "subjectAltName=IP:127.0.0.1\n", 30);
    let (cert, key, ca) = (pki.path("v3.pem"), pki.path("v3-key.pem"), pki.path("ca.pem"));
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap().to_string();
    let said = "\"error\":\"expected TLS, found something else\"";

    let args = ["--tls-listen", "127.0.0.1:0", "--upstream", &upstream, "--cert", &cert, "--key", &key];
    let relay = Relay::start(&args);
    let mut client = TcpStream::connect(relay.address()).unwrap();
    client.write_all(b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0").unwrap();
    relay.log.wait_for(said, 1);

    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--upstream-tls", "--ca", &ca]);
    let _client = TcpStream::connect(relay.address()).unwrap();
    let mut inside = server.accept().unwrap().0;
    inside.write_all(b"REDQ\x02\0\0\0\x02\0\0\0\xba\0\0\0").unwrap();
    relay.log.wait_for(said, 1);
}
