//! The relay between a handmade client and a handmade server: forwarding, ends, limits and timeouts.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixListener,
    thread,
    time::{Duration, Instant},
};

use relay_lab::{
    Qmp, Relay,
    by_hand::{Server, connect, read_all},
    compare::names,
    eventually,
};
use socket2::{Domain, SockAddr, Socket, Type};
use spice_testkit::lab::Scratch;

/// Pseudo-random bytes (xorshift), the same for the same seed.
fn noise(mut seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend(seed.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn bytes_pass_in_both_directions_at_once_and_each_side_ends_by_itself() {
    let server = Server::new();
    let relay = server.relay(&[]);
    // Small, larger than a buffer, larger than a pipe and both sockets. The readers start late, so that all buffers fill up.
    for len in [1, 1000, 100_000, 20_000_000] {
        let (up, down) = (noise(1, len), noise(2, len + 1));
        let client = connect(&relay);
        let inside = server.accept();
        thread::scope(|scope| {
            scope.spawn(|| (&client).write_all(&up).and_then(|()| client.shutdown(Shutdown::Write)).unwrap());
            let (mut inside, down) = (&inside, &down);
            let written = scope.spawn(move || inside.write_all(down).unwrap());
            thread::sleep(Duration::from_millis(50));
            let server_saw = scope.spawn(move || {
                let seen = read_all(inside);
                written.join().unwrap();
                // The client has ended its side, and still receives bytes.
                inside.write_all(b"and then").and_then(|()| inside.shutdown(Shutdown::Write)).unwrap();
                seen
            });
            let mut seen = vec![0; down.len()];
            (&client).read_exact(&mut seen).unwrap();
            assert!(seen == *down, "{len}: the client got other bytes");
            assert_eq!(read_all(&client), b"and then");
            assert!(server_saw.join().unwrap() == up, "{len}: the server got other bytes");
        });
    }
}

#[test]
fn disconnected_comes_at_the_end_of_the_server_and_not_of_the_client() {
    let server = Server::new();
    let relay = server.relay(&[]);
    let client = connect(&relay);
    let inside = server.accept();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&inside), b"");
    let another = connect(&relay);
    server.accept();
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
    drop(another);
    let told = names(&relay.events.all());
    assert_eq!(told[0], ["CONNECTED"], "only the client has ended");
    inside.shutdown(Shutdown::Write).unwrap();
    relay.events.wait_for("SPICE_DISCONNECTED", 2);
    assert_eq!(names(&relay.events.all())[0], ["CONNECTED", "DISCONNECTED"]);
}

/// Ends the link stage: neither direction is SPICE.
fn end_link_stage(mut client: impl Read + Write, mut inside: impl Read + Write) {
    client.write_all(b"not SPICE").unwrap();
    inside.read_exact(&mut [0; 9]).unwrap();
    inside.write_all(b"not SPICE").unwrap();
    client.read_exact(&mut [0; 9]).unwrap();
}

/// Closes a socket with a reset: the kernel sends one for a socket that is closed with unread bytes.
fn reset(client: TcpStream, mut inside: &TcpStream) {
    inside.write_all(b"REDQ").unwrap();
    eventually("the bytes arrive", || client.peek(&mut [0; 4]).unwrap() == 4);
    drop(client);
}

#[test]
fn reset_of_the_client_resets_the_server() {
    let server = Server::new();
    let relay = server.relay(&[]);
    let client = connect(&relay);
    let mut inside = server.accept();
    end_link_stage(&client, &inside);
    reset(client, &inside);
    assert_eq!(inside.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
}

#[test]
fn reset_of_the_client_in_the_link_stage_is_an_end_for_the_server() {
    let server = Server::new();
    let relay = server.relay(&[]);
    let client = connect(&relay);
    let inside = server.accept();
    reset(client, &inside);
    assert_eq!(read_all(&inside), b"");
    drop(inside);
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
}

/// More bytes than all buffers between two peers hold.
const FLOOD: usize = 32 << 20;
/// A write that takes longer than this is blocked.
const BLOCKED: Duration = Duration::from_millis(500);

/// Writes until the relay takes no more bytes. The stream needs a timeout for writes.
fn fill(mut stream: impl Write) {
    let error = stream.write_all(&vec![0; FLOOD]).unwrap_err();
    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()), "{error}");
}

/// The server is on a unix socket: TCP sends the end only after bytes that the relay does not read.
#[test]
fn end_of_the_server_is_reported_although_the_client_reads_nothing() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("server");
    let server = UnixListener::bind(&path).unwrap();
    let upstream = format!("unix:{}", path.display());
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--half-closed-seconds", "1"]);
    let client = connect(&relay);
    let inside = server.accept().unwrap().0;
    inside.set_write_timeout(Some(BLOCKED)).unwrap();
    end_link_stage(&client, &inside);
    fill(&inside);
    drop(inside);
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
    // The half-closed limit gives the connection's slot back.
    relay.log.wait_for("for the other side's end", 1);
}

#[test]
fn reset_of_the_client_is_passed_on_although_the_server_reads_nothing() {
    let server = Server::new();
    let relay = server.relay(&[]);
    let client = connect(&relay);
    let inside = server.accept();
    client.set_write_timeout(Some(BLOCKED)).unwrap();
    end_link_stage(&client, &inside);
    fill(&client);
    reset(client, &inside);
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
    eventually("the connection has ended", || relay.ended() == 1);
}

#[test]
fn unreachable_server_makes_two_events_and_a_log_line() {
    // A port that was just free could become the relay's own port.
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"]);
    assert_eq!(read_all(&connect(&relay)), b"");
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
    assert_eq!(names(&relay.events.all())[0], ["CONNECTED", "DISCONNECTED"]);
    relay.log.wait_for("Connection refused", 1);
}

#[test]
fn connections_over_the_limit_are_closed_until_one_ends() {
    let server = Server::new();
    let relay = server.relay(&["--max-connections", "3", "--max-per-source", "2"]);
    let (first, _second) = (connect(&relay), connect(&relay));
    let inside = [server.accept(), server.accept()];
    // The third connection of this source is closed without an event, and the server does not see it.
    assert_eq!(read_all(&connect(&relay)), b"");
    relay.log.wait_for("\"limit\":\"max-per-source\"", 1);
    relay.events.wait_for("SPICE_CONNECTED", 2);
    assert_eq!(relay.events.all().len(), 2);
    // There is room again when one has left.
    drop((first, inside));
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
    eventually("accepting connections again", || {
        drop(connect(&relay));
        relay.log.count("accepting connections again") > 0
    });
}

#[test]
fn link_stage_has_a_time_limit() {
    let server = Server::new();
    let relay = server.relay(&["--link-seconds", "1"]);
    let stalled = [connect(&relay), connect(&relay)];
    let inside = [server.accept(), server.accept()];
    for stream in stalled.iter().chain(&inside) {
        assert!(matches!((&*stream).read(&mut [0]), Ok(0) | Err(_)));
    }
    relay.events.wait_for("SPICE_DISCONNECTED", 2);
    assert_eq!(relay.events.all().len(), 4);
    relay.log.wait_for("for the link stage", 2);
}

/// Operators may write the largest number that a file can hold to ask for no limit.
#[test]
fn time_limit_may_be_longer_than_a_timer_allows() {
    let (server, most) = (Server::new(), i64::MAX.to_string());
    let keys = ["--link-seconds", "--idle-seconds", "--half-closed-seconds", "--connect-seconds", "--drain-seconds"];
    let relay = server.relay(&keys.map(|key| [key, &*most]).concat());
    let mut client = connect(&relay);
    let mut inside = server.accept();
    // Not SPICE: after this the idle limit applies, and after the end of one side the half-closed limit.
    client.write_all(b"this is no SPICE, and passes all the same").unwrap();
    inside.write_all(b"I would not know how to read it").unwrap();
    relay.log.wait_for("\"kind\":\"unreadable\"", 2);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&inside), b"this is no SPICE, and passes all the same");
    drop(inside);
    assert_eq!(read_all(&client), b"I would not know how to read it");
    drop(client);
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
    relay.signal("-TERM");
    assert!(relay.wait().success());
}

#[test]
fn link_limit_does_not_apply_to_bytes_that_are_not_spice() {
    let server = Server::new();
    let relay = server.relay(&["--link-seconds", "1", "--idle-seconds", "2"]);
    let mut client = connect(&relay);
    let mut inside = server.accept();
    let start = Instant::now();
    client.write_all(b"this is no SPICE, and passes all the same").unwrap();
    inside.write_all(b"I would not know how to read it").unwrap();
    relay.log.wait_for("\"kind\":\"unreadable\"", 2);
    client.read_exact(&mut [0; 31]).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    assert!(start.elapsed() > Duration::from_millis(1900), "the idle time ended it");
    relay.log.wait_for("for an idle channel", 1);
}

#[test]
fn half_closed_connection_has_a_time_limit() {
    let server = Server::new();
    let relay = server.relay(&["--half-closed-seconds", "1"]);
    let client = connect(&relay);
    let _inside = server.accept();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client), b"");
    relay.log.wait_for("for the other side's end", 1);
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
}

/// A server accepts late. The kernel waits for it on TCP, but not on a unix socket.
#[test]
fn relay_waits_for_a_full_backlog() {
    let scratch = Scratch::new().unwrap();
    let (path, socket) = (scratch.join("server"), Socket::new(Domain::UNIX, Type::STREAM, None).unwrap());
    socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let listener = UnixListener::from(socket);
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &format!("unix:{}", path.display())]);
    let clients = [connect(&relay), connect(&relay), connect(&relay)];
    relay.events.wait_for("SPICE_CONNECTED", 3);
    thread::sleep(Duration::from_millis(200));
    for _ in &clients {
        listener.accept().unwrap().0.write_all(b"welcome").unwrap();
    }
    for client in &clients {
        assert_eq!(read_all(client), b"welcome");
    }
}

#[test]
fn unix_sockets_work_on_both_sides() {
    let scratch = Scratch::new().unwrap();
    let (server, at) = (scratch.join("server"), scratch.join("relay"));
    let listener = UnixListener::bind(&server).unwrap();
    // The path has a stale socket, on which no process listens.
    drop(UnixListener::bind(&at).unwrap());
    let (upstream, listen) = (format!("unix:{}", server.display()), format!("unix:{}", at.display()));
    let relay = Relay::start(&["--listen", &listen, "--upstream", &upstream]);
    let mut client = std::os::unix::net::UnixStream::connect(&at).unwrap();
    let mut inside = listener.accept().unwrap().0;
    client.write_all(b"up").unwrap();
    inside.read_exact(&mut [0; 2]).unwrap();
    drop(inside);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    relay.events.wait_for("SPICE_DISCONNECTED", 1);
    let expected = format!(
        "{{\"server\": {{\"port\": \"{}\", \"family\": \"unix\", \"host\": \"localhost\"}}, \"client\": {{\"port\": \"\", \"family\": \"unix\", \"host\": \"localhost\"}}}}",
        at.display()
    );
    relay.events.wait_for(&expected, 2);
    drop(client);
    relay.signal("-TERM");
    assert!(relay.wait().success());
    assert!(!at.exists(), "its socket file is gone");
}

#[test]
fn query_spice_lists_linked_channels() {
    let (server, scratch) = (Server::new(), Scratch::new().unwrap());
    let socket = scratch.join("vm.qmp");
    let relay = server.relay(&["--qmp", &format!("unix:{}", socket.display()), "--auth", "none"]);
    let port = relay.address().port();
    let qmp = Qmp::connect(&socket);
    let empty = format!(
        "{{\"return\": {{\"migrated\": false, \"enabled\": true, \"auth\": \"none\", \"port\": {port}, \"host\": \"127.0.0.1\", \"channels\": [], \"mouse-mode\": \"unknown\"}}}}"
    );
    assert_eq!(qmp.execute("query-spice"), empty);
    let commands = qmp.execute("query-commands");
    assert!(commands.contains("query-spice") && commands.contains("query-version"), "{commands}");
    assert!(qmp.execute("query-qmp-schema").contains("SPICE_INITIALIZED"));
    assert!(qmp.execute("query-version").contains("spicewatch"));
}

#[test]
fn qmp_client_that_never_reads_slows_nothing() {
    let (server, scratch) = (Server::new(), Scratch::new().unwrap());
    let socket = scratch.join("vm.qmp");
    let relay = server.relay(&["--qmp", &format!("unix:{}", socket.display())]);
    let mut deaf = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    deaf.write_all(b"{\"execute\": \"qmp_capabilities\"}").unwrap();
    let qmp = Qmp::connect(&socket);
    // Each event has 240 bytes: together far more than a socket holds.
    for _ in 0..1000 {
        let client = connect(&relay);
        drop((server.accept(), client));
    }
    qmp.lines.wait_for("SPICE_DISCONNECTED", 1000);
    drop(deaf);
}

/// Over TCP every client can connect to QMP: the relay keeps a bounded part of an incomplete message.
#[test]
fn memory_for_an_incomplete_qmp_message_is_bounded() {
    let (server, scratch) = (Server::new(), Scratch::new().unwrap());
    let socket = scratch.join("vm.qmp");
    let relay = server.relay(&["--qmp", &format!("unix:{}", socket.display())]);
    let (before, mut client) = (relay.memory(), std::os::unix::net::UnixStream::connect(&socket).unwrap());
    client.write_all(b"{\"execute\": \"").unwrap();
    client.write_all(&vec![b'a'; 40_000_000]).unwrap();
    let said = relay_lab::Lines::follow(client.try_clone().unwrap());
    said.wait_for("JSON token size limit exceeded", 1);
    let kept = relay.memory().saturating_sub(before);
    assert!(kept < 10_000_000, "{kept} bytes");
    // The message is skipped, and the client is served again.
    client.write_all(b"\"}\n{\"execute\": \"qmp_capabilities\"}\n").unwrap();
    said.wait_for("{\"return\": {}}", 1);
}

#[test]
fn one_process_serves_many_vms() {
    let (one, two, scratch) = (Server::new(), Server::new(), Scratch::new().unwrap());
    let file = scratch.join("relay.toml");
    let sockets = [scratch.join("one.qmp"), scratch.join("two.qmp")];
    let text = format!(
        "log = \"debug\"\nlog-format = \"json\"\nmax-connections = 100\n\
         [[vm]]\nname = \"one\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{}\"\nqmp = \"unix:{}\"\n\
         [[vm]]\nname = \"two\"\nlisten = [\"127.0.0.1:0\"]\nupstream = \"{}\"\nqmp = [\"unix:{}\"]\nauth = \"sasl\"\n",
        one.address(),
        sockets[0].display(),
        two.address(),
        sockets[1].display()
    );
    fs::write(&file, text).unwrap();
    let relay = Relay::start_with(&file);
    let qmp = [Qmp::connect(&sockets[0]), Qmp::connect(&sockets[1])];
    let _client = TcpStream::connect(&relay.addresses()[1]).unwrap();
    two.accept();
    qmp[1].lines.wait_for("SPICE_CONNECTED", 1);
    assert!(qmp[1].execute("query-spice").contains("\"auth\": \"sasl\""));
    assert!(qmp[0].execute("query-spice").contains("\"auth\": \"spice\""));
    assert!(qmp[0].events().is_empty());
}
