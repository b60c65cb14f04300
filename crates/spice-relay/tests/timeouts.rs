//! Every limit of `Timeouts`, and graceful shutdown, in virtual time.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod fake;

use std::{sync::Arc, time::Duration};

use fake::{Attempt, Call, FakeUpstream, NO_TIMEOUTS, Recorder, Session, connect};
use spice_relay::{
    connection::{ConnectionLimit, Route, Timeouts, Upstream},
    net::{
        Network,
        tls::{ServerCheck, ServerIdentity, ServerTls, UpstreamTls},
    },
    observe::EventObserver,
    spice_events::{ChannelEvent, Config, Side},
};
use tokio::time::{Instant, sleep, timeout};

/// The limit that a test sets.
const LIMIT: Duration = Duration::from_secs(100);
/// Less than the limit, and more than half of it.
const PART: Duration = Duration::from_secs(60);
/// How many bytes the link stage has, in these tests.
const LINK: usize = 2;

/// Waits for the connection's end. Returns how long that took.
async fn end(task: tokio::task::JoinHandle<()>, since: Instant) -> Duration {
    task.await.unwrap();
    since.elapsed()
}

#[track_caller]
fn check(seen: Duration, expected: Duration) {
    assert!(seen >= expected && seen < expected + Duration::from_millis(10), "{seen:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn link_stage_has_one_deadline_that_bytes_do_not_extend() {
    let start = Instant::now();
    let Session { mut client, server: _server, recorder, task, .. } =
        Session::start(NO_TIMEOUTS.link(Some(LIMIT)), LINK);
    sleep(PART).await;
    client.send(b"R").await;
    check(end(task, start).await, LIMIT);
    assert_eq!(recorder.closed(), [None]);
}

#[tokio::test(start_paused = true)]
async fn linked_channel_has_no_deadline() {
    let Session { mut client, server, task, .. } = Session::start(NO_TIMEOUTS.link(Some(LIMIT)), LINK);
    client.send(b"RE").await;
    sleep(100 * LIMIT).await;
    assert!(!task.is_finished());
    drop((client, server));
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn idle_channel_ends_after_the_last_byte_of_either_side() {
    let Session { mut client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS.idle(Some(LIMIT)), LINK);
    client.send(b"RE").await;
    server.receive(2).await;
    for _ in 0..3 {
        sleep(PART).await;
        client.send(b"!").await;
        sleep(PART).await;
        server.send(b"!").await;
    }
    let last = Instant::now();
    let seen = end(task, last).await;
    // The timer runs for the whole limit again if it finds that bytes have passed.
    assert!(seen >= LIMIT && seen <= 2 * LIMIT, "{seen:?}");
    assert_eq!(recorder.closed(), [None]);
}

#[tokio::test(start_paused = true)]
async fn half_closed_connection_ends_after_the_last_byte() {
    for from_server in [false, true] {
        let timeouts = NO_TIMEOUTS.half_closed(Some(LIMIT));
        let Session { mut client, mut server, recorder, task, .. } = Session::start(timeouts, 0);
        let start = Instant::now();
        let other = if from_server {
            server.end().await;
            &mut client
        } else {
            client.end().await;
            &mut server
        };
        sleep(PART).await;
        other.send(b"!").await;
        let seen = end(task, start).await;
        assert!(seen >= PART + LIMIT && seen <= PART + 2 * LIMIT, "{seen:?}");
        let by = if from_server { Side::Server } else { Side::Client };
        let expected = if from_server { vec![Some(by)] } else { vec![None] };
        assert_eq!(recorder.closed(), expected, "{by} ended first");
    }
}

#[tokio::test(start_paused = true)]
async fn upstream_that_does_not_answer_ends_the_connection() {
    let recorder = Recorder::new(LINK);
    let upstream = FakeUpstream::new([Attempt::Hangs]);
    let route = Route::new(upstream, Arc::clone(&recorder) as _).timeouts(NO_TIMEOUTS.connect(Some(LIMIT)));
    let start = Instant::now();
    let (mut client, task) = connect(&Arc::new(route), &ConnectionLimit::new(1, None), None);
    check(end(task, start).await, LIMIT);
    assert_eq!(client.rest().await, b"");
    assert_eq!(recorder.closed(), [Some(Side::Server)]);
}

#[tokio::test(start_paused = true)]
async fn proxy_header_counts_for_the_link_stage() {
    let recorder = Recorder::new(LINK);
    let route = Route::new(FakeUpstream::default(), Arc::clone(&recorder) as _)
        .timeouts(NO_TIMEOUTS.link(Some(LIMIT)))
        .proxy_from(Network::Unix);
    let start = Instant::now();
    let (mut client, task) = connect(&Arc::new(route), &ConnectionLimit::new(1, None), None);
    client.send(b"PROXY TCP4 192.0.2.1 ").await;
    check(end(task, start).await, LIMIT);
    assert_eq!(recorder.calls(), [], "a connection without a client is not reported");
}

#[tokio::test(start_paused = true)]
async fn tls_handshake_counts_for_the_link_stage() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/");
    let identity = ServerIdentity::load(format!("{folder}cert.pem"), format!("{folder}key.pem")).unwrap();
    let recorder = Recorder::new(LINK);
    let route = Route::new(FakeUpstream::default(), Arc::clone(&recorder) as _);
    let route = Arc::new(route.timeouts(NO_TIMEOUTS.link(Some(LIMIT))));
    let start = Instant::now();
    let tls = ServerTls::new(&identity).unwrap();
    let (_client, task) = connect(&route, &ConnectionLimit::new(1, None), Some(tls));
    check(end(task, start).await, LIMIT);
    let opened = Call::Opened { client: "localhost:".to_owned(), tls: true };
    assert_eq!(recorder.calls(), [opened, Call::Closed(Some(Side::Client))]);
}

#[test]
fn defaults_are_those_of_the_manual() {
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
    let Timeouts { link, idle, half_closed, connect, .. } = Timeouts::default();
    assert_eq!([link, idle, half_closed, connect].map(seconds), [Some(120), None, Some(60), Some(10)]);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_the_last_connection_and_no_longer_than_allowed() {
    let Session { client, server, limit, task, .. } = Session::start(NO_TIMEOUTS, 0);
    let start = Instant::now();
    assert_eq!(limit.drain(LIMIT).await, 1, "the connection is still open");
    check(start.elapsed(), LIMIT);
    tokio::spawn(async move {
        sleep(PART).await;
        drop((client, server));
    });
    let start = Instant::now();
    assert_eq!(limit.drain(LIMIT).await, 0);
    check(start.elapsed(), PART);
    task.await.unwrap();
    assert_eq!(limit.drain(LIMIT).await, 0, "there is nothing to wait for");
}

/// A client that can't select a mechanism, at a server with SASL: spice-server refuses it and never closes the socket. Bytes of
/// the client do not extend its time.
#[tokio::test(start_paused = true)]
async fn socket_that_spice_server_leaks_has_the_deadline_of_the_link_stage() {
    let (upstream, mut server) = fake::fake();
    let observer = EventObserver::new(Config::new(), |_: &ChannelEvent| {});
    let route = Route::new(FakeUpstream::new([Attempt::Succeeds(upstream)]), Arc::new(observer) as _);
    let route = Arc::new(route.timeouts(NO_TIMEOUTS.link(Some(LIMIT))));
    let (limit, start) = (ConnectionLimit::new(1, None), Instant::now());
    let (mut client, task) = connect(&route, &limit, None);
    // No capabilities.
    let mess = [&b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0"[..], &[0, 0, 0, 0, 1, 0], &[0; 8], &[18, 0, 0, 0]].concat();
    client.send(&mess).await;
    server.receive(mess.len()).await;
    // The reply offers SASL. The second reply says "version mismatch", which is 4.
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let head = |len: u32| [&b"REDQ\x02\0\0\0\x02\0\0\0"[..], &len.to_le_bytes()].concat();
    let reply = [head(182), words(&[0]), vec![0x30; 162], words(&[1, 0, 178, 0b101])].concat();
    let refusal = [head(178), words(&[4]), vec![0; 162], words(&[0, 0, 178])].concat();
    server.send(&reply).await;
    server.send(&refusal).await;
    sleep(PART).await;
    client.send(b"more").await;
    check(timeout(10 * LIMIT, end(task, start)).await.expect("it has a deadline"), LIMIT);
    assert_eq!(limit.open(), 0);
}

/// The relay ends TLS in front of a server that wants TLS: spice-gtk connects again at once, and would do so 300 times a second.
#[tokio::test(start_paused = true)]
async fn client_that_is_refused_in_a_loop_has_to_wait() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/");
    let identity = ServerIdentity::load(format!("{folder}cert.pem"), format!("{folder}key.pem")).unwrap();
    let check = ServerCheck::Name("relay.example".to_owned());
    let trust = UpstreamTls::load(format!("{folder}cert.pem"), &check).unwrap();
    let servers: Vec<_> = (0..3).map(|_| fake::fake()).collect();
    let (upstreams, mut servers): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
    let observer = EventObserver::new(Config::new(), |_: &ChannelEvent| {});
    let upstream = FakeUpstream::new(upstreams.into_iter().map(Attempt::Succeeds));
    let inner = Arc::new(Route::new(upstream, Arc::new(observer) as _).timeouts(NO_TIMEOUTS));
    let limit = ConnectionLimit::new(10, None);
    // "need secured" is 5.
    let refusal = [&b"REDQ\x02\0\0\0\x02\0\0\0"[..], &178u32.to_le_bytes(), &5u32.to_le_bytes(), &[0; 174]].concat();
    let mess = [&b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0"[..], &[0, 0, 0, 0, 1, 0], &[0; 8], &[18, 0, 0, 0]].concat();
    for (attempt, server) in servers.iter_mut().enumerate() {
        if attempt == 2 {
            // After some time without a refusal it is not a loop.
            sleep(Duration::from_secs(11)).await;
        }
        // A TLS client is another relay, whose upstream is the first one.
        let (between, mut relay_client) = fake::fake();
        let (mut inner_client, _inner) = connect(&inner, &limit, Some(ServerTls::new(&identity).unwrap()));
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut relay_client.stream, &mut inner_client.stream).await;
        });
        let upstream = Upstream::new(FakeUpstream::new([Attempt::Succeeds(between)])).tls(Arc::clone(&trust));
        let outer = Arc::new(Route::new(upstream, Arc::new(()) as _).timeouts(NO_TIMEOUTS));
        let (mut client, _outer) = connect(&outer, &limit, None);
        let start = Instant::now();
        client.send(&mess).await;
        server.receive(mess.len()).await;
        let waited = start.elapsed();
        assert_eq!(waited >= Duration::from_secs(1), attempt == 1, "attempt {attempt}: {waited:?}");
        server.send(&refusal).await;
        client.receive(refusal.len()).await;
    }
}
