//! The configurations of docs/PROXIES.md, each with its program in front of a relay: events have the client's own address.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use relay_lab::{PATIENCE, Relay, by_hand::Server, compare::report, eventually};
use spice_testkit::lab::{self, Pki, Process, Scratch};

/// nginx's module for TCP, where Debian has it.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

struct Lab {
    scratch: Scratch,
    server: Server,
    relay: Relay,
    /// Where the proxy listens.
    port: u16,
}

impl Lab {
    fn new() -> Self {
        let server = Server::new();
        let relay = server.relay(&["--proxy-from", "127.0.0.1"]);
        Self { scratch: Scratch::new().unwrap(), server, relay, port: lab::free_port().unwrap() }
    }

    /// The page's configuration in this language, with the ports of this test. `None`: a package does not contain the page.
    fn configuration(&self, language: &str) -> Option<String> {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROXIES.md")).ok()?;
        let block = page.split(&format!("```{language}\n")).nth(1).unwrap().split("```").next().unwrap();
        let relay = self.relay.address().port().to_string();
        Some(block.replace("5900", &self.port.to_string()).replace("5917", &relay))
    }

    fn write(&self, text: &str) -> String {
        let path = self.scratch.join("proxy.conf");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn start(&self, program: &str, args: &[&str]) -> Process {
        let log = fs::File::create(self.scratch.join("log")).unwrap();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = Process::spawn(&mut command).unwrap();
        eventually(program, || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        process
    }

    /// What a client sends through the proxy arrives, and the event has the client's port.
    fn check(&self, name: &str, mut client: impl Write, port: u16) {
        client.write_all(b"REDQ").unwrap();
        let mut seen = [0; 4];
        loop {
            // A health check of the proxy connects, too, and sends nothing.
            let mut inside = self.server.accept();
            if inside.read_exact(&mut seen).is_ok() {
                break;
            }
        }
        assert_eq!(&seen, b"REDQ");
        self.relay.events.wait_for(
            &format!("\"client\": {{\"port\": \"{port}\", \"family\": \"ipv4\", \"host\": \"127.0.0.1\"}}"),
            1,
        );
        report(&format!("{name}: the event has the client's own port"));
    }

    fn client(&self) -> (TcpStream, u16) {
        let client = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let port = client.local_addr().unwrap().port();
        (client, port)
    }
}

fn is_here(program: &str) -> bool {
    let found =
        std::env::var("PATH").unwrap_or_default().split(':').any(|folder| Path::new(folder).join(program).exists());
    if !found {
        report(&format!("{program} is not installed: its configuration is not run"));
    }
    found
}

#[test]
fn haproxy_passes_the_clients_address_on() {
    let lab = Lab::new();
    let Some(text) = lab.configuration("haproxy").filter(|_| is_here("haproxy")) else { return };
    let file = lab.write(&text);
    let _proxy = lab.start("haproxy", &["-db", "-f", &file]);
    let (client, port) = lab.client();
    lab.check("HAProxy", client, port);
}

#[test]
fn nginx_passes_the_clients_address_on() {
    let lab = Lab::new();
    let has_module = Path::new(NGINX_STREAM).exists();
    let Some(text) = lab.configuration("nginx").filter(|_| is_here("nginx") && has_module) else { return };
    let folder = lab.scratch.path().display().to_string();
    let file = lab.write(&format!(
        "load_module {NGINX_STREAM};\ndaemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n{text}"
    ));
    let _proxy = lab.start("nginx", &["-p", &folder, "-c", &file]);
    let (client, port) = lab.client();
    lab.check("nginx", client, port);
}

#[test]
fn stunnel_passes_the_clients_address_on() {
    let lab = Lab::new();
    let Some(text) = lab.configuration("stunnel").filter(|_| is_here("stunnel") && is_here("openssl")) else { return };
    let pki = Pki::new().unwrap();
    let both = ["server-key.pem", "server-cert.pem"].map(|file| fs::read_to_string(pki.dir().join(file)).unwrap());
    let pem = lab.scratch.join("both.pem");
    fs::write(&pem, both.concat()).unwrap();
    let text = text.replace("/etc/stunnel/spice.pem", &pem.display().to_string());
    let file = lab.write(&format!("foreground = yes\npid =\n{text}"));
    let _proxy = lab.start("stunnel", &[&file]);
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{}", lab.port)]);
    let port = lab::free_port().unwrap();
    let bind = format!("127.0.0.1:{port}");
    command.args(["-bind", &bind]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = Process::spawn(&mut command).unwrap();
    let stdin = client.child().stdin.take().unwrap();
    lab.check("stunnel", stdin, port);
}
