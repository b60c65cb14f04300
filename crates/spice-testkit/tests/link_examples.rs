//! spice-link's examples against real peers: spice-gtk links to the example server, the example client links to QEMU.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::{Arc, Once},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use spice_testkit::lab::{self, Client, Peer, Pki, Vm};

const PASSWORD: &str = "sekrit";

/// An example of spice-link. Cargo does not build another package's examples for a test, so the test does.
fn example(name: &str) -> Command {
    static BUILD: Once = Once::new();
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    BUILD.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "spice-link", "--features", "ticket", "--examples"]);
        cargo.args(profile.ends_with("release").then_some("--release"));
        assert!(cargo.arg("--target-dir").arg(profile.parent().unwrap()).status().unwrap().success());
    });
    Command::new(profile.join("examples").join(name))
}

/// The example server, ended with its value.
struct Server {
    child: Child,
    port: String,
    said: io::Lines<BufReader<ChildStdout>>,
}

impl Server {
    fn start() -> io::Result<Self> {
        let mut child = example("server").args(["0", PASSWORD]).stdout(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = said.next().unwrap()?;
        let port = line.rsplit(':').next().unwrap().to_owned();
        Ok(Self { child, port, said })
    }

    /// What it says next of a connection, without the peer's address.
    fn next(&mut self) -> String {
        let line = self.said.next().unwrap().unwrap();
        line.split_once(' ').unwrap().1.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn spice_gtk_opens_the_servers_main_channel() -> io::Result<()> {
    if !lab::have(&[Peer::SpiceGtk]) {
        return Ok(());
    }
    let mut server = Server::start()?;
    let client = Client::start(&["--port", &server.port, "--password", PASSWORD])?;
    assert_eq!(server.next(), "CONNECTED");
    let initialized = server.next();
    assert!(initialized.starts_with("INITIALIZED main 0 of session "), "{initialized}");
    // It succeeds if the one channel that there is has opened.
    assert!(client.leave()?.success());
    assert_eq!(server.next(), "DISCONNECTED");
    Ok(())
}

#[test]
fn spice_gtk_with_a_wrong_password_is_refused() -> io::Result<()> {
    if !lab::have(&[Peer::SpiceGtk]) {
        return Ok(());
    }
    let mut server = Server::start()?;
    let client = Client::start(&["--port", &server.port, "--password", "wrong"])?;
    assert_eq!(server.next(), "CONNECTED");
    assert_eq!(server.next(), "refused: the ticket is not valid");
    assert_eq!(server.next(), "DISCONNECTED");
    assert!(!client.leave()?.success());
    Ok(())
}

#[path = "../../spice-link/examples/client.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example, of which this test calls one function")]
mod client;

/// The example's `link` inside TLS. Returns the session's id as QMP shows it.
fn link_in_tls(port: u16, ca: &Path) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).map_err(io::Error::other)?).map_err(io::Error::other)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection =
        ClientConnection::new(Arc::new(config), ServerName::from(server.ip())).map_err(io::Error::other)?;
    let id = client::link(PASSWORD, StreamOwned::new(connection, TcpStream::connect(server)?))?;
    Ok(id.cast_signed().to_string())
}

fn run_client(args: &[&str]) -> io::Result<Output> {
    example("client").args(args).output()
}

#[test]
fn the_client_links_to_qemu_plain_in_websocket_and_in_tls() -> io::Result<()> {
    if !lab::have(&[Peer::Qemu, Peer::Openssl]) {
        return Ok(());
    }
    let (port, tls_port, pki) = (lab::free_port()?, lab::free_port()?, Pki::new()?);
    let dir = pki.dir().display().to_string();
    let vm =
        Vm::boot(&format!("port={port},tls-port={tls_port},addr=127.0.0.1,password-secret=password,x509-dir={dir}"))?;
    let plain = format!("127.0.0.1:{port}");
    let link = |args: &[&str]| -> io::Result<String> {
        let output = run_client(args)?;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("the server supports AUTH_SELECTION, AUTH_SPICE, MINI_HEADER"), "{said}");
        Ok(said.lines().last().unwrap().strip_prefix("linked: session ").unwrap().to_owned())
    };
    let ways: [&dyn Fn() -> io::Result<String>; 3] =
        [&|| link(&[&plain, PASSWORD]), &|| link(&[&plain, PASSWORD, "--websocket"]), &|| {
            link_in_tls(tls_port, &pki.ca())
        }];
    for (index, way) in ways.into_iter().enumerate() {
        let id = way()?;
        // The id that the client reads in MAIN_INIT is the one that QEMU reports.
        vm.events().wait_for("SPICE_INITIALIZED", index + 1)?;
        let lines = vm.events().lines();
        let last = lines.iter().rfind(|line| line.contains("SPICE_INITIALIZED")).unwrap();
        assert!(last.contains(&format!("\"connection-id\": {id},")), "{last} of {id}");
    }
    let refused = run_client(&[&plain, "wrong"])?;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("permission denied"), "{said}");
    Ok(())
}
