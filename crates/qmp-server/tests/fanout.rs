//! Many clients, many events: each gets all of them, in order and whole.
//!
//! `QMP_CLIENTS` and `QMP_EVENTS` set the numbers; `cargo test --release --test fanout -- --nocapture` prints how long it took.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use qmp_server::{Listener, Server, Service, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.parse().unwrap())
}

/// As long as a real SPICE_INITIALIZED, and different each time.
fn event(i: usize) -> String {
    format!(
        "{{\"timestamp\": {{\"seconds\": 1795370794, \"microseconds\": 708759}}, \"event\": \"SPICE_INITIALIZED\", \"data\": \
         {{\"server\": {{\"auth\": \"spice\", \"port\": \"32777\", \"family\": \"ipv4\", \"host\": \"127.0.0.1\"}}, \"client\": \
         {{\"port\": \"58500\", \"family\": \"ipv4\", \"channel-type\": 3, \"connection-id\": {i:10}, \"host\": \"127.0.0.1\", \
         \"channel-id\": 0, \"tls\": false}}}}}}\r\n"
    )
}

/// The sum over all bytes, each by its place.
fn digest(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| sum.rotate_left(7).wrapping_add(u64::from(*byte)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_is_lost() {
    let (clients, events) = (number("QMP_CLIENTS", 200), number("QMP_EVENTS", 2000));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let server = Server::new(Service::builder(Version::new(0, 0, 1, "test")).build());
    server.listen(Listener::unix(&path).unwrap());

    let mut streams = Vec::new();
    for _ in 0..clients {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"{'execute': 'qmp_capabilities'}").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"{\"return\": {}}\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
        streams.push(stream);
    }
    let lines: Vec<String> = (0..events).map(event).collect();
    let expected = lines.iter().fold(0, |sum, line| digest(sum, line.as_bytes()));

    let begun = Instant::now();
    let publisher = {
        let server = server.clone();
        std::thread::spawn(move || {
            let begun = Instant::now();
            for line in &lines {
                server.publish(line.as_bytes());
            }
            begun.elapsed()
        })
    };
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            tokio::spawn(async move {
                let (mut buffer, mut sum, mut bytes) = (vec![0; 64 * 1024], 0, 0);
                while bytes < events * event(0).len() {
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert_ne!(read, 0, "the server hung up");
                    sum = digest(sum, &buffer[..read]);
                    bytes += read;
                }
                (sum, bytes)
            })
        })
        .collect();
    let mut bytes = 0;
    for reader in readers {
        let (sum, read) = reader.await.unwrap();
        assert_eq!(sum, expected);
        bytes += read;
    }
    let (published, delivered) = (publisher.join().unwrap(), begun.elapsed());
    println!(
        "{clients} clients, {events} events: published in {published:?}, {bytes} bytes delivered in {delivered:?}"
    );
}
