//! A take-over: a new client's session replaces the session before it. QEMU ends the old connections before it starts the new session, so
//! the relay reports DISCONNECTED for each of them before the new main channel's INITIALIZED.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use spice_relay::{
    Relay,
    net::NetAddress,
    observe::EventObserver,
    spice_events::{ChannelEvent, Config, EventKind},
};

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many sessions replace the one before them, in each case.
const ROUNDS: u32 = 250;
/// How many other channels a session has.
const OTHERS: u8 = 3;

/// A server's reply that accepts, with mechanism selection, tickets and mini headers offered.
fn reply() -> Vec<u8> {
    let mut reply = b"REDQ\x02\0\0\0\x02\0\0\0".to_vec();
    reply.extend(186_u32.to_le_bytes());
    reply.extend([0; 4]);
    reply.extend([0x30; 162]);
    reply.extend([1_u32, 1, 178, 0xb, 0].map(u32::to_le_bytes).concat());
    reply
}

/// A client's link message.
fn mess(connection_id: u32, channel_type: u8, channel_id: u8) -> Vec<u8> {
    let mut mess = b"REDQ\x02\0\0\0\x02\0\0\0".to_vec();
    mess.extend(22_u32.to_le_bytes());
    mess.extend(connection_id.to_le_bytes());
    mess.extend([channel_type, channel_id]);
    mess.extend([1_u32, 0, 18, 0xb].map(u32::to_le_bytes).concat());
    mess
}

/// The server's first message on a main channel.
fn main_init(session: u32) -> Vec<u8> {
    let mut message = 103_u16.to_le_bytes().to_vec();
    message.extend(32_u32.to_le_bytes());
    message.extend(session.to_le_bytes());
    message.extend([0; 28]);
    message
}

/// Links a channel up to the server's link result, which is still to be sent. Returns both ends.
fn link(relay: SocketAddr, server: &TcpListener, mess: &[u8]) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(relay).unwrap();
    client.write_all(mess).unwrap();
    let mut inside = server.accept().unwrap().0;
    for stream in [&client, &inside] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    inside.read_exact(&mut vec![0; mess.len()]).unwrap();
    inside.write_all(&reply()).unwrap();
    client.read_exact(&mut vec![0; reply().len()]).unwrap();
    client.write_all(&[&[1, 0, 0, 0][..], &[7; 128]].concat()).unwrap();
    inside.read_exact(&mut [0; 132]).unwrap();
    (client, inside)
}

/// The kinds of all events so far.
type Events = Arc<(Mutex<Vec<EventKind>>, Condvar)>;

fn count(events: &[EventKind], kind: fn(&EventKind) -> bool) -> u32 {
    u32::try_from(events.iter().filter(|event| kind(event)).count()).unwrap()
}

fn wait_for_initialized(events: &Events, wanted: u32) {
    let initialized = |events: &mut Vec<EventKind>| count(events, |kind| matches!(kind, EventKind::Initialized(_)));
    let seen = events.0.lock().unwrap();
    let (seen, timeout) = events.1.wait_timeout_while(seen, PATIENCE, |seen| initialized(seen) < wanted).unwrap();
    assert!(!timeout.timed_out(), "{wanted} are not initialized: {seen:?}");
}

/// Threads that use all processors until this is dropped.
struct Load(Arc<AtomicBool>);

impl Load {
    fn start(threads: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Plays all take-overs. Returns how often a new main channel's INITIALIZED came before an old connection's DISCONNECTED.
fn play(workers: usize, load: usize) -> usize {
    let _load = Load::start(load);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let events = Events::default();
    let observer = EventObserver::new(Config::new(), {
        let events = Arc::clone(&events);
        move |event: &ChannelEvent| {
            events.0.lock().unwrap().push(event.kind);
            events.1.notify_all();
        }
    });
    let relay = Relay::builder(NetAddress::from(server.local_addr().unwrap())).listen("127.0.0.1:0".parse().unwrap());
    let relay = relay.bind().unwrap().start(Arc::new(observer)).unwrap();
    let address = relay.addresses().next().unwrap().to_string().parse().unwrap();

    let (mut session, mut initialized) = (Vec::new(), 0);
    for round in 1..=ROUNDS {
        let (client, mut inside) = link(address, &server, &mess(0, 1, 0));
        // The server ends the old session, and then starts the new one.
        let old_clients: Vec<_> = session.drain(..).map(|(client, _inside)| client).collect::<Vec<TcpStream>>();
        inside.write_all(&[&[0; 4][..], &main_init(round)].concat()).unwrap();
        initialized += 1;
        wait_for_initialized(&events, initialized);
        drop(old_clients);
        session.push((client, inside));
        for id in 0..OTHERS {
            let (client, mut inside) = link(address, &server, &mess(round, 2, id));
            inside.write_all(&[0; 4]).unwrap();
            initialized += 1;
            wait_for_initialized(&events, initialized);
            session.push((client, inside));
        }
    }
    let events = events.0.lock().unwrap();
    let mut late = 0;
    for (at, kind) in events.iter().enumerate() {
        if let EventKind::Initialized(channel) = kind
            && channel.channel_type.0 == 1
        {
            let before = &events[..at];
            let started = count(before, |kind| matches!(kind, EventKind::Initialized(_)));
            late += usize::from(count(before, |kind| matches!(kind, EventKind::Disconnected)) < started);
        }
    }
    late
}

#[test]
fn old_session_is_disconnected_before_the_new_one_is_initialized() {
    let cases = [(1, 0), (4, 0), (1, 4), (4, 4)];
    let late = cases.map(|(workers, load)| play(workers, load));
    assert_eq!(late, [0; 4], "of {ROUNDS} each, for (workers, load) {cases:?}");
}
