//! The relay beside a real QEMU: it reports each connection as QEMU does, except the two addresses.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use relay_lab::{
    Relay,
    compare::{Comparison, names, report, same_of_ours},
    eventually,
    mask::steady,
    tap::Tap,
};
use socket2::SockRef;
use spice_testkit::{
    captures::{PASSWORD, USER},
    lab::{
        self, CHANNELS, Client, Peer, Pki, SaslUser, Scratch, Vm,
        battery::{ACCEPTED, Case, NO_SELECTION, REFUSED, SASL},
    },
    spice_conformance::{
        Mess, Received, Subject, Target, Wire,
        spice_link::{ChannelType, LinkErrorCode, ticket},
    },
};

/// The server's `auth` setting, and whether its clients know the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    None,
    Ticket,
    Sasl,
}

impl Auth {
    fn spice(self) -> &'static str {
        match self {
            Self::None => "disable-ticketing=on",
            Self::Ticket => "password-secret=password",
            Self::Sasl => "sasl=on",
        }
    }

    /// The relay's `--auth`.
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ticket => "spice",
            Self::Sasl => "sasl",
        }
    }
}

/// A server on IPv4 only, and a relay in front of it.
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

    fn linked(&self, connection_id: u32, channel_type: ChannelType) -> Wire {
        let wire = behind(&self.relay).link(&Mess::channel(connection_id, channel_type, 0)).unwrap();
        assert_eq!(wire.received().get(1), Some(&Received::Result(LinkErrorCode::OK)));
        wire
    }

    fn initialized(&self, count: usize) {
        self.vm.events().wait_for("SPICE_INITIALIZED", count).unwrap();
        self.relay.events.wait_for("SPICE_INITIALIZED", count);
    }

    #[track_caller]
    fn same(&self, case: &str) {
        let all = Comparison { relay: &self.relay, vm: &self.vm, before: 0, tls_at_the_relay: false, behind: &[] };
        let (connections, events) = all.check(case);
        report(&format!("{case}: {connections} connections, {events} events equal QEMU's"));
    }

    /// Plays each case without the relay and through it. The client must get the same bytes, except those that a server draws
    /// at random.
    fn battery(&self, cases: &[Case]) {
        let taps = [self.server, self.relay.address()].map(|to| Tap::start("127.0.0.1:0", &to.to_string()));
        let mut compared = 0;
        for (number, case) in cases.iter().enumerate() {
            let [direct, relayed] = [0, 1].map(|side| {
                let tap: &Tap = &taps[side];
                let seen = case.play(tap.address().parse().unwrap()).unwrap();
                assert!(case.expected().is(&seen), "{}: {seen:?}", case.name);
                eventually(case.name, || tap.talks().get(number).is_some_and(|talk| talk.over));
                steady(&tap.talks()[number].down)
            });
            assert_eq!(direct, relayed, "{}: without the relay (left) and through it (right)", case.name);
            compared += direct.len();
        }
        report(&format!("{} cases, {compared} bytes as without the relay", cases.len()));
    }

    /// Compares only connections through the relay: the server had other clients too.
    #[track_caller]
    fn same_of_ours(&self, case: &str) {
        // Inside SASL's layer, the relay can't read the id of a main channel that is alone in its session.
        same_of_ours(&self.relay, &self.vm, case, if case == "sasl" { without_main_s_id } else { str::to_owned });
    }
}

/// The server behind a relay.
fn behind(relay: &Relay) -> Subject {
    Subject::new(Target::new(relay.address()).with_time_limit(lab::PATIENCE)).with_password(PASSWORD)
}

/// The same with the id 0, which means an unknown id.
fn without_main_s_id(said: &str) -> String {
    match said.split_once("\"connection-id\": ") {
        Some((start, rest)) if start.contains("\"channel-type\": 1,") => {
            format!(
                "{start}\"connection-id\": 0{}",
                rest.trim_start_matches(|char: char| char == '-' || char.is_ascii_digit())
            )
        }
        _ => said.to_owned(),
    }
}

#[test]
fn refused_links_are_reported_as_by_qemu() {
    let Some(pair) = Pair::start(Auth::Ticket, ",tls-channel=record") else { return };
    pair.battery(REFUSED);
    pair.same_of_ours("refused");
}

#[test]
fn odd_links_that_the_server_accepts_are_reported_as_by_qemu() {
    let Some(pair) = Pair::start(Auth::Ticket, "") else { return };
    pair.battery(ACCEPTED);
    pair.same_of_ours("accepted");
}

#[test]
fn links_that_a_sasl_server_refuses_are_reported_as_by_qemu() {
    let Some(pair) = Pair::start(Auth::Sasl, "") else { return };
    pair.battery(SASL);
    pair.same_of_ours("sasl");
    // The server leaks this socket: neither QEMU nor the relay ever reports SPICE_DISCONNECTED.
    let seen = NO_SELECTION.play(pair.relay.address()).unwrap();
    assert!(NO_SELECTION.expected().is(&seen));
    pair.relay.log.wait_for("\"kind\":\"leaked\"", 1);
    pair.vm.settle().unwrap();
    pair.same_of_ours("sasl");
    assert_eq!(names(&pair.relay.events.all()).pop().unwrap(), ["CONNECTED"]);
}

#[test]
fn websocket_links_are_reported_as_by_qemu() {
    let Some(pair) = Pair::start(Auth::Ticket, "") else { return };
    let subject = behind(&pair.relay);
    let mut open = Vec::new();
    let mut session = 0;
    for (channel_type, masked) in [(ChannelType::MAIN, true), (ChannelType::INPUTS, false), (ChannelType::CURSOR, true)]
    {
        let stream = subject.target.connect().unwrap().upgrade("localhost", masked).unwrap();
        let mut wire = Wire::over(stream, lab::PATIENCE);
        subject.link_over(&mut wire, &Mess::channel(session, channel_type, 0)).unwrap();
        assert_eq!(wire.received().get(1), Some(&Received::Result(LinkErrorCode::OK)));
        if let Some((id, _)) = wire.main_init() {
            session = id;
        }
        open.push(wire);
    }
    pair.initialized(3);
    drop(open);
    pair.same("websocket");
}

#[test]
fn second_session_replaces_the_first() {
    let Some(pair) = Pair::start(Auth::None, "") else { return };
    let mut old = pair.linked(0, ChannelType::MAIN);
    let (session, _) = old.main_init().unwrap();
    let mut old_inputs = pair.linked(session, ChannelType::INPUTS);
    let new = pair.linked(0, ChannelType::MAIN);
    assert!(new.main_init().is_some());
    // The server ends the old channels, and the relay passes that on.
    old.skip_to_end().unwrap();
    old_inputs.skip_to_end().unwrap();
    drop(new);
    pair.same("kick");
}

#[test]
fn dead_client_is_reported_as_by_qemu() {
    let Some(pair) = Pair::start(Auth::Ticket, "") else { return };
    let port = pair.relay.address().port().to_string();
    let client = Client::start(&["--port", &port, "--password", PASSWORD]).unwrap();
    pair.initialized(CHANNELS);
    thread::sleep(lab::MOMENT);
    client.kill().unwrap();
    pair.same("killed");
}

/// The server has all that it needs to accept the client, and does so.
#[test]
fn client_that_resets_right_after_its_ticket_is_reported_initialized() {
    const ROUNDS: usize = 50;
    let Some(pair) = Pair::start(Auth::Ticket, "") else { return };
    for round in 1..=ROUNDS {
        let mut client = TcpStream::connect(pair.relay.address()).unwrap();
        client.set_nodelay(true).unwrap();
        client.write_all(&Mess::channel(0, ChannelType::MAIN, 0).bytes()).unwrap();
        // A header of 16 bytes, then the error field, then the key.
        let mut reply = [0; 182];
        client.read_exact(&mut reply).unwrap();
        let ticket = ticket::seal(&reply[20..].try_into().unwrap(), PASSWORD.as_bytes()).unwrap();
        client.write_all(&[&[1, 0, 0, 0][..], &ticket].concat()).unwrap();
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        pair.vm.events().wait_for("SPICE_DISCONNECTED", round).unwrap();
    }
    pair.same("reset after the ticket");
    assert_eq!(pair.relay.events.count("SPICE_INITIALIZED"), ROUNDS);
}

#[test]
fn channels_of_a_migration_target_are_reported_as_by_qemu() {
    let Some(pair) = Pair::start(Auth::None, "") else { return };
    let main = pair.linked(7, ChannelType::MAIN);
    pair.initialized(1);
    drop(main);
    pair.same("migration target");
}

#[test]
fn qemu_is_asked_for_what_the_wire_does_not_show() {
    let Some(pair) = Pair::start(Auth::None, "") else { return };
    let scratch = Scratch::new().unwrap();
    let (socket, upstream) = (scratch.join("vm.qmp"), pair.server.to_string());
    let (qmp, qemu) = (format!("unix:{}", socket.display()), pair.vm.qmp_socket().display().to_string());
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--qmp", &qmp, "--qemu-qmp", &qemu]);
    let client = relay_lab::Qmp::connect(&socket);
    let main = behind(&relay).link(&Mess::default()).unwrap();
    assert!(main.main_init().is_some());
    client.lines.wait_for("\"auth\": \"none\"", 1);
    // Two addresses and two ports differ. All else is as QEMU reports it.
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
fn killed_qemu_ends_its_connections() {
    let Some(mut pair) = Pair::start(Auth::Ticket, "") else { return };
    let port = pair.relay.address().port().to_string();
    let client = Client::start(&["--port", &port, "--password", PASSWORD]).unwrap();
    let stalled = Wire::connect(&behind(&pair.relay).target).unwrap();
    pair.initialized(CHANNELS);
    thread::sleep(lab::MOMENT);
    // QEMU itself reports nothing more. The relay reports the end of its connections.
    pair.vm.quit().unwrap();
    pair.relay.events.wait_for("SPICE_DISCONNECTED", CHANNELS + 1);
    drop((stalled, client));
    eventually("only its own descriptors are left", || pair.relay.descriptors() < 30);
    // A new client is reported with CONNECTED and DISCONNECTED, and the log has the reason.
    let mut wire = Wire::connect(&behind(&pair.relay).target).unwrap();
    wire.skip_to_end().unwrap();
    pair.relay.events.wait_for("SPICE_DISCONNECTED", CHANNELS + 2);
    pair.relay.log.wait_for("can't reach the upstream", 1);
}
