//! Addresses that several VMs share: an HTTP CONNECT or a TLS server name chooses the VM.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use relay_lab::{
    Lines, PATIENCE, Relay,
    by_hand::{Server, read_all},
    compare::{names, report, stories},
    eventually,
};
use spice_testkit::lab::{self, CHANNELS, Client, Peer, Pki, Scratch, Vm};

fn open(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request, and reads the answer's header.
fn request(address: &str, text: &str) -> (TcpStream, String) {
    let mut stream = open(address);
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        answer.push(byte[0]);
    }
    (stream, String::from_utf8(answer).unwrap())
}

struct Lab {
    scratch: Scratch,
    /// The address that VMs share.
    shared: String,
}

impl Lab {
    fn new() -> Self {
        Self { scratch: Scratch::new().unwrap(), shared: format!("127.0.0.1:{}", lab::free_port().unwrap()) }
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.scratch.join("relay.toml");
        fs::write(&path, format!("log-format = \"json\"\nlog = \"debug,rustls=info\"\n{text}")).unwrap();
        path
    }

    fn reload(&self, relay: &Relay, text: &str, outcome: &str) {
        self.write(text);
        let before = relay.log.count(outcome);
        relay.signal("-HUP");
        relay.log.wait_for(outcome, before + 1);
    }
}

#[test]
fn http_connect_leads_to_the_vm_of_its_name_and_nowhere_else() {
    let (lab, [a, b]) = (Lab::new(), [(); 2].map(|()| Server::new()));
    let vm = |name: &str, server: &Server, keys: &str| {
        format!("[[vm]]\nname = \"{name}\"\nupstream = \"{}\"\n{keys}\n", server.address())
    };
    let top = format!("connect-listen = \"{}\"\n", lab.shared);
    let of_a = vm("a", &a, "connect = [\"Desk-A:5900\", \"192.0.2.1\"]");
    let of_b = vm("b", &b, "connect = \"desk-b\"");
    let relay = Relay::start_with(&lab.write(&(top.clone() + &of_a + &of_b)));

    for (target, server) in [("desk-a:5900", &a), ("192.0.2.1:1", &a), ("DESK-B:5900", &b)] {
        let (mut client, answer) = request(&lab.shared, &format!("CONNECT {target} HTTP/1.0\r\nHost: x\r\n\r\n"));
        assert_eq!(answer, "HTTP/1.0 200 Connection established\r\n\r\n");
        client.write_all(b"REDQ").unwrap();
        let mut inside = server.accept();
        let mut seen = [0; 4];
        inside.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"REDQ", "{target}");
        inside.write_all(b"QDER").unwrap();
        client.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"QDER");
        let client_port = client.local_addr().unwrap().port().to_string();
        let port = lab.shared.rsplit_once(':').unwrap().1;
        relay.events.wait(target, |lines| {
            let line = lines.iter().find(|line| line.contains(&client_port))?;
            assert!(line.contains("SPICE_CONNECTED"), "{line}");
            assert!(
                line.contains(&format!("\"port\": \"{port}\", \"family\": \"ipv4\", \"host\": \"127.0.0.1\"")),
                "{line}"
            );
            Some(())
        });
    }
    let events = relay.events.count("SPICE_CONNECTED");

    for (text, status) in [
        ("CONNECT desk-a:5901 HTTP/1.0\r\n\r\n", "404 Not Found"),
        ("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n", "404 Not Found"),
        ("CONNECT 127.0.0.1:22 HTTP/1.0\r\n\r\n", "404 Not Found"),
        ("CONNECT desk-b HTTP/1.0\r\n\r\n", "400 Bad Request"),
        ("GET http://desk-b/ HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (&format!("CONNECT desk-b:1 HTTP/1.0\r\nA: {}", "a".repeat(20_000)), "431 Request Header Fields Too Large"),
    ] {
        let (stream, answer) = request(&lab.shared, text);
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}\r\n")), "{text}: {answer}");
        assert_eq!(read_all(&stream), b"", "closed");
    }
    relay.log.wait_for("\"name\":\"example.org:443\",\"reason\":\"no VM has this host and port\"", 1);
    // A client without a proxy gets no answer.
    let mut direct = open(&lab.shared);
    direct.write_all(b"REDQ\x02\0\0\0").unwrap();
    assert_eq!(direct.read(&mut [0]).unwrap_or(0), 0);
    relay.log.wait_for("expected an HTTP CONNECT, found something else", 1);
    assert_eq!(relay.events.count("SPICE_CONNECTED"), events, "no event without a VM");
    assert_eq!(relay.log.count("\"level\":\"ERROR\""), 0);

    // A reload adds and removes names; live connections go on.
    let (mut live, _) = request(&lab.shared, "CONNECT desk-b:1 HTTP/1.0\r\n\r\n");
    let mut inside = b.accept();
    let renamed = vm("a", &a, "connect = \"desk-c\"");
    lab.reload(&relay, &(top.clone() + &renamed + &of_b), "\"changes\":\"changed: a\"");
    assert!(request(&lab.shared, "CONNECT desk-c:1 HTTP/1.0\r\n\r\n").1.contains(" 200 "));
    assert!(request(&lab.shared, "CONNECT desk-a:5900 HTTP/1.0\r\n\r\n").1.contains(" 404 "));
    lab.reload(&relay, &(top + &renamed), "\"changes\":\"removed: b\"");
    assert!(request(&lab.shared, "CONNECT desk-b:1 HTTP/1.0\r\n\r\n").1.contains(" 404 "));
    live.write_all(b"still").unwrap();
    inside.read_exact(&mut [0; 5]).unwrap();
    live.shutdown(Shutdown::Write).unwrap();
}

#[test]
fn proxy_header_before_a_connect_is_read_from_trusted_sources_only() {
    let (lab, server) = (Lab::new(), Server::new());
    let vm = format!("[[vm]]\nname = \"a\"\nupstream = \"{}\"\nconnect = \"desk\"\n", server.address());
    let top = format!("connect-listen = \"{}\"\n", lab.shared);
    let relay = Relay::start_with(&lab.write(&format!("{top}connect-proxy-from = \"127.0.0.1\"\n{vm}")));
    let (_client, answer) =
        request(&lab.shared, "PROXY TCP4 192.0.2.7 198.51.100.1 4321 3128\r\nCONNECT desk:1 HTTP/1.0\r\n\r\n");
    assert!(answer.contains(" 200 "), "{answer}");
    relay.events.wait_for("\"client\": {\"port\": \"4321\", \"family\": \"ipv4\", \"host\": \"192.0.2.7\"}", 1);
    let (_, answer) = request(&lab.shared, "CONNECT desk:1 HTTP/1.0\r\n\r\n");
    assert_eq!(answer, "", "this source must send a PROXY header");
    relay.log.wait_for("closed: no PROXY header", 1);
    // What an HTTP header says about the client is not believed.
    lab.reload(&relay, &(top + &vm), "read the configuration again");
    let (client, answer) = request(
        &lab.shared,
        "CONNECT desk:1 HTTP/1.0\r\nX-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n\r\n",
    );
    assert!(answer.contains(" 200 "), "{answer}");
    relay.events.wait_for(&client.local_addr().unwrap().port().to_string(), 1);
    assert_eq!(relay.events.count("203.0.113.9"), 0);
}

/// The relay in front of a QEMU with plain and TLS connections from spice-gtk, which asks for two names.
#[test]
fn spice_gtk_reaches_qemu_through_http_connect() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl]) {
        return;
    }
    let (lab, pki, port) = (Lab::new(), Pki::new().unwrap(), lab::free_port().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
    let named = lab::free_port().unwrap();
    let relay = Relay::start_with(&lab.write(&format!(
        "connect-listen = \"{}\"\n[[vm]]\nupstream = \"127.0.0.1:{port}\"\nauth = \"none\"\nx509-dir = \"{}\"\n\
         connect = \"localhost:5900\"\ntls-connect = \"localhost:5901\"\ntls-listen = \"127.0.0.1:{named}\"\ntls-name = \"localhost\"\n",
        lab.shared,
        pki.dir().display()
    )));
    let (proxy, ca) = (format!("http://{}", lab.shared), pki.ca().display().to_string());
    let mut sessions = 0;
    for (args, tls) in [(["--port", "5900", "--password", "x"], false), (["--tls-port", "5901", "--ca", &ca], true)] {
        let client = Client::start(&[&["--host", "localhost", "--proxy", &proxy][..], &args].concat()).unwrap();
        sessions += 1;
        vm.events().wait_for("SPICE_INITIALIZED", sessions * CHANNELS).unwrap();
        relay.events.wait_for("SPICE_INITIALIZED", sessions * CHANNELS);
        assert!(client.leave().unwrap().success());
        vm.events().wait_for("SPICE_DISCONNECTED", sessions * CHANNELS).unwrap();
        relay.events.wait_for("SPICE_DISCONNECTED", sessions * CHANNELS);
        assert_eq!(relay.events.count(&format!("\"tls\": {tls}")), CHANNELS, "INITIALIZED has it");
    }
    // spice-gtk sends the host as the server name of TLS, too.
    let client = Client::start(&["--host", "localhost", "--tls-port", &named.to_string(), "--ca", &ca]).unwrap();
    relay.events.wait_for("SPICE_INITIALIZED", 3 * CHANNELS);
    assert!(client.leave().unwrap().success());
    vm.events().wait_for("SPICE_DISCONNECTED", 3 * CHANNELS).unwrap();
    relay.events.wait_for("SPICE_DISCONNECTED", 3 * CHANNELS);
    // QEMU's client is the relay, so that ports and TLS are left out.
    let said = |lines: &[String]| {
        let mut said: Vec<_> = stories(lines)
            .into_iter()
            .map(|(_, said)| said.join("").replace("\"tls\": true", "\"tls\": false"))
            .collect();
        said.sort();
        said
    };
    assert_eq!(said(&relay.events.all()), said(&vm.events().lines()));
    assert_eq!(names(&relay.events.all()).len(), 3 * CHANNELS);
    report("spice-gtk through CONNECT, plain and TLS, and by server name: events equal QEMU's");
    // Another name is refused, and spice-gtk gives up.
    let other = Client::start(&["--host", "elsewhere", "--port", "5900", "--proxy", &proxy]).unwrap();
    relay.log.wait_for("\"name\":\"elsewhere:5900\",\"reason\":\"no VM has this host and port\"", 1);
    assert!(!other.leave().unwrap().success());
    assert_eq!(relay.events.count("SPICE_CONNECTED"), 3 * CHANNELS);
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `openssl s_client` with a server name. Returns what it says.
fn s_client(address: &str, ca: &str, name: Option<&str>) -> (Running, Lines) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-brief", "-CAfile", ca, "-connect", address]);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = Lines::follow(child.stderr.take().unwrap());
    (Running(child), said)
}

#[test]
fn server_name_leads_to_its_vm_and_others_to_the_vm_without_one() {
    if !lab::have(&[Peer::Openssl]) {
        return;
    }
    let (lab, [a, b, c]) = (Lab::new(), [(); 3].map(|()| Server::new()));
    let [one, two] = [(); 2].map(|()| Pki::new().unwrap());
    let vm = |name: &str, server: &Server, pki: &Pki, keys: &str| {
        let (upstream, dir, shared) = (server.address(), pki.dir().display(), &lab.shared);
        format!(
            "[[vm]]\nname = \"{name}\"\nupstream = \"{upstream}\"\nx509-dir = \"{dir}\"\ntls-listen = \"{shared}\"\n{keys}\n"
        )
    };
    let named = vm("a", &a, &one, "tls-name = [\"desk-a.example\", \"localhost\"]")
        + &vm("b", &b, &two, "tls-name = \"desk-b.example\"");
    let relay = Relay::start_with(&lab.write(&named));
    let ca = |pki: &Pki| pki.ca().display().to_string();
    let reaches = |name: Option<&str>, pki: &Pki, server: &TcpListener| {
        let (mut client, said) = s_client(&lab.shared, &ca(pki), name);
        said.wait_for("Verification: OK", 1);
        client.0.stdin.as_mut().unwrap().write_all(b"up\n").unwrap();
        let mut inside = server.accept().unwrap().0;
        inside.set_read_timeout(Some(PATIENCE)).unwrap();
        inside.read_exact(&mut [0; 3]).unwrap();
    };
    // Each with its own certificate.
    reaches(Some("desk-a.example"), &one, &a.0);
    reaches(Some("LocalHost"), &one, &a.0);
    reaches(Some("desk-b.example"), &two, &b.0);
    relay.events.wait_for("SPICE_CONNECTED", 3);
    // An alert, one line in the log, and no event: no VM has it.
    for name in [Some("desk-c.example"), None] {
        let (_client, said) = s_client(&lab.shared, &ca(&one), name);
        said.wait_for("unrecognized name", 1);
    }
    relay.log.wait_for("\"server_name\":\"desk-c.example\"", 1);
    relay.log.wait_for("\"server_name\":\"none\"", 1);
    let mut plain = open(&lab.shared);
    plain.write_all(b"REDQ\x02\0\0\0\x02\0\0\0").unwrap();
    relay.log.wait_for("closed: no ClientHello", 1);
    assert_eq!(relay.events.count("SPICE_CONNECTED"), 3);

    // A VM without a name gets all others, and reports what is not TLS as QEMU does.
    lab.reload(&relay, &(named.clone() + &vm("c", &c, &two, "")), "\"changes\":\"added: c\"");
    reaches(Some("desk-c.example"), &two, &c.0);
    reaches(None, &two, &c.0);
    reaches(Some("desk-a.example"), &one, &a.0);
    let mut plain = open(&lab.shared);
    plain.write_all(b"REDQ\x02\0\0\0\x02\0\0\0").unwrap();
    let port = plain.local_addr().unwrap().port().to_string();
    relay.events.wait("a failed handshake", |lines| {
        (lines.iter().filter(|line| line.contains(&port)).count() == 2).then_some(())
    });

    // The address moves to one VM alone, and back, while clients can connect all the time.
    lab.reload(&relay, &vm("c", &c, &two, ""), "changed: c");
    reaches(Some("desk-a.example"), &two, &c.0);
    lab.reload(&relay, &(named + &vm("c", &c, &one, "")), "\"vms\":3,\"changes\":");
    reaches(Some("desk-b.example"), &two, &b.0);
    reaches(None, &one, &c.0);
    // A new certificate for a shared address.
    for file in ["server-cert.pem", "server-key.pem", "ca-cert.pem"] {
        fs::copy(one.dir().join(file), two.dir().join(file)).unwrap();
    }
    relay.signal("-HUP");
    relay.log.wait_for("\"changes\":\"no changes\"", 1);
    reaches(Some("desk-b.example"), &one, &b.0);
    eventually("nothing is refused by mistake", || relay.log.count("no VM has the server name") == 2);
}

#[test]
fn names_that_lead_to_no_vm_or_to_two_are_one_line() {
    let lab = Lab::new();
    let vm = |name: &str, keys: &str| format!("[[vm]]\nname = \"{name}\"\nupstream = \"127.0.0.1:1\"\n{keys}\n");
    let tls =
        |name: &str, more: &str| vm(name, &format!("tls-listen = \"127.0.0.1:9\"\nx509-dir = \"/nowhere\"\n{more}"));
    let listen = "connect-listen = \"127.0.0.1:8\"\n";
    for (text, error) in [
        (vm("a", "connect = \"desk\""), "expected connect-listen with connect, found none"),
        (vm("a", "tls-connect = \"desk\""), "expected connect-listen with tls-connect, found none"),
        (
            format!("{listen}{}", vm("a", "listen = \"127.0.0.1:7\"")),
            "expected a VM with connect or tls-connect for connect-listen, found none",
        ),
        (
            format!("{listen}{}", vm("a", "listen = \"127.0.0.1:8\"\nconnect = \"d\"")),
            "127.0.0.1:8 is already a listener of connect-listen",
        ),
        (
            format!("connect-proxy-from = \"127.0.0.1\"\n{}", vm("a", "listen = \"127.0.0.1:7\"")),
            "expected connect-listen with connect-proxy-from, found none",
        ),
        (
            format!("{listen}{}{}", vm("a", "connect = \"desk\""), vm("b", "connect = \"Desk\"")),
            "vm `b`: expected another connect than `desk`: it is in vm `a`: connect too; a port can tell them apart: HOST:PORT",
        ),
        (format!("{listen}{}", vm("a", "connect = \"a b\"")), "expected HOST or HOST:PORT, found `a b`"),
        (vm("a", "listen = \"127.0.0.1:7\"\ntls-name = \"a\""), "tls-name needs tls-listen"),
        (tls("a", "tls-name = \"192.0.2.1\""), "expected a host name, found `192.0.2.1`"),
        (tls("a", "") + &tls("b", ""), "several VMs can share an address of tls-listen if each has a tls-name"),
        (
            tls("a", "tls-name = \"x\"") + &tls("b", "tls-name = [\"y\", \"X\"]"),
            "vm `b`: expected a tls-name of its own at 127.0.0.1:9, found `x`, a tls-name of vm `a`",
        ),
        (
            tls("a", "tls-name = \"x\"") + &tls("b", "") + &tls("c", ""),
            "vm `c`: expected a tls-name at 127.0.0.1:9, found none: vm `b` has no tls-name either, and gets all other connections",
        ),
        (
            tls("a", "tls-name = \"x\"") + &tls("b", "proxy-from = \"unix\""),
            "vm `b`: expected the proxy-from of vm `a`, which has 127.0.0.1:9 too, found another one",
        ),
    ] {
        let output = Relay::command().arg("--check").arg("--config").arg(lab.write(&text)).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}{said}");
        assert!(said.contains(error) && said.lines().count() == 1, "{text}{said}");
    }
}
