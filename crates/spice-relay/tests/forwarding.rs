//! Forwarding, half-close, resets and back-pressure, without a socket.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod fake;

use std::{io::ErrorKind, time::Duration};

use fake::{BUFFER, NO_TIMEOUTS, Session, pattern};
use spice_relay::spice_events::Side;
use tokio::io::AsyncWriteExt;

/// The most that the relay keeps of one direction besides the transports' own buffers: one read.
const KEPT: usize = 64 * 1024;
/// A limit that a test sets.
const LIMIT: Duration = Duration::from_secs(100);

#[tokio::test(start_paused = true)]
async fn bytes_pass_in_order_in_both_directions_at_once() {
    let Session { client, server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 100_000);
    let (up, down) = (pattern(700_000), pattern(1_000_001));
    let exchange = |mut peer: fake::Peer, sent: Vec<u8>, expected: Vec<u8>| async move {
        let (mut read, mut write) = tokio::io::split(&mut peer.stream);
        let mut received = vec![0; expected.len()];
        let (sending, receiving) =
            tokio::join!(write.write_all(&sent), tokio::io::AsyncReadExt::read_exact(&mut read, &mut received));
        sending.unwrap();
        receiving.unwrap();
        assert!(received == expected, "bytes changed on their way");
        write.shutdown().await.unwrap();
        peer.rest().await
    };
    let (rest_of_client, rest_of_server) =
        tokio::join!(exchange(client, up.clone(), down.clone()), exchange(server, down.clone(), up.clone()));
    assert_eq!((rest_of_client, rest_of_server), (Vec::new(), Vec::new()));
    task.await.unwrap();
    assert!(up.starts_with(&recorder.bytes_of(Side::Client)) && down.starts_with(&recorder.bytes_of(Side::Server)));
}

#[tokio::test(start_paused = true)]
async fn end_of_the_client_is_passed_on_and_the_server_still_answers() {
    let Session { mut client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 0);
    client.send(b"last words").await;
    client.end().await;
    assert_eq!(server.rest().await, b"last words");
    assert_eq!(recorder.closed(), [], "the server has not ended");
    server.send(b"answer").await;
    server.end().await;
    assert_eq!(client.rest().await, b"answer");
    task.await.unwrap();
    assert_eq!(recorder.closed(), [Some(Side::Client)]);
}

#[tokio::test(start_paused = true)]
async fn end_of_the_server_is_reported_while_the_client_still_sends() {
    let Session { mut client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 0);
    server.send(b"bye").await;
    server.end().await;
    assert_eq!(client.rest().await, b"bye");
    assert_eq!(recorder.closed(), [Some(Side::Server)]);
    client.send(b"more").await;
    client.end().await;
    assert_eq!(server.rest().await, b"more");
    task.await.unwrap();
    assert_eq!(recorder.closed(), [Some(Side::Server)]);
}

#[tokio::test(start_paused = true)]
async fn reset_of_the_client_is_passed_on_as_a_reset() {
    let Session { client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 0);
    server.send(b"!").await;
    client.reset();
    task.await.unwrap();
    assert!(server.control.resets());
    assert_eq!(recorder.closed(), [Some(Side::Client)]);
}

#[tokio::test(start_paused = true)]
async fn reset_of_the_server_ends_the_client_after_the_kept_bytes() {
    let Session { mut client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 0);
    let sent = pattern(2 * BUFFER);
    server.send(&sent).await;
    server.reset();
    assert_eq!(client.rest().await, sent);
    task.await.unwrap();
    assert!(!client.control.resets(), "a reset would overtake the bytes");
    assert_eq!(recorder.closed(), [Some(Side::Server)]);
}

#[tokio::test(start_paused = true)]
async fn server_that_takes_no_more_bytes_is_still_read_to_its_end() {
    let Session { mut client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 0);
    server.control.fail_writes(ErrorKind::BrokenPipe);
    client.send(b"lost").await;
    server.send(b"reason").await;
    server.end().await;
    assert_eq!(client.rest().await, b"reason");
    task.await.unwrap();
    assert_eq!(recorder.closed(), [Some(Side::Server)]);
}

#[tokio::test(start_paused = true)]
async fn client_that_takes_no_more_bytes_ends_the_connection_with_a_reset() {
    let Session { client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 0);
    client.control.fail_writes(ErrorKind::BrokenPipe);
    server.send(b"!").await;
    task.await.unwrap();
    assert!(server.control.resets());
    assert_eq!(recorder.closed(), [Some(Side::Client)]);
}

#[tokio::test(start_paused = true)]
async fn side_that_reads_nothing_stops_the_other_side() {
    let Session { client, mut server, .. } = Session::start(NO_TIMEOUTS, 0);
    let mut sent = 0;
    // Time passes only while every task waits: until then, the relay has read all that it will.
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(1), server.stream.write(&[0; 1000])).await {
        sent += written.unwrap();
        assert!(sent <= 2 * BUFFER + KEPT, "{sent} bytes are kept");
    }
    assert!(sent >= 2 * BUFFER);
    drop(client);
}

/// Sends bytes until the relay reads no more, because the other side takes none.
async fn fill(peer: &mut fake::Peer) {
    while let Ok(written) = tokio::time::timeout(LIMIT, peer.stream.write(&[0; 1000])).await {
        written.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn end_of_the_server_is_reported_although_the_client_reads_nothing() {
    let timeouts = NO_TIMEOUTS.half_closed(Some(LIMIT));
    let Session { client, mut server, recorder, task, .. } = Session::start(timeouts, 0);
    fill(&mut server).await;
    server.end().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(recorder.closed(), [Some(Side::Server)]);
    let start = tokio::time::Instant::now();
    task.await.unwrap();
    assert!(start.elapsed() <= 2 * LIMIT, "the slot is given back");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn end_of_the_client_starts_the_half_closed_limit_although_the_server_reads_nothing() {
    let timeouts = NO_TIMEOUTS.half_closed(Some(LIMIT));
    let Session { mut client, server, recorder, task, .. } = Session::start(timeouts, 0);
    fill(&mut client).await;
    client.end().await;
    let start = tokio::time::Instant::now();
    task.await.unwrap();
    assert!(start.elapsed() <= 2 * LIMIT + Duration::from_secs(2));
    assert_eq!(recorder.closed(), [None]);
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn reset_of_the_client_is_passed_on_although_the_server_reads_nothing() {
    let Session { mut client, server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 0);
    fill(&mut client).await;
    client.reset();
    task.await.unwrap();
    assert!(server.control.resets());
    assert_eq!(recorder.closed(), [Some(Side::Client)]);
}

/// A client that resets right after its last byte of the link stage: the server may still accept it.
#[tokio::test(start_paused = true)]
async fn reset_of_the_client_in_the_link_stage_hides_no_byte_of_the_server() {
    let Session { mut client, mut server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 7);
    client.send(b"RED").await;
    assert_eq!(server.receive(3).await, b"RED");
    client.reset();
    assert_eq!(server.rest().await, b"", "the server sees an end, not a reset");
    assert_eq!(recorder.closed(), []);
    server.send(b"okay").await;
    task.await.unwrap();
    assert_eq!(recorder.bytes_of(Side::Server), b"okay");
    assert_eq!(recorder.closed(), [Some(Side::Client)]);
    assert!(server.control.resets(), "the link stage is over");
}

#[tokio::test(start_paused = true)]
async fn server_that_does_not_answer_a_reset_in_the_link_stage_is_waited_for_with_a_limit() {
    let timeouts = NO_TIMEOUTS.half_closed(Some(LIMIT));
    let Session { mut client, server, recorder, task, .. } = Session::start(timeouts, 7);
    client.send(b"RED").await;
    tokio::time::sleep(LIMIT).await;
    client.reset();
    let start = tokio::time::Instant::now();
    task.await.unwrap();
    assert!(start.elapsed() <= 2 * LIMIT);
    assert_eq!(recorder.closed().len(), 1);
    drop(server);
}

/// A client that has the relay as its HTTP proxy gets an answer that it understands, and not SPICE.
#[tokio::test(start_paused = true)]
async fn http_connect_is_answered() {
    let Session { mut client, server: _server, recorder, task, .. } = Session::start(NO_TIMEOUTS, 100);
    client.send(b"CONNECT vm:5900 HTTP/1.1\r\nHost: vm:5900\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    task.await.unwrap();
    assert_eq!(recorder.closed(), [Some(Side::Client)]);
}
