//! Hostile clients: slowloris at each stage of a connection, and floods. Each costs the relay a bounded number of descriptors and bytes, is
//! over at its time, and harms no session of another VM. docs/RELAY.md has the limits that are checked here.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use relay_lab::{
    PATIENCE, Relay,
    by_hand::{link, reply},
    compare::report,
    eventually,
};
use socket2::SockRef;
use spice_testkit::{
    lab::{self, Scratch},
    spice_conformance::{Mess, spice_link::ChannelType},
};

/// How many clients stop at each stage.
const CLIENTS: usize = 40;
/// The relay's link-seconds.
const LINK: Duration = Duration::from_secs(8);
/// The most descriptors of one connection: both sockets.
const DESCRIPTORS: usize = 2;
/// The most resident memory of one connection in the link stage, in bytes.
const MEMORY: usize = 128 << 10;
/// How many clients a flood has.
const FLOOD: usize = 2000;

/// Where a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Plain,
    Tls,
    Proxy,
    Connect,
}

/// What the clients of each stage send before they stop.
fn stages() -> Vec<(&'static str, At, Vec<u8>)> {
    let mess = Mess::channel(7, ChannelType::INPUTS, 0).bytes();
    let after = |more: &[u8]| [&mess[..], more].concat();
    let hello = client_hello();
    let request = b"CONNECT desk:1 HTTP/1.0\r\n\r\n";
    vec![
        ("nothing", At::Plain, vec![]),
        ("half of the magic", At::Plain, mess[..2].to_vec()),
        ("the link header", At::Plain, mess[..16].to_vec()),
        ("half of the link message", At::Plain, mess[..mess.len() / 2 + 8].to_vec()),
        ("the link message", At::Plain, mess.clone()),
        ("half of the mechanism", At::Plain, after(&[1, 0])),
        ("the mechanism", At::Plain, after(&[1, 0, 0, 0])),
        ("half of the ticket", At::Plain, after(&[&[1, 0, 0, 0][..], &[7; 64]].concat())),
        ("half of a WebSocket upgrade", At::Plain, b"GET / HTTP/1.1\r\nUpgrade: webs".to_vec()),
        ("TLS: nothing", At::Tls, vec![]),
        ("TLS: half of the ClientHello", At::Tls, hello[..hello.len() / 2].to_vec()),
        ("TLS: the ClientHello", At::Tls, hello),
        ("PROXY: nothing", At::Proxy, vec![]),
        ("PROXY: half of version 1", At::Proxy, b"PROXY TCP4 192.0.2.1 ".to_vec()),
        ("PROXY: version 2 without its addresses", At::Proxy, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec()),
        ("CONNECT: half of the request", At::Connect, request[..12].to_vec()),
        ("CONNECT: the request", At::Connect, request.to_vec()),
    ]
}

/// A ClientHello of TLS 1.2 with one cipher suite and no extension.
fn client_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    let mut hello =
        vec![0x16, 3, 1, 0, u8::try_from(body.len() + 4).unwrap(), 1, 0, 0, u8::try_from(body.len()).unwrap()];
    hello.extend(body);
    hello
}

/// A server that answers each link message, and ends a connection when the relay does.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || {
                    let mut buffer = [0; 4096];
                    let mut got = 0;
                    while let Ok(len @ 1..) = stream.read(&mut buffer) {
                        if got < 30 && got + len >= 30 {
                            let _ = stream.write_all(&reply());
                        }
                        got += len;
                    }
                })
                .unwrap();
        }
    });
    address
}

struct Lab {
    relay: Relay,
    addresses: [String; 4],
    /// A session of another VM.
    live: (TcpStream, TcpStream),
    _scratch: Scratch,
}

impl Lab {
    fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../spice-relay/tests/tls/");
        let free = || format!("127.0.0.1:{}", lab::free_port().unwrap());
        let (addresses, other) = ([(); 4].map(|()| free()), free());
        let [plain, secured, proxied, connect] = &addresses;
        let (upstream, own) = (server(), TcpListener::bind("127.0.0.1:0").unwrap());
        let text = format!(
            "log-format = \"json\"\nlink-seconds = {}\nconnect-listen = \"{connect}\"\n\
             [[vm]]\nname = \"a\"\nlisten = \"{plain}\"\ntls-listen = \"{secured}\"\nconnect = \"desk\"\nupstream = \"{upstream}\"\n\
             cert = \"{tls}cert.pem\"\nkey = \"{tls}key.pem\"\n\
             [[vm]]\nname = \"p\"\nlisten = \"{proxied}\"\nproxy-from = \"127.0.0.1\"\nupstream = \"{upstream}\"\n\
             [[vm]]\nname = \"b\"\nlisten = \"{other}\"\nupstream = \"{}\"\n",
            LINK.as_secs(),
            own.local_addr().unwrap()
        );
        fs::write(scratch.join("relay.toml"), text).unwrap();
        let relay = Relay::start_with(&scratch.join("relay.toml"));
        let live = link(other.parse().unwrap(), &own, 7);
        Self { relay, addresses, live, _scratch: scratch }
    }

    fn connect(&self, at: At) -> TcpStream {
        let stream = TcpStream::connect(&self.addresses[at as usize]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A byte to the server and back over the session of the other VM. Returns how long that took.
    fn ping(&mut self) -> Duration {
        let start = Instant::now();
        self.live.0.write_all(&[1]).unwrap();
        self.live.1.read_exact(&mut [0]).unwrap();
        self.live.1.write_all(&[2]).unwrap();
        self.live.0.read_exact(&mut [0]).unwrap();
        start.elapsed()
    }
}

/// Reads until the relay ends the connection.
fn until_end(mut stream: &TcpStream) {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{error}: the relay has not ended the connection"),
        }
    }
}

#[test]
fn client_that_stops_at_any_stage_costs_little_and_is_ended_at_its_time() {
    let mut lab = Lab::new();
    let mut held = Vec::new();
    let (before, memory, start) = (lab.relay.descriptors(), lab.relay.memory(), Instant::now());
    for (stage, at, bytes) in stages() {
        let opened = Instant::now();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut client = lab.connect(at);
                client.write_all(&bytes).unwrap();
                client
            })
            .collect();
        lab.ping();
        held.push((stage, opened, clients));
        let (open, used) = (held.len() * CLIENTS, lab.relay.descriptors().saturating_sub(before));
        assert!(used <= open * DESCRIPTORS, "{stage}: {used} descriptors of {open} clients");
        let each = lab.relay.memory().saturating_sub(memory) / open;
        assert!(each <= MEMORY, "{stage}: {each} bytes of memory for each client");
    }
    let (used, bytes) = (lab.relay.descriptors().saturating_sub(before), lab.relay.memory().saturating_sub(memory));
    let all = held.len() * CLIENTS;
    report(&format!(
        "{all} clients at {} stages: {:.2} descriptors and {} bytes of memory each",
        all / CLIENTS,
        f64::from(u32::try_from(used).unwrap()) / f64::from(u32::try_from(all).unwrap()),
        bytes / all
    ));
    for (stage, opened, clients) in held {
        for client in &clients {
            until_end(client);
        }
        let took = opened.elapsed();
        report(&format!("{stage:<40} over after {:.1} s", took.as_secs_f64()));
    }
    lab.ping();
    eventually("every descriptor is back", || lab.relay.descriptors() <= before);
    assert!(start.elapsed() >= LINK);
    assert_eq!(
        lab.relay.events.count("SPICE_CONNECTED"),
        lab.relay.events.count("SPICE_DISCONNECTED") + 1,
        "only the live session"
    );
    report(&format!("{all} clients, all descriptors back after {:.1} s", start.elapsed().as_secs_f64()));
}

#[test]
fn flood_leaves_nothing_behind_and_ends_no_session() {
    let mut lab = Lab::new();
    let before = lab.relay.descriptors();
    let memory = lab.relay.memory();
    for (flood, at, bytes) in [
        ("connect and reset", At::Plain, vec![]),
        ("connect and close", At::Plain, vec![]),
        ("a ClientHello", At::Tls, client_hello()),
        ("a CONNECT for another name", At::Connect, b"CONNECT other:1 HTTP/1.0\r\n\r\n".to_vec()),
        ("a byte that is not HTTP", At::Connect, vec![0]),
        ("a byte that is not PROXY", At::Proxy, b"REDQREDQREDQ".to_vec()),
    ] {
        let mut slowest = Duration::ZERO;
        for number in 0..FLOOD {
            let mut client = lab.connect(at);
            // Fails if the relay has ended it already.
            let _ = client.write_all(&bytes);
            if flood == "connect and reset" {
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(client);
            if number % 100 == 0 {
                slowest = slowest.max(lab.ping());
            }
        }
        let over = Instant::now();
        eventually(flood, || lab.relay.descriptors() <= before);
        report(&format!(
            "{flood:<28} slowest ping of the other VM {:.1} ms, all descriptors back after {:.2} s",
            slowest.as_secs_f64() * 1e3,
            over.elapsed().as_secs_f64()
        ));
    }
    lab.ping();
    let more = lab.relay.memory().saturating_sub(memory);
    assert!(more < 64 << 20, "{more} bytes of memory stay after the floods");
    report(&format!("{} KiB of memory more after {} clients", more >> 10, 6 * FLOOD));
}
