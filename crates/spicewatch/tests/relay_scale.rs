//! Thousands of connections at once, and what remains of them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use relay_lab::{Qmp, Relay, by_hand::link, compare::report, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spice_testkit::{
    lab::{self, CHANNELS, Client, Peer, Scratch, Vm},
    spice_conformance::Mess,
};

/// How many channels are linked and idle.
const LINKED: usize = 4500;
/// How many connections stop in the middle of their handshake.
const STALLED: usize = 500;
/// At most this many rounds, and at least three: an allocator keeps its peak, grows in steps of a megabyte or two, and then stops.
const ROUNDS: usize = 10;
/// How many bytes a round may leave behind when memory has settled. 210 bytes for each connection would fail.
const KEPT: usize = 1 << 20;

/// Descriptors and bytes with all connections, bytes after them, the slowest round trip, and the time for linking.
type Round = ((usize, usize), usize, Duration, Duration);

/// How many bytes the last round left behind.
fn grown(rounds: &[Round]) -> usize {
    let [.., before, last] = rounds else { return usize::MAX };
    last.1.saturating_sub(before.1)
}

/// A number of the relay's own status.
fn status(qmp: &Qmp, member: &str) -> usize {
    let reply = qmp.execute("__org.spicewatch_query-relay");
    let (_, value) = reply.split_once(&format!("\"{member}\": ")).unwrap_or_else(|| panic!("{reply}"));
    value.split([',', '}']).next().unwrap().parse().unwrap()
}

/// Sends a byte through and one back, repeatedly until `stop`. Returns the longest time that this took.
fn slowest(client: &mut TcpStream, inside: &mut TcpStream, stop: &AtomicBool) -> Duration {
    let mut slowest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        client.write_all(b"x").unwrap();
        inside.read_exact(&mut [0]).unwrap();
        inside.write_all(b"y").unwrap();
        client.read_exact(&mut [0]).unwrap();
        slowest = slowest.max(start.elapsed());
        thread::sleep(Duration::from_millis(1));
    }
    slowest
}

#[test]
fn five_thousand_connections_leave_nothing_behind() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    assert!(limit.maximum.is_none_or(|most| most >= 12_000), "needs 12000 descriptors, has {limit:?}");

    let (port, scratch) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets = [scratch.join("real.qmp"), scratch.join("made.qmp")];
    let config = format!(
        "log-format = \"json\"\nmax-qmp-behind = 2_000_000\n\
         [[vm]]\nlisten = \"127.0.0.1:0\"\nupstream = \"127.0.0.1:{port}\"\nauth = \"none\"\nqmp = \"unix:{}\"\n\
         [[vm]]\nname = \"made\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{}\"\nqmp = \"unix:{}\"\n",
        sockets[0].display(),
        server.local_addr().unwrap(),
        sockets[1].display()
    );
    fs::write(scratch.join("relay.toml"), config).unwrap();
    let relay = Relay::start_with(&scratch.join("relay.toml"));
    let [real, made] = [0, 1].map(|index| relay.addresses()[index].parse::<SocketAddr>().unwrap());
    let qmp = [Qmp::connect(&sockets[0]), Qmp::connect(&sockets[1])];
    let start = (relay.descriptors(), relay.memory(), status(&qmp[0], "tasks"));

    // A session goes on during all of it.
    let client = Client::start(&["--port", &real.port().to_string()]).unwrap();
    qmp[0].lines.wait_for("SPICE_INITIALIZED", CHANNELS);
    // So does a channel whose round trips are measured.
    let (mut timed, mut timed_inside) = link(made, &server, 5);
    qmp[1].lines.wait_for("SPICE_INITIALIZED", 1);
    let idle = (relay.descriptors(), status(&qmp[0], "tasks"));
    let stop = AtomicBool::new(false);
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        // Is a QMP client, and never reads.
        let mut deaf = UnixStream::connect(&sockets[1]).unwrap();
        deaf.write_all(b"{\"execute\": \"qmp_capabilities\"}").unwrap();
        // Stops in the magic, in the header, in the message, and while it waits for a reply.
        let stalled: Vec<_> = (0..STALLED)
            .map(|number| {
                let mut stream = TcpStream::connect(real).unwrap();
                stream.write_all(&Mess::default().bytes()[..[0, 3, 15, 30, 38][number % 5]]).unwrap();
                stream
            })
            .collect();
        let began = Instant::now();
        let (linked, slowest): (Vec<_>, _) = thread::scope(|scope| {
            let timing = scope.spawn(|| slowest(&mut timed, &mut timed_inside, &stop));
            let linked = (0..LINKED).map(|_| link(made, &server, 5)).collect();
            stop.store(true, Ordering::Relaxed);
            (linked, timing.join().unwrap())
        });
        stop.store(false, Ordering::Relaxed);
        let took = began.elapsed();
        qmp[0].lines.wait_for("SPICE_CONNECTED", CHANNELS + round * STALLED);
        qmp[1].lines.wait_for("SPICE_INITIALIZED", round * LINKED + 1);
        let full = (relay.descriptors(), relay.memory());
        assert!(full.0 >= 2 * (LINKED + STALLED + CHANNELS));
        assert_eq!(status(&qmp[0], "connections"), LINKED + STALLED + CHANNELS + 1);
        assert!(slowest < Duration::from_secs(1), "a byte and back took {slowest:?} meanwhile");
        assert_eq!(qmp[1].execute("query-spice").matches("connection-id").count(), LINKED + 1);
        assert_eq!(qmp[0].execute("query-spice").matches("connection-id").count(), CHANNELS);
        drop((stalled, linked));
        qmp[0].lines.wait_for("SPICE_DISCONNECTED", round * STALLED);
        qmp[1].lines.wait_for("SPICE_DISCONNECTED", round * LINKED);
        relay.log.wait_for("the client fell too far behind the events", round);
        drop(deaf);
        eventually("the descriptors are closed", || relay.descriptors() <= idle.0);
        eventually("the tasks have ended", || status(&qmp[0], "tasks") <= idle.1);
        rounds.push((full, relay.memory(), slowest, took));
        if round >= 3 && grown(&rounds) < KEPT {
            break;
        }
    }
    let kb = |bytes: usize| bytes / 1024;
    for (((descriptors, full), after, slowest, took), round) in rounds.iter().zip(1..) {
        report(&format!(
            "round {round}: {descriptors} descriptors and {} kB with {} connections, linked in {took:.1?} while the slowest \
             byte and back took {slowest:.1?}; {} kB after, {} kB before any",
            kb(*full),
            LINKED + STALLED,
            kb(*after),
            kb(start.1)
        ));
    }
    drop((timed, timed_inside));
    assert!(grown(&rounds) < KEPT, "after {} rounds the last one still left {} bytes", rounds.len(), grown(&rounds));

    assert!(client.leave().unwrap().success(), "the session failed");
    vm.events().wait_for_quiet().unwrap();
    qmp[0].lines.wait_for("SPICE_DISCONNECTED", rounds.len() * STALLED + CHANNELS);
    eventually("the session's descriptors are closed", || relay.descriptors() <= start.0);
    eventually("its tasks have ended", || status(&qmp[0], "tasks") == start.2);
    report(&format!(
        "{} descriptors and {} tasks before, {} and {} after",
        start.0,
        start.2,
        relay.descriptors(),
        status(&qmp[0], "tasks")
    ));
    assert!(qmp[0].execute("query-spice").contains("\"channels\": []"));
    relay.signal("-TERM");
    let log = relay.log.clone();
    assert!(relay.wait().success());
    assert!(!log.all().iter().any(|line| line.contains("waiting for open connections")), "no connection was left");
}
