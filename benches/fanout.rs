//! Sends ten thousand events to a thousand QMP clients: through the server, and with one write(2) for each client.
//!
//! One thread reads all clients and compares their bytes with the sent ones: a lost, repeated or damaged line ends the bench. Both
//! servers take turns: in a burst, then one by one, where each event waits until all clients have the previous one.
#![allow(clippy::cast_precision_loss, reason = "what is measured is far below 2⁵²")]

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use qmp_server::{Server, Service, Version};
use spicewatch_benches::{Figure, bytes::INITIALIZED};
use tokio::{io::AsyncReadExt, runtime, task::JoinSet};

const ROW: &str = "events to a thousand QMP clients";
const CLIENTS: usize = 1_000;
const BURST: usize = 10_000;
const ONE_BY_ONE: usize = 200;
const ROUNDS: usize = 3;
/// A wait that takes longer than this means that an event was lost.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> io::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let line = Arc::new([INITIALIZED, b"\r\n"].concat());
    let names = ["qmp-server", "write(2) for each client"];
    let mut samples = [const { [const { Vec::new() }; 2] }; 2];
    for _ in 0..ROUNDS {
        let (mut ours, audience) = through_the_server(&runtime, &line)?;
        samples[0][0].push(burst(&mut ours, &audience, &line));
        samples[1][0].push(one_by_one(&mut ours, &audience, &line));
        let (mut theirs, audience) = by_writing(&line)?;
        samples[0][1].push(burst(&mut theirs, &audience, &line));
        samples[1][1].push(one_by_one(&mut theirs, &audience, &line));
    }
    for (what, samples) in
        ["time for an event, in a burst of 10 000", "time for an event, one by one"].iter().zip(samples)
    {
        for (who, theirs) in names.iter().zip(&samples) {
            let ratio = median(theirs.iter().zip(&samples[0]).map(|(theirs, ours)| theirs / ours).collect());
            println!("{}", Figure { ratio: Some(ratio), ..Figure::new(ROW, who, what, "ns", median(theirs.clone())) });
        }
    }
    // A lost line would have ended the bench, so each client has compared this many bytes in all rounds.
    println!("{}", Figure::new(ROW, names[0], "events lost", "", 0.0));
    Ok(())
}

/// Sends an event to all clients.
type Publish = Box<dyn FnMut(&[u8])>;

fn through_the_server(runtime: &runtime::Runtime, line: &Arc<Vec<u8>>) -> io::Result<(Publish, Audience)> {
    let server = Server::new(Service::builder(Version::new(10, 2, 0, "benches")).build());
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let (ours, client) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let _entered = runtime.enter();
        server.serve(tokio::net::UnixStream::from_std(ours)?, "client");
        negotiate(&client)?;
        clients.push(client);
    }
    Ok((Box::new(move |line| server.publish(line)), Audience::new(clients, line)?))
}

fn negotiate(mut client: &UnixStream) -> io::Result<()> {
    client.write_all(b"{\"execute\": \"qmp_capabilities\"}\r\n")?;
    let mut lines = BufReader::new(client).lines();
    let [greeting, reply] = [lines.next().transpose()?, lines.next().transpose()?];
    assert!(greeting.is_some_and(|line| line.starts_with("{\"QMP\"")));
    assert_eq!(reply.as_deref(), Some("{\"return\": {}}"));
    Ok(())
}

fn by_writing(line: &Arc<Vec<u8>>) -> io::Result<(Publish, Audience)> {
    let (mut ours, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..CLIENTS {
        let (server, client) = UnixStream::pair()?;
        ours.push(server);
        clients.push(client);
    }
    let publish =
        move |line: &[u8]| ours.iter_mut().for_each(|client| client.write_all(line).expect("a client that reads"));
    Ok((Box::new(publish), Audience::new(clients, line)?))
}

fn burst(publish: &mut Publish, audience: &Audience, line: &[u8]) -> f64 {
    let start = Instant::now();
    audience.expect(BURST);
    (0..BURST).for_each(|_| publish(line));
    audience.wait();
    start.elapsed().as_secs_f64() * 1e9 / BURST as f64
}

fn one_by_one(publish: &mut Publish, audience: &Audience, line: &[u8]) -> f64 {
    let start = Instant::now();
    for _ in 0..ONE_BY_ONE {
        audience.expect(1);
        publish(line);
        audience.wait();
    }
    start.elapsed().as_secs_f64() * 1e9 / ONE_BY_ONE as f64
}

/// A thousand clients, which one thread reads.
struct Audience {
    line: usize,
    tally: Arc<Tally>,
}

/// Bytes that all clients together have received, and the number at which the waiting thread wakes up.
struct Tally {
    got: AtomicU64,
    awaited: AtomicU64,
    waiting: Thread,
}

impl Audience {
    fn new(clients: Vec<UnixStream>, line: &Arc<Vec<u8>>) -> io::Result<Self> {
        let tally = Arc::new(Tally { got: AtomicU64::new(0), awaited: AtomicU64::new(0), waiting: thread::current() });
        let (expected, shared) = (Arc::clone(line), Arc::clone(&tally));
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                let mut readers = JoinSet::new();
                for client in clients {
                    client.set_nonblocking(true).expect("a socket");
                    let client = tokio::net::UnixStream::from_std(client).expect("a socket");
                    readers.spawn(read(client, Arc::clone(&expected), Arc::clone(&shared)));
                }
                readers.join_all().await
            })
        });
        Ok(Self { line: line.len(), tally })
    }

    /// Expects this many more events at each client.
    fn expect(&self, events: usize) {
        self.tally.awaited.fetch_add((events * self.line * CLIENTS) as u64, Ordering::SeqCst);
    }

    /// Waits until all clients have all expected events.
    fn wait(&self) {
        let start = Instant::now();
        while self.tally.got.load(Ordering::SeqCst) < self.tally.awaited.load(Ordering::SeqCst) {
            let missing = self.tally.awaited.load(Ordering::SeqCst) - self.tally.got.load(Ordering::SeqCst);
            assert!(start.elapsed() < PATIENCE, "{missing} bytes did not come");
            thread::park_timeout(Duration::from_secs(1));
        }
    }
}

/// Reads a client until it would block, and compares each byte.
async fn read(mut client: tokio::net::UnixStream, line: Arc<Vec<u8>>, tally: Arc<Tally>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut at = 0;
    while let Ok(read @ 1..) = client.read(&mut buffer).await {
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let here = rest.len().min(line.len() - at);
            assert!(rest[..here] == line[at..at + here], "a client got something else");
            at = (at + here) % line.len();
            rest = &rest[here..];
        }
        let got = tally.got.fetch_add(read as u64, Ordering::SeqCst) + read as u64;
        if got >= tally.awaited.load(Ordering::SeqCst) {
            tally.waiting.unpark();
        }
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
