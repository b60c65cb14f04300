//! The contract of `Observe`, the limits, the PROXY header and TLS, without a socket.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod fake;

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex},
};

use fake::{Attempt, Call, Control, FakeUpstream, NO_TIMEOUTS, Peer, Recorder, Session, connect, fake};
use spice_relay::{
    connection::{ConnectionLimit, Route, SourceLimit, Upstream},
    net::{
        Network,
        proxy_protocol::ProxyVersion,
        tls::{ServerCheck, ServerIdentity, ServerTls, UpstreamTls},
    },
    observe::{EventObserver, Observe, Opened},
    spice_events::{ChannelEvent, Config, FlowId, Side, Tracker},
};

fn opened(client: &str) -> Call {
    Call::Opened { client: client.to_owned(), tls: false }
}

#[tokio::test(start_paused = true)]
async fn calls_come_in_order_and_bytes_stop_when_they_are_not_wanted() {
    let Session { mut client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 6);
    client.send(b"RED").await;
    server.receive(3).await;
    server.send(b"Q!!").await;
    client.receive(3).await;
    client.send(b"unseen").await;
    server.receive(6).await;
    server.end().await;
    assert_eq!(client.rest().await, b"");
    client.end().await;
    task.await.unwrap();
    assert_eq!(
        recorder.calls(),
        [
            opened("localhost:"),
            Call::Bytes(Side::Client, b"RED".to_vec()),
            Call::Bytes(Side::Server, b"Q!!".to_vec()),
            Call::Closed(Some(Side::Server)),
        ]
    );
}

/// Records how many bytes the relay had written to each side at the time of each call.
struct Written {
    to_client: Control,
    to_server: Mutex<Option<Control>>,
    seen: Mutex<Vec<(u64, u64)>>,
}

impl Observe for Written {
    fn opened(&self, _: FlowId, _: Opened) {}

    fn bytes(&self, _: FlowId, from: Side, data: &[u8]) -> bool {
        let written = match from {
            Side::Client => self.to_server.lock().unwrap().as_ref().unwrap().written(),
            Side::Server => self.to_client.written(),
        };
        self.seen.lock().unwrap().push((written, data.len() as u64));
        true
    }

    fn closed(&self, _: FlowId, _: Option<Side>) {}
}

#[tokio::test(start_paused = true)]
async fn bytes_are_observed_after_they_were_forwarded() {
    let (upstream, mut server) = fake();
    let observer = Arc::new(Written {
        to_client: Control::default(),
        to_server: Mutex::new(Some(server.control.clone())),
        seen: Mutex::default(),
    });
    let route = Route::new(FakeUpstream::new([Attempt::Succeeds(upstream)]), Arc::clone(&observer) as _);
    let (mut client, task) = connect(&Arc::new(route), &ConnectionLimit::new(1, None), None);
    client.send(b"REDQ").await;
    server.receive(4).await;
    drop((client, server));
    task.await.unwrap();
    assert_eq!(*observer.seen.lock().unwrap(), [(4, 4)]);
}

#[tokio::test(start_paused = true)]
async fn connection_that_is_cut_is_reported_closed_once() {
    let Session { mut client, mut server, recorder, limit, task } = Session::start(NO_TIMEOUTS, 100);
    client.send(b"RED").await;
    server.receive(3).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(recorder.closed(), [None]);
    assert_eq!(limit.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_failure_to_connect_is_reported_and_recovery_once() {
    let recorder = Recorder::new(100);
    let (upstream, server) = fake();
    let (again, server_again) = fake();
    let refused = || Attempt::Fails(ErrorKind::ConnectionRefused);
    let attempts = [refused(), refused(), Attempt::Succeeds(upstream), Attempt::Succeeds(again)];
    let route = Arc::new(Route::new(FakeUpstream::new(attempts), Arc::clone(&recorder) as _).timeouts(NO_TIMEOUTS));
    let limit = ConnectionLimit::new(1, None);
    for _ in 0..2 {
        let (mut client, task) = connect(&route, &limit, None);
        assert_eq!(client.rest().await, b"");
        task.await.unwrap();
    }
    for server in [server, server_again] {
        let (client, task) = connect(&route, &limit, None);
        drop((client, server));
        task.await.unwrap();
    }
    let failed = || [opened("localhost:"), Call::Closed(Some(Side::Server))];
    let served =
        |recovered: &[Call]| [&[opened("localhost:")], recovered, &[Call::Closed(Some(Side::Client))]].concat();
    let expected = [&failed()[..], &failed(), &served(&[Call::Recovered]), &served(&[])].concat();
    assert_eq!(recorder.calls(), expected);
}

#[tokio::test(start_paused = true)]
async fn connections_over_the_limit_get_no_permit_until_one_ends() {
    let Session { client, server, limit, task, .. } = Session::start(NO_TIMEOUTS, 0);
    assert!(limit.acquire(None).is_none());
    assert_eq!((limit.open(), limit.refused()), (1, 1));
    drop((client, server));
    task.await.unwrap();
    assert!(limit.acquire(None).is_some());
}

/// Sends a PROXY header to a route that requires one, with one connection allowed for each source.
async fn with_header(header: &str, limit: &Arc<ConnectionLimit>) -> (Peer, Peer, Arc<Recorder>) {
    let ((upstream, server), recorder) = (fake(), Recorder::new(100));
    let route = Route::new(FakeUpstream::new([Attempt::Succeeds(upstream)]), Arc::clone(&recorder) as _);
    let (mut client, _) = connect(&Arc::new(route.proxy_from(Network::Unix)), limit, None);
    client.send(header.as_bytes()).await;
    (client, server, recorder)
}

#[tokio::test(start_paused = true)]
async fn proxy_header_names_the_client_and_is_not_forwarded() {
    let limit = ConnectionLimit::new(10, Some(SourceLimit::new(1)));
    let header = "PROXY TCP4 192.0.2.7 198.51.100.1 4321 5900\r\nREDQ";
    let (client, mut server, recorder) = with_header(header, &limit).await;
    assert_eq!(server.receive(4).await, b"REDQ");
    assert_eq!(recorder.calls()[0], opened("192.0.2.7:4321"));
    let (mut second, _server, recorder) = with_header(header, &limit).await;
    assert_eq!(second.rest().await, b"", "the named client has one connection already");
    assert_eq!((recorder.calls(), limit.refused()), (vec![], 1));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_proxy_header_end_the_connection_unreported() {
    for header in ["REDQ\x02\0\0\0\x02\0\0\0", "PROXY TCP4 nonsense\r\n"] {
        let (mut client, _server, recorder) = with_header(header, &ConnectionLimit::new(1, None)).await;
        assert_eq!(client.rest().await, b"");
        assert_eq!(recorder.calls(), [], "{header}");
    }
}

#[tokio::test(start_paused = true)]
async fn proxy_header_is_sent_to_the_upstream_first() {
    let (upstream, mut server) = fake();
    let upstream = Upstream::new(FakeUpstream::new([Attempt::Succeeds(upstream)])).send_proxy(ProxyVersion::V1);
    let route = Route::new(upstream, Arc::new(()) as _).timeouts(NO_TIMEOUTS);
    let (mut client, _task) = connect(&Arc::new(route), &ConnectionLimit::new(1, None), None);
    client.send(b"REDQ").await;
    let expected = b"PROXY UNKNOWN\r\nREDQ";
    assert_eq!(server.receive(expected.len()).await, expected);
}

/// Two relays, one behind the other, with TLS between them.
#[tokio::test(start_paused = true)]
async fn tls_is_ended_towards_clients_and_spoken_to_the_upstream() {
    let file = |name: &str| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let identity = ServerIdentity::load(file("cert.pem"), file("key.pem")).unwrap();
    for (name, trusted) in [("relay.example", true), ("other.example", false)] {
        let (outer, inner) = (Recorder::new(100), Recorder::new(100));
        let (upstream, mut server) = fake();
        let route = Arc::new(Route::new(FakeUpstream::new([Attempt::Succeeds(upstream)]), Arc::clone(&inner) as _));
        let limit = ConnectionLimit::new(2, None);
        // The inner relay's client is what the outer relay connects with.
        let (between, relay_client) = fake();
        let (mut inner_client, _inner_task) = connect(&route, &limit, Some(ServerTls::new(&identity).unwrap()));
        let mut relay_client = relay_client;
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut relay_client.stream, &mut inner_client.stream).await;
        });
        let tls = UpstreamTls::load(file("cert.pem"), &ServerCheck::Name(name.to_owned())).unwrap();
        let upstream = Upstream::new(FakeUpstream::new([Attempt::Succeeds(between)])).tls(tls);
        let route = Arc::new(Route::new(upstream, Arc::clone(&outer) as _));
        let (mut client, _task) = connect(&route, &limit, None);
        client.send(b"REDQ").await;
        if trusted {
            assert_eq!(server.receive(4).await, b"REDQ");
            server.send(b"answer").await;
            assert_eq!(client.receive(6).await, b"answer");
            assert_eq!(inner.calls()[0], Call::Opened { client: "localhost:".to_owned(), tls: true });
        } else {
            assert_eq!(client.rest().await, b"", "the certificate has another name");
            assert_eq!(outer.closed(), [Some(Side::Server)]);
        }
    }
}

#[test]
fn event_observer_makes_events_of_the_calls() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let observer = EventObserver::new(Config::new(), move |event: &ChannelEvent| {
        sink.lock().unwrap().push(event.to_string());
    });
    let endpoints = fake::endpoints();
    observer.opened(FlowId(7), Opened::new(endpoints, false));
    assert_eq!(observer.tracker().look(Tracker::len), 1);
    assert!(observer.bytes(FlowId(7), Side::Client, b"RED"), "the link stage has more bytes");
    observer.closed(FlowId(7), Some(Side::Client));
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("SPICE_CONNECTED") && lines[1].contains("SPICE_DISCONNECTED"), "{lines:?}");
}
