//! The relay beside a real QEMU: what it says of each connection is what QEMU says of it, but for the two addresses.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod relay_lab;

use std::{io, net::SocketAddr, path::PathBuf, thread, time::Duration};

use relay_lab::{Relay, eventually, stories};
use spice_testkit::{
    captures::{PASSWORD, USER},
    lab::{
        self, CHANNELS, Client, Peer, Pki, SaslUser, Scratch, Vm, WebSocket,
        battery::{ACCEPTED, Case, NO_SELECTION, REFUSED, SASL},
        link::{Mess, Wire},
    },
};

/// Long enough for the channels to have been set up: QEMU 7.2 was seen to crash when a client leaves in the same
/// millisecond in which its last channel was initialized.
const MOMENT: Duration = Duration::from_millis(300);

/// A server's setting, and whether its clients know the password.
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
            Self::Ticket | Self::WrongTicket => "password=sekrit",
            Self::Sasl => "sasl=on",
        }
    }

    /// What the relay is told.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    Tcp4,
    Tcp6,
    Unix,
}

/// A server with all its addresses: one QEMU for TCP of both families, plain and TLS, one for a unix socket.
struct Servers {
    auth: Auth,
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
        let socket = scratch.join("vm.spice");
        let dir = pki.dir().display();
        Ok(Self {
            auth,
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

    /// One cell of the matrix: a whole session of spice-gtk through a relay made for it, then the comparison.
    fn cell(&self, auth: Auth, tls: Tls, net: Net) {
        let cell = format!("{auth:?}, TLS {tls:?}, {net:?}");
        let vm = if net == Net::Unix { &self.unix } else { &self.tcp };
        let host = if net == Net::Tcp6 { "[::1]" } else { "127.0.0.1" };
        let (pki, ca) = (self.pki.dir().display().to_string(), self.pki.ca().display().to_string());
        let at = self.scratch.join("relay.spice").display().to_string();
        let upstream = match (net, tls) {
            (Net::Unix, _) => format!("unix:{}", self.socket.display()),
            (_, Tls::AtBoth) => format!("{host}:{}", self.tls_port),
            _ => format!("{host}:{}", self.port),
        };
        // spice-gtk speaks neither TLS nor SASL over unix sockets: those cells are TCP to a server on a unix socket.
        let over_unix = net == Net::Unix && tls == Tls::No && auth != Auth::Sasl;
        let listen = if over_unix { format!("unix:{at}") } else { format!("{host}:0") };
        let mut args = vec!["--upstream", &upstream, "--auth", auth.name()];
        match tls {
            Tls::No => args.extend(["--listen", &listen]),
            _ => args.extend(["--tls-listen", &listen, "--x509-dir", &pki]),
        }
        if tls == Tls::AtBoth {
            args.push("--upstream-tls");
        }
        let relay = Relay::start(&args);
        let before = stories(&vm.events().lines()).len();

        let port = relay.addresses()[0].rsplit_once(':').map_or(String::new(), |(_, port)| port.to_owned());
        let mut client = vec!["--host", host.trim_matches(['[', ']'])];
        match tls {
            Tls::No if over_unix => client.extend(["--unix", &at]),
            Tls::No => client.extend(["--port", &port]),
            _ => client.extend(["--tls-port", &port, "--ca", &ca]),
        }
        client.extend(auth.client());
        let client = Client::start(&client).unwrap();
        // spice-server 0.15 can't start SASL on a unix socket. And on a plain one it insists on SASL's own encryption, which a
        // client inside TLS does without: with SASL it is TLS on both sides or on none.
        let sasl_can_t = auth == Auth::Sasl && (net == Net::Unix || tls == Tls::AtTheRelay);
        let refused = auth == Auth::WrongTicket || sasl_can_t;
        if refused {
            relay.events.wait_for("SPICE_DISCONNECTED", 1);
        } else {
            relay.events.wait_for("SPICE_INITIALIZED", CHANNELS);
            thread::sleep(MOMENT);
        }
        let status = client.leave().unwrap();
        assert_eq!(status.success(), !refused, "{cell}: the client says {status}");
        same(&relay, vm, before, tls == Tls::AtTheRelay, &cell);
    }
}

/// Waits until both know that every connection is over, and compares what they said of each.
///
/// `tls` is what the relay's client used; where the relay alone speaks TLS, QEMU can't know of it.
#[track_caller]
fn same(relay: &Relay, vm: &Vm, before: usize, tls_at_the_relay: bool, case: &str) {
    vm.events().wait_for_quiet().unwrap();
    let over = |stories: &[relay_lab::Story]| stories.iter().all(|story| story.1.last().unwrap() == "DISCONNECTED");
    eventually(case, || over(&stories(&relay.events.all())));
    let mut ours = stories(&relay.events.all());
    let mut theirs = stories(&vm.events().lines()).split_off(before);
    if tls_at_the_relay {
        for said in theirs.iter_mut().flat_map(|story| &mut story.1) {
            *said = said.replace("tls false", "tls true");
        }
    }
    let ports = relay.ports();
    if ports.is_empty() {
        // A unix socket's client has no port: what was said is compared, not of which connection.
        let all = |stories: &[relay_lab::Story]| {
            let mut all: Vec<_> = stories.iter().flat_map(|story| story.1.clone()).collect();
            all.sort();
            all
        };
        assert!(!ours.is_empty(), "{case}: no event");
        assert_eq!(all(&ours), all(&theirs), "{case}: relay (left) and QEMU (right)");
        return;
    }
    // Theirs are named by the relay's own ports.
    let mut left = ports;
    for story in &mut theirs {
        let place = left.iter().position(|(_, local)| *local == story.0).unwrap_or_else(|| panic!("{case}: {story:?}"));
        story.0 = left.remove(place).0;
    }
    ours.sort();
    theirs.sort();
    assert!(!ours.is_empty(), "{case}: no event");
    assert_eq!(ours, theirs, "{case}: relay (left) and QEMU (right)");
}

fn matrix(server: Auth, auths: &[Auth]) {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl, Peer::Sasl]) {
        return;
    }
    let servers = Servers::boot(server).unwrap();
    for &auth in auths {
        for tls in [Tls::No, Tls::AtTheRelay, Tls::AtBoth] {
            for net in [Net::Tcp4, Net::Tcp6, Net::Unix] {
                // QEMU has no TLS on unix sockets.
                if (tls, net) != (Tls::AtBoth, Net::Unix) {
                    servers.cell(auth, tls, net);
                }
            }
        }
    }
    assert_eq!(servers.auth, server);
}

#[test]
fn no_auth() {
    matrix(Auth::None, &[Auth::None]);
}

#[test]
fn tickets_right_and_wrong() {
    matrix(Auth::Ticket, &[Auth::Ticket, Auth::WrongTicket]);
}

#[test]
fn sasl() {
    matrix(Auth::Sasl, &[Auth::Sasl]);
}

/// A server on IPv4 alone, and a relay in front of it.
struct Pair {
    vm: Vm,
    server: SocketAddr,
    relay: Relay,
    _user: Option<SaslUser>,
    _pki: Pki,
}

impl Pair {
    fn start(auth: Auth, more: &str) -> Option<Self> {
        if !lab::have(&[Peer::Qemu, Peer::SpiceGtk, Peer::Openssl, Peer::Sasl]) {
            return None;
        }
        let (port, tls_port, pki) = (lab::free_port().unwrap(), lab::free_port().unwrap(), Pki::new().unwrap());
        let user = (auth == Auth::Sasl).then(|| SaslUser::new(USER, PASSWORD, "digest-md5").unwrap());
        let dir = pki.dir().display();
        let spice = format!("port={port},tls-port={tls_port},x509-dir={dir},addr=127.0.0.1,{}{more}", auth.spice());
        let vm = Vm::boot_with(&spice, |qemu| {
            if let Some(user) = &user {
                user.configure(qemu);
            }
        })
        .unwrap();
        let upstream = format!("127.0.0.1:{port}");
        let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--auth", auth.name()]);
        Some(Self { vm, server: upstream.parse().unwrap(), relay, _user: user, _pki: pki })
    }

    fn linked(&self, connection_id: u32, channel_type: u8) -> Wire {
        let mut wire = Wire::connect(self.relay.address()).unwrap();
        assert_eq!(wire.link(&Mess::new(connection_id, channel_type, 0), PASSWORD).unwrap(), 0);
        wire
    }

    fn initialized(&self, count: usize) {
        self.vm.events().wait_for("SPICE_INITIALIZED", count).unwrap();
        self.relay.events.wait_for("SPICE_INITIALIZED", count);
    }

    #[track_caller]
    fn same(&self, case: &str) {
        same(&self.relay, &self.vm, 0, false, case);
    }

    /// Plays each case without the relay and through it: the client has to see the same.
    fn battery(&self, cases: &[Case]) {
        for case in cases {
            let direct = case.play(self.server).unwrap();
            let relayed = case.play(self.relay.address()).unwrap();
            let seen =
                |link: &spice_testkit::captures::Link| (link.sent, link.received, link.replies.clone(), link.result);
            assert_eq!(seen(&direct), seen(&relayed), "{}", case.name);
            assert!(case.expected.is(&relayed), "{}: {relayed:?}", case.name);
        }
    }

    /// Compares only what went through the relay: the server had other clients too.
    #[track_caller]
    fn same_of_ours(&self, case: &str) {
        let ports = self.relay.ports();
        let theirs = || {
            let mut stories = stories(&self.vm.events().lines());
            stories.retain_mut(|story| match ports.iter().find(|(_, local)| *local == story.0) {
                Some((client, _)) => {
                    story.0.clone_from(client);
                    // Inside SASL's layer nobody can read the id of a main channel that is alone in its session.
                    if case == "sasl" {
                        story.1.iter_mut().for_each(|said| *said = without_main_s_id(said));
                    }
                    true
                }
                None => false,
            });
            stories.sort();
            stories
        };
        let ours = || {
            let mut stories = stories(&self.relay.events.all());
            stories.sort();
            stories
        };
        assert!(!ports.is_empty());
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while ours() != theirs() && std::time::Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(ours(), theirs(), "{case}: relay (left) and QEMU (right)");
    }
}

/// The same with the id that is told where none is known.
fn without_main_s_id(said: &str) -> String {
    match said.split_once(" id ") {
        Some((start, rest)) if rest.contains(" channel 1/") => {
            format!("{start} id 0 {}", rest.split_once(' ').unwrap().1)
        }
        _ => said.to_owned(),
    }
}

#[test]
fn what_a_server_refuses() {
    let Some(pair) = Pair::start(Auth::Ticket, ",tls-channel=record") else { return };
    pair.battery(REFUSED);
    pair.same_of_ours("refused");
}

#[test]
fn what_a_server_accepts_although_it_is_odd() {
    let Some(pair) = Pair::start(Auth::Ticket, "") else { return };
    pair.battery(ACCEPTED);
    pair.same_of_ours("accepted");
}

#[test]
fn what_a_sasl_server_refuses() {
    let Some(pair) = Pair::start(Auth::Sasl, "") else { return };
    pair.battery(SASL);
    pair.same_of_ours("sasl");
    // The server forgets this one's socket: neither says SPICE_DISCONNECTED, ever.
    let seen = NO_SELECTION.play(pair.relay.address()).unwrap();
    assert!(NO_SELECTION.expected.is(&seen));
    pair.relay.log.wait_for("\"kind\":\"leaked\"", 1);
    pair.vm.settle().unwrap();
    pair.same_of_ours("sasl");
    let last = stories(&pair.relay.events.all()).pop().unwrap();
    assert_eq!(last.1, ["CONNECTED"]);
}

#[test]
fn websocket() {
    let Some(pair) = Pair::start(Auth::Ticket, "") else { return };
    let mut open = Vec::new();
    let mut session = 0;
    for (channel_type, masked) in [(1, true), (3, false), (4, true)] {
        let socket = WebSocket::connect(pair.relay.address(), masked).unwrap();
        let ports = [socket.stream().local_addr().unwrap().port(), pair.relay.address().port()];
        let mut wire = Wire::over(socket, ports);
        assert_eq!(wire.link(&Mess::new(session, channel_type, 0), PASSWORD).unwrap(), 0);
        if channel_type == 1 {
            session = wire.read_session_id(true).unwrap();
        }
        open.push(wire);
    }
    pair.initialized(3);
    drop(open);
    pair.same("websocket");
}

#[test]
fn a_second_session_kicks_the_first() {
    let Some(pair) = Pair::start(Auth::None, "") else { return };
    let mut old = pair.linked(0, 1);
    let session = old.read_session_id(true).unwrap();
    let mut old_inputs = pair.linked(session, 3);
    let mut new = pair.linked(0, 1);
    new.read_session_id(true).unwrap();
    // The server ends the old ones; that end comes through.
    old.until_end().unwrap();
    old_inputs.until_end().unwrap();
    drop(new);
    pair.same("kick");
}

#[test]
fn a_client_that_dies() {
    let Some(pair) = Pair::start(Auth::Ticket, "") else { return };
    let port = pair.relay.address().port().to_string();
    let client = Client::start(&["--port", &port, "--password", PASSWORD]).unwrap();
    pair.initialized(CHANNELS);
    thread::sleep(MOMENT);
    client.kill().unwrap();
    pair.same("killed");
}

#[test]
fn a_migration_target_s_channels() {
    let Some(pair) = Pair::start(Auth::None, "") else { return };
    let main = pair.linked(7, 1);
    pair.initialized(1);
    drop(main);
    pair.same("migration target");
}

#[test]
fn qemu_is_asked_what_no_byte_shows() {
    let Some(pair) = Pair::start(Auth::None, "") else { return };
    let scratch = Scratch::new().unwrap();
    let (socket, upstream) = (scratch.join("vm.qmp"), pair.server.to_string());
    let (qmp, qemu) = (format!("unix:{}", socket.display()), pair.vm.qmp_socket().display().to_string());
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--qmp", &qmp, "--qemu-qmp", &qemu]);
    let client = relay_lab::Qmp::connect(&socket);
    let mut main = Wire::connect(relay.address()).unwrap();
    assert_eq!(main.link(&Mess::new(0, 1, 0), "").unwrap(), 0);
    main.read_session_id(true).unwrap();
    client.lines.wait_for("\"auth\": \"none\"", 1);
    // Two addresses and two ports differ; all else is as QEMU says it.
    let plain = |reply: &str| {
        let mut reply = reply.to_owned();
        for member in ["\"port\": ", "\"tls-port\": "] {
            reply = reply.split(", ").filter(|part| !part.contains(member)).collect::<Vec<_>>().join(", ");
        }
        reply
    };
    let query = "query-spice";
    let (ours, theirs) = (client.execute(query), pair.vm.events().execute(r#"{"execute": "query-spice"}"#).unwrap());
    assert_eq!(plain(&ours), plain(&theirs));
    let version = pair.vm.events().execute(r#"{"execute": "query-version"}"#).unwrap();
    assert_eq!(client.execute("query-version"), version);
}

#[test]
fn the_server_is_killed() {
    let Some(mut pair) = Pair::start(Auth::Ticket, "") else { return };
    let port = pair.relay.address().port().to_string();
    let client = Client::start(&["--port", &port, "--password", PASSWORD]).unwrap();
    let stalled = Wire::connect(pair.relay.address()).unwrap();
    pair.initialized(CHANNELS);
    thread::sleep(MOMENT);
    // QEMU itself says nothing more; the relay says what became of its connections.
    pair.vm.quit().unwrap();
    pair.relay.events.wait_for("SPICE_DISCONNECTED", CHANNELS + 1);
    drop((stalled, client));
    eventually("only its own descriptors are left", || pair.relay.descriptors() < 30);
    // A new client hears that there is nobody: CONNECTED, DISCONNECTED, and why.
    let mut wire = Wire::connect(pair.relay.address()).unwrap();
    wire.until_end().unwrap();
    pair.relay.events.wait_for("SPICE_DISCONNECTED", CHANNELS + 2);
    pair.relay.log.wait_for("can't reach the upstream", 1);
}
