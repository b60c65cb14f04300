//! Every combination of authentication, TLS and sockets: whole sessions of spice-gtk through the relay to a real QEMU. The relay
//! reports each connection as QEMU does, and the client gets the bytes that the server sent.
//!
//! ```text
//!  spice-gtk ── tap ── relay ── tap ── QEMU          bytes compared: plain cells
//!  spice-gtk ── tap ── socat ═TLS═ relay ═TLS═ socat ── tap ── QEMU     and inside TLS
//! ```

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    io,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use relay_lab::{
    Relay,
    compare::{Comparison, report, same_bytes},
    eventually,
    tap::Tap,
};
use spice_testkit::{
    captures::{PASSWORD, USER},
    events::EventLine,
    lab::{self, CHANNELS, Client, Peer, Pki, SaslUser, Scratch, Vm},
};

/// QEMU shows a longer socket path as an empty string: `getnameinfo` has no room for it (`NI_MAXSERV`, 32 bytes with the NUL).
const QEMU_S_LONGEST_PATH: usize = 31;

/// The server's `auth` setting, and whether its clients know the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    None,
    Ticket,
    WrongTicket,
    Sasl,
}

impl Auth {
    fn spice(self) -> &'static str {
        match self {
            Self::None => "disable-ticketing=on",
            Self::Ticket | Self::WrongTicket => "password-secret=password",
            Self::Sasl => "sasl=on",
        }
    }

    /// The relay's `--auth`.
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ticket | Self::WrongTicket => "spice",
            Self::Sasl => "sasl",
        }
    }

    fn client(self) -> Vec<&'static str> {
        match self {
            Self::None => vec![],
            Self::Ticket => vec!["--password", PASSWORD],
            Self::WrongTicket => vec!["--password", "wrong"],
            Self::Sasl => vec!["--user", USER, "--password", PASSWORD],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    No,
    AtTheRelay,
    AtBoth,
}

/// The relay's sockets on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    Tcp4,
    Tcp6,
    Unix,
}

/// A server with all its addresses: one QEMU for TCP of both families, plain and TLS, and one for a unix socket.
struct Servers {
    tcp: Vm,
    unix: Vm,
    port: u16,
    tls_port: u16,
    socket: PathBuf,
    pki: Pki,
    scratch: Scratch,
    _user: Option<SaslUser>,
}

impl Servers {
    fn boot(auth: Auth) -> io::Result<Self> {
        let (port, tls_port, pki, scratch) = (lab::free_port()?, lab::free_port()?, Pki::new()?, Scratch::new()?);
        let user = (auth == Auth::Sasl).then(|| SaslUser::new(USER, PASSWORD, "digest-md5")).transpose()?;
        let boot = |spice: &str| {
            Vm::boot_with(&format!("{spice},{}", auth.spice()), |qemu| {
                if let Some(user) = &user {
                    user.configure(qemu);
                }
            })
        };
        let socket = scratch.join("s");
        let dir = pki.dir().display();
        Ok(Self {
            tcp: boot(&format!("port={port},tls-port={tls_port},x509-dir={dir},addr=::"))?,
            unix: boot(&format!("unix=on,addr={}", socket.display()))?,
            port,
            tls_port,
            socket,
            pki,
            scratch,
            _user: user,
        })
    }

    fn unix(&self, name: &str) -> String {
        format!("unix:{}", self.scratch.join(name).display())
    }

    /// One cell of the matrix: a whole session through a relay of its own, then the comparisons.
    ///
    /// With unix sockets, QEMU's is a unix socket only in plain cells without SASL: QEMU has no TLS there, and spice-server 0.15
    /// can't start SASL there ("sasl context setup failed -7"). In other cells a tap connects to QEMU's TCP port.
    fn cell(&self, auth: Auth, tls: Tls, net: Net) {
        let cell = format!("{auth:?}, TLS {tls:?}, {net:?}");
        let at_unix = net == Net::Unix && tls != Tls::AtBoth && auth != Auth::Sasl;
        let vm = if at_unix { &self.unix } else { &self.tcp };
        let host = if net == Net::Tcp6 { "[::1]" } else { "127.0.0.1" };
        let server = match tls {
            _ if at_unix => format!("unix:{}", self.socket.display()),
            Tls::AtBoth => format!("{host}:{}", self.tls_port),
            _ => format!("{host}:{}", self.port),
        };
        let any = format!("{host}:0");
        let inside = Tap::start(&if net == Net::Unix { self.unix("inside") } else { any.clone() }, &server);
        let pki = self.pki.dir().display().to_string();
        let listen = if net == Net::Unix { self.unix("relay") } else { any.clone() };
        let mut args = vec!["--upstream", inside.address(), "--auth", auth.name()];
        match tls {
            Tls::No => args.extend(["--listen", &listen]),
            _ => args.extend(["--tls-listen", &listen, "--x509-dir", &pki]),
        }
        if tls == Tls::AtBoth {
            args.extend(["--upstream-tls", "--upstream-name", "localhost"]);
        }
        let relay = Relay::start(&args);
        let before = vm.events().lines().len();
        let relay_at = if net == Net::Unix { listen.clone() } else { relay.addresses().remove(0) };
        // spice-gtk speaks neither TLS nor SASL over unix sockets. There a tap turns its TCP into a unix connection.
        let client_unix = net == Net::Unix && tls == Tls::No && auth != Auth::Sasl;
        let outside = Tap::start(&if client_unix { self.unix("outside") } else { any }, &relay_at);
        self.play(&relay, &outside, (auth, tls, net), client_unix);

        let behind: Vec<_> = inside.talks().into_iter().map(|talk| talk.ports).collect();
        let tls_at_the_relay = tls == Tls::AtTheRelay;
        let (connections, events) =
            Comparison { relay: &relay, vm, before, tls_at_the_relay, behind: &behind }.check(&cell);
        if at_unix && client_unix && self.socket.as_os_str().len() <= QEMU_S_LONGEST_PATH {
            // Even the addresses are QEMU's, except the path of the socket that each listens on.
            let [ours, theirs] =
                [relay.events.all(), vm.events().lines().split_off(before)].map(|lines| body_of_the_first(&lines));
            assert_eq!(ours, theirs.replace(&*self.socket.to_string_lossy(), listen.trim_start_matches("unix:")));
        }
        let mut outcome = format!("{connections} connections, {events} events equal QEMU's");
        if tls == Tls::No {
            eventually(&cell, || outside.talks().iter().chain(&inside.talks()).all(|talk| talk.over));
            let passed = same_bytes(&outside.talks(), &inside.talks(), &cell);
            let bytes = format!(
                "; {} bytes up and {} down the same on both sides (a reset overtook {:?})",
                passed.up, passed.down, passed.lost
            );
            outcome += &bytes;
        }
        report(&format!("{cell}: {outcome}"));
    }

    /// Plays a session that opens every channel and leaves, or one that is refused.
    fn play(&self, relay: &Relay, outside: &Tap, (auth, tls, net): (Auth, Tls, Net), client_unix: bool) {
        let ca = self.pki.ca().display().to_string();
        let mut client = vec!["--host", if net == Net::Tcp6 { "::1" } else { "127.0.0.1" }];
        match tls {
            Tls::No if client_unix => client.extend(["--unix", outside.address().trim_start_matches("unix:")]),
            Tls::No => client.extend(["--port", outside.port()]),
            _ => client.extend(["--tls-port", outside.port(), "--ca", &ca]),
        }
        client.extend(auth.client());
        let client = Client::start(&client).unwrap();
        // A plain server requires SASL's own encryption, which a client inside TLS does not negotiate. So SASL needs TLS on
        // both sides or on neither. In the other cells, the refusal is compared.
        let refused = auth == Auth::WrongTicket || (auth == Auth::Sasl && tls == Tls::AtTheRelay);
        if refused {
            relay.events.wait_for("SPICE_DISCONNECTED", 1);
        } else {
            relay.events.wait_for("SPICE_INITIALIZED", CHANNELS);
        }
        let status = client.leave().unwrap();
        assert_eq!(status.success(), !refused, "{auth:?}, {tls:?}, {net:?}: the client says {status}");
        if !refused {
            let second = |line: &String| line.contains("\"channel-type\": 2,") && line.contains("\"channel-id\": 1,");
            assert!(relay.events.all().iter().any(second), "the second display's channel");
        }
    }
}

/// QEMU has lines that are not about SPICE: its firmware sets up a network card meanwhile.
fn body_of_the_first(lines: &[String]) -> String {
    let first = lines.iter().find(|line| line.contains("SPICE_CONNECTED"));
    EventLine::parse(first.unwrap()).unwrap().body.to_owned()
}

fn matrix(server: Auth, auths: &[Auth]) {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl, Peer::Sasl]) {
        return;
    }
    let servers = Servers::boot(server).unwrap();
    for &auth in auths {
        for tls in [Tls::No, Tls::AtTheRelay, Tls::AtBoth] {
            for net in [Net::Tcp4, Net::Tcp6, Net::Unix] {
                servers.cell(auth, tls, net);
            }
        }
    }
}

#[test]
fn sessions_without_auth_are_reported_as_by_qemu() {
    matrix(Auth::None, &[Auth::None]);
}

#[test]
fn sessions_with_right_and_wrong_tickets_are_reported_as_by_qemu() {
    matrix(Auth::Ticket, &[Auth::Ticket, Auth::WrongTicket]);
}

#[test]
fn sessions_with_sasl_are_reported_as_by_qemu() {
    matrix(Auth::Sasl, &[Auth::Sasl]);
}

/// On a unix socket, spice-server accepts, and ends the connection when SASL should start.
#[test]
fn sasl_on_a_unix_socket_of_qemu_is_refused_and_logged() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl, Peer::Sasl]) {
        return;
    }
    let servers = Servers::boot(Auth::Sasl).unwrap();
    let relay = Relay::start(&[
        "--listen",
        "127.0.0.1:0",
        "--auth",
        "sasl",
        "--upstream",
        &format!("unix:{}", servers.socket.display()),
    ]);
    let port = relay.address().port().to_string();
    let client = Client::start(&["--port", &port, "--user", USER, "--password", PASSWORD]).unwrap();
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
    assert!(!client.leave().unwrap().success());
    let comparison = Comparison { relay: &relay, vm: &servers.unix, before: 0, tls_at_the_relay: false, behind: &[] };
    let (connections, events) = comparison.check("SASL on QEMU's unix socket");
    report(&format!("SASL on QEMU's unix socket: {connections} connection, {events} events equal QEMU's"));
}

/// `socat`, ended on drop.
struct Socat(Child);

impl Socat {
    fn start(from: &str, to: &str) -> Self {
        let mut command = Command::new("socat");
        let child = command.args([from, to]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap())
    }
}

impl Drop for Socat {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Compares the bytes inside the relay's TLS: OpenSSL ends it on both sides.
#[test]
fn bytes_inside_tls_pass_unchanged() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl, Peer::Sasl, Peer::Socat]) {
        return;
    }
    let servers = Servers::boot(Auth::Ticket).unwrap();
    let dir = servers.pki.dir().display().to_string();
    for tls in [Tls::AtTheRelay, Tls::AtBoth] {
        let cell = format!("inside TLS {tls:?}");
        let inside = Tap::start("127.0.0.1:0", &format!("127.0.0.1:{}", servers.port));
        let (into, out) = (lab::free_port().unwrap(), lab::free_port().unwrap());
        let (upstream, _server);
        let mut more = vec!["--tls-listen", "127.0.0.1:0", "--x509-dir", &dir];
        if tls == Tls::AtBoth {
            let listen = format!(
                "OPENSSL-LISTEN:{out},bind=127.0.0.1,fork,reuseaddr,verify=0,cert={dir}/server-cert.pem,key={dir}/server-key.pem"
            );
            _server = Socat::start(&listen, &format!("TCP:{}", inside.address()));
            upstream = format!("127.0.0.1:{out}");
            more.push("--upstream-tls");
        } else {
            upstream = inside.address().to_owned();
        }
        more.extend(["--upstream", &upstream]);
        let relay = Relay::start(&more);
        let _client = Socat::start(
            &format!("TCP-LISTEN:{into},bind=127.0.0.1,fork,reuseaddr"),
            &format!("OPENSSL:{},verify=1,cafile={dir}/ca-cert.pem", relay.address()),
        );
        let listens = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_err();
        eventually("socat listens", || listens(into) && (tls == Tls::AtTheRelay || listens(out)));
        let outside = Tap::start("127.0.0.1:0", &format!("127.0.0.1:{into}"));
        let client = Client::start(&["--port", outside.port(), "--password", PASSWORD]).unwrap();
        relay.events.wait_for("SPICE_INITIALIZED", CHANNELS);
        assert!(client.leave().unwrap().success());
        relay.events.wait_for("SPICE_DISCONNECTED", CHANNELS);
        eventually(&cell, || outside.talks().iter().chain(&inside.talks()).all(|talk| talk.over));
        let passed = same_bytes(&outside.talks(), &inside.talks(), &cell);
        report(&format!(
            "{cell}: {CHANNELS} connections, {} bytes up and {} down the same on both sides (a reset overtook {:?})",
            passed.up, passed.down, passed.lost
        ));
    }
}
