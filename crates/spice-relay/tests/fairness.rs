//! A flood of new connections at one VM is not felt on a live connection of another VM.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod fake;

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fake::{Fake, NO_TIMEOUTS, Session, connect};
use spice_relay::connection::{Connect, ConnectionLimit, Route};

/// How many connections flood the VM.
const FLOOD: usize = 1000;
/// How many of their set-ups may run while a byte goes through another connection and back.
const BETWEEN: usize = 20;

/// An upstream that counts attempts to connect, and refuses them.
#[derive(Clone, Default)]
struct Refusing(Arc<AtomicUsize>);

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refusing")
    }
}

impl Connect for Refusing {
    type Transport = Fake;

    async fn connect(&self, _: Option<Duration>) -> io::Result<Fake> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

#[tokio::test(start_paused = true)]
async fn flood_at_one_vm_does_not_delay_a_live_connection_of_another() {
    let Session { mut client, mut server, .. } = Session::start(NO_TIMEOUTS, 0);
    client.send(b"x").await;
    server.receive(1).await;
    let (refusing, limit) = (Refusing::default(), ConnectionLimit::new(FLOOD, None));
    let route = Arc::new(Route::new(refusing.clone(), Arc::new(()) as _));
    let clients: Vec<_> = (0..FLOOD).map(|_| connect(&route, &limit, None)).collect();
    tokio::spawn(async move {
        loop {
            server.receive(1).await;
            server.send(b"y").await;
        }
    });
    let mut before = refusing.0.load(Ordering::Relaxed);
    for _ in 0..10 {
        client.send(b"x").await;
        client.receive(1).await;
        let now = refusing.0.load(Ordering::Relaxed);
        assert!(now - before <= BETWEEN, "{} set-ups ran during a byte there and back", now - before);
        before = now;
    }
    for (_client, task) in clients {
        task.await.unwrap();
    }
    assert_eq!(refusing.0.load(Ordering::Relaxed), FLOOD);
}
